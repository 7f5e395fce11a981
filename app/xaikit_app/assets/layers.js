/* Layers: the tree of layers, and what a unit sees of the input. Nothing here asks the server. */
window.dash_clientside = window.dash_clientside || {};
(function () {
  "use strict";
  var layers = (window.dash_clientside.layers = window.dash_clientside.layers || {});
  var nothing = function () { return window.dash_clientside.no_update; };

  /* ---- the tree: folded blocks, found by name, walked by keys ---- */

  function rows(tree) {
    return Array.from(tree.querySelectorAll("[role=treeitem]")).filter(function (item) { return item.checkVisibility(); });
  }
  function above(item) { return item.parentElement.closest("[role=treeitem]"); }
  function opened(item) { return item.getAttribute("aria-expanded") === "true"; }
  function key(tree) { return "xaikit-open-" + (tree.dataset.model || ""); }

  function remember(tree) {
    var open = Array.from(tree.querySelectorAll("[aria-expanded=true]")).map(function (item) { return item.dataset.key; });
    try { sessionStorage.setItem(key(tree), JSON.stringify(open)); } catch (error) { return; }
  }
  function fold(item, open) {
    if (!item.hasAttribute("aria-expanded")) { return; }
    item.setAttribute("aria-expanded", open ? "true" : "false");
    remember(item.closest("[role=tree]"));
  }
  function focus(tree, item) {
    tree.querySelectorAll("[role=treeitem][tabindex='0']").forEach(function (other) { other.tabIndex = -1; });
    item.tabIndex = 0;
    item.focus();
  }

  layers.ready = function (asked) {
    var tree = document.getElementById("layers-list");
    if (!tree) { return nothing(); }
    tree.querySelectorAll("a").forEach(function (link) { link.tabIndex = -1; });
    var open = [];
    try { open = JSON.parse(sessionStorage.getItem(key(tree)) || "[]"); } catch (error) { open = []; }
    tree.querySelectorAll("[aria-expanded=false]").forEach(function (item) {
      if (open.indexOf(item.dataset.key) >= 0) { item.setAttribute("aria-expanded", "true"); }
    });
    var chosen = tree.querySelector("[aria-selected=true]") || tree.querySelector("[role=treeitem]");
    tree.querySelectorAll("[role=treeitem]").forEach(function (item) { item.tabIndex = item === chosen ? 0 : -1; });
    if (chosen && tree.scrollHeight > tree.clientHeight) {
      tree.scrollTop += chosen.getBoundingClientRect().top - tree.getBoundingClientRect().top - tree.clientHeight / 3;
    }
    return layers.find(asked);
  };

  layers.find = function (asked) {
    var tree = document.getElementById("layers-list");
    if (!tree) { return nothing(); }
    var words = (asked || "").toLowerCase().split(/\s+/).filter(Boolean), shown = 0;
    var links = Array.from(tree.querySelectorAll(".layer"));
    tree.classList.toggle("searching", words.length > 0);
    tree.querySelectorAll(".found, .hit").forEach(function (item) { item.classList.remove("found", "hit"); });
    links.forEach(function (link) {
      var text = link.textContent.toLowerCase();
      if (!words.every(function (word) { return text.indexOf(word) >= 0; })) { return; }
      shown += 1;
      var item = link.closest("[role=treeitem]");
      item.classList.add("found", "hit");
      while (words.length && (item = above(item))) { item.classList.add("found"); }
    });
    var all = links.length;
    return words.length ? shown + " of " + all + " layers" : all + (all === 1 ? " layer" : " layers");
  };

  document.addEventListener("click", function (event) {
    var twist = event.target.closest && event.target.closest(".twist:not(.none), .twist-name");
    if (twist) { var item = twist.closest("[role=treeitem]"); fold(item, !opened(item)); }
  });
  document.addEventListener("keydown", function (event) {
    var item = event.target;
    if (!item.matches || !item.matches("[role=treeitem]") || event.ctrlKey || event.altKey || event.metaKey) { return; }
    var tree = item.closest("[role=tree]"), all = rows(tree), at = all.indexOf(item), next = null;
    if (event.key === "ArrowDown") { next = all[at + 1]; }
    else if (event.key === "ArrowUp") { next = all[at - 1]; }
    else if (event.key === "Home") { next = all[0]; }
    else if (event.key === "End") { next = all[all.length - 1]; }
    else if (event.key === "ArrowRight") {
      if (item.hasAttribute("aria-expanded")) { if (opened(item)) { next = all[at + 1]; } else { fold(item, true); } }
    } else if (event.key === "ArrowLeft") { if (opened(item)) { fold(item, false); } else { next = above(item); } }
    else if (event.key === "Enter" || event.key === " ") {
      var link = item.querySelector(":scope > .row > a");
      if (link) { link.click(); } else { fold(item, !opened(item)); }
    } else { return; }
    event.preventDefault();
    if (next) { focus(tree, next); }
  });

  /* ---- receptive fields ---- */

  var tables = new WeakMap();
  var SPOKEN = { height: ["row", "rows"], width: ["column", "columns"], time: ["step", "steps"], token: ["word", "words"] };

  function tableOf(sight) {
    var holder = sight.querySelector("[data-sight]");
    if (!holder) { return null; }
    if (!tables.has(holder)) { tables.set(holder, JSON.parse(holder.dataset.sight)); }
    return tables.get(holder);
  }
  function at(array, unit) {
    var flat = 0;
    array.shape.forEach(function (n, i) { flat = flat * n + (n > 1 ? unit[i] : 0); });
    return array.values[flat];
  }
  /* First and last place of the input that a unit sees, by axis. */
  layers.box = function (table, unit) {
    return table.lo.map(function (lo, a) { return [at(lo, unit), at(table.hi[a], unit)]; });
  };
  /* First and last unit, by axis of the layer, that see a place of the input; null where none does. */
  layers.seers = function (table, pixel) {
    var found = null, unit = table.shape.map(function () { return 0; });
    var count = table.shape.reduce(function (a, b) { return a * b; }, 1);
    for (var k = 0; k < count; k += 1) {
      var left = k;
      for (var i = table.shape.length - 1; i >= 0; i -= 1) { unit[i] = left % table.shape[i]; left = Math.floor(left / table.shape[i]); }
      var sees = table.lo.every(function (lo, a) { return at(lo, unit) <= pixel[a] && pixel[a] <= at(table.hi[a], unit); });
      if (!sees) { continue; }
      found = found || unit.map(function (u) { return [u, u]; });
      unit.forEach(function (u, i) { found[i][0] = Math.min(found[i][0], u); found[i][1] = Math.max(found[i][1], u); });
    }
    return found;
  };

  function said(axes, ranges) {
    return ranges.map(function (range, i) {
      var names = SPOKEN[axes[i]] || [axes[i], axes[i]];
      return range[0] === range[1] ? names[0] + " " + range[0] : names[1] + " " + range[0] + " to " + range[1];
    }).join(", ");
  }
  function point(place) { return place.map(function (p) { return [p, p]; }); }

  /* How the places of a picture lie: numbers of rows and columns. */
  function lying(el, shape) { return el.dataset.kind === "map" ? [shape[0], shape[1]] : [1, shape[0]]; }
  function across(el, n, from, to) { /* the share of the width that places take; a curve leaves a margin of 2 of 120 */
    if (el.dataset.kind !== "curve") { return [from / n, (to + 1) / n]; }
    var step = 116 / Math.max(n - 1, 1);
    return [Math.max(0, 2 + (from - 0.5) * step) / 120, Math.min(120, 2 + (to + 0.5) * step) / 120];
  }
  function draw(el, ranges, shape, kind) {
    if (el.dataset.kind === "words") {
      el.querySelectorAll("[data-at]").forEach(function (word) {
        var i = Number(word.dataset.at);
        word.classList.toggle(kind, ranges[0][0] <= i && i <= ranges[0][1]);
      });
      return;
    }
    var size = lying(el, shape), two = el.dataset.kind === "map";
    var y = two ? ranges[0] : [0, 0], x = two ? ranges[1] : ranges[0];
    if (!y || !x || y[1] < y[0] || x[1] < x[0]) { return; }
    var wide = across(el, size[1], x[0], x[1]), frame = document.createElement("span");
    frame.className = "sight-frame " + kind;
    frame.style.left = 100 * wide[0] + "%";
    frame.style.width = 100 * (wide[1] - wide[0]) + "%";
    frame.style.top = 100 * y[0] / size[0] + "%";
    frame.style.height = 100 * (y[1] - y[0] + 1) / size[0] + "%";
    el.appendChild(frame);
  }
  function clear(sight) {
    sight.querySelectorAll(".sight-frame").forEach(function (frame) { frame.remove(); });
    sight.querySelectorAll(".sight-input .seen, .sight-input .here").forEach(function (word) { word.classList.remove("seen", "here"); });
  }
  function tell(sight, text) {
    var words = sight.querySelector(".sight-words");
    if (words) { words.textContent = text || words.dataset.said; }
  }

  function show(sight, el, place) {
    var table = tableOf(sight), input = el.classList.contains("sight-input");
    clear(sight);
    if (!table) { return; }
    if (input) {
      var units = layers.seers(table, place);
      draw(el, point(place), table.lengths, "here");
      if (units) { sight.querySelectorAll(".sight-map").forEach(function (map) { draw(map, units, table.shape, "seen"); }); }
      var where = "The input at " + said(table.axes, point(place));
      tell(sight, units ? where + " is seen by the units at " + said(table.places, units) + "." : where + " is seen by no unit.");
      return;
    }
    var box = layers.box(table, place), empty = box.some(function (range) { return range[1] < range[0]; });
    draw(el, point(place), table.shape, "here");
    sight.querySelectorAll(".sight-input").forEach(function (one) { draw(one, box, table.lengths, "seen"); });
    var unit = "The unit at " + said(table.places, point(place));
    tell(sight, empty ? unit + " sees nothing of the input." : unit + " sees " + said(table.axes, box) + " of the input.");
  }

  function fits(el, shape) { return shape.length === (el.dataset.kind === "map" ? 2 : 1); }
  function shapeOf(el, table) { return el.classList.contains("sight-input") ? table.lengths : table.shape; }

  function pointed(el, event, shape) {
    if (el.dataset.kind === "words") {
      var word = event.target.closest("[data-at]");
      return word ? [Number(word.dataset.at)] : null;
    }
    var box = el.getBoundingClientRect(), size = lying(el, shape);
    var fx = (event.clientX - box.left) / box.width, fy = (event.clientY - box.top) / box.height;
    var hold = function (v, n) { return Math.min(n - 1, Math.max(0, v)); };
    if (el.dataset.kind === "curve") { return [hold(Math.round((fx * 120 - 2) / 116 * (size[1] - 1)), size[1])]; }
    return [hold(Math.floor(fy * size[0]), size[0]), hold(Math.floor(fx * size[1]), size[1])];
  }

  document.addEventListener("pointermove", function (event) {
    var el = event.target.closest && event.target.closest(".sight-map, .sight-input");
    var sight = el && el.closest(".sight"), table = sight && tableOf(sight);
    document.querySelectorAll(".sight.pointed").forEach(function (other) {
      if (other !== sight) { other.classList.remove("pointed"); clear(other); tell(other, ""); }
    });
    if (!table || !fits(el, shapeOf(el, table))) { return; }
    var place = pointed(el, event, shapeOf(el, table));
    if (place) { sight.classList.add("pointed"); show(sight, el, place); el.dataset.place = place.join(","); }
  }, { passive: true });

  document.addEventListener("keydown", function (event) {
    var el = event.target, step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || !el.matches || !el.matches(".sight-map, .sight-input")) { return; }
    var sight = el.closest(".sight"), table = sight && tableOf(sight);
    if (!table || !fits(el, shapeOf(el, table))) { return; }
    var shape = shapeOf(el, table), two = shape.length === 2;
    var place = el.dataset.place ? el.dataset.place.split(",").map(Number) : null;
    place = place ? place.map(function (p, i) { return p + (two ? step[i] : step[1] || step[0]); })
      : shape.map(function (n) { return Math.floor(n / 2); });
    place = place.map(function (p, i) { return Math.min(shape[i] - 1, Math.max(0, p)); });
    event.preventDefault();
    el.dataset.place = place.join(",");
    sight.classList.add("pointed");
    show(sight, el, place);
  });
})();
