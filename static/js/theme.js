// Sets the stored theme before the first paint; therefore it is small and not a module.
(() => {
  try {
    const theme = localStorage.getItem("anomify-theme");
    if (theme === "light" || theme === "dark") {
      document.documentElement.dataset.theme = theme;
    }
  } catch {
    // Storage is disabled: the theme of the system is used.
  }
})();
