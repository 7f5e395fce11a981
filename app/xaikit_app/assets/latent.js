/* Grids, films and clouds: all of them came with the page, and move without the server. */
(function () {
  "use strict";

  function at_cell(cell) {
    var whole = cell.closest(".grid-both"), grid = cell.parentElement;
    grid.querySelectorAll(".cell.on").forEach(function (other) { other.classList.remove("on"); });
    cell.classList.add("on");
    var big = whole.querySelector(".grid-big");
    big.src = cell.src;
    big.alt = cell.alt;
    whole.querySelector(".grid-said").textContent = cell.alt;
  }

  document.addEventListener("pointerover", function (event) {
    if (event.target.classList && event.target.classList.contains("cell")) { at_cell(event.target); }
  });
  document.addEventListener("click", function (event) {
    if (event.target.classList && event.target.classList.contains("cell")) { at_cell(event.target); }
  });

  document.addEventListener("keydown", function (event) {
    var here = event.target;
    if (here.classList && here.classList.contains("code-grid")) {
      var columns = Number(getComputedStyle(here).getPropertyValue("--columns"));
      var move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
      if (!move) { return; }
      event.preventDefault();
      var cells = Array.from(here.children), now = cells.findIndex(function (c) { return c.classList.contains("on"); });
      var next = now < 0 ? Math.floor(cells.length / 2) : now + move;
      if (cells[next]) { at_cell(cells[next]); }
    }
    if (here.classList && here.classList.contains("deep")) {
      var turn = { ArrowRight: [6, 0], ArrowLeft: [-6, 0], ArrowUp: [0, -6], ArrowDown: [0, 6] }[event.key];
      if (!turn) { return; }
      event.preventDefault();
      turned(here, turn[0], turn[1]);
    }
  });

  document.addEventListener("input", function (event) {
    var film = event.target.closest && event.target.closest(".film");
    if (!film || event.target.type !== "range") { return; }
    var k = Number(event.target.value);
    film.querySelectorAll(".frame").forEach(function (frame, i) {
      frame.classList.toggle("on", i === k);
      if (i === k) { film.querySelector(".film-said").textContent = frame.alt; }
    });
    event.target.setAttribute("aria-valuetext", film.querySelector(".film-said").textContent);
  });

  function turned(cloud, across, up) {
    var now = (cloud.dataset.turn || "0 0").split(" ").map(Number);
    now = [now[0] + across, Math.max(-90, Math.min(90, now[1] + up))];
    cloud.dataset.turn = now.join(" ");
    var a = now[0] * Math.PI / 180, b = now[1] * Math.PI / 180;
    Array.from(cloud.children).forEach(function (point) {
      var p = point.dataset.at.split(" ").map(Number);
      var x = p[0] * Math.cos(a) + p[2] * Math.sin(a), z = p[2] * Math.cos(a) - p[0] * Math.sin(a);
      var y = p[1] * Math.cos(b) - z * Math.sin(b), depth = z * Math.cos(b) + p[1] * Math.sin(b);
      point.style.left = (50 + 38 * x).toFixed(2) + "%";
      point.style.top = (50 - 38 * y).toFixed(2) + "%";
      var dot = point.querySelector(".dot");
      dot.style.transform = "scale(" + (1 + 0.35 * depth).toFixed(2) + ")";
      dot.style.opacity = (0.78 + 0.22 * Math.max(-1, Math.min(1, depth))).toFixed(2);
    });
  }

  var held = null, last = null, moved = false;
  document.addEventListener("pointerdown", function (event) {
    held = event.target.closest && event.target.closest(".cloud.deep");
    last = [event.clientX, event.clientY];
    moved = false;
  });
  document.addEventListener("pointermove", function (event) {
    if (!held) { return; }
    var across = event.clientX - last[0], up = event.clientY - last[1];
    if (!moved && Math.abs(across) + Math.abs(up) < 4) { return; }
    moved = true;
    last = [event.clientX, event.clientY];
    turned(held, across / 2, up / 2);
  });
  document.addEventListener("pointerup", function () { held = null; });
  document.addEventListener("dragstart", function (event) {
    if (event.target.closest && event.target.closest(".cloud.deep")) { event.preventDefault(); }
  });
  document.addEventListener("click", function (event) { /* a drag that ends on a point is no choice */
    if (moved && event.target.closest && event.target.closest(".cloud.deep")) { event.preventDefault(); event.stopPropagation(); }
    moved = false;
  }, true);

  new MutationObserver(function () {
    document.querySelectorAll(".cloud.deep:not([data-ready])").forEach(function (cloud) {
      cloud.dataset.ready = "yes";
      turned(cloud, 0, 0);
    });
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
