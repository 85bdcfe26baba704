// Light and dark, sorting and filtering of the table of trials.
(() => {
  "use strict";
  const root = document.documentElement;
  // A page opened from a file may have no storage; the choice then lasts as long as the page.
  const remember = (value) => { try { localStorage.setItem("pixelperfect-theme", value); } catch { /* no storage */ } };
  const remembered = () => { try { return localStorage.getItem("pixelperfect-theme"); } catch { return null; } };
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();
  document.getElementById("theme").addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
  });

  const table = document.getElementById("trial-table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.key ?? cell.textContent;
    return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
  };
  // Empty cells stay last whichever way the column is sorted.
  const compare = (a, b, sign) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  };
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const downwards = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", downwards ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort((a, b) => compare(a[0], b[0], downwards ? -1 : 1));
    body.append(...rows.map((pair) => pair[1]));
  }));
  document.getElementById("trial-filter").addEventListener("change", (event) => {
    for (const row of body.rows) row.hidden = event.target.value !== "" && row.dataset.kind !== event.target.value;
  });
})();
