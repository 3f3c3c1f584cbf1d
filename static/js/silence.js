// The form of a silence: shows what it would hold back while it is filled in.

const WAIT_MS = 500;

const form = document.querySelector("[data-silence-form]");
let timer = 0;
let asked = 0;

async function preview() {
  asked += 1;
  const number = asked;
  const sent = new FormData(form);
  sent.set("action", "preview");
  const effect = document.getElementById("effect");
  try {
    const reply = await fetch(form.dataset.preview, {
      method: "POST",
      body: new URLSearchParams(sent),
      credentials: "same-origin",
    });
    if (number !== asked) {
      return;
    }
    if (!reply.ok) {
      // What is wrong is said when the form is sent; it may only be unfinished.
      effect.hidden = true;
      return;
    }
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    effect.replaceChildren(...page.getElementById("effect").children);
    effect.hidden = false;
  } catch {
    effect.hidden = true;
  }
}

if (form) {
  const button = form.querySelector("[data-preview-button]");
  if (button) {
    button.hidden = true;
  }
  // A silence that recurs has no end unless one is chosen: the proposed hour is for one that does not.
  const ends = form.elements.ends;
  form.elements.recurs.addEventListener("change", (event) => {
    if (event.target.checked && ends.value === ends.defaultValue) {
      ends.value = "";
    } else if (!event.target.checked && !ends.value) {
      ends.value = ends.defaultValue;
    }
  });
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(preview, WAIT_MS);
  });
}
