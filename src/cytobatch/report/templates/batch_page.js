"use strict";
// Sorts and filters the table of plates, and draws small plate maps. The address has the order, as in #sort=-rows, so that
// a link can contain it.
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

  const find = document.getElementById("find");
  const state = document.getElementById("state");
  const shown = document.getElementById("shown");
  const all = document.getElementById("all");
  const most = Number(table.dataset.most);

  const filter = () => {
    const text = find.value.trim().toLowerCase();
    let count = 0;
    for (const row of table.tBodies[0].rows) {
      const fits = row.cells[0].textContent.toLowerCase().includes(text)
        && (!state.value || row.cells[2].textContent.trim() === state.value);
      count += fits;
      row.hidden = !fits || (count > most && !all.dataset.pressed);
    }
    const visible = all.dataset.pressed ? count : Math.min(count, most);
    shown.textContent = visible === rows.length ? "" : `${visible} of ${rows.length}`;
    all.hidden = visible === count;
    all.textContent = `Show all ${count}`;
  };
  find.addEventListener("input", filter);
  state.addEventListener("change", filter);
  all.addEventListener("click", () => {
    all.dataset.pressed = "true";
    filter();
  });
  document.getElementById("filters").hidden = false;

  const sortByAddress = () => {
    const match = /^#sort=(-?)(\w+)$/.exec(location.hash);
    const column = match ? heads.findIndex((head) => head.dataset.name === match[2]) : -1;
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    if (column >= 0) heads[column].setAttribute("aria-sort", match[1] ? "descending" : "ascending");
    const order = column < 0 ? rows : sorted(column, match[1] ? -1 : 1);
    // Rows that are hidden need no layout while they are moved.
    for (const row of rows) row.hidden = true;
    if (order[0] !== table.tBodies[0].rows[0] || column >= 0) table.tBodies[0].append(...order);
    filter();
  };

  for (const head of heads) {
    if (!head.dataset.name) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const numbers = head.classList.contains("number") && head.dataset.name !== "concern";
      const down = now === null ? numbers : now === "ascending";
      location.replace(`#sort=${down ? "-" : ""}${head.dataset.name}`);
    });
  }

  // A pixel for each well; the style makes it larger.
  const colours = (document.getElementById("maps")?.dataset.colours ?? "").split(" ");
  const draw = (canvas) => {
    const { map, columns } = canvas.dataset;
    canvas.width = Number(columns);
    canvas.height = map.length / canvas.width;
    const context = canvas.getContext("2d");
    [...map].forEach((character, position) => {
      if (character === ".") return;
      context.fillStyle = character === "-" ? "#d5483f" : colours[parseInt(character, 32)];
      context.fillRect(position % canvas.width, Math.floor(position / canvas.width), 1, 1);
    });
  };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        seen.unobserve(target);
        draw(target);
      }
    }
  }, { rootMargin: "200px" });
  for (const canvas of document.querySelectorAll("canvas")) seen.observe(canvas);
  addEventListener("beforeprint", () => document.querySelectorAll("canvas").forEach(draw));

  addEventListener("hashchange", sortByAddress);
  sortByAddress();
})();
