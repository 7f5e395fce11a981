/* The threshold follows the hand: what it flags, misses and costs is counted here, from scores that came with the page. */
window.dash_clientside = window.dash_clientside || {};
(function () {
  "use strict";

  function board() { return document.getElementById("anomalies-board"); }
  function all(name) { return (board() || document).querySelector(".board-" + name); }
  function field(name) { return document.getElementById("anomalies-" + name); }

  function data() {
    var here = board();
    if (!here) { return null; }
    if (here.xaikitKept !== here.dataset.board) {
      here.xaikitBoard = JSON.parse(here.dataset.board);
      here.xaikitKept = here.dataset.board;
    }
    return here.xaikitBoard;
  }

  function share(axis, score) {
    var s = axis.logarithmic ? Math.log(Math.max(score, 1e-300) / axis.low) / Math.log(axis.high / axis.low)
      : (score - axis.low) / (axis.high - axis.low);
    return Math.max(0, Math.min(1, s));
  }

  function score(axis, s) {
    var found = axis.logarithmic ? axis.low * Math.pow(axis.high / axis.low, s) : axis.low + s * (axis.high - axis.low);
    return Number(found.toPrecision(6));
  }

  function count(d, t) {
    var c = { alarms: 0, flagged: 0, missed: 0, found: 0, "false": 0, right: 0 };
    d.normal.forEach(function (v) { c.alarms += v > t ? 1 : 0; });
    d.scores.forEach(function (v, i) {
      var above = v === null || v > t;
      c.flagged += above ? 1 : 0;
      if (d.bad) { c[d.bad[i] ? (above ? "found" : "missed") : (above ? "false" : "right")] += 1; }
    });
    return c;
  }

  function price(name, otherwise) {
    var input = field(name), value = input ? parseFloat(String(input.value).replace(",", ".")) : NaN;
    return isFinite(value) && value >= 0 ? value : otherwise;
  }

  function cost(d, c) {
    if (d.bad) { return (price("miss", 10) * c.missed + price("alarm", 1) * c["false"]) / Math.max(d.bad.length, 1); }
    return price("alarm", 1) * c.alarms / Math.max(d.normal.length, 1);
  }

  function said(value, digits) {
    if (value === 0) { return "0"; }
    var text = Number(value.toPrecision(digits || 3));
    return Math.abs(text) >= 1e-4 && Math.abs(text) < 1e6 ? text.toLocaleString("en", { maximumSignificantDigits: digits || 3 }) : text.toExponential();
  }

  function curve(d) {
    var place = all("curve");
    if (!place) { return; }
    var costs = [], k;
    for (k = 0; k <= 150; k += 1) { costs.push(cost(d, count(d, score(d.axis, k / 150)))); }
    var most = Math.max.apply(null, costs) || 1;
    var points = costs.map(function (c, i) { return (i / 150 * 1000).toFixed(1) + "," + (98 - 92 * c / most).toFixed(1); }).join(" ");
    place.innerHTML = '<svg viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true"><polyline points="' + points
      + '" fill="none" stroke="#2b8a3e" stroke-width="2" vector-effect="non-scaling-stroke"/></svg>';
  }

  function put(name, text) { var place = all(name); if (place) { place.textContent = text; } }

  function show(t, words) {
    var d = data();
    if (!d) { return; }
    var c = count(d, t);
    all("line").style.left = (100 * share(d.axis, t)).toFixed(2) + "%";
    var slider = field("slider");
    if (document.activeElement !== slider) { slider.value = Math.round(1000 * share(d.axis, t)); }
    slider.setAttribute("aria-valuetext", "threshold " + said(t, 4));
    put("threshold", "Threshold " + said(t, 4));
    put("rule", " (" + (words || "set by hand") + "). ");
    put("counts", c.alarms.toLocaleString("en") + " of " + d.normal.length.toLocaleString("en") + " normal samples lie above it ("
      + said(100 * c.alarms / Math.max(d.normal.length, 1), 2) + " %); of " + d.scores.length + " samples of the slice " + c.flagged + " are flagged.");
    ["found", "missed", "false", "right"].forEach(function (name) { put(name, c[name].toLocaleString("en")); });
    put("cost", "Expected cost per sample here: " + said(cost(d, c)) + ".");
    document.querySelectorAll("[data-score]").forEach(function (note) {
      var flagged = !(Number(note.dataset.score) <= t), flag = note.querySelector(".flag");
      if (flag) { flag.classList.toggle("off", !flagged); }
    });
    var shelf = document.querySelectorAll(".thumb-note[data-score]");
    var flagged = Array.from(shelf).filter(function (n) { return !(Number(n.dataset.score) <= t); }).length;
    var line = document.getElementById("anomalies-flagged");
    if (line) { line.textContent = flagged + " of " + shelf.length + " are flagged as anomalous."; }
    verdict(t);
    var rule = document.querySelector(".verdict-rule"), below = 1 - c.alarms / Math.max(d.normal.length, 1);
    if (rule) { rule.textContent = "set by hand, with " + said(100 * below, below < 1 ? 2 : 3) + " % of the normal samples below it"; }
    board().dataset.at = t;
  }

  function verdict(t) {
    var box = document.querySelector("[data-verdict]");
    if (!box) { return; }
    var own = Number(box.dataset.verdict), flagged = !(own <= t);
    box.classList.toggle("is-anomalous", flagged);
    box.classList.toggle("is-normal", !flagged);
    var word = box.querySelector(".verdict-word"), limit = box.querySelector(".verdict-threshold");
    if (word) { word.textContent = flagged ? "Anomalous" : "Normal"; }
    if (limit) { limit.textContent = said(t); }
    var times = box.querySelector(".verdict-times");
    if (times && t > 0) { times.textContent = said(own / t); }
  }

  function keep(t, hand) {
    var changes = { threshold: hand ? String(t) : "" };
    if (field("miss")) { changes.miss = String(price("miss", 10)); }
    changes.alarm = String(price("alarm", 1));
    window.dash_clientside.set_props("view-changes", { data: changes });
  }

  document.addEventListener("input", function (event) {
    var d = data();
    if (!d || !event.target.closest || !event.target.closest("#anomalies-board")) { return; }
    if (event.target.id === "anomalies-slider") { show(score(d.axis, Number(event.target.value) / 1000)); return; }
    if (event.target.id === "anomalies-typed") {
      var t = parseFloat(String(event.target.value).replace(/,/g, ""));
      if (isFinite(t)) { show(t); keep(t, true); }
      return;
    }
    if (/^anomalies-(miss|alarm)$/.test(event.target.id)) {
      curve(d);
      var at = Number(board().dataset.at);
      put("cost", "Expected cost per sample here: " + said(cost(d, count(d, at))) + ".");
    }
  });

  document.addEventListener("change", function (event) {
    var d = data();
    if (d && event.target.id === "anomalies-slider") { keep(score(d.axis, Number(event.target.value) / 1000), true); }
    if (d && /^anomalies-(miss|alarm)$/.test(event.target.id || "")) {
      keep(Number(board().dataset.at), board().dataset.hand === "yes");
    }
  });

  document.addEventListener("click", function (event) {
    var d = data();
    if (!d || !event.target.closest) { return; }
    if (event.target.closest(".board-cheapest")) {
      var places = d.normal.concat(d.scores.filter(function (v) { return v !== null; })).sort(function (a, b) { return b - a; });
      var best = places[0], least = Infinity;
      places.forEach(function (t) { var c = cost(d, count(d, t)); if (c < least) { least = c; best = t; } });
      show(best, "the cheapest");
      keep(best, true);
    }
    if (event.target.closest(".board-back")) {
      var query = new URLSearchParams(window.location.search);
      query.delete("threshold");
      window.dash_clientside.set_props("url", { href: window.location.pathname + "?" + query.toString() });
    }
  });

  /* Another sample keeps the threshold that was set by hand since the page was made. */
  document.addEventListener("click", function (event) {
    var here = new URLSearchParams(window.location.search);
    var link = event.target.closest && event.target.closest("a.thumb");
    if (!link || !board() || event.ctrlKey || event.metaKey || event.shiftKey || event.button) { return; }
    var to = new URL(link.href, window.location.href), same = true;
    ["threshold", "miss", "alarm"].forEach(function (name) {
      var value = here.get(name);
      if (value === to.searchParams.get(name)) { return; }
      same = false;
      if (value === null) { to.searchParams.delete(name); } else { to.searchParams.set(name, value); }
    });
    if (same) { return; }
    event.preventDefault();
    event.stopPropagation();
    window.dash_clientside.set_props("url", { href: to.pathname + to.search });
  }, true);

  /* A board that has just come has its cost curve drawn. */
  new MutationObserver(function () {
    var here = board();
    if (here && here.xaikitKept !== here.dataset.board) {
      var d = data(), slider = field("slider");
      here.dataset.at = here.dataset.start || score(d.axis, Number(slider.value) / 1000);
      curve(d);
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
