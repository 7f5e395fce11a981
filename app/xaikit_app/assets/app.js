/* Addresses and links; everything that must not wait for the server. */
window.dash_clientside = window.dash_clientside || {};
(function () {
  "use strict";
  var xaikit = (window.dash_clientside.xaikit = window.dash_clientside.xaikit || {});

  function nothing() { return window.dash_clientside.no_update; }

  /* Another model or framework: a new view, with what still makes sense of the old one. */
  xaikit.choose = function (model, framework, shown) {
    if (!shown) { return nothing(); }
    var here = new URLSearchParams(window.location.search);
    var asked = (window.dash_clientside.callback_context.triggered[0] || {}).prop_id || "";
    if (asked.indexOf("model.") === 0) {
      if (!model || model === shown[0]) { return nothing(); }
      here = new URLSearchParams({ model: model });
    } else {
      if (!framework || framework === shown[1] || model !== shown[0]) { return nothing(); }
      here.set("model", model);
      here.set("framework", framework);
    }
    return window.location.pathname + "?" + here.toString();
  };

  function changed(search, changes, only) {
    var query = new URLSearchParams(search);
    Object.keys(changes).forEach(function (key) {
      if (only && only.indexOf(key) < 0) { return; }
      if (key === "parameters") {
        Array.from(query.keys()).forEach(function (k) { if (k.indexOf(".") > 0) { query.delete(k); } });
        Object.keys(changes.parameters || {}).forEach(function (k) { query.set(k, changes.parameters[k]); });
        return;
      }
      var value = changes[key];
      if (value === null || value === undefined || value === "") { query.delete(key); } else { query.set(key, value); }
    });
    var text = query.toString().replace(/%2C/g, ",");
    return text ? "?" + text : "";
  }

  /* Write what a page shows into the address, without leaving the page; the links to other pages follow. */
  xaikit.keep = function (changes, links) {
    if (!changes) { return links; }
    var search = changed(window.location.search, changes);
    window.history.replaceState(window.history.state, "", window.location.pathname + search);
    return links.map(function (link) {
      var parts = link.split("?");
      return parts[0] + changed(parts[1] || "", changes, ["sample", "target", "model", "framework"]);
    });
  };

  xaikit.copyLink = function (clicks) {
    if (!clicks) { return nothing(); }
    var text = window.location.href;
    if (navigator.clipboard && window.isSecureContext) { navigator.clipboard.writeText(text).catch(function () {}); }
    window.setTimeout(function () { window.dash_clientside.set_props("copy-link", { children: "Copy link" }); }, 1500);
    return "Copied";
  };
})();
