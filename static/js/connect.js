// The page to connect a source: tabs for the examples, and polling for the first points.

const ASK_EVERY_MS = 2000;

const tabs = [...document.querySelectorAll('[role="tab"]')];

function open(tab, { andFocus = false } = {}) {
  for (const one of tabs) {
    const isOpen = one === tab;
    one.setAttribute("aria-selected", String(isOpen));
    one.tabIndex = isOpen ? 0 : -1;
    document.getElementById(one.getAttribute("aria-controls")).hidden = !isOpen;
  }
  if (andFocus) {
    tab.focus();
  }
}

tabs.forEach((tab, place) => {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -place, End: tabs.length - 1 - place };
    if (Object.hasOwn(steps, event.key)) {
      event.preventDefault();
      open(tabs[(place + steps[event.key] + tabs.length) % tabs.length], { andFocus: true });
    }
  });
});

// Without this script all examples are shown one below the other, each with its heading.
if (tabs.length) {
  document.querySelector('[role="tablist"]').hidden = false;
  document.querySelectorAll('[role="tabpanel"] > h3').forEach((heading) => {
    heading.classList.add("unseen");
  });
  open(tabs[0]);
}

const waiting = document.getElementById("waiting");

async function lookForPoints() {
  if (document.hidden) {
    return;
  }
  const reply = await fetch(waiting.dataset.ask).catch(() => null);
  if (!reply?.ok || reply.redirected) {
    return;
  }
  const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
  const now = fresh.getElementById("arrivals");
  const old = document.getElementById("arrivals");
  if (now && now.outerHTML !== old.outerHTML) {
    old.replaceWith(document.adoptNode(now));
  }
}

if (waiting) {
  lookForPoints();
  setInterval(lookForPoints, ASK_EVERY_MS);
}

// The page is the reply to the set-up form: reloading must not send the form again.
const address = document.querySelector("[data-own-address]")?.dataset.ownAddress;
if (address) {
  history.replaceState(null, "", address);
}

// Select the time zone of the browser.
const zone = document.querySelector("[data-guess-zone]");
if (zone && zone.value === "UTC") {
  const guess = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if ([...zone.options].some((option) => option.value === guess)) {
    zone.value = guess;
  }
}
