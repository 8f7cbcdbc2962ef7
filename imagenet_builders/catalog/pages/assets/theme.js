// Runs before the page is drawn, so that it does not flash in the wrong colours.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  try {
    const kept = localStorage.getItem("catalog-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch {
    // No storage: the system's colours.
  }
})();
