// The question below an anomaly: opened with the key t, and never replaced while it is filled in.

const question = () => document.querySelector("[data-question]");

const anomalyOf = (part) => part.querySelector("[data-anomaly]")?.dataset.anomaly;

// Whether a part of the page must not be replaced by a newer one: the question about the same
// anomaly is open in it.
export function isBusy(old, now) {
  return Boolean(old.querySelector("[data-question][open]")) && anomalyOf(old) === anomalyOf(now)
    && Boolean(now.querySelector("[data-question]"));
}

// The question stays open when another anomaly is selected.
export function keepQuestion(old, now) {
  const isOpen = old.querySelector("[data-question][open]");
  const next = now.querySelector("[data-question]");
  if (isOpen && next) {
    next.open = true;
  }
}

function askIt() {
  const asked = question();
  if (asked) {
    asked.open = true;
    asked.querySelector("button[value=true]").focus();
    return;
  }
  // Answered already, or not to be answered: what is known of it is shown.
  const part = document.querySelector("#training button, #training a");
  part?.focus();
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea, [contenteditable]");
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
  if (event.key === "t" && isPlain && !isTyping) {
    event.preventDefault();
    askIt();
  } else if (event.key === "Escape" && question()?.contains(event.target)) {
    question().open = false;
    question().querySelector("summary").focus();
  }
});
