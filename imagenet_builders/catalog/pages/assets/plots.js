// Names what the pointer is at in a plot, and lets the keyboard walk along classes.
"use strict";
(() => {
  const number = (value) => value.toLocaleString("en");
  const images = (count) => `${number(count)} ${count === 1 ? "image" : "images"}`;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");

  const showAt = (room, left, top, text) => {
    if (tip.parentElement !== room) room.append(tip);
    tip.textContent = text;
    tip.hidden = false;
    const half = tip.offsetWidth / 2;
    const middle = Math.min(Math.max(left, half - 40), room.clientWidth - half + 8);
    tip.style.left = `${middle - half}px`;
    tip.style.top = `${top - tip.offsetHeight - 12}px`;
  };
  const hide = () => {
    tip.hidden = true;
  };
  const place = (room, event) => {
    const box = room.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top, box.width, box.height];
  };

  // --- histograms: the intervals have titles, which this shows at once and below the pointer

  for (const plot of document.querySelectorAll(".plot.histogram")) {
    const room = plot.parentElement;
    for (const hit of plot.querySelectorAll(".hits rect")) {
      const text = hit.querySelector("title").textContent;
      hit.replaceChildren();
      hit.addEventListener("pointermove", (event) => {
        const [left, top] = place(room, event);
        showAt(room, left, top, text);
      });
    }
    plot.addEventListener("pointerleave", hide);
  }

  // --- widths and heights

  const between = (places, at) => {
    for (let each = 0; each + 1 < places.length; each += 1) {
      const [a, b] = [places[each], places[each + 1]];
      if (at >= Math.min(a, b) && at < Math.max(a, b)) return each;
    }
    return -1;
  };
  for (const plot of document.querySelectorAll(".plot.density")) {
    const room = plot.parentElement;
    const data = JSON.parse(plot.dataset.density);
    plot.addEventListener("pointermove", (event) => {
      const [left, top, width, height] = place(room, event);
      const column = between(data.across, (1000 * left) / width);
      const row = between(data.down, (1000 * top) / height);
      if (column < 0 || row < 0) {
        hide();
        return;
      }
      const count = data.counts[row][column];
      const part = ((100 * count) / data.total).toFixed(1);
      showAt(room, left, top, `${data.widths[column]} wide, ${data.heights[row]} high\n${images(count)} (${part}%)`);
    });
    plot.addEventListener("pointerleave", hide);
  }

  // --- classes: a slider along the sorted classes

  const classes = window.catalogClasses;
  if (!classes) return;
  for (const figure of document.querySelectorAll("figure[data-split]")) {
    const split = figure.dataset.split;
    const counts = classes.counts[split];
    if (!counts) continue;
    const at = (label) => Math.max(counts[label], 0);
    const order = counts.map((_, row) => row).filter((row) => at(row) > 0).sort((a, b) => at(b) - at(a) || a - b);
    const official = classes.sampled.includes(split) ? undefined : classes.official[split];
    const room = figure.querySelector(".room");
    if (!room) continue;
    const plot = room.querySelector(".plot");
    const cursor = document.createElement("div");
    cursor.className = "cursor";
    cursor.hidden = true;
    room.append(cursor);
    plot.setAttribute("aria-hidden", "true");
    plot.removeAttribute("role");
    room.setAttribute("role", "slider");
    room.setAttribute("aria-label", `${figure.querySelector("h3").textContent}; a class, by its number of images`);
    room.setAttribute("aria-valuemin", "1");
    room.setAttribute("aria-valuemax", String(order.length));
    room.tabIndex = 0;
    let now = 0;
    const words = (row) => {
      const named = classes.words[row] ? `${classes.wnid[row]} ${classes.words[row]}` : classes.wnid[row];
      const wanted = official && official[row] >= 0 && official[row] !== at(row) ? ` (official ${number(official[row])})` : "";
      return `${named}\n${images(at(row))}${wanted}`;
    };
    const describe = () => {
      room.setAttribute("aria-valuenow", String(now + 1));
      room.setAttribute("aria-valuetext", words(order[now]).replace("\n", ": "));
    };
    const show = (rank, top) => {
      now = Math.min(Math.max(rank, 0), order.length - 1);
      const left = ((now + 0.5) / order.length) * room.clientWidth;
      cursor.hidden = false;
      cursor.style.left = `${left}px`;
      describe();
      showAt(room, left, top, words(order[now]));
    };
    const end = () => {
      cursor.hidden = true;
      hide();
    };
    describe();
    plot.addEventListener("pointermove", (event) => {
      const [left, top, width] = place(room, event);
      show(Math.floor((left / width) * order.length), top);
    });
    plot.addEventListener("pointerleave", end);
    room.addEventListener("focus", () => {
      if (room.matches(":focus-visible")) show(now, 40);
    });
    room.addEventListener("blur", end);
    room.addEventListener("keydown", (event) => {
      const far = Math.max(Math.round(order.length / 20), 1);
      const to = {
        ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1,
        PageUp: now + far, PageDown: now - far, Home: 0, End: order.length - 1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      show(to, 40);
    });
  }
})();
