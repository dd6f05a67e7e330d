// Runs before the first paint, so that the page never shows in the wrong colours. Not a module: those wait.

(() => {
  const KEY = "vidrec.theme";
  const root = document.documentElement;
  try {
    const kept = localStorage.getItem(KEY);
    if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  } catch { /* storage is switched off: as the system has it */ }

  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme")?.addEventListener("click", () => {
      const dark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
      root.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem(KEY, root.dataset.theme); } catch { /* for this page only, then */ }
    });
  });
})();
