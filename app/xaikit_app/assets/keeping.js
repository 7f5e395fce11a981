/* What a person has opened, and where the focus is, stays where an answer makes a part of the page anew. */
(function () {
  "use strict";
  var opened = {}, focus = null;

  function wordsOf(element) {
    var said = element.tagName === "DETAILS" ? element.querySelector("summary") : element;
    return said ? said.getAttribute("aria-label") || said.textContent.slice(0, 80) : "";
  }

  /* A name that the same thing has in the next answer: its words, and its place among those alike in the part it is in. */
  function nameOf(element) {
    var part = element.parentElement && element.parentElement.closest("#main [id], #main [aria-label], #main");
    if (!part) { return null; }
    var words = wordsOf(element), alike = Array.from(part.querySelectorAll(element.tagName)).filter(function (other) {
      return wordsOf(other) === words;
    });
    var place = part.getAttribute("aria-label") || part.id;
    return JSON.stringify([window.location.pathname, place, element.tagName, words, alike.indexOf(element)]);
  }

  document.addEventListener("click", function (event) {
    var summary = event.target.closest && event.target.closest("#main summary");
    if (summary) { opened[nameOf(summary.parentElement)] = !summary.parentElement.open; }
  }, true);

  document.addEventListener("focusin", function (event) {
    var name = nameOf(event.target);
    focus = name && { element: event.target, name: name };
  });

  /* Who leaves by a click beside it has left; what is taken out of the page while it has the focus has not been left. */
  document.addEventListener("focusout", function (event) {
    window.setTimeout(function () {
      if (focus && focus.element === event.target && event.target.isConnected) { focus = null; }
    }, 0);
  });

  function openAgain(added) {
    if (!added.querySelectorAll) { return; }
    var all = Array.from(added.querySelectorAll("details")).concat(added.matches("details") ? added : []);
    all.forEach(function (details) {
      var wanted = opened[nameOf(details)];
      if (wanted !== undefined) { details.open = wanted; }
    });
  }

  function focusAgain() {
    if (!focus || focus.element.isConnected || document.activeElement !== document.body) { return; }
    var words = wordsOf(focus.element), same = Array.from(document.querySelectorAll("#main " + focus.element.tagName))
      .find(function (other) { return wordsOf(other) === words && nameOf(other) === focus.name; });
    if (same) { same.focus({ preventScroll: true }); }
  }

  document.addEventListener("DOMContentLoaded", function () {
    new MutationObserver(function (changes) {
      if (Object.keys(opened).length) {
        changes.forEach(function (change) { change.addedNodes.forEach(openAgain); });
      }
      focusAgain();
    }).observe(document.body, { childList: true, subtree: true });
  });
})();
