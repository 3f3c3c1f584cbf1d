// Keys of the inbox, the number of selected rows, and the message about what was just done.
// Every key presses a button of the page, so that it does exactly what the button does.

const TOAST_MS = 10000;
const PLACE = "anomify-inbox-row";

const form = document.querySelector(".triage-form");
const rows = [...document.querySelectorAll(".triage-form .row")];
const toast = document.querySelector("[data-toast]");
let current = -1;

function pickOf(row) {
  return row.querySelector(".pick input");
}

function selected() {
  return rows.filter((row) => pickOf(row)?.checked);
}

function goTo(index) {
  if (!rows.length) {
    return;
  }
  rows[current]?.classList.remove("is-current");
  current = Math.max(0, Math.min(index, rows.length - 1));
  rows[current].classList.add("is-current");
  rows[current].querySelector("h2 a").focus({ preventScroll: true });
  rows[current].scrollIntoView({ block: "nearest" });
}

function describeSelection() {
  const words = form?.querySelector("[data-selected]");
  if (words) {
    words.textContent = `${selected().length} selected`;
  }
}

// For the selected rows the button of the bar, else the one of the current row.
function press(action) {
  const button = selected().length
    ? form.querySelector(`.triage-bar [value="${action}"]`)
    : rows[current]?.querySelector(`[data-act="${action}"]`);
  if (button) {
    sessionStorage.setItem(PLACE, String(current));
    button.click();
  }
}

function comment() {
  if (selected().length) {
    form.querySelector('.triage-bar [name="comment"]').focus();
  } else if (rows[current]) {
    location.assign(`${rows[current].querySelector("h2 a").href}#comment`);
  } else {
    document.querySelector("[data-comment]")?.focus();
  }
}

function pick() {
  const box = rows[current] && pickOf(rows[current]);
  if (box) {
    box.checked = !box.checked;
    describeSelection();
  }
}

const KEYS = {
  j: () => goTo(current + 1),
  k: () => goTo(current - 1),
  x: pick,
  o: () => rows[current]?.querySelector("h2 a").click(),
  a: () => press("acknowledge"),
  e: () => press("resolve"),
  i: () => press("mine"),
  s: () => press("snooze"),
  c: comment,
  z: () => toast?.querySelector("[data-undo]")?.click(),
};

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input:not([type=checkbox]), select, textarea, [contenteditable]");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || event.repeat && event.key !== "j" && event.key !== "k") {
    return;
  }
  const act = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
  if (act && (form || event.key === "z" || event.key === "c")) {
    event.preventDefault();
    act();
  }
});

form?.addEventListener("change", describeSelection);
describeSelection();

if (toast) {
  setTimeout(() => {
    toast.hidden = !toast.contains(document.activeElement);
  }, TOAST_MS);
  // A reload or a link from here does not show it again.
  const address = new URL(location.href);
  address.searchParams.delete("done");
  history.replaceState(history.state, "", address);
  const place = sessionStorage.getItem(PLACE);
  if (place !== null && rows.length) {
    goTo(Number(place));
  }
}
sessionStorage.removeItem(PLACE);
