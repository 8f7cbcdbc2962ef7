// What every page has: dark colours, copying, tabs, and all of it on paper.
"use strict";
(() => {
  const root = document.documentElement;
  const status = document.querySelector(".status");
  const make = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const keep = (name, value) => {
    try {
      localStorage.setItem(name, value);
    } catch {
      // No storage: chosen for this page only.
    }
  };
  const kept = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null;
    }
  };

  // --- dark colours

  const button = document.querySelector(".theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const showTheme = () => button.setAttribute("aria-pressed", String(isDark()));
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    keep("catalog-theme", root.dataset.theme);
    showTheme();
  });
  system.addEventListener("change", showTheme);
  showTheme();

  // --- copying

  const copyBySelection = (text) => {
    const field = make("textarea");
    field.value = text;
    field.readOnly = true;
    field.className = "unseen";
    document.body.append(field);
    field.select();
    let done = false;
    try {
      done = document.execCommand("copy");
    } catch {
      done = false;
    }
    field.remove();
    return done;
  };
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return copyBySelection(text); // Pages from a disk may have no clipboard.
    }
  };
  for (const pre of document.querySelectorAll("main pre")) {
    let holder = pre.parentElement;
    if (!holder.classList.contains("copied")) {
      holder = make("div", "copied");
      pre.replaceWith(holder);
      holder.append(pre);
    }
    const what = pre.getAttribute("aria-label");
    const copier = make("button", "copy", "Copy");
    copier.type = "button";
    if (what) copier.setAttribute("aria-label", `Copy ${what}`);
    copier.addEventListener("click", async () => {
      const done = await copy(pre.textContent);
      if (!done) getSelection().selectAllChildren(pre);
      copier.textContent = done ? "Copied" : "Selected";
      status.textContent = done ? "Copied." : "Selected; copy it with your browser.";
      copier.focus();
      setTimeout(() => {
        copier.textContent = "Copy";
        status.textContent = "";
      }, 2000);
    });
    holder.append(copier);
  }

  // --- tabs; without this script all panels are shown, one below another

  for (const [group, tabs] of document.querySelectorAll(".tabs").entries()) {
    const panels = [...tabs.querySelectorAll(":scope > .panel")];
    const list = make("div", "tablist");
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", tabs.dataset.label);
    const buttons = panels.map((panel, place) => {
      const tab = make("button", "", panel.dataset.tab);
      tab.type = "button";
      tab.id = `tab-${group}-${place}`;
      tab.setAttribute("role", "tab");
      panel.id = `panel-${group}-${place}`;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      tab.setAttribute("aria-controls", panel.id);
      list.append(tab);
      return tab;
    });
    const select = (place) => {
      for (const [each, tab] of buttons.entries()) {
        tab.setAttribute("aria-selected", String(each === place));
        tab.tabIndex = each === place ? 0 : -1;
        panels[each].hidden = each !== place;
      }
    };
    const choose = (place) => {
      select(place);
      keep("catalog-tab", panels[place].dataset.tab);
    };
    for (const [place, tab] of buttons.entries()) {
      tab.addEventListener("click", () => choose(place));
    }
    list.addEventListener("keydown", (event) => {
      const now = buttons.indexOf(document.activeElement);
      const last = buttons.length - 1;
      const to = { ArrowRight: now === last ? 0 : now + 1, ArrowLeft: now <= 0 ? last : now - 1, Home: 0, End: last }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      choose(to);
      buttons[to].focus();
    });
    tabs.prepend(list);
    tabs.classList.add("upgraded");
    const before = panels.findIndex((panel) => panel.dataset.tab === kept("catalog-tab"));
    select(Math.max(before, 0));
  }

  // --- what does not scroll is no stop for the keyboard

  if ("ResizeObserver" in window) {
    const sizes = new ResizeObserver((entries) => {
      for (const { target } of entries) {
        const scrolls = target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight;
        if (scrolls) target.tabIndex = 0;
        else if (document.activeElement !== target) target.removeAttribute("tabindex");
      }
    });
    for (const each of document.querySelectorAll(".scroll, pre.code")) sizes.observe(each);
  }

  // --- where one is

  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  if (links.size && "IntersectionObserver" in window) {
    const headings = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
    const mark = () => {
      const above = headings.filter((heading) => heading.getBoundingClientRect().top < innerHeight / 3);
      const current = above.length ? above[above.length - 1].id : null;
      for (const [id, link] of links) {
        if (id === current) link.setAttribute("aria-current", "location");
        else link.removeAttribute("aria-current");
      }
    };
    let waiting = false;
    addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        mark();
      });
    }, { passive: true });
    mark();
  }

  // --- paper

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open]):not(.as-table)")];
    for (const each of opened) each.open = true;
    for (const picture of document.querySelectorAll("img[loading=lazy]")) picture.loading = "eager";
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
  });
})();
