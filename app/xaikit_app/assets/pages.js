/* The list of layers is filtered here: nothing goes to the server. */
window.dash_clientside = window.dash_clientside || {};
(function () {
  "use strict";
  var pages = (window.dash_clientside.xaikitPages = window.dash_clientside.xaikitPages || {});

  pages.filter = function (asked) {
    var list = document.getElementById("layers-list");
    var words = (asked || "").toLowerCase().split(/\s+/).filter(Boolean);
    if (!list) { return window.dash_clientside.no_update; }
    var shown = 0, all = list.children.length;
    Array.from(list.children).forEach(function (item) {
      var text = item.textContent.toLowerCase();
      var fits = words.every(function (word) { return text.indexOf(word) >= 0; });
      item.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    return words.length ? shown + " of " + all + " layers" : all + (all === 1 ? " layer" : " layers");
  };
})();
