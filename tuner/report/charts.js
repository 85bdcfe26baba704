// Plots: what the table says of a trial as its tooltip, the same trial marked in every plot, ranges on parallel axes.
(() => {
  "use strict";
  const tip = document.getElementById("tip");
  const table = document.getElementById("trial-table");
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  const row = (number) => table.querySelector(`tr[data-trial="${number}"]`);
  const SHOWN = 14; // lines in a tooltip; the table has the rest

  function describe(number) {
    const cells = row(number)?.cells;
    if (!cells) return null;
    const box = document.createElement("div");
    const title = document.createElement("strong");
    title.textContent = `Trial ${number}, ${cells[1].textContent}`;
    box.append(title);
    const list = document.createElement("dl");
    for (let i = 2, lines = 0; i < cells.length && lines < SHOWN; i++) {
      const text = cells[i].textContent.trim();
      if (text === "" || text === "–") continue;
      const name = document.createElement("dt"), value = document.createElement("dd");
      name.textContent = heads[i];
      value.textContent = text;
      list.append(name, value);
      lines++;
    }
    box.append(list);
    return box;
  }

  function showTip(content, x, y) {
    tip.replaceChildren(content);
    tip.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = tip;
    const left = x + 14 + width > innerWidth ? x - 14 - width : x + 14;
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
    tip.style.top = `${Math.max(8, Math.min(y + 14, innerHeight - height - 8))}px`;
  }
  const hideTip = () => { tip.hidden = true; };

  function mark(name, number) {
    for (const other of document.querySelectorAll(`.${name}`)) other.classList.remove(name);
    if (number === null) return;
    for (const same of document.querySelectorAll(`[data-t="${number}"]`)) same.classList.add(name);
    row(number)?.classList.add(name);
  }

  const target = (event) => event.target.closest?.("[data-t], [data-tip]");
  document.addEventListener("pointerover", (event) => {
    const over = target(event);
    if (!over) { hideTip(); mark("hot", null); return; }
    if (over.dataset.tip) { showTip(over.dataset.tip, event.clientX, event.clientY); return; }
    const box = describe(over.dataset.t);
    if (box) showTip(box, event.clientX, event.clientY);
    mark("hot", over.dataset.t);
  });
  document.addEventListener("focusin", (event) => {
    const cell = event.target.closest?.("[data-tip]");
    if (!cell) return;
    const area = cell.getBoundingClientRect();
    showTip(cell.dataset.tip, area.left, area.bottom);
  });
  document.addEventListener("focusout", hideTip);
  addEventListener("scroll", hideTip, { passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

  let chosen = null;
  document.addEventListener("click", (event) => {
    const number = event.target.closest?.("[data-t]")?.dataset.t ?? event.target.closest?.("tr[data-trial]")?.dataset.trial;
    if (number === undefined) return;
    chosen = chosen === number ? null : number;
    mark("chosen-trial", chosen);
    const found = chosen !== null && row(chosen), box = table.closest(".scroll");
    if (found && !box.contains(event.target)) box.scrollTop = found.offsetTop - box.clientHeight / 2; // the page stays
  });

  // Parallel coordinates: a range on an axis leaves the lines that pass through it.
  // There is a drawing for wide and one for narrow pages; each keeps its own ranges.
  for (const drawing of document.querySelectorAll("svg.parallel")) brushed(drawing);
  function brushed(drawing) {
    const lines = [...drawing.querySelectorAll(".pc")].map((line) => [line, line.dataset.at.split(",").map(Number)]);
    const note = document.getElementById("brush-note"), clear = document.getElementById("brush-clear");
    const [top, bottom] = [Number(drawing.dataset.top), Number(drawing.dataset.bottom)];
    const ranges = new Map();
    const height = (event) => {
      const area = drawing.getBoundingClientRect();
      const view = drawing.viewBox.baseVal;
      const y = view.y + ((event.clientY - area.top) / area.height) * view.height;
      return Math.min(bottom + 1, Math.max(top - 1, y));
    };
    function filter() {
      let kept = 0;
      for (const [line, at] of lines) {
        const inside = [...ranges].every(([axis, [low, high]]) => at[axis] >= low && at[axis] <= high);
        line.classList.toggle("off", !inside);
        kept += inside;
      }
      for (const brush of drawing.querySelectorAll(".pc-brush")) {
        const [low, high] = ranges.get(Number(brush.dataset.axis)) ?? [0, 0];
        brush.setAttribute("y", low);
        brush.setAttribute("height", high - low);
      }
      clear.hidden = ranges.size === 0;
      note.textContent = ranges.size ? `${kept} of ${lines.length} trials` : "";
    }
    for (const hit of drawing.querySelectorAll(".pc-hit")) {
      const axis = Number(hit.dataset.axis);
      let from = null;
      hit.addEventListener("pointerdown", (event) => { from = height(event); hit.setPointerCapture(event.pointerId); });
      hit.addEventListener("pointermove", (event) => {
        if (from === null) return;
        const to = height(event);
        if (Math.abs(to - from) >= 3) ranges.set(axis, [Math.min(from, to), Math.max(from, to)]);
        filter();
      });
      hit.addEventListener("pointerup", (event) => {
        if (from !== null && Math.abs(height(event) - from) < 3) ranges.delete(axis); // a click takes the range away
        from = null;
        filter();
      });
      hit.addEventListener("pointercancel", () => { from = null; });
    }
    clear.addEventListener("click", () => { ranges.clear(); filter(); });
  }
})();
