/* What one points at in a strip is read here; nothing goes to the server. */
window.dash_clientside = window.dash_clientside || {};
(function () {
  "use strict";

  function of(element, name) {
    try { return JSON.parse(element.dataset[name] || "null"); } catch (error) { return null; }
  }

  function columns(strip) {
    return Number(getComputedStyle(strip.querySelector(".strip-inside")).getPropertyValue("--columns")) || 1;
  }

  function say(strip, column, row, rows) {
    var said = of(strip, "said") || [], inside = strip.querySelector(".strip-inside");
    var words = said[column] || "";
    var values = rows && of(rows, "values"), names = rows && of(rows, "names");
    if (values && values[row]) { words = words.split(":")[0] + ", " + names[row] + ": " + values[row][column]; }
    inside.style.setProperty("--at", column);
    inside.classList.add("pointed");
    inside.dataset.at = column;
    strip.parentElement.querySelector(".strip-said").textContent = words;
  }

  function place(strip, event) {
    var box = strip.querySelector(".strip-inside").getBoundingClientRect();
    var count = columns(strip);
    return Math.max(0, Math.min(count - 1, Math.floor((event.clientX - box.left) / box.width * count)));
  }

  function row(rows, event) {
    var box = rows.getBoundingClientRect();
    var count = Number(getComputedStyle(rows).getPropertyValue("--rows")) || 1;
    return Math.max(0, Math.min(count - 1, Math.floor((event.clientY - box.top) / box.height * count)));
  }

  document.addEventListener("pointermove", function (event) {
    var strip = event.target.closest && event.target.closest(".strip");
    if (!strip) { return; }
    var rows = event.target.closest(".strip-rows");
    say(strip, place(strip, event), rows ? row(rows, event) : 0, rows);
  });

  document.addEventListener("keydown", function (event) {
    var strip = event.target;
    if (!strip.classList || !strip.classList.contains("strip")) { return; }
    var step = { ArrowRight: 1, ArrowLeft: -1, Home: -1e9, End: 1e9 }[event.key];
    if (!step) { return; }
    event.preventDefault();
    var inside = strip.querySelector(".strip-inside"), count = columns(strip);
    var at = inside.dataset.at === undefined ? (step > 0 ? -1 : count) : Number(inside.dataset.at);
    at = Math.max(0, Math.min(count - 1, at + step));
    say(strip, at, 0, null);
    var wide = inside.getBoundingClientRect().width / count;
    if (at * wide < strip.scrollLeft || (at + 1) * wide > strip.scrollLeft + strip.clientWidth) {
      strip.scrollLeft = (at + 0.5) * wide - strip.clientWidth / 2;
    }
  });

  document.addEventListener("click", function (event) {
    var rows = event.target.closest && event.target.closest(".states-strip .strip-rows");
    if (!rows) { return; }
    var names = of(rows, "names") || [], name = names[row(rows, event)];
    if (name) { window.dash_clientside.set_props("sequences-unit", { value: Number(name.replace("unit ", "")) }); }
  });

  function look(button) {
    var whole = button.closest(".looks"), weights = of(whole, "weights") || [];
    var k = Number(button.dataset.look), of_k = weights[k] || [];
    whole.querySelectorAll(".look").forEach(function (other) { other.classList.toggle("on", other === button); });
    whole.querySelectorAll(".source").forEach(function (source, i) {
      source.style.setProperty("--share", of_k[i] || 0);
      source.title = Math.round(100 * (of_k[i] || 0)) + " %";
    });
    whole.querySelector(".strip-said").textContent = (of(whole, "said") || [])[k] || "";
  }

  ["pointerover", "focusin", "click"].forEach(function (kind) {
    document.addEventListener(kind, function (event) {
      var button = event.target.closest && event.target.closest(".look");
      if (button) { look(button); }
    });
  });
})();
