// Searches the classes, and draws those rows of the list that can be seen.
"use strict";
(() => {
  const data = window.catalogClasses;
  const browser = document.querySelector(".browser");
  if (!data || !browser) return;
  const number = (value) => (value < 0 ? "-" : value.toLocaleString("en"));
  const make = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const size = data.label.length;
  const ids = Object.entries(data.ids).map(([name, column]) => [name, column ?? data.label]);
  const haystack = data.wnid.map((wnid, row) =>
    `${wnid} ${data.words[row]}`.toLowerCase() + (data.gloss ? `\n${data.gloss[row]}`.toLowerCase() : ""));

  // --- columns

  const columns = [
    { title: "Label", className: "number", value: (row) => data.label[row], text: (row) => String(data.label[row]) },
    { title: "Wnid", className: "wnid", value: (row) => data.wnid[row], text: (row) => data.wnid[row], found: true },
    { title: "Words", className: "words", value: (row) => data.words[row].toLowerCase(), text: (row) => data.words[row] || "-", found: true },
  ];
  for (const [split, column] of Object.entries(data.counts)) {
    const isSample = data.sampled.includes(split);
    const official = isSample ? undefined : data.official[split];
    columns.push({
      title: isSample ? `${split}, sample` : split,
      className: "number",
      down: true,
      value: (row) => column[row],
      text: (row) => number(column[row]),
      note: (row) => (official && official[row] >= 0 && official[row] !== column[row] ? `official ${number(official[row])}` : ""),
    });
  }
  for (const [split, column] of Object.entries(data.official)) {
    if (data.counts[split]) continue;
    columns.push({ title: `${split}, official`, className: "number", down: true, value: (row) => column[row], text: (row) => number(column[row]) });
  }
  for (const [name, column] of ids) {
    columns.push({ title: name, className: "number", isId: true, value: (row) => column[row], text: (row) => (column[row] < 0 ? "-" : String(column[row])) });
  }

  // --- the frame

  const tools = make("div", "tools");
  const label = make("label", "", "Search");
  const field = make("input");
  const count = make("p");
  field.type = "search";
  field.id = "class-search";
  field.placeholder = "word, wnid or id";
  field.autocomplete = "off";
  field.spellcheck = false;
  label.htmlFor = field.id;
  count.setAttribute("role", "status");
  tools.append(label, field, count);

  const list = make("div", size < 14 ? "list few" : "list");
  list.tabIndex = 0;
  list.setAttribute("role", "region");
  list.setAttribute("aria-label", "Classes that were found");
  const table = make("table");
  const head = make("tr");
  const body = make("tbody");
  head.setAttribute("aria-rowindex", "1");
  const heads = columns.map((column) => {
    const cell = make("th", column.className === "number" ? "number" : "");
    const button = make("button", "", column.title);
    cell.scope = "col";
    // Rows come and go; the columns stay as wide as their longest text.
    if (column.className !== "words") {
      const longest = data.label.reduce((most, _, row) => Math.max(most, column.text(row).length), 0);
      cell.style.minWidth = `calc(${longest}ch + 2rem)`;
    }
    button.type = "button";
    cell.append(button);
    head.append(cell);
    return cell;
  });
  const thead = make("thead");
  thead.append(head);
  table.append(thead, body);
  list.append(table);
  browser.replaceChildren(tools, list);

  const gap = () => {
    const row = make("tr", "gap");
    const cell = make("td");
    cell.colSpan = columns.length;
    row.setAttribute("aria-hidden", "true");
    row.append(cell);
    return row;
  };
  const above = gap();
  const below = gap();

  // --- rows

  let order = Array.from({ length: size }, (_, row) => row);
  let hits = order;
  let words = [];
  let rowHeight = 36;
  let drawn = [-1, -1];

  const marked = (cell, text) => {
    const low = text.toLowerCase();
    let end = 0;
    const word = words.find((each) => low.includes(each));
    if (word && low.length === text.length) {
      const start = low.indexOf(word);
      end = start + word.length;
      cell.append(text.slice(0, start), make("mark", "", text.slice(start, end)));
    }
    cell.append(text.slice(end));
  };
  const drawRow = (row, place) => {
    const line = make("tr");
    line.setAttribute("aria-rowindex", String(place + 2));
    for (const column of columns) {
      const cell = make("td", column.className);
      const text = column.text(row);
      if (column.found) marked(cell, text);
      else cell.textContent = text;
      if (text === "-") cell.classList.add("off");
      const note = column.note ? column.note(row) : "";
      if (note) {
        cell.classList.add("differs");
        cell.title = note;
        cell.append(make("span", "unseen", ` (${note})`));
      }
      if (column.className === "words") {
        cell.title = data.gloss && data.gloss[row] ? `${text}: ${data.gloss[row]}` : text;
      }
      line.append(cell);
    }
    return line;
  };
  const draw = (anew) => {
    const seen = Math.ceil(innerHeight / rowHeight);
    const first = Math.max(Math.floor(list.scrollTop / rowHeight) - 10, 0);
    const last = Math.min(first + seen + 20, hits.length);
    if (!anew && drawn[0] === first && drawn[1] === last) return;
    drawn = [first, last];
    above.firstChild.style.height = `${first * rowHeight}px`;
    below.firstChild.style.height = `${(hits.length - last) * rowHeight}px`;
    const lines = [];
    for (let place = first; place < last; place += 1) lines.push(drawRow(hits[place], place));
    body.replaceChildren(above, ...lines, below);
  };

  // --- search: every word must be there; the best hits come first

  const score = (row) => {
    const text = haystack[row];
    let worst = 0;
    for (const word of words) {
      let one = 9;
      if (data.wnid[row].toLowerCase() === word) one = 0;
      else if (isId(word) && String(data.label[row]) === word) one = 1;
      else if (isId(word) && ids.some(([, column]) => String(column[row]) === word)) one = 2;
      else {
        const at = text.indexOf(word);
        const first = text.indexOf("\n");
        if (at < 0) return -1;
        if (first >= 0 && at > first) one = 6;
        else if (isWord(text, word, true)) one = 3;
        else if (isWord(text, word, false)) one = 4;
        else one = 5;
      }
      worst = Math.max(worst, one);
    }
    return worst;
  };
  const isId = (word) => /^\d+$/.test(word);
  const isLetter = (letter) => letter !== undefined && letter !== "" && /[\p{L}\p{N}]/u.test(letter);
  const isWord = (text, word, whole) => {
    for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
      if (!isLetter(text[at - 1]) && !(whole && isLetter(text[at + word.length]))) return true;
    }
    return false;
  };
  const search = () => {
    words = field.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    if (words.length) {
      const ranks = Array.from({ length: 7 }, () => []);
      for (const row of order) {
        const rank = score(row);
        if (rank >= 0) ranks[rank].push(row);
      }
      hits = sorted ? order.filter((row) => score(row) >= 0) : ranks.flat();
    } else {
      hits = order;
    }
    count.textContent = words.length ? `${number(hits.length)} of ${number(size)}` : "";
    table.setAttribute("aria-rowcount", String(hits.length + 1));
    list.scrollTop = 0;
    draw(true);
  };

  // --- sort

  let sorted = false;
  for (const [place, cell] of heads.entries()) {
    const column = columns[place];
    cell.firstChild.addEventListener("click", () => {
      const before = cell.getAttribute("aria-sort");
      const isDown = before ? before === "ascending" : Boolean(column.down);
      for (const each of heads) each.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      const way = isDown ? -1 : 1;
      const values = data.label.map((_, row) => column.value(row));
      const missing = (value) => value === -1 || value === "";
      order = data.label.map((_, row) => row).sort((a, b) => {
        const [x, y] = [values[a], values[b]];
        if (missing(x) !== missing(y)) return missing(x) ? 1 : -1;
        return (x < y ? -way : x > y ? way : 0) || a - b;
      });
      sorted = true;
      search();
    });
  }

  field.addEventListener("input", search);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && field.value) {
      event.preventDefault();
      field.value = "";
      search();
    }
  });
  list.addEventListener("scroll", () => draw(false), { passive: true });
  addEventListener("resize", () => draw(true));
  search();
  const line = body.querySelector("tr:not(.gap)");
  if (line) {
    rowHeight = line.getBoundingClientRect().height || rowHeight;
    draw(true);
  }
})();
