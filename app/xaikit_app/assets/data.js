/* Cells of the table of samples, and what is kept of slices. */
(function () {
  "use strict";
  var cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  window.dash_clientside = window.dash_clientside || {};
  var data = (window.dash_clientside.xaikitData = window.dash_clientside.xaikitData || {});

  cells.XaikitSample = function (props) {
    var value = props.value;
    if (!value) { return window.React.createElement("span", { className: "cell-wait" }, "…"); }
    if (value.src) {
      return window.React.createElement("img", { src: value.src, alt: value.words, className: "cell-picture" });
    }
    return window.React.createElement("span", { title: value.words }, value.words);
  };

  cells.XaikitMark = function (props) {
    if (props.value === null || props.value === undefined || props.value === "") { return null; }
    var right = props.value === "right";
    return window.React.createElement("span", { className: right ? "mark-right" : "mark-wrong" }, (right ? "✓ " : "✗ ") + props.value);
  };

  /* New answers: the rows that are shown are asked for again. */
  data.refresh = function (answered, id) {
    if (!answered) { return window.dash_clientside.no_update; }
    try {
      window.dash_ag_grid.getApi(id).refreshInfiniteCache();
    } catch (error) { return window.dash_clientside.no_update; }
    return answered;
  };

  /* Slices by name, kept in this browser until its tab is closed. */
  data.keepSlice = function (clicks, name, kept, key) {
    var slice = new URLSearchParams(window.location.search).get("slice");
    if (!clicks || !name || !name.trim() || !slice) { return window.dash_clientside.no_update; }
    var mine = (kept || []).filter(function (s) { return !(s.name === name.trim() && s.model === key); });
    return mine.concat([{ name: name.trim().slice(0, 60), model: key, slice: slice }]).slice(-30);
  };
})();
