/* A layer at work: the window over the input, its products, their sum, and the place in the output. All of it is
   calculated here, from arrays that came with the page. */
window.dash_clientside = window.dash_clientside || {};
(function () {
  "use strict";
  var convolution = (window.dash_clientside.convolution = window.dash_clientside.convolution || {});
  var NUMBERS = 49, CELLS = 400, SIDE = 250, LISTED = 24, PACE = 450;
  var now = null;

  function nothing() { return window.dash_clientside.no_update; }

  convolution.choose = function (layer, channel, chosen) {
    if (!chosen || !layer || channel === null || channel === undefined || channel === "") { return nothing(); }
    if (layer === chosen[0] && Number(channel) === chosen[1]) { return nothing(); }
    var query = new URLSearchParams(window.location.search);
    var names = window.location.pathname.split("/convolution");
    ["place", "in"].forEach(function (key) { query.delete(key); });
    query.set("layer", layer);
    query.set("unit", layer === chosen[0] ? String(channel) : "0");
    return names[0] + "/convolution?" + query.toString();
  };

  /* ---- numbers ---- */

  function floats(text) {
    var raw = window.atob(text), bytes = new Uint8Array(raw.length);
    for (var i = 0; i < raw.length; i += 1) { bytes[i] = raw.charCodeAt(i); }
    return new Float32Array(bytes.buffer);
  }
  function word(v) {
    if (!isFinite(v)) { return "–"; }
    if (v === 0) { return "0"; }
    var size = Math.abs(v), text = size >= 1e4 || size < 1e-3 ? v.toExponential(1) : String(Number(v.toPrecision(3)));
    return text.replace("-", "−");
  }
  function limit(values) {
    var most = 0;
    for (var i = 0; i < values.length; i += 1) { if (isFinite(values[i])) { most = Math.max(most, Math.abs(values[i])); } }
    return most || 1;
  }
  function signed(values) { for (var i = 0; i < values.length; i += 1) { if (values[i] < 0) { return true; } } return false; }

  function scale(values) {
    var two = signed(values), most = limit(values), stops = now.data.colours[two ? "diverging" : "sequential"];
    return function (v) {
      var share = two ? 0.5 + v / (2 * most) : v / most;
      return stops[Math.max(0, Math.min(stops.length - 1, Math.round(share * (stops.length - 1)) || 0))];
    };
  }
  /* Black or white, whichever is easier to read on a colour; one of them always has a contrast of 4.5 or more. */
  function ink(c) {
    var light = [0.2126, 0.7152, 0.0722].reduce(function (sum, weight, k) {
      var v = c[k] / 255;
      return sum + weight * (v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4));
    }, 0);
    return light < 0.179 ? "#fff" : "#000";
  }
  function rgb(c) { return "rgb(" + c.join(",") + ")"; }

  function xAt(r, c, j) { var s = now.data.shape; return now.x[(r * s[1] + c) * s[2] + j]; }
  function kAt(a, b, j) { return now.kernel ? now.kernel[(a * now.kw + b) * now.data.shape[2] + j] : 1; }
  function plane(j) {
    var s = now.data.shape, out = new Float32Array(s[0] * s[1]);
    for (var i = 0; i < out.length; i += 1) { out[i] = now.x[i * s[2] + j]; }
    return out;
  }

  /* The window of one input channel at the present place, cell by cell. */
  function cells(j) {
    var d = now.data, found = [];
    for (var a = 0; a < now.kh; a += 1) {
      for (var b = 0; b < now.kw; b += 1) {
        var r = d.taps[0][now.row][a], c = d.taps[1][now.col][b], there = r >= 0 && c >= 0;
        found.push({ there: there, value: there ? xAt(r, c, j) : 0, weight: kAt(a, b, j), row: r, col: c });
      }
    }
    return found;
  }
  function sumOf(j) { return cells(j).reduce(function (sum, cell) { return sum + (cell.there ? cell.value * cell.weight : 0); }, 0); }

  /* ---- drawing ---- */

  function make(tag, className, text) {
    var el = document.createElement(tag);
    if (className) { el.className = className; }
    if (text !== undefined) { el.textContent = text; }
    return el;
  }

  function around() { /* the padding that windows reach into, before and after each axis */
    return now.data.spans.map(function (spans, axis) {
      var n = now.data.shape[axis], low = 0, high = n - 1;
      spans.forEach(function (span) { low = Math.min(low, span[0]); high = Math.max(high, span[1]); });
      return [-low, high - n + 1];
    });
  }

  function sheet(rows, cols) {
    var side = Math.max(rows, cols), size = Math.max(1, Math.min(26, Math.floor(SIDE / side)));
    if (rows === 1) { size = Math.max(1, Math.min(26, Math.floor(2 * SIDE / cols))); }
    var canvas = make("canvas", "stage-map");
    canvas.width = cols * size;
    canvas.height = rows * size < 18 ? 18 : rows * size;
    canvas.dataset.size = size;
    canvas.dataset.tall = String(canvas.height / rows);
    return canvas;
  }
  function paint(canvas, values, rows, cols, pads) {
    var context = canvas.getContext("2d"), size = Number(canvas.dataset.size), tall = Number(canvas.dataset.tall);
    var colour = scale(values), dark = document.documentElement.dataset.mantineColorScheme === "dark";
    context.fillStyle = dark ? "#3a3f47" : "#d6dae1";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (pads[0][0] + pads[0][1] + pads[1][0] + pads[1][1] > 0) { hatch(context, canvas, dark); }
    for (var r = 0; r < rows; r += 1) {
      for (var c = 0; c < cols; c += 1) {
        context.fillStyle = rgb(colour(values[r * cols + c]));
        context.fillRect((c + pads[1][0]) * size, (r + pads[0][0]) * tall, size, tall);
      }
    }
    canvas.kept = context.getImageData(0, 0, canvas.width, canvas.height);
  }
  function hatch(context, canvas, dark) {
    context.strokeStyle = dark ? "#59606b" : "#aab2bd";
    context.lineWidth = 1;
    context.beginPath();
    for (var i = -canvas.height; i < canvas.width; i += 5) { context.moveTo(i, canvas.height); context.lineTo(i + canvas.height, 0); }
    context.stroke();
  }
  function frame(canvas, r0, r1, c0, c1, pads) {
    var context = canvas.getContext("2d"), size = Number(canvas.dataset.size), tall = Number(canvas.dataset.tall);
    if (canvas.kept) { context.putImageData(canvas.kept, 0, 0); }
    var box = [(c0 + pads[1][0]) * size, (r0 + pads[0][0]) * tall, (c1 - c0 + 1) * size, (r1 - r0 + 1) * tall];
    context.lineWidth = 5; context.strokeStyle = "rgba(255,255,255,0.85)"; context.strokeRect(box[0], box[1], box[2], box[3]);
    context.lineWidth = 2.5; context.strokeStyle = "#ff7800"; context.strokeRect(box[0], box[1], box[2], box[3]);
  }

  function grid(values, title, shown, marked, there) {
    var box = make("figure", "stage-grid"), head = make("figcaption", "", title);
    box.appendChild(head);
    var colour = scale(shown);
    if (values.length > CELLS) {
      var canvas = sheet(now.kh, now.kw);
      paint(canvas, values, now.kh, now.kw, [[0, 0], [0, 0]]);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", title);
      box.appendChild(canvas);
      return box;
    }
    var table = make("table", values.length > NUMBERS ? "fine" : ""), k = 0;
    for (var a = 0; a < now.kh; a += 1) {
      var row = table.insertRow();
      for (var b = 0; b < now.kw; b += 1) {
        var cell = row.insertCell(), v = values[k], c = colour(v);
        if (there && !there[k]) { cell.className = "pad"; cell.title = "padding"; } else {
          cell.style.background = rgb(c);
          cell.style.color = ink(c);
        }
        if (values.length <= NUMBERS) { cell.textContent = there && !there[k] && !now.kernel ? "" : word(v); }
        if (k === marked) { cell.classList.add("marked"); }
        k += 1;
      }
    }
    box.appendChild(table);
    return box;
  }

  function sign(text) { var el = make("span", "stage-sign", text); el.setAttribute("aria-hidden", "true"); return el; }

  function windows() {
    var found = cells(now.input), there = found.map(function (c) { return c.there; });
    var values = found.map(function (c) { return c.value; }), row = make("div", "stage-row");
    var name = "channel " + now.data.inputs[now.input];
    if (!now.kernel) {
      var best = -1;
      if (now.data.rule === "max") {
        found.forEach(function (c, i) { if (c.there && (best < 0 || c.value > found[best].value)) { best = i; } });
      }
      row.appendChild(grid(values, "Window", now.plane, best, there));
      row.appendChild(sign(now.data.rule === "max" ? "largest" : "mean"));
      row.appendChild(sign(word(now.sums[now.flat])));
      return row;
    }
    var weights = found.map(function (c) { return c.weight; });
    var products = found.map(function (c) { return c.there ? c.value * c.weight : 0; });
    row.appendChild(grid(values, "Window of " + name, now.plane, -1, there));
    row.appendChild(sign("×"));
    row.appendChild(grid(weights, "Weights", weights, -1));
    row.appendChild(sign("="));
    row.appendChild(grid(products, "Products", products, -1));
    row.appendChild(sign("Σ " + word(sumOf(now.input))));
    return row;
  }

  function sentence() {
    var d = now.data, value = now.sums[now.flat], said = [], all = value - d.bias;
    if (now.kernel) {
      if (d.rank > 0) { said.push("Input channel " + d.inputs[now.input] + ": the products add up to " + word(sumOf(now.input)) + "."); }
      if (d.width > 1) { said.push("All " + d.width + (d.rank > 0 ? " channels together: " : " products together: ") + word(all) + "."); }
      said.push(d.bias ? "With the bias " + word(d.bias) + " that is " + word(value) + "." : "There is no bias.");
    } else { said.push((d.rule === "max" ? "The largest value is " : "The mean is ") + word(value) + "."); }
    d.after.forEach(function (step, i) {
      said.push(step.kind + (step.name === d.layer ? "" : " (" + step.name + ")") + " makes it " + word(now.then[i][now.flat]) + ".");
    });
    return said.join(" ");
  }

  function where() {
    var rank = now.data.rank;
    if (now.data.out[0] * now.data.out[1] === 1) { return ""; }
    return rank === 1 ? "Step " + now.col + ". " : "Row " + now.row + ", column " + now.col + ". ";
  }

  function channels() {
    var d = now.data, box = now.parts.channels;
    box.textContent = "";
    if (!now.kernel || d.width < 2) { return; }
    var sums = d.inputs.map(function (_, j) { return sumOf(j); });
    var order = sums.map(function (_, j) { return j; }).sort(function (a, b) { return Math.abs(sums[b]) - Math.abs(sums[a]); });
    var shown = order.slice(0, LISTED), most = limit(Float32Array.from(sums));
    var left = order.slice(LISTED).reduce(function (sum, j) { return sum + sums[j]; }, now.rest ? now.rest[now.flat] : 0);
    if (shown.indexOf(now.input) < 0) { left -= sums[now.input]; left += sums[shown[shown.length - 1]]; shown[shown.length - 1] = now.input; }
    var title = d.rank > 0 ? "What each input channel adds here, largest first" : "What each input adds, largest first";
    box.appendChild(make("h3", "stage-title", title));
    var list = make("ul", "stage-list");
    shown.forEach(function (j) {
      var item = make("li"), button = make(d.rank > 0 ? "button" : "div", "stage-channel" + (j === now.input && d.rank > 0 ? " chosen" : ""));
      if (d.rank > 0) {
        button.type = "button";
        button.setAttribute("aria-pressed", j === now.input ? "true" : "false");
        button.addEventListener("click", function () { now.input = j; now.plane = plane(j); newInput(); render(true); box.querySelector(".chosen").focus(); });
      }
      button.appendChild(make("span", "stage-name", (d.rank > 0 ? "channel " : "input ") + d.inputs[j]));
      if (d.rank === 0) { button.appendChild(make("span", "stage-factors", word(xAt(0, 0, j)) + " × " + word(kAt(0, 0, j)))); }
      var track = make("span", "bar-track"), fill = make("span", "bar-fill"), share = 50 * Math.abs(sums[j]) / most;
      var colour = now.data.colours.diverging[sums[j] < 0 ? 8 : now.data.colours.diverging.length - 9];
      fill.style.cssText = (sums[j] < 0 ? "right:50%" : "left:50%") + ";width:" + share + "%;background:" + rgb(colour);
      track.setAttribute("aria-hidden", "true");
      track.appendChild(fill);
      button.appendChild(track);
      button.appendChild(make("span", "bar-number", word(sums[j])));
      item.appendChild(button);
      list.appendChild(item);
    });
    box.appendChild(list);
    var others = d.width - shown.length;
    if (others > 0) { box.appendChild(make("p", "stage-rest", "The other " + others + " together: " + word(left) + ".")); }
    if (now.rest && d.rank > 0) { box.appendChild(asking()); }
  }

  /* Channels of a large layer that did not come with the page: one of them is asked for. */
  function asking() {
    var form = make("form", "stage-ask"), label = make("label", "", "Show input channel "), field = make("input");
    field.type = "number"; field.min = "0"; field.max = String(Math.max.apply(null, now.data.inputs.concat(now.data.width - 1))); field.required = true;
    label.appendChild(field);
    var button = make("button", "stage-play", "Show");
    button.type = "submit";
    form.appendChild(label);
    form.appendChild(button);
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      var query = new URLSearchParams(window.location.search);
      query.set("in", field.value);
      query.set("place", now.row + "," + now.col);
      window.dash_clientside.set_props("url", { href: window.location.pathname + "?" + query.toString() });
    });
    return form;
  }

  /* ---- the stage ---- */

  function titled(canvas, title) {
    var figure = make("figure", "stage-figure");
    figure.appendChild(make("figcaption", "", title));
    figure.appendChild(canvas);
    return figure;
  }

  function newInput() {
    if (!now.parts.input) { return; }
    paint(now.parts.input, now.plane, now.data.shape[0], now.data.shape[1], now.pads);
    now.parts.inputTitle.textContent = now.kernel && now.data.width > 1 ? "Input, channel " + now.data.inputs[now.input] : "Input";
  }

  function render(keep) {
    var d = now.data;
    now.flat = now.row * d.out[1] + now.col;
    if (now.parts.input) {
      var spans = [d.spans[0][now.row], d.spans[1][now.col]];
      frame(now.parts.input, spans[0][0], spans[0][1], spans[1][0], spans[1][1], now.pads);
    }
    now.parts.outputs.forEach(function (canvas) { frame(canvas, now.row, now.row, now.col, now.col, [[0, 0], [0, 0]]); });
    now.parts.windows.textContent = "";
    if (d.rank > 0) { now.parts.windows.appendChild(windows()); }
    now.parts.words.setAttribute("aria-live", now.playing ? "off" : "polite");
    now.parts.words.textContent = where() + sentence();
    channels();
    if (keep) { remember(); }
  }

  function remember() {
    window.clearTimeout(now.timer);
    now.timer = window.setTimeout(function () {
      if (!now || !document.getElementById("convolution-stage")) { return; }
      var changes = { place: now.row + "," + now.col };
      if (now.kernel && now.data.width > 1 && now.data.rank > 0) { changes["in"] = String(now.data.inputs[now.input]); }
      window.dash_clientside.set_props("view-changes", { data: changes });
    }, 400);
  }

  function go(row, col, keep) {
    now.row = Math.max(0, Math.min(now.data.out[0] - 1, row));
    now.col = Math.max(0, Math.min(now.data.out[1] - 1, col));
    render(keep !== false);
  }
  function next() {
    var d = now.data, at = (now.row * d.out[1] + now.col + 1) % (d.out[0] * d.out[1]);
    go(Math.floor(at / d.out[1]), at % d.out[1]);
  }
  function stop() {
    if (!now) { return; }
    window.clearInterval(now.clock);
    now.playing = false;
    if (now.parts.play) { now.parts.play.textContent = "Play"; now.parts.play.setAttribute("aria-pressed", "false"); }
  }
  function play() {
    if (now.playing) { stop(); render(true); return; }
    now.playing = true;
    now.parts.play.textContent = "Pause";
    now.parts.play.setAttribute("aria-pressed", "true");
    now.clock = window.setInterval(function () { if (document.contains(now.parts.play)) { next(); } else { stop(); } }, PACE);
  }

  function placeOf(canvas, event) {
    var box = canvas.getBoundingClientRect();
    return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
  }
  function walk(canvas, label) {
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", label + ": move over its places with the arrow keys");
    canvas.addEventListener("keydown", function (event) {
      var step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step) { return; }
      event.preventDefault();
      stop();
      go(now.row + (now.data.out[0] > 1 ? step[0] : 0), now.col + (now.data.out[0] > 1 ? step[1] : step[0] || step[1]));
    });
  }
  function onOutput(event) {
    var at = placeOf(event.currentTarget, event);
    stop();
    go(Math.floor(at[0] * now.data.out[0]), Math.floor(at[1] * now.data.out[1]));
  }
  function onInput(event) { /* the window whose middle is nearest */
    var at = placeOf(event.currentTarget, event), place = [0, 1].map(function (axis) {
      var n = now.data.shape[axis] + now.pads[axis][0] + now.pads[axis][1], p = at[axis] * n - now.pads[axis][0] - 0.5, best = 0, least = Infinity;
      now.data.spans[axis].forEach(function (span, k) {
        var off = Math.abs((span[0] + span[1]) / 2 - p);
        if (off < least) { least = off; best = k; }
      });
      return best;
    });
    stop();
    go(place[0], place[1]);
  }

  function build(stage) {
    var d = now.data, parts = (now.parts = { outputs: [] }), maps = make("div", "stage-row maps-row");
    stage.textContent = "";
    var many = d.out[0] * d.out[1] > 1;
    if (d.rank > 0) {
      parts.input = sheet(d.shape[0] + now.pads[0][0] + now.pads[0][1], d.shape[1] + now.pads[1][0] + now.pads[1][1]);
      var figure = titled(parts.input, "Input");
      parts.inputTitle = figure.firstChild;
      maps.appendChild(figure);
      if (many) { walk(parts.input, "Input"); parts.input.addEventListener("pointermove", onInput); } else {
        parts.input.setAttribute("role", "img"); parts.input.setAttribute("aria-label", "Input");
      }
    }
    if (many) {
      var steps = [{ name: now.kernel ? (d.bias ? "Sum and bias" : "Sum") : "Output", values: now.sums }];
      d.after.forEach(function (step, i) { steps.push({ name: "After " + step.kind, values: now.then[i] }); });
      steps.forEach(function (step) {
        var canvas = sheet(d.out[0], d.out[1]);
        paint(canvas, step.values, d.out[0], d.out[1], [[0, 0], [0, 0]]);
        walk(canvas, step.name);
        canvas.addEventListener("pointermove", onOutput);
        parts.outputs.push(canvas);
        maps.appendChild(titled(canvas, step.name));
      });
      parts.play = make("button", "stage-play", "Play");
      parts.play.type = "button";
      parts.play.setAttribute("aria-pressed", "false");
      var step = make("button", "stage-play", "One step");
      step.type = "button";
      step.addEventListener("click", function () { stop(); next(); });
      var buttons = make("div", "stage-buttons"), still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      parts.play.addEventListener("click", play);
      if (still) { parts.play.hidden = true; }
      buttons.appendChild(parts.play);
      buttons.appendChild(step);
      buttons.appendChild(make("span", "quiet", "or point at a map, or focus one and use the arrow keys"));
      stage.appendChild(buttons);
    }
    parts.windows = make("div", "stage-windows");
    parts.words = make("p", "stage-words");
    parts.words.setAttribute("role", "status");
    parts.channels = make("div", "stage-channels");
    [maps, parts.windows, parts.words, parts.channels].forEach(function (el) { stage.appendChild(el); });
  }

  convolution.begin = function (data) {
    var stage = document.getElementById("convolution-stage");
    if (now) { stop(); window.clearTimeout(now.timer); }
    if (!data || !stage) { now = null; return nothing(); }
    now = { data: data, x: floats(data.x), kernel: data.kernel ? floats(data.kernel) : null, sums: floats(data.sums), playing: false };
    now.rest = data.rest ? floats(data.rest) : null;
    now.then = data.after.map(function (step) { return floats(step.values); });
    now.kh = data.taps[0][0].length;
    now.kw = data.taps[1][0].length;
    now.pads = around();
    now.input = Math.max(0, data.input === null ? 0 : data.inputs.indexOf(data.input));
    now.row = data.at[0];
    now.col = data.at[1];
    if (data.input === null && now.kernel && data.inputs.length <= 256) {
      var best = 0, most = -1;
      data.inputs.forEach(function (_, j) { var size = Math.abs(sumOf(j)); if (size > most) { most = size; best = j; } });
      now.input = best;
    }
    now.plane = plane(now.input);
    build(stage);
    newInput();
    render(false);
    return String(Date.now());
  };

  new MutationObserver(function () { /* colours of the sheets follow the theme */
    if (now && document.getElementById("convolution-stage")) { convolution.begin(Object.assign({}, now.data, { at: [now.row, now.col], input: now.data.inputs[now.input] })); }
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-mantine-color-scheme"] });
})();
