// Sets the remembered theme before the first paint; therefore not a module, and tiny.
(() => {
  try {
    const theme = localStorage.getItem("anomify-theme");
    if (theme === "light" || theme === "dark") {
      document.documentElement.dataset.theme = theme;
    }
  } catch {
    // Storage is switched off: the theme of the system it is.
  }
})();
