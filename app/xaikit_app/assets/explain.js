/* Explain and Compare: pads to draw on, values under the pointer, what is out of date; nothing here asks the server. */
window.dash_clientside = window.dash_clientside || {};
(function () {
  "use strict";
  var explain = (window.dash_clientside.xaikitExplain = window.dash_clientside.xaikitExplain || {});
  var SIDE = 112, held = null, last = null;

  function nothing() { return window.dash_clientside.no_update; }
  function named(kind, input) {
    return Array.from(document.querySelectorAll("canvas." + kind)).find(function (c) { return c.dataset.input === input; });
  }
  function place(event, canvas) {
    var box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  }

  /* ---- several inputs are one sample */
  explain.join = function (samples, ids) {
    if (!samples.length || samples.some(function (s) { return !s; })) { return nothing(); }
    if (ids.length === 1 && ids[0].input === "") { return samples[0]; }
    return samples.map(function (s, k) { return ids[k].input + ":" + s; }).join(",");
  };
  explain.mark = function (sample, ids) {
    return ids.map(function (id) { return id.sample === sample ? "thumb chosen" : "thumb"; });
  };

  /* ---- the pad for digits: bright ink on black, as handwritten digits are kept */
  function blank(canvas) {
    var context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    canvas.dataset.blank = "no";
  }
  function stroke(canvas, from, to) {
    var context = canvas.getContext("2d");
    if (!canvas.dataset.blank) { blank(canvas); }
    context.strokeStyle = "#fff";
    context.lineWidth = canvas.width / 12;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(from[0], from[1]);
    context.lineTo(to[0], to[1]);
    context.stroke();
  }
  /* Each pixel that is sent is the mean of its square of the pad. */
  explain.readPad = function (clicks, id) {
    var canvas = id && named("pad", id.input);
    if (!clicks || !canvas) { return nothing(); }
    if (!canvas.dataset.blank) { blank(canvas); }
    var width = canvas.width, step = width / SIDE;
    var data = canvas.getContext("2d").getImageData(0, 0, width, width).data;
    var pixels = [];
    for (var row = 0; row < SIDE; row++) {
      for (var column = 0; column < SIDE; column++) {
        var sum = 0;
        for (var y = 0; y < step; y++) {
          for (var x = 0; x < step; x++) { sum += data[4 * ((row * step + y) * width + column * step + x)]; }
        }
        pixels.push(Math.round(sum / (step * step)));
      }
    }
    return pixels;
  };
  explain.clearPad = function (clicks, id) {
    var canvas = id && named("pad", id.input);
    if (clicks && canvas) { blank(canvas); }
    return nothing();
  };

  /* ---- the pad for series: a height for every step, one channel at a time */
  function lines(canvas) {
    if (!canvas.lines) {
      var steps = Number(canvas.dataset.steps), count = Number(canvas.dataset.channels);
      canvas.lines = Array.from({ length: count }, function () { return new Array(steps).fill(0.5); });
      canvas.channel = 0;
    }
    return canvas.lines;
  }
  function drawLine(canvas) {
    var context = canvas.getContext("2d"), own = lines(canvas)[canvas.channel], n = own.length;
    var style = window.getComputedStyle(canvas);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.strokeStyle = style.getPropertyValue("--line-colour") || style.color;
    context.lineWidth = 2;
    context.beginPath();
    own.forEach(function (y, k) { context.lineTo((k + 0.5) * canvas.width / n, (1 - y) * canvas.height); });
    context.stroke();
  }
  function bend(canvas, from, to) {
    var own = lines(canvas)[canvas.channel], n = own.length;
    var a = from[0] <= to[0] ? from : to, b = from[0] <= to[0] ? to : from;
    var first = Math.floor(a[0] * n / canvas.width), end = Math.floor(b[0] * n / canvas.width);
    for (var k = Math.max(0, first); k <= Math.min(n - 1, end); k++) {
      var share = end === first ? 1 : (k - first) / (end - first);
      var y = a[1] + share * (b[1] - a[1]);
      own[k] = Math.min(1, Math.max(0, 1 - y / canvas.height));
    }
    drawLine(canvas);
  }
  explain.readLine = function (clicks, id) {
    var canvas = id && named("line-pad", id.input);
    if (!clicks || !canvas) { return nothing(); }
    var low = Number(canvas.dataset.low), high = Number(canvas.dataset.high);
    return lines(canvas).map(function (own) { return own.map(function (y) { return low + y * (high - low); }); });
  };
  explain.clearLine = function (clicks, id) {
    var canvas = id && named("line-pad", id.input);
    if (clicks && canvas) { lines(canvas)[canvas.channel].fill(0.5); drawLine(canvas); }
    return nothing();
  };
  explain.turnChannel = function (channel, id) {
    var canvas = id && named("line-pad", id.input);
    if (canvas) {
      canvas.channel = Math.min(lines(canvas).length - 1, Math.max(0, Number(channel) || 0));
      drawLine(canvas);
    }
    return nothing();
  };

  function pads(target) { return target && target.matches && target.matches("canvas.pad, canvas.line-pad"); }
  function mark(canvas, from, to) { (canvas.matches(".pad") ? stroke : bend)(canvas, from, to); }
  document.addEventListener("pointerdown", function (event) {
    if (!pads(event.target)) { return; }
    event.preventDefault();
    event.target.setPointerCapture(event.pointerId);
    held = event.target;
    last = place(event, held);
    mark(held, last, last);
  });
  document.addEventListener("pointermove", function (event) {
    if (!held || event.target !== held) { return; }
    var now = place(event, held);
    mark(held, last, now);
    last = now;
  });
  document.addEventListener("pointerup", function () { held = null; });
  document.addEventListener("pointercancel", function () { held = null; });

  /* ---- the raw value under the pointer */
  function number(value) {
    if (!Number.isFinite(value)) { return "not a number"; }
    if (value === 0) { return "0"; }
    var size = Math.abs(value);
    var text = size >= 1e6 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
    return text.replace("-", "−");
  }
  function valuesOf(box) {
    if (!box.values) {
      var text = window.atob(box.dataset.values), bytes = new Uint8Array(text.length);
      for (var k = 0; k < text.length; k++) { bytes[k] = text.charCodeAt(k); }
      box.values = box.dataset.kind === "f4" ? new Float32Array(bytes.buffer) : new Int16Array(bytes.buffer);
    }
    return box.values;
  }
  function tell(box, row, column) {
    var rows = Number(box.dataset.rows), columns = Number(box.dataset.columns);
    row = Math.min(rows - 1, Math.max(0, row));
    column = Math.min(columns - 1, Math.max(0, column));
    box.at = [row, column];
    var value = valuesOf(box)[row * columns + column] * Number(box.dataset.unit);
    var spot = box.querySelector(".probe-spot"), image = box.querySelector("img");
    if (spot && image) {
      spot.hidden = false;
      spot.style.left = 100 * column / columns + "%";
      spot.style.top = image.clientHeight * row / rows + "px";
      spot.style.width = 100 / columns + "%";
      spot.style.height = image.clientHeight / rows + "px";
    }
    box.nextElementSibling.classList.add("told");
    box.nextElementSibling.textContent = "Row " + row + ", column " + column + ": " + number(value);
  }
  document.addEventListener("pointermove", function (event) {
    var box = event.target.closest && event.target.closest(".probe");
    var image = box && box.querySelector("img");
    if (!image) { return; }
    var frame = image.getBoundingClientRect();
    var down = (event.clientY - frame.top) / frame.height, across = (event.clientX - frame.left) / frame.width;
    if (down < 0 || down >= 1 || across < 0 || across >= 1) { return; }
    tell(box, Math.floor(down * Number(box.dataset.rows)), Math.floor(across * Number(box.dataset.columns)));
  });
  var MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  document.addEventListener("keydown", function (event) {
    var box = event.target;
    if (!box.classList || !box.classList.contains("probe") || !MOVES[event.key]) { return; }
    event.preventDefault();
    var at = box.at || [-1, -1], move = MOVES[event.key];
    box.nextElementSibling.setAttribute("aria-live", "polite");
    tell(box, at[0] + move[0], at[1] + move[1]);
  });

  /* ---- after a click the results come into view, once for each click */
  var shownFor = 0;
  explain.showResults = function (running, shown, clicks) {
    var results = document.getElementById("explain-results");
    if (results && clicks && clicks !== shownFor) {
      shownFor = clicks;
      window.requestAnimationFrame(function () { results.scrollIntoView({ block: "start" }); });
    }
    return "-1";
  };

  /* ---- whether the maps are of what is chosen now: all of them, or those of one method */
  var GENERAL = ["sample", "target", "seed", "evidence", "max_calls", "max_batch", "time_limit", "tolerance", "accelerate"];
  function same(a, b) { return (a || null) === (b || null); }
  function own(choice, method) {
    var given = (choice && choice.parameters) || {};
    return Object.keys(given).filter(function (k) { return k.indexOf(method + ".") === 0; }).sort()
      .map(function (k) { return k + "=" + given[k]; }).join("&");
  }
  explain.upToDate = function (made, changes) {
    window.requestAnimationFrame(function () { late(made, changes); });
    if (!made || !changes) { return true; }
    return GENERAL.every(function (key) { return same(made[key], changes[key]); });
  };
  function late(made, changes) {
    document.querySelectorAll("#explain-shown [data-testid=attribution]").forEach(function (card) {
      var method = card.dataset.method;
      card.classList.toggle("changed", Boolean(made && changes) && own(made, method) !== own(changes, method));
    });
  }
  explain.level = function (level) { return "explain-page " + (level === "expert" ? "expert" : "guided"); };

  /* ---- a file over the limit never leaves the browser, and the person is told */
  function tooLarge(box, files) {
    if (!box || !files || !files.length) { return; }
    var limit = Number(box.dataset.bytes), file = files[0], mib = 1048576;
    if (file.size <= limit) { return; }
    window.dash_clientside.set_props({ type: "explain-note", input: box.dataset.input }, {
      children: file.name + " has " + (file.size / mib).toFixed(1) + " MiB; an upload has at most " +
        (limit / mib).toFixed(limit < mib ? 2 : 0) + " MiB",
      hide: false
    });
  }
  document.addEventListener("change", function (event) {
    var box = event.target && event.target.type === "file" && event.target.closest(".takes-files");
    if (box) { tooLarge(box, event.target.files); }
  }, true);
  document.addEventListener("drop", function (event) {
    var box = event.target.closest && event.target.closest(".takes-files");
    if (box) { tooLarge(box, event.dataTransfer.files); }
  }, true);
})();
