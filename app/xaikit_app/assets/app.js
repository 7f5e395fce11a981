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
      return window.dash_clientside.xaikitFrame.path() + "?" + new URLSearchParams({ model: model }).toString();
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

  /* What goes along from page to page, as in state.py. */
  var CARRIED = ["model", "framework", "sample", "target", "layer", "unit", "methods", "parameters", "seed", "slice",
    "threshold"];

  /* Write what a page shows into the address, without leaving the page; the links to other pages follow. */
  xaikit.keep = function (changes, links) {
    if (!changes) { return links; }
    var here = new URLSearchParams(window.location.search).get("model");
    if (here && changes.model && here !== changes.model) { return links; } /* late: another model is shown by now */
    var search = changed(window.location.search, changes);
    window.history.replaceState(window.history.state, "", window.location.pathname + search);
    return links.map(function (link) {
      var parts = link.split("?");
      return parts[0] + changed(parts[1] || "", changes, CARRIED);
    });
  };

  /* On a narrow screen the pages unfold with the burger, and fold when one is chosen. */
  xaikit.unfold = function (opened, path, navbar) {
    var asked = (window.dash_clientside.callback_context.triggered[0] || {}).prop_id || "";
    var open = asked.indexOf("burger.") === 0 && opened;
    return [Object.assign({}, navbar, { collapsed: { mobile: !open } }), open];
  };

  xaikit.copyLink = function (clicks) {
    if (!clicks) { return nothing(); }
    var say = function (words) { window.dash_clientside.set_props("copy-link", { children: words }); };
    window.dash_clientside.xaikitFrame.copy(window.location.href).then(
      function () { say("Copied"); },
      function () { say("Not copied"); }
    ).then(function () { window.setTimeout(say, 1500, "Copy link"); });
    return nothing();
  };
})();
