"use strict";
// The wells of the plate maps: colours of another feature, readings by pointer and keyboard, and the table of all wells.
(() => {
  const source = document.getElementById("data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const levels = 32;
  const maps = [...document.querySelectorAll("div.map")].map((element) => ({
    element,
    grid: data.grids[element.dataset.grid],
    rects: [...element.querySelectorAll("rect")],
    cursor: element.querySelector(".cursor"),
    ofFeature: element.dataset.map === "feature",
  }));
  const menu = document.getElementById("feature");
  const reading = document.getElementById("reading");
  const words = { cells: "", part: "sites left out or missing", empty: "no cells", failed: "all sites failed" };
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
  const whole = new Intl.NumberFormat("en");
  const shown = (value) => (value === null ? "–" : number.format(value));
  const feature = () => data.features[menu ? menu.value : 0];
  let current = null;

  const level = (value, { low, high }) => {
    if (value === null) return "n";
    if (high <= low) return `k${levels / 2}`;
    return `k${Math.min(levels - 1, Math.max(0, Math.trunc(((value - low) / (high - low)) * levels)))}`;
  };

  const append = (parent, name, text) => {
    const child = document.createElement(name);
    child.textContent = text;
    parent.append(child);
    return child;
  };

  const fact = (label, value) => {
    const span = append(reading, "span", label ? `${label} ` : "");
    append(span, "em", value);
  };

  const rank = (well) => {
    const cells = data.cells.filter((_, other) => data.sites[other]);
    return cells.filter((value) => value < data.cells[well]).length / Math.max(1, cells.length - 1);
  };

  const read = (well) => {
    current = well;
    for (const map of maps) {
      const place = map.grid.wells.indexOf(well);
      map.cursor.classList.toggle("on", place >= 0);
      if (place >= 0) {
        const x = 16 + (data.column[well] - 1) * 10;
        map.cursor.setAttribute("transform", `translate(${x} ${13 + (data.row[well] - 1) * 10})`);
      }
    }
    reading.textContent = "";
    append(reading, "b", data.name[well]);
    if (data.content[well]) fact("", data.content[well]);
    if (data.role[well] && data.role[well] !== data.content[well]) fact("control", data.role[well]);
    fact("cells", whole.format(data.cells[well]));
    if (data.sites[well]) fact("fewer in", `${Math.round(100 * rank(well))} % of wells`);
    fact("sites", whole.format(data.sites[well]) + (data.failed[well] ? ` and ${data.failed[well]} failed` : ""));
    if (feature()) fact(feature().name, shown(feature().values[well]));
    if (words[data.state[well]]) fact("", words[data.state[well]]);
  };

  // The next well in a direction; positions without images are skipped.
  const next = (grid, well, rows, columns) => {
    let row = data.row[well];
    let column = data.column[well];
    while (true) {
      row += rows;
      column += columns;
      if (row < 1 || column < 1 || row > grid.rows || column > grid.columns) return well;
      const found = grid.wells.find((one) => data.row[one] === row && data.column[one] === column);
      if (found !== undefined) return found;
    }
  };

  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  for (const map of maps) {
    const own = () => (map.grid.wells.includes(current) ? current : map.grid.wells[0]);
    map.rects.forEach((rect, place) => {
      rect.addEventListener("pointerenter", () => read(map.grid.wells[place]));
      rect.addEventListener("click", () => read(map.grid.wells[place]));
    });
    map.element.addEventListener("focus", () => {
      if (map.element.matches(":focus-visible")) read(own());
    });
    map.element.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const { wells } = map.grid;
      if (event.key in steps) read(next(map.grid, own(), ...steps[event.key]));
      else if (event.key === "Home") read(wells[0]);
      else if (event.key === "End") read(wells[wells.length - 1]);
      else return;
      event.preventDefault();
    });
  }

  const keys = document.getElementById("feature-keys");
  const table = document.querySelector("#all-wells .scroll");
  const details = document.querySelector("#all-wells details");

  const fillTable = () => {
    const own = document.createElement("table");
    const head = own.createTHead().insertRow();
    const names = ["Well", "Cells", "Sites", "Failed sites", "State", "Control", "Content"];
    if (feature()) names.push(`Median of ${feature().name}`);
    for (const name of names) append(head, "th", name).scope = "col";
    const body = own.createTBody();
    data.name.forEach((name, well) => {
      const row = body.insertRow();
      append(row, "th", name).scope = "row";
      const cells = [whole.format(data.cells[well]), data.sites[well], data.failed[well], words[data.state[well]] || "cells"];
      cells.push(data.role[well], data.content[well]);
      if (feature()) cells.push(shown(feature().values[well]));
      for (const text of cells) append(row, "td", text);
    });
    table.replaceChildren(own);
  };

  const colour = () => {
    const chosen = feature();
    for (const map of maps) {
      if (map.ofFeature) map.rects.forEach((rect, place) => rect.setAttribute("class", level(chosen.values[map.grid.wells[place]], chosen)));
    }
    if (keys) {
      keys.replaceChildren();
      const item = append(keys, "li", "");
      const ends = chosen.low === null ? ["no values"] : chosen.high > chosen.low ? [shown(chosen.low), shown(chosen.high)] : [`${shown(chosen.low)} in every well`];
      ends.forEach((text, place) => {
        if (place) append(item, "i", "").className = "ramp";
        append(item, "span", text);
      });
    }
    if (current !== null) read(current);
    if (details.open) fillTable();
  };

  if (menu) menu.addEventListener("change", colour);
  details.addEventListener("toggle", () => details.open && fillTable());
  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("details")) one.open = true;
    fillTable();
  });
})();
