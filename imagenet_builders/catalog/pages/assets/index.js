// Filters and sorts the list of datasets.
"use strict";
(() => {
  const table = document.querySelector(".datasets");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({
    row,
    text: `${row.textContent} ${row.dataset.text}`.toLowerCase().replace(/\s+/g, " "),
  }));

  // --- filter

  const tools = document.querySelector(".tools");
  const field = document.getElementById("filter");
  const shown = document.getElementById("shown");
  const none = document.querySelector("main .none");
  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { row, text } of rows) {
      const fits = words.every((word) => text.includes(word));
      row.hidden = !fits;
      count += fits;
    }
    none.hidden = count > 0;
    shown.textContent = words.length ? `${count} of ${rows.length}` : "";
  };
  tools.hidden = false;
  field.addEventListener("input", filter);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !field.value) return;
    event.preventDefault();
    field.value = "";
    filter();
  });
  filter();

  // --- sort

  const heads = [...table.tHead.querySelectorAll("th[data-sort]")];
  const numeric = new Set(["name", "examples", "size"]);
  const sort = (key, isDown) => {
    const value = ({ row }) => (numeric.has(key) ? Number(row.dataset[key]) : row.dataset[key]);
    const sorted = [...rows].sort((a, b) => {
      const x = value(a);
      const y = value(b);
      const order = x < y ? -1 : x > y ? 1 : 0;
      return (isDown ? -order : order) || a.row.dataset.name - b.row.dataset.name;
    });
    body.append(...sorted.map(({ row }) => row));
  };
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const key = head.dataset.sort;
      const before = head.getAttribute("aria-sort");
      const isDown = before ? before === "ascending" : key === "examples" || key === "size" || key === "built";
      for (const each of heads) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      sort(key, isDown);
    });
  }
})();
