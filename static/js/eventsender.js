// Counts events on a web page and sends the counts, several at a time, to the server that served
// this script:
//
//   <script async src="https://anomify.example/js/eventsender" data-key="anm_..." data-site="shop"
//     data-auto="pageview error"></script>
//
//   anomify.count("signup")      counts one; anomify.count("items", 3) counts three
//   <button data-anomify-event="checkout">      counts each click
//
// Each name becomes the metric events.<site>.<name>, a count a minute. The key permits nothing else.

(() => {
  const script = document.currentScript;
  const { key, site, auto = "" } = script.dataset;
  const address = new URL("/flux/events", script.src).href;
  const EVERY_MS = 10_000;
  const MOST_NAMES = 100; // of one request
  const MOST_COUNT = 10_000;
  const counts = new Map();
  let isWaiting = false;
  let notBefore = 0;

  function count(name, number = 1) {
    counts.set(String(name), (counts.get(String(name)) ?? 0) + number);
    if (!isWaiting) {
      isWaiting = true;
      setTimeout(send, EVERY_MS);
    }
  }

  function take() {
    const events = [];
    for (const [name, number] of counts) {
      if (events.length === MOST_NAMES) {
        break;
      }
      const some = Math.min(Math.floor(number), MOST_COUNT);
      if (some > 0) {
        events.push({ name, count: some });
      }
      if (number - some >= 1) {
        counts.set(name, number - some);
      } else {
        counts.delete(name);
      }
    }
    return events;
  }

  const worded = (events) => JSON.stringify({ key, site, events });

  // Counts that the server could not store now are sent again; refused ones are not.
  async function send() {
    isWaiting = false;
    if (Date.now() < notBefore) {
      isWaiting = counts.size > 0;
      setTimeout(send, notBefore - Date.now());
      return;
    }
    const events = take();
    if (!events.length) {
      return;
    }
    let reply = null;
    try {
      // Plain text needs no preflight request (CORS).
      reply = await fetch(address, {
        method: "POST",
        headers: { "Content-Type": "text/plain" },
        body: worded(events),
        credentials: "omit",
        keepalive: true,
        mode: "cors",
      });
    } catch {
      // No connection: added again below.
    }
    if (!reply || reply.status === 429 || reply.status >= 500) {
      const seconds = Number(reply?.headers.get("Retry-After")) || 30;
      notBefore = Date.now() + seconds * 1000;
      events.forEach((event) => count(event.name, event.count));
    } else if (reply.status !== 204) {
      console.warn("anomify:", await reply.text());
    }
  }

  // A page that is closed cannot wait for a reply.
  function sendLast() {
    for (let events = take(); events.length; events = take()) {
      if (!navigator.sendBeacon(address, worded(events))) {
        events.forEach((event) => count(event.name, event.count));
        return;
      }
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") {
      sendLast();
    }
  });
  addEventListener("pagehide", sendLast);
  document.addEventListener("click", (event) => {
    const marked = event.target.closest?.("[data-anomify-event]");
    if (marked) {
      count(marked.dataset.anomifyEvent);
    }
  });
  const wanted = auto.split(/\s+/);
  if (wanted.includes("pageview")) {
    count("pageview");
  }
  if (wanted.includes("error")) {
    addEventListener("error", () => count("error"));
    addEventListener("unhandledrejection", () => count("error"));
  }
  window.anomify = { count, flush: send };
})();
