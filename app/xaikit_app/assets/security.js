/* Every request of a page proves whose it is; one that is refused, or finds no server, is told with a way on. */
(function () {
  "use strict";
  var plain = window.fetch.bind(window);

  function meta(name) {
    var found = document.querySelector('meta[name="' + name + '"]');
    return found ? found.content : "";
  }

  /* An address of this app is written from its root; below a path of a proxy it gets that path. */
  function placed(address) {
    var prefix = meta("xaikit-prefix") || "/";
    var bare = prefix.length > 1 && address[0] === "/" && address[1] !== "/" && address.indexOf(prefix) !== 0;
    return bare ? prefix + address.slice(1) : address;
  }

  function here(address) { return new URL(address, window.location.href).origin === window.location.origin; }

  function told(text, action, once) {
    var bar = document.getElementById("trouble");
    if (!bar) {
      bar = document.createElement("div");
      bar.id = "trouble";
      bar.setAttribute("role", "alert");
      document.body.appendChild(bar);
    }
    if (bar.dataset.text === text) { return; }
    bar.dataset.text = text;
    bar.dataset.once = once ? "yes" : "";
    bar.textContent = text;
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = action ? "Reload" : "Close";
    button.addEventListener("click", function () { if (action) { window.location.reload(); } else { bar.remove(); } });
    bar.appendChild(button);
  }

  /* What stood there because the server was away goes when it answers again. */
  function back() {
    var bar = document.getElementById("trouble");
    if (bar && bar.dataset.once) { bar.remove(); }
  }

  function look(response) {
    if (response.ok || response.status === 304) { back(); return; }
    var reload = response.status === 401 || response.status === 403 || response.status === 400;
    response.clone().json().then(function (said) { return said.error; }).catch(function () { return null; }).then(
      function (error) {
        if (error) { told(error.title + ". " + error.text, reload); return; }
        told("The server answered with an error (" + response.status + "). Try again in a moment.", false, true);
      }
    );
  }

  /* A file over the limit never leaves the browser. Explain tells so itself. */
  function tooLarge(event, files) {
    var limit = Number(meta("xaikit-limit")), mib = 1048576;
    var large = Array.from(files || []).find(function (file) { return limit && file.size > limit; });
    if (!large || (event.target.closest && event.target.closest(".takes-files"))) { return; }
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === "change") { event.target.value = ""; }
    told(large.name + " has " + (large.size / mib).toFixed(1) + " MiB; an upload has at most " +
      (limit / mib).toFixed(limit < mib ? 2 : 0) + " MiB.", false);
  }
  document.addEventListener("change", function (event) {
    if (event.target && event.target.type === "file") { tooLarge(event, event.target.files); }
  }, true);
  document.addEventListener("drop", function (event) {
    tooLarge(event, event.dataTransfer && event.dataTransfer.files);
  }, true);

  /* The parts of a page stay as they are: what is told stands in the bar, and what asks again may do so. */
  function unchanged() { return new Response(null, { status: 204 }); }

  window.fetch = function (given, options) {
    var made = typeof given === "string" ? placed(given) : given;
    var address = typeof made === "string" ? made : made.url || String(made);
    if (!here(address)) { return plain(made, options); }
    var how = Object.assign({}, options);
    var method = (how.method || (made && made.method) || "GET").toUpperCase();
    if (method !== "GET" && method !== "HEAD") {
      how.headers = new Headers(how.headers || (made && made.headers) || {});
      how.headers.set("X-Xaikit-Token", meta("xaikit-token"));
    }
    var callback = address.indexOf("_dash-update-component") >= 0;
    return plain(made, how).then(
      function (response) {
        look(response);
        return callback && !response.ok ? unchanged() : response;
      },
      function (error) {
        if (how.signal && how.signal.aborted) { throw error; }
        told("The server does not answer. What you see stays; it goes on when the server is back.", true, true);
        if (callback) { return unchanged(); }
        throw error;
      }
    );
  };
})();
