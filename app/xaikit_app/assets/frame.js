/* What all pages share: titles and focus, results that wait for newer ones, copying, keys, and the search. */
window.dash_clientside = window.dash_clientside || {};
(function () {
  "use strict";
  var frame = (window.dash_clientside.xaikitFrame = window.dash_clientside.xaikitFrame || {});
  var set = function (id, props) { window.dash_clientside.set_props(id, props); };
  function all(selector, within) { return Array.from((within || document).querySelectorAll(selector)); }
  function seen(element) { return Boolean(element && element.getClientRects().length); }
  function go(href) { set("url", { href: href }); }

  /* The path of the page alone: an address may name model, layer and unit behind it. */
  var path = frame.path = function () {
    var link = document.querySelector("#nav a[aria-current=page]");
    return link ? link.getAttribute("href").split("?")[0] : window.location.pathname;
  };

  /* ---------------------------------------------------------------- arriving at a page */

  var page = null, model = null, places = { models: [], layers: [] };

  /* The title names the page; the focus goes to its heading, but not when only something on it was chosen. */
  frame.arrive = function (arrived) {
    if (!arrived) { return; }
    document.title = arrived.title;
    places = arrived.places;
    var moved = page !== null && page !== arrived.page;
    page = arrived.page;
    model = arrived.model;
    if (!moved) { focusAgain(held, 0); return; }
    window.requestAnimationFrame(function () {
      var heading = document.querySelector("#main h1") || document.getElementById("main");
      if (!heading) { return; }
      heading.setAttribute("tabindex", "-1");
      heading.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    });
  };

  /* A page that is made anew because something on it was chosen takes the focus away: it goes back to where it was. */

  var held = null, PAUSES = [0, 50, 200, 800];

  function wayTo(element) {
    var main = document.getElementById("main"), way = [];
    if (!main || !main.contains(element)) { return null; }
    for (; element !== main; element = element.parentElement) {
      way.unshift(element.tagName + ":nth-child(" + (Array.from(element.parentElement.children).indexOf(element) + 1) + ")");
    }
    return way.length ? "#main > " + way.join(" > ") : null;
  }

  function focusAgain(way, tries) {
    if (!way || tries >= PAUSES.length) { return; }
    window.setTimeout(function () {
      var there = document.activeElement && document.activeElement !== document.body;
      if (there || way !== held) { return; }
      var element = document.querySelector(way);
      if (element) { element.focus({ preventScroll: true }); }
      if (document.activeElement !== element) { focusAgain(way, tries + 1); }
    }, PAUSES[tries]);
  }

  /* ---------------------------------------------------------------- the last good result */

  var kept = {}, keptFor = "";

  function still(element) {
    var copy = element.cloneNode(true);
    var canvases = all("canvas", element), copied = all("canvas", copy);
    canvases.forEach(function (canvas, at) {
      var picture = document.createElement("img");
      try { picture.src = canvas.toDataURL(); } catch (error) { return; }
      picture.alt = "";
      picture.style.cssText = copied[at].style.cssText;
      copied[at].replaceWith(picture);
    });
    all("[id]", copy).concat(copy).forEach(function (part) { part.removeAttribute("id"); });
    all(".taking, .stored-word", copy).forEach(function (part) { part.remove(); });
    return copy;
  }

  /* Called while the old page still stands: its results may be wanted until the new ones are there. */
  frame.remember = function () {
    held = wayTo(document.activeElement);
    if (keptFor !== page + " " + model) { kept = {}; keptFor = page + " " + model; }
    all("#main [data-part]").forEach(function (place) {
      if (!place.firstElementChild || place.querySelector(".waiting, .asking, .failed, .earlier")) { return; }
      kept[place.dataset.part] = still(place);
    });
  };

  function showEarlier(place) {
    var old = kept[place.dataset.earlier];
    var here = new URLSearchParams(window.location.search).get("model");
    if (!old || place.firstChild || keptFor.split(" ")[1] !== (here || model)) { return; }
    var word = document.createElement("p");
    word.className = "earlier-word";
    word.textContent = "The result of your earlier choice, until the new one is there:";
    var box = document.createElement("div");
    box.className = "earlier-box";
    box.inert = true;
    box.append(old.cloneNode(true));
    place.append(word, box);
  }

  new MutationObserver(function () { all(".earlier:empty").forEach(showEarlier); })
    .observe(document.documentElement, { childList: true, subtree: true });

  /* ---------------------------------------------------------------- copying */

  /* Where the browser offers no clipboard (plain http from afar) a selected text does it. */
  frame.copy = function (text) {
    if (navigator.clipboard && window.isSecureContext) { return navigator.clipboard.writeText(text); }
    var held = document.createElement("textarea");
    held.value = text;
    held.className = "unseen";
    document.body.append(held);
    held.select();
    var done = document.execCommand("copy");
    held.remove();
    return done ? Promise.resolve() : Promise.reject(new Error("not copied"));
  };

  document.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("[data-copy]");
    if (!button) { return; }
    var words = button.textContent;
    frame.copy(button.dataset.copy).then(
      function () { button.textContent = "Copied"; },
      function () { button.textContent = "Not copied"; }
    ).then(function () { window.setTimeout(function () { button.textContent = words; }, 1500); });
  });

  /* ---------------------------------------------------------------- the search */

  var found = [], at = 0;

  function entries() {
    var pages = all("#nav a[data-letter]").map(function (link) {
      return { kind: "Page", name: link.dataset.title, href: link.getAttribute("href") };
    });
    var models = places.models.map(function (name) {
      return { kind: "Model", name: name, href: path() + "?model=" + encodeURIComponent(name) };
    });
    var layers = document.querySelector('#nav a[href*="/layers"]');
    var inside = (layers ? places.layers : []).map(function (name) {
      var parts = layers.getAttribute("href").split("?"), query = new URLSearchParams(parts[1] || "");
      query.set("layer", name);
      query.delete("unit");
      return { kind: "Layer", name: name, href: parts[0] + "?" + query.toString() };
    });
    return pages.concat(models, inside);
  }

  function mark(place) {
    at = Math.max(0, Math.min(place, found.length - 1));
    var input = document.getElementById("finder-text");
    all("#finder-list [role=option]").forEach(function (option, number) {
      option.setAttribute("aria-selected", String(number === at));
      if (number === at) { option.scrollIntoView({ block: "nearest" }); }
    });
    if (found.length) { input.setAttribute("aria-activedescendant", "finder-" + at); }
    else { input.removeAttribute("aria-activedescendant"); }
  }

  function find(asked) {
    var list = document.getElementById("finder-list"), words = asked.toLowerCase().split(/\s+/).filter(Boolean);
    found = entries().filter(function (entry) {
      var text = (entry.kind + " " + entry.name).toLowerCase();
      return words.every(function (word) { return text.indexOf(word) >= 0; });
    }).slice(0, 60);
    list.replaceChildren.apply(list, found.map(function (entry, number) {
      var option = document.createElement("li"), kind = document.createElement("span");
      option.id = "finder-" + number;
      option.setAttribute("role", "option");
      option.textContent = entry.name;
      kind.className = "quiet";
      kind.textContent = entry.kind;
      option.append(kind);
      option.addEventListener("click", function () { choose(number); });
      return option;
    }));
    document.getElementById("finder-said").textContent =
      found.length ? found.length + " found" : "Nothing here has such a name";
    mark(0);
  }

  function choose(number) {
    if (!found[number]) { return; }
    var href = found[number].href;
    set("finder", { opened: false });
    window.setTimeout(function () { go(href); }, 0);
  }

  /* The dialog stands some frames after it was opened. */
  function begin(tries) {
    var input = document.getElementById("finder-text");
    if (!input || !document.getElementById("finder-list")) {
      if (tries > 0) { window.setTimeout(begin, 30, tries - 1); }
      return;
    }
    input.setAttribute("aria-controls", "finder-list");
    input.focus();
    find(input.value);
  }

  frame.finderOpened = function (opened) { if (opened) { begin(200); } };

  document.addEventListener("input", function (event) {
    if (event.target.id === "finder-text") { find(event.target.value); }
  });

  document.addEventListener("keydown", function (event) {
    if (event.target.id !== "finder-text") { return; }
    var moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: found.length - 1 };
    if (event.key === "Enter") { choose(at); }
    else if (event.key in moves && !(event.target.value && (event.key === "Home" || event.key === "End"))) {
      mark(moves[event.key]);
    } else { return; }
    event.preventDefault();
  });

  /* ---------------------------------------------------------------- keys */

  var OFF = "xaikit-keys", after = "", forget = 0;

  function off() {
    try { return window.localStorage.getItem(OFF) === "off"; } catch (error) { return false; }
  }

  frame.keysWanted = function (wanted) {
    try { window.localStorage.setItem(OFF, wanted ? "on" : "off"); } catch (error) { return; }
  };

  frame.openHelp = function (clicks) { if (clicks) { help(); } };
  frame.openFinder = function (clicks) { if (clicks) { finder(); } };

  function help() {
    set("help", { opened: true });
    set("help-keys", { checked: !off() });
  }

  function finder() { set("finder", { opened: true }); }

  function writing(element) {
    return element.isContentEditable || element.matches("textarea, select, [role=textbox], [role=combobox]") ||
      (element.matches("input") && !element.matches("[type=checkbox], [type=radio], [type=button], [type=range]"));
  }

  function dialog() { return all("[role=dialog]").find(seen); }

  /* What is chosen among things beside each other. The address knows it first: it changes with the key, the page only
     with the server's answer. What is no link is chosen without the server, but not at once either. */
  var stepped = { item: null, at: 0 };

  function chosenOf(items, kind) {
    var wanted = new URLSearchParams(window.location.search).get(kind);
    var named = items.findIndex(function (item) { return item.search && new URLSearchParams(item.search).get(kind) === wanted; });
    if (wanted !== null && named >= 0) { return named; }
    if (Date.now() - stepped.at < 2000 && items.indexOf(stepped.item) >= 0) { return items.indexOf(stepped.item); }
    return items.findIndex(function (item) { return item.classList.contains("chosen") || item.closest("[aria-current]"); });
  }

  function beside(selector, kind, step) {
    var items = all(selector).filter(seen), now = chosenOf(items, kind);
    var next = items[Math.max(0, Math.min(now + step, items.length - 1))];
    if (!next || (now >= 0 && next === items[now])) { return; }
    stepped = { item: next, at: Date.now() };
    next.click();
    next.scrollIntoView({ block: "nearest" });
  }

  function layer(step) {
    if (all("#main .layer").some(seen)) { beside("#main .layer", "layer", step); return; }
    var query = new URLSearchParams(window.location.search), names = places.layers;
    var now = names.indexOf(query.get("layer")), next = names[now < 0 ? 0 : now + step];
    if (!next) { return; }
    query.set("layer", next);
    query.delete("unit");
    if (model) { query.set("model", model); }
    go(path() + "?" + query.toString());
  }

  function click(selector) {
    var button = all(selector).filter(seen).find(function (one) { return !one.disabled; });
    if (button) { button.click(); }
    return Boolean(button);
  }

  function method(number) {
    var boxes = all("#main input[type=checkbox][id*='-method\"']").filter(function (box) { return !box.disabled && seen(box); });
    if (boxes[number - 1]) { boxes[number - 1].click(); }
  }

  var ACTIONS = {
    "?": help,
    "/": finder,
    j: function () { beside("#main .thumbs .thumb", "sample", 1); },
    k: function () { beside("#main .thumbs .thumb", "sample", -1); },
    "]": function () { layer(1); },
    "[": function () { layer(-1); },
    r: function () { click("#main [data-run], #explain-run, #main .asking button, #main .failed button"); },
    c: function () { set("copy-link", { n_clicks: Date.now() }); }
  };

  document.addEventListener("keydown", function (event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) { return; }
    if (event.key === "Escape" && !dialog() && !writing(event.target)) {
      click('#main .run button, #tray [open] .run button');
      return;
    }
    if (off() || writing(event.target) || dialog()) { return; }
    if (after === "g") {
      after = "";
      var link = document.querySelector('#nav a[data-letter="' + window.CSS.escape(event.key) + '"]');
      if (link) { event.preventDefault(); go(link.getAttribute("href")); }
      return;
    }
    if (event.key === "g") {
      after = "g";
      window.clearTimeout(forget);
      forget = window.setTimeout(function () { after = ""; }, 1500);
    } else if (/^[1-9]$/.test(event.key)) {
      method(Number(event.key));
    } else if (Object.prototype.hasOwnProperty.call(ACTIONS, event.key)) {
      event.preventDefault();
      ACTIONS[event.key]();
    }
  });
})();
