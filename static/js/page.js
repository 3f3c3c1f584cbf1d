// For every page: theme switch, menus, copy buttons, forms that are sent on change.

const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

export function currentTheme() {
  return root.dataset.theme || (prefersDark.matches ? "dark" : "light");
}

function describeThemeSwitches() {
  const other = currentTheme() === "dark" ? "light" : "dark";
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    button.setAttribute("aria-label", `Switch to the ${other} theme`);
    button.title = `Switch to the ${other} theme`;
    button.hidden = false;
  }
}

function announceTheme() {
  describeThemeSwitches();
  document.dispatchEvent(new CustomEvent("themechange"));
}

function switchTheme() {
  const theme = currentTheme() === "dark" ? "light" : "dark";
  root.dataset.theme = theme;
  try {
    localStorage.setItem("anomify-theme", theme);
  } catch {
    // Storage is disabled: the theme is kept for this page only.
  }
  announceTheme();
}

export function announce(words) {
  const announcer = document.getElementById("announcer");
  // Not repeated to screen readers when a chart is updated under a resting cursor.
  if (announcer && announcer.textContent !== words) {
    announcer.textContent = words;
  }
}

async function copyText(button) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector("[data-label]");
  try {
    await navigator.clipboard.writeText(source.textContent);
    label.textContent = "Copied";
    announce("Copied.");
  } catch {
    // Without permission to write to the clipboard, the text is selected for copying.
    getSelection().selectAllChildren(source);
    label.textContent = "Press Ctrl+C";
    announce("The text is selected; press Control C to copy it.");
  }
  setTimeout(() => {
    label.textContent = "Copy";
  }, 2000);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-switch], [data-copy]");
  if (button?.matches("[data-theme-switch]")) {
    switchTheme();
  } else if (button) {
    copyText(button);
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) {
      menu.open = false;
    }
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
  const isTyping = event.target.closest("input, select, textarea, [contenteditable]");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.querySelector("[data-search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-send-on-change]")) {
    event.target.form.requestSubmit();
  }
});

// Fields that are empty or have their default are left out, so that the address stays short.
document.addEventListener("submit", (event) => {
  if (event.target.method === "get") {
    for (const field of event.target.elements) {
      if (field.name && field.value === (field.dataset.default ?? "")) {
        field.disabled = true;
        setTimeout(() => {
          field.disabled = false;
        });
      }
    }
  } else {
    const button = event.submitter;
    // Not at once: the name of a disabled button is not sent with the form.
    setTimeout(() => {
      if (button) {
        button.disabled = true;
      }
    });
  }
});

// A page that is restored from the back/forward cache must not keep its buttons disabled.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form button[disabled]")) {
    button.disabled = false;
  }
});

prefersDark.addEventListener("change", announceTheme);
describeThemeSwitches();

// While the org is muted, the banner shows the minutes left; it is removed when they are over.
const muted = document.querySelector("[data-muted-until]");

function countDown() {
  const left = Math.ceil((Date.parse(muted.dataset.mutedUntil) - Date.now()) / 60000);
  if (left <= 0) {
    muted.remove();
    clearInterval(countingDown);
    return;
  }
  muted.querySelector("[data-countdown]").textContent =
    `${left.toLocaleString("en-GB")} minute${left === 1 ? "" : "s"} left`;
}

const countingDown = muted && setInterval(countDown, 10000);
