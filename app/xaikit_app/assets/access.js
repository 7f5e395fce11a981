/* Names for what a component library leaves without one. */
(function () {
  "use strict";
  function name(root) {
    root.querySelectorAll('input[type="file"]:not([aria-label])').forEach(function (input) {
      input.setAttribute("aria-label", "Choose a file");
    });
  }
  document.addEventListener("DOMContentLoaded", function () {
    name(document);
    new MutationObserver(function () { name(document); }).observe(document.body, { childList: true, subtree: true });
  });
})();
