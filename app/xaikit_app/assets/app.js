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
    var here = new URLSearchParams(window.location.search).get("model");
    if (here && changes.model && here !== changes.model) { return links; } /* late: another model is shown by now */
    var search = changed(window.location.search, changes);
    window.history.replaceState(window.history.state, "", window.location.pathname + search);
    return links.map(function (link) {
      var parts = link.split("?");
      return parts[0] + changed(parts[1] || "", changes, ["sample", "target", "model", "framework"]);
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
    var text = window.location.href;
    if (navigator.clipboard && window.isSecureContext) { navigator.clipboard.writeText(text).catch(function () {}); }
    window.setTimeout(function () { window.dash_clientside.set_props("copy-link", { children: "Copy link" }); }, 1500);
    return "Copied";
  };
})();

/* The drawing pad: bright ink on black, as handwritten digits are kept. */
(function () {
  "use strict";
  var xaikit = window.dash_clientside.xaikit;
  var SIDE = 112, drawing = false, last = null;

  function pad() { return document.getElementById("explain-pad"); }

  function place(event, canvas) {
    var box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  }

  function blank(canvas) {
    var context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    canvas.dataset.blank = "no";
  }

  function line(canvas, from, to) {
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

  document.addEventListener("pointerdown", function (event) {
    if (event.target !== pad()) { return; }
    event.preventDefault();
    event.target.setPointerCapture(event.pointerId);
    drawing = true;
    last = place(event, event.target);
    line(event.target, last, last);
  });
  document.addEventListener("pointermove", function (event) {
    if (!drawing || event.target !== pad()) { return; }
    var now = place(event, event.target);
    line(event.target, last, now);
    last = now;
  });
  document.addEventListener("pointerup", function () { drawing = false; });
  document.addEventListener("pointercancel", function () { drawing = false; });

  /* Each pixel that is sent is the mean of its square of the pad. */
  xaikit.readPad = function (clicks) {
    var canvas = pad();
    if (!clicks || !canvas) { return window.dash_clientside.no_update; }
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

  /* After a click the results come into view, once for each click. */
  var shownFor = 0;
  xaikit.showResults = function (running, shown, clicks) {
    var results = document.getElementById("explain-results");
    if (results && clicks && clicks !== shownFor) {
      shownFor = clicks;
      window.requestAnimationFrame(function () { results.scrollIntoView({ block: "start" }); });
    }
    return "-1";
  };

  /* Whether the maps are of the input, target and seed that are chosen now. */
  xaikit.upToDate = function (made, sample, target, seed) {
    if (!made) { return true; }
    return made[0] === sample && (made[1] || null) === (target || null) && Number(made[2] || 0) === Number(seed || 0);
  };

  xaikit.clearPad = function () {
    if (pad()) { blank(pad()); }
    return window.dash_clientside.no_update;
  };

  /* A file over the limit never leaves the browser, and the person is told. */
  function tooLarge(files) {
    var mark = document.getElementById("explain-upload-limit");
    if (!mark || !files || !files.length) { return; }
    var limit = Number(mark.dataset.bytes), file = files[0], mib = 1048576;
    if (file.size <= limit) { return; }
    window.dash_clientside.set_props("explain-note", {
      children: file.name + " has " + (file.size / mib).toFixed(1) + " MiB; an upload has at most " +
        (limit / mib).toFixed(limit < mib ? 2 : 0) + " MiB",
      hide: false
    });
  }
  document.addEventListener("change", function (event) {
    if (event.target && event.target.type === "file") { tooLarge(event.target.files); }
  }, true);
  document.addEventListener("drop", function (event) {
    if (event.target.closest && event.target.closest("#explain-upload")) { tooLarge(event.dataTransfer.files); }
  }, true);
})();
