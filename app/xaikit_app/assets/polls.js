/* Work under way is asked after one question at a time: the next a while after the last answer (see polls.py). */
window.dash_clientside = window.dash_clientside || {};
(function () {
  "use strict";
  var plain = window.fetch.bind(window);
  var asked = {}, timers = {}, ticks = {};

  /* What a request to the server is to change: the field of that name comes first in it. */
  function changed(address, options) {
    var body = options && options.body;
    if (String(address).indexOf("_dash-update-component") < 0 || typeof body !== "string") { return null; }
    var found = /"output":"((?:[^"\\]|\\.)*)"/.exec(body.slice(0, 10000));
    return found ? JSON.parse('"' + found[1] + '"') : null;
  }

  window.fetch = function (address, options) {
    var what = changed(typeof address === "string" ? address : (address && address.url) || "", options);
    if (what === null) { return plain(address, options); }
    asked[what] = (asked[what] || 0) + 1;
    return plain(address, options).finally(function () {
      asked[what] -= 1;
      if (!asked[what]) { delete asked[what]; }
    });
  };

  function busy(name) {
    return Object.keys(asked).some(function (what) { return what.indexOf(name + ".disabled") >= 0; });
  }

  function tick(id, name) {
    if (busy(name)) { return; }
    ticks[name] = (ticks[name] || 0) + 1;
    try {
      window.dash_clientside.set_props(id, { n_intervals: ticks[name] });
    } catch (error) {
      delete ticks[name]; // its page has been left
    }
  }

  function set(id, off, pause) {
    var name = typeof id === "string" ? id : JSON.stringify(id, Object.keys(id).sort());
    window.clearTimeout(timers[name]);
    if (off === false) { timers[name] = window.setTimeout(tick, pause, id, name); }
  }

  window.dash_clientside.xaikitPolls = {
    set: set,
    setEach: function (ids, off, pause) { ids.forEach(function (id, at) { set(id, off[at], pause); }); },
  };
})();
