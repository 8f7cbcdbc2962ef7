// Runs before the page is drawn, so that it does not flash in the wrong colours.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  addEventListener("load", () => {
    // Where the other scripts fail, all is shown.
    if (document.querySelector(".tabs:not(.upgraded)")) root.classList.remove("scripted");
  });
  try {
    const kept = localStorage.getItem("catalog-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch {
    // No storage: the system's colours.
  }
})();
