/* The brush over a picture, and the words of a text that are left out. */
(function () {
  "use strict";
  window.dash_clientside = window.dash_clientside || {};
  var whatIf = (window.dash_clientside.xaikitWhatIf = window.dash_clientside.xaikitWhatIf || {});
  var drawing = false, last = null;

  function pad() { return document.getElementById("what-if-brush"); }
  function none() { return window.dash_clientside.no_update; }

  function place(event, canvas) {
    var box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  }

  function stroke(canvas, from, to) {
    var context = canvas.getContext("2d", { willReadFrequently: true });
    var size = Number((document.querySelector("#what-if-size input[type=hidden]") || {}).value || canvas.dataset.size || 12);
    context.strokeStyle = context.fillStyle = "#ff7800";
    context.lineWidth = canvas.width * size / 100;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(from[0], from[1]);
    context.lineTo(to[0] + 0.01, to[1]);
    context.stroke();
  }

  document.addEventListener("pointerdown", function (event) {
    if (event.target !== pad()) { return; }
    event.preventDefault();
    event.target.setPointerCapture(event.pointerId);
    drawing = true;
    last = place(event, event.target);
    stroke(event.target, last, last);
  });
  document.addEventListener("pointermove", function (event) {
    if (!drawing || event.target !== pad()) { return; }
    var now = place(event, event.target);
    stroke(event.target, last, now);
    last = now;
  });
  ["pointerup", "pointercancel"].forEach(function (name) { document.addEventListener(name, function () { drawing = false; }); });

  whatIf.size = function (size) {
    if (pad()) { pad().dataset.size = size; }
    return none();
  };

  /* A box by numbers, in per cent of the picture: for those who do not draw. */
  whatIf.box = function (clicks, left, top, width, height) {
    var canvas = pad();
    if (!clicks || !canvas) { return none(); }
    var context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#ff7800";
    context.fillRect(left / 100 * canvas.width, top / 100 * canvas.height, width / 100 * canvas.width, height / 100 * canvas.height);
    return none();
  };

  whatIf.clear = function (clicks) {
    if (clicks && pad()) { pad().getContext("2d", { willReadFrequently: true }).clearRect(0, 0, pad().width, pad().height); }
    return none();
  };

  /* A cell belongs to the region where its middle is painted. */
  whatIf.region = function (clicks, fill) {
    var canvas = pad();
    if (!clicks || !canvas) { return none(); }
    var rows = Number(canvas.dataset.rows), columns = Number(canvas.dataset.columns), cells = "";
    var data = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, canvas.width, canvas.height).data;
    for (var row = 0; row < rows; row++) {
      for (var column = 0; column < columns; column++) {
        var y = Math.floor((row + 0.5) * canvas.height / rows), x = Math.floor((column + 0.5) * canvas.width / columns);
        cells += data[4 * (y * canvas.width + x) + 3] > 127 ? "1" : "0";
      }
    }
    return { cells: cells, rows: rows, columns: columns, fill: fill, clicks: clicks };
  };

  document.addEventListener("click", function (event) {
    var word = event.target.closest && event.target.closest("#what-if-words button");
    if (word) { word.setAttribute("aria-pressed", word.getAttribute("aria-pressed") === "true" ? "false" : "true"); }
  });

  /* The numbers of the words that are left out. */
  whatIf.words = function (clicks) {
    if (!clicks) { return none(); }
    var words = Array.from(document.querySelectorAll("#what-if-words button"));
    var out = [];
    words.forEach(function (word, k) { if (word.getAttribute("aria-pressed") === "true") { out.push(k); } });
    return { out: out, clicks: clicks };
  };
})();
