// Keeps the page with the present: says how the connection is, and what a morph must leave alone.
(() => {
  const TOO_LATE_MS = 400;
  const FIRST_TRY_MS = 500;
  const badge = document.getElementById("connection");
  const words = { live: "live", connecting: "connecting", lost: "reconnecting", paused: "paused" };

  function say(state) {
    if (badge && badge.dataset.state !== state) {
      badge.dataset.state = state;
      badge.textContent = words[state];
    }
  }

  // A browser that cannot keep up lets go of what is buffered and asks for one merged update.
  let applied = "";
  let quickest = Infinity;
  let isBehind = false;

  document.addEventListener("htmx:sse:before:message", (event) => {
    const { message, connection } = event.detail;
    const lag = Date.now() - Number(message.id.split(":")[2]);
    quickest = Math.min(quickest, lag);
    if (!isBehind && lag - quickest > TOO_LATE_MS) {
      isBehind = true;
      connection.reader?.cancel();
    }
    if (isBehind) {
      event.detail.cancelled = true;
      connection.lastEventId = applied;
    }
  });
  document.addEventListener("htmx:sse:after:message", (event) => {
    applied = event.detail.message.id;
  });
  document.addEventListener("htmx:sse:after:connection", () => {
    isBehind = false;
    quickest = Infinity;
    say("live");
  });
  document.addEventListener("htmx:sse:before:connection", (event) => {
    if (event.detail.connection.attempt > 0) say(document.hidden ? "paused" : "lost");
  });
  document.addEventListener("htmx:sse:error", (event) => {
    say("lost");
    // The session has ended: the page itself leads to the login.
    if (event.detail.status === 401) location.reload();
  });

  // The extension tries again only once it has been connected; the first time is up to us.
  const main = document.querySelector("main");
  const address = main?.getAttribute("hx-sse:connect");
  setInterval(() => {
    if (address && !main._htmx?.sse && badge?.dataset.state !== "live" && !document.hidden) {
      htmx.ajax("GET", address, { source: main, swap: "none" }).catch(() => say("lost"));
    }
  }, FIRST_TRY_MS * 4);

  // What people have opened stays open: the server does not know of it.
  document.addEventListener("DOMContentLoaded", () => htmx.registerExtension("keep-open", {
    htmx_before_morph_attr: (element, detail) =>
      !(detail.attrName === "open" && element.matches("details, dialog")),
  }));
})();
