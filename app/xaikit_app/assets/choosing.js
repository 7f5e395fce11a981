/* A choice from one of a page's lists leads to the address that says it, as it is now. */
window.dash_clientside = window.dash_clientside || {};
(function () {
  "use strict";
  var choosing = (window.dash_clientside.xaikitChoosing = window.dash_clientside.xaikitChoosing || {});

  choosing.choose = function (values, ids) {
    var nothing = window.dash_clientside.no_update;
    var asked = (window.dash_clientside.callback_context.triggered[0] || {}).prop_id || "";
    var query = new URLSearchParams(window.location.search), changed = false;
    ids.forEach(function (id, k) {
      if (asked.indexOf('"name":"' + id.name + '"') < 0) { return; }
      var value = values[k];
      if (value === null || value === undefined || String(value) === String(id.now)) { return; }
      value = String(value);
      if ((query.get(id.name) || "") === value) { return; }
      if (value === "") { query.delete(id.name); } else { query.set(id.name, value); }
      changed = true;
    });
    return changed ? window.location.pathname + "?" + query.toString().replace(/%2C/g, ",").replace(/%3A/g, ":") : nothing;
  };
})();
