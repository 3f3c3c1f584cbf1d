// The form of a watcher: shows which metrics match while chips are typed, and adds suggested ones.

const WAIT_MS = 300;

const form = document.querySelector("[data-watcher-form]");
let timer = 0;
let asked = 0;

async function preview() {
  asked += 1;
  const number = asked;
  const sent = new FormData(form);
  sent.set("action", "preview");
  try {
    const reply = await fetch(form.getAttribute("action"), {
      method: "POST",
      body: new URLSearchParams(sent),
      credentials: "same-origin",
    });
    if (number !== asked || !reply.ok) {
      return;
    }
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    document.getElementById("matches").replaceChildren(...page.getElementById("matches").children);
  } catch {
    // What matches is only a help; saving says what is wrong.
  }
}

if (form) {
  const chips = form.elements.chips;
  form.querySelector("[data-preview-button]").hidden = true;
  chips.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(preview, WAIT_MS);
  });
  form.addEventListener("click", (event) => {
    const chosen = event.target.closest('button[name="add"]');
    if (!chosen) {
      return;
    }
    event.preventDefault();
    const before = chips.value.trim().replace(/,$/, "").trim();
    chips.value = before ? `${before}, ${chosen.value}` : chosen.value;
    chips.focus();
    preview();
  });
}
