/* Training curves: drawn, smoothed and read here; the server only sends the numbers. */
window.dash_clientside = window.dash_clientside || {};
(function () {
  "use strict";
  var curves = (window.dash_clientside.curves = window.dash_clientside.curves || {});
  var NS = "http://www.w3.org/2000/svg", WIDE = 560, HIGH = 290, LEFT = 54, RIGHT = 12, TOP = 12, LOW = 34;
  var COLOURS = ["#3f7fd0", "#d07a1e", "#2a9d6f", "#b0468c", "#8b5cc7", "#a3842a", "#c4483e", "#5b7083"];
  var ROOM = 340, GAP = 24, WIDEST = 760, DECADES = 2, now = null, watch = null;

  function nothing() { return window.dash_clientside.no_update; }
  function make(tag, className, text) {
    var el = document.createElement(tag);
    if (className) { el.className = className; }
    if (text !== undefined) { el.textContent = text; }
    return el;
  }
  function svg(tag, attributes, text) {
    var el = document.createElementNS(NS, tag);
    Object.keys(attributes || {}).forEach(function (name) { el.setAttribute(name, attributes[name]); });
    if (text !== undefined) { el.textContent = text; }
    return el;
  }
  function word(v) {
    if (v === null || !isFinite(v)) { return "–"; }
    if (v === 0) { return "0"; }
    var size = Math.abs(v), text = size >= 1e5 || size < 1e-3 ? v.toExponential(1) : String(Number(v.toPrecision(4)));
    return text.replace("-", "−");
  }
  function spoken(metric) {
    var words = metric.replace(/[_/]/g, " ");
    return words.charAt(0).toUpperCase() + words.slice(1);
  }

  /* The mean of what came before with weights that fall by `share` a point; the first points are corrected for their
     few predecessors. */
  curves.smoothed = function (values, share) {
    if (!share) { return values; }
    var sum = 0, weight = 0;
    return values.map(function (v) {
      if (v === null) { return null; }
      sum = share * sum + (1 - share) * v;
      weight = share * weight + (1 - share);
      return sum / weight;
    });
  };

  function ticks(low, high, log) {
    if (log) {
      var all = [];
      for (var p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p += 1) { all.push(Math.pow(10, p)); }
      return all.filter(function (t) { return t >= low && t <= high; });
    }
    var step = Math.pow(10, Math.floor(Math.log10((high - low) / 4 || 1))), found = [];
    [5, 2].forEach(function (by) { if ((high - low) / (step * by) >= 3) { step *= by; } });
    for (var t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) { found.push(Number(t.toPrecision(12))); }
    return found;
  }

  function groups() {
    var found = {}, order = [];
    now.data.runs.forEach(function (run, r) {
      run.curves.forEach(function (curve) {
        var key = curve.metric + " over " + curve.axis;
        if (!found[key]) { found[key] = { metric: curve.metric, axis: curve.axis, lines: [] }; order.push(key); }
        found[key].lines.push({ run: run, number: r, curve: curve });
      });
    });
    return order.map(function (key) { return found[key]; });
  }
  function dashed(part) { return /validation|test/.test(part) ? "6 4" : ""; }
  function colour(line) {
    if (now.data.runs.length > 1) { return COLOURS[line.number % COLOURS.length]; }
    return COLOURS[["training", "validation", "test"].indexOf(line.curve.part) % COLOURS.length] || COLOURS[0];
  }
  function named(line) { return (now.data.runs.length > 1 ? line.run.name + ", " : "") + line.curve.part; }

  function path(line, values, x, y) {
    var text = "", pen = false;
    values.forEach(function (v, i) {
      if (v === null || !isFinite(y(v))) { pen = false; return; }
      text += (pen ? "L" : "M") + x(line.curve.steps[i]).toFixed(1) + " " + y(v).toFixed(1);
      pen = true;
    });
    return text;
  }

  function panel(group) {
    var all = [], steps = [], share = now.smooth / 100;
    group.lines.forEach(function (line) {
      line.smooth = curves.smoothed(line.curve.values, share);
      line.curve.values.forEach(function (v, i) { if (v !== null) { all.push(v); steps.push(line.curve.steps[i]); } });
    });
    var low = Math.min.apply(null, all), high = Math.max.apply(null, all), log = low > 0 && Math.log10(high / low) > DECADES;
    if (!all.length) { low = 0; high = 1; steps = [0, 1]; }
    if (low === high) { low -= 0.5; high += 0.5; }
    var first = Math.min.apply(null, steps), last = Math.max.apply(null, steps);
    if (first === last) { first -= 0.5; last += 0.5; }
    var f = log ? Math.log10 : function (v) { return v; };
    function x(s) { return LEFT + (WIDE - LEFT - RIGHT) * (s - first) / (last - first); }
    function y(v) { return TOP + (HIGH - TOP - LOW) * (1 - (f(v) - f(low)) / (f(high) - f(low))); }

    var title = spoken(group.metric) + (log ? ", logarithmic" : "");
    var figure = make("figure", "curve-figure");
    figure.appendChild(make("figcaption", "", title));
    var drawn = svg("svg", { viewBox: "0 0 " + WIDE + " " + HIGH, tabindex: "0", role: "application",
      "aria-label": title + " over " + group.axis + "s: read it with the left and right arrow keys" });
    ticks(low, high, log).forEach(function (t) {
      drawn.appendChild(svg("line", { x1: LEFT, x2: WIDE - RIGHT, y1: y(t), y2: y(t), "class": "curve-grid" }));
      drawn.appendChild(svg("text", { x: LEFT - 6, y: y(t) + 4, "text-anchor": "end", "class": "curve-tick" }, word(t)));
    });
    ticks(first, last, false).filter(function (t) { return t % 1 === 0; }).forEach(function (t) {
      drawn.appendChild(svg("text", { x: x(t), y: HIGH - 16, "text-anchor": "middle", "class": "curve-tick" }, word(t)));
    });
    drawn.appendChild(svg("text", { x: WIDE - RIGHT, y: HIGH - 3, "text-anchor": "end", "class": "curve-tick" }, group.axis));
    group.lines.forEach(function (line) {
      var how = { fill: "none", stroke: colour(line), "stroke-dasharray": dashed(line.curve.part), "stroke-linejoin": "round" };
      if (share) { drawn.appendChild(svg("path", Object.assign({ d: path(line, line.curve.values, x, y), "stroke-width": 1, opacity: 0.3 }, how))); }
      drawn.appendChild(svg("path", Object.assign({ d: path(line, line.smooth, x, y), "stroke-width": 2 }, how)));
      best(drawn, group, line, x, y);
    });
    var hair = svg("line", { y1: TOP, y2: HIGH - LOW, "class": "curve-hair", visibility: "hidden" });
    drawn.appendChild(hair);
    figure.appendChild(drawn);
    figure.appendChild(legend(group));
    var words = make("p", "curve-words");
    words.setAttribute("role", "status");
    figure.appendChild(words);
    reads(drawn, group, hair, words, x, first, last);
    return figure;
  }

  /* The epoch of the best weights, on the curve that was judged. */
  function best(drawn, group, line, x, y) {
    var run = line.run, judged = group.axis === run.curves[0].axis && !/^(lr|learning_rate)$/.test(group.metric);
    var others = group.lines.filter(function (l) { return l.run === run; });
    var chosen = others.find(function (l) { return l.curve.part === "validation"; }) || others[0];
    if (run.best === null || !judged || chosen !== line) { return; }
    var i = line.curve.steps.indexOf(run.best), v = i < 0 ? null : line.curve.values[i];
    if (v === null) { return; }
    var point = svg("circle", { cx: x(run.best), cy: y(v), r: 5, fill: colour(line), "class": "curve-best" });
    point.appendChild(svg("title", {}, "best " + group.axis + " " + word(run.best) + ": " + word(v)));
    drawn.appendChild(point);
    var end = x(run.best) > WIDE * 0.7, up = y(v) > HIGH * 0.3;
    drawn.appendChild(svg("text", { x: x(run.best) + (end ? -9 : 9), y: y(v) + (up ? -9 : 18), "text-anchor": end ? "end" : "start",
      "class": "curve-note" }, "best " + group.axis + " " + word(run.best) + ": " + word(v)));
  }

  function legend(group) {
    var list = make("ul", "curve-legend");
    group.lines.forEach(function (line) {
      var item = make("li"), mark = svg("svg", { viewBox: "0 0 28 8", width: 28, height: 8, "aria-hidden": "true" });
      mark.appendChild(svg("line", { x1: 0, x2: 28, y1: 4, y2: 4, stroke: colour(line), "stroke-width": 2.5, "stroke-dasharray": dashed(line.curve.part) }));
      item.appendChild(mark);
      item.appendChild(make("span", "", named(line)));
      list.appendChild(item);
    });
    return list;
  }

  function reads(drawn, group, hair, words, x, first, last) {
    var every = Array.from(new Set([].concat.apply([], group.lines.map(function (l) { return l.curve.steps; })))).sort(function (a, b) { return a - b; });
    var at = -1;
    function show(i) {
      at = Math.max(0, Math.min(every.length - 1, i));
      var step = every[at];
      hair.setAttribute("x1", x(step));
      hair.setAttribute("x2", x(step));
      hair.setAttribute("visibility", "visible");
      words.textContent = group.axis.charAt(0).toUpperCase() + group.axis.slice(1) + " " + word(step) + ": " + group.lines.map(function (line) {
        var k = line.curve.steps.indexOf(step);
        return k < 0 ? null : named(line) + " " + word(line.curve.values[k]);
      }).filter(Boolean).join("; ") + ".";
    }
    drawn.addEventListener("pointermove", function (event) {
      var box = drawn.getBoundingClientRect(), across = (event.clientX - box.left) / box.width * WIDE;
      var step = first + (across - LEFT) / (WIDE - LEFT - RIGHT) * (last - first), nearest = 0;
      every.forEach(function (s, i) { if (Math.abs(s - step) < Math.abs(every[nearest] - step)) { nearest = i; } });
      show(nearest);
    });
    drawn.addEventListener("keydown", function (event) {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") { return; }
      event.preventDefault();
      show(at < 0 ? 0 : at + (event.key === "ArrowRight" ? 1 : -1));
    });
  }

  /* ---- what is chosen ---- */

  function keep() {
    window.clearTimeout(now.timer);
    now.timer = window.setTimeout(function () {
      var all = names(), shown = all.filter(function (n) { return now.hidden.indexOf(n) < 0; });
      window.dash_clientside.set_props("view-changes", { data: {
        smooth: now.smooth ? String(now.smooth) : null, metrics: shown.length === all.length ? null : shown.join(",") } });
    }, 400);
  }
  function names() { return Array.from(new Set(groups().map(function (g) { return g.metric; }))); }

  function controls(stage) {
    var box = make("div", "curve-controls"), label = make("label", "curve-smooth", "Smoothing "), slider = make("input"), value = make("output", "", String(now.smooth));
    slider.type = "range"; slider.min = "0"; slider.max = "99"; slider.value = String(now.smooth);
    slider.id = "curves-smooth";
    slider.addEventListener("input", function () { now.smooth = Number(slider.value); value.textContent = slider.value; draw(); keep(); });
    label.appendChild(slider);
    label.appendChild(value);
    box.appendChild(label);
    var all = names();
    if (all.length > 1) {
      var set = make("fieldset", "curve-metrics");
      set.appendChild(make("legend", "", "Metrics"));
      all.forEach(function (name) {
        var one = make("label"), tick = make("input");
        tick.type = "checkbox";
        tick.checked = now.hidden.indexOf(name) < 0;
        tick.addEventListener("change", function () {
          now.hidden = now.hidden.filter(function (n) { return n !== name; });
          if (!tick.checked) { now.hidden.push(name); }
          draw();
          keep();
        });
        one.appendChild(tick);
        one.appendChild(make("span", "", spoken(name)));
        set.appendChild(one);
      });
      box.appendChild(set);
    }
    stage.appendChild(box);
  }

  function draw() {
    now.place.textContent = "";
    var shown = groups().filter(function (g) { return now.hidden.indexOf(g.metric) < 0; });
    var room = now.place.clientWidth || 600, across = Math.max(1, Math.min(shown.length, Math.floor((room + GAP) / (ROOM + GAP))));
    now.room = room;
    WIDE = Math.max(200, Math.min(WIDEST, Math.floor((room - GAP * (across - 1)) / across))); /* text keeps its size */
    shown.forEach(function (group) { now.place.appendChild(panel(group)); });
    if (!shown.length) { now.place.appendChild(make("p", "quiet", "No metric is chosen.")); }
  }

  curves.begin = function (data) {
    var stage = document.getElementById("curves-stage");
    if (now) { window.clearTimeout(now.timer); }
    if (!data || !stage) { now = null; return nothing(); }
    now = { data: data, smooth: data.smooth, hidden: [], place: make("div", "curve-panels") };
    if (data.metrics.length) { now.hidden = names().filter(function (n) { return data.metrics.indexOf(n) < 0; }); }
    stage.textContent = "";
    controls(stage);
    stage.appendChild(now.place);
    draw();
    if (watch) { watch.disconnect(); }
    watch = new ResizeObserver(function () {
      if (now && Math.abs(now.place.clientWidth - now.room) > 20) { draw(); }
    });
    watch.observe(stage);
    return String(Date.now());
  };
})();
