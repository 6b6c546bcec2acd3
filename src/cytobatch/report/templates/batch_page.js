"use strict";
// Sorts and filters the table of plates. The address has the order, as in #sort=-rows, so that a link can contain it.
(() => {
  const table = document.getElementById("plates");
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...table.tBodies[0].rows];
  const collator = new Intl.Collator("en", { numeric: true });

  const key = (row, column) => {
    const cell = row.cells[column];
    if (!heads[column].classList.contains("number")) return cell.textContent.trim();
    return "value" in cell.dataset ? Number(cell.dataset.value) : null;
  };

  const compare = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));

  // Rows without a value stay last in both directions.
  const sorted = (column, direction) => {
    const keyed = rows.map((row, position) => ({ row, position, key: key(row, column) }));
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.position - b.position;
      return direction * compare(a.key, b.key) || a.position - b.position;
    });
    return keyed.map(({ row }) => row);
  };

  const sortByAddress = () => {
    const match = /^#sort=(-?)(\w+)$/.exec(location.hash);
    const column = match ? heads.findIndex((head) => head.dataset.name === match[2]) : -1;
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    if (column >= 0) heads[column].setAttribute("aria-sort", match[1] ? "descending" : "ascending");
    table.tBodies[0].append(...(column < 0 ? rows : sorted(column, match[1] ? -1 : 1)));
  };

  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const numbers = head.classList.contains("number");
      const down = now === null ? numbers : now === "ascending";
      location.replace(`#sort=${down ? "-" : ""}${head.dataset.name}`);
    });
  }

  const find = document.getElementById("find");
  const state = document.getElementById("state");
  const shown = document.getElementById("shown");
  const filter = () => {
    const text = find.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const fits = row.cells[0].textContent.toLowerCase().includes(text)
        && (!state.value || row.cells[1].textContent.trim() === state.value);
      row.hidden = !fits;
      count += fits;
    }
    shown.textContent = count === rows.length ? "" : `${count} of ${rows.length}`;
  };
  find.addEventListener("input", filter);
  state.addEventListener("change", filter);
  document.getElementById("filters").hidden = false;

  addEventListener("hashchange", sortByAddress);
  sortByAddress();
})();
