// The picture viewer: two pictures under one zoom, a divider or side by side, distortion maps over them.
(() => {
  "use strict";
  const { pictures, labels, types } = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const viewer = byId("viewer"), stage = byId("stage"), split = byId("split"), divider = byId("divider");
  const sides = { left: byId("left"), right: byId("right") };
  const state = {
    picture: 0, roles: { left: "start", right: "best" }, type: "", split: 50,
    scale: null, // CSS pixels per picture pixel; null fits the picture into its pane
    centre: [0, 0], // picture coordinates in the middle of a pane
    box: null, // a region to outline, instead of the map's own worst region
  };
  const current = () => pictures[state.picture];
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  function paneSize() {
    const { clientWidth, clientHeight } = sides.left;
    return [clientWidth, clientHeight];
  }

  function fitScale() {
    const [width, height] = paneSize();
    return Math.min(width / current().width, height / current().height);
  }

  function sizeStage() {
    const phone = matchMedia("(max-width: 600px)").matches;
    const columns = viewer.dataset.mode === "side" && !phone ? 2 : 1;
    const rows = viewer.dataset.mode === "side" && phone ? 2 : 1;
    const height = (stage.clientWidth / columns) * (current().height / current().width) * rows;
    stage.style.height = `${clamp(height, 200, Math.max(280, innerHeight * 0.78))}px`;
  }

  function place() {
    const [width, height] = paneSize();
    const fit = fitScale();
    const scale = state.scale === null ? fit : state.scale;
    // A picture smaller than its pane is centred; a larger one never leaves an edge empty.
    const centre = [[width, current().width], [height, current().height]].map(([pane, picture], axis) => {
      const half = pane / scale / 2;
      return half * 2 >= picture ? picture / 2 : clamp(state.centre[axis], half, picture - half);
    });
    state.centre = centre;
    const device = scale * devicePixelRatio;
    for (const pane of Object.values(sides)) {
      const content = pane.querySelector(".content");
      content.style.width = `${current().width * scale}px`;
      content.style.height = `${current().height * scale}px`;
      content.style.transform = `translate(${width / 2 - centre[0] * scale}px, ${height / 2 - centre[1] * scale}px)`;
      content.classList.toggle("crisp", device >= 1.5);
    }
    placeBoxes(scale);
    const cut = viewer.dataset.mode === "slider" ? (state.split / 100) * width : 0;
    sides.right.style.clipPath = cut ? `inset(0 0 0 ${cut}px)` : "";
    sides.left.querySelector(".tag").style.opacity = cut || viewer.dataset.mode === "side" ? 1 : 0;
    divider.style.left = `${cut}px`;
    split.value = state.split;
    stage.classList.toggle("zoomed", state.scale !== null && state.scale > fit * 1.001);
    byId("zoom").textContent = state.scale === null ? "fit" : `${Math.round(device * 100)} %`;
  }

  function placeBoxes(scale) {
    for (const [side, pane] of Object.entries(sides)) {
      const box = pane.querySelector(".box");
      const own = state.type === "" ? null : current().regions[state.roles[side]]?.[Number(state.type)];
      const region = state.box || own;
      box.hidden = !region || !byId("boxes").checked;
      if (box.hidden) continue;
      for (const edge of ["left", "top", "width", "height"]) box.style[edge] = `${region[edge] * scale}px`;
    }
  }

  function show() {
    for (const [side, pane] of Object.entries(sides)) {
      const role = state.roles[side];
      const base = pane.querySelector(".base"), map = pane.querySelector(".map");
      const address = current().images[role];
      if (base.src !== address) base.src = address;
      base.alt = `${current().name}, ${labels[role]}`;
      pane.querySelector(".tag").textContent = labels[role];
      const overlay = state.type === "" ? null : current().maps[role]?.[Number(state.type)];
      map.hidden = !overlay;
      if (overlay) { map.src = overlay; map.alt = `Map of ${types[Number(state.type)]}, ${labels[role]}`; }
      map.style.opacity = byId("opacity").value / 100;
      pane.querySelector(".content").classList.toggle("grey", state.type !== "" && byId("grey").checked);
    }
    byId("legend").hidden = state.type === "";
    const without = Object.values(state.roles).filter((role) => !current().maps[role]).map((role) => labels[role]);
    byId("map-note").textContent =
      state.type !== "" && without.length ? `No map for: ${[...new Set(without)].join(", ")}.` : "";
    sizeStage();
    place();
  }

  function zoomTo(scale, at) {
    const fit = fitScale();
    const before = state.scale === null ? fit : state.scale;
    const next = scale === null ? null : clamp(scale, Math.min(fit, 1 / devicePixelRatio), Math.max(16 / devicePixelRatio, 4 * fit));
    if (next !== null && at) { // keep the picture point under the pointer where it is
      const [width, height] = paneSize();
      const offset = [at[0] - width / 2, at[1] - height / 2];
      state.centre = state.centre.map((value, axis) => value + offset[axis] / before - offset[axis] / next);
    }
    state.scale = next;
    place();
  }

  function pointIn(event) {
    const pane = event.target.closest?.(".pane") || sides.left;
    const area = (viewer.dataset.mode === "side" ? pane : sides.left).getBoundingClientRect();
    return [event.clientX - area.left, event.clientY - area.top];
  }

  const pointers = new Map();
  let pinch = null, dragging = "";
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    stage.setPointerCapture(event.pointerId);
    const near = Math.abs(pointIn(event)[0] - (state.split / 100) * paneSize()[0]) < 28;
    const zoomed = stage.classList.contains("zoomed");
    dragging = viewer.dataset.mode === "slider" && (!zoomed || near) ? "split" : zoomed ? "move" : "";
    if (dragging === "split") moveSplit(event);
    if (pointers.size === 2) { pinch = { distance: spread(), scale: state.scale ?? fitScale() }; dragging = ""; }
  });
  stage.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const [x, y] = pointers.get(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (pinch && pointers.size === 2) { zoomTo((pinch.scale * spread()) / pinch.distance); return; }
    if (dragging === "split") moveSplit(event);
    if (dragging === "move") {
      const scale = state.scale ?? fitScale();
      state.centre = [state.centre[0] - (event.clientX - x) / scale, state.centre[1] - (event.clientY - y) / scale];
      place();
    }
  });
  const release = (event) => { pointers.delete(event.pointerId); if (pointers.size < 2) pinch = null; if (!pointers.size) dragging = ""; };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  function spread() { const [a, b] = [...pointers.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]) || 1; }
  function moveSplit(event) { state.split = clamp((pointIn(event)[0] / paneSize()[0]) * 100, 0, 100); place(); }

  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the plain wheel scrolls the page
    event.preventDefault();
    zoomTo((state.scale ?? fitScale()) * Math.exp(-event.deltaY * 0.004), pointIn(event));
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => zoomTo(stage.classList.contains("zoomed") ? null : Math.max(fitScale() * 2, 1 / devicePixelRatio), pointIn(event)));
  stage.addEventListener("keydown", (event) => {
    if (event.target !== stage) return;
    const scale = state.scale ?? fitScale();
    const moves = { ArrowLeft: [-40, 0], ArrowRight: [40, 0], ArrowUp: [0, -40], ArrowDown: [0, 40] };
    if (event.key in moves) state.centre = state.centre.map((value, axis) => value + moves[event.key][axis] / scale);
    else if (event.key === "+" || event.key === "=") return zoomTo(scale * 1.5);
    else if (event.key === "-") return zoomTo(scale / 1.5);
    else if (event.key === "0") return zoomTo(null);
    else return;
    event.preventDefault();
    place();
  });
  split.addEventListener("input", () => { state.split = Number(split.value); place(); });

  for (const button of viewer.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => {
    const scale = state.scale ?? fitScale();
    zoomTo({ in: scale * 1.5, out: scale / 1.5, fit: null, one: 1 / devicePixelRatio }[button.dataset.zoom]);
  });
  const layouts = [...viewer.querySelectorAll("[data-layout]")];
  for (const button of layouts) button.addEventListener("click", () => {
    viewer.dataset.mode = button.dataset.layout;
    layouts.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    show();
  });
  byId("picture").addEventListener("change", (event) => { state.picture = Number(event.target.value); state.scale = null; state.box = null; show(); });
  for (const side of ["left", "right"]) byId(`${side}-role`).addEventListener("change", (event) => { state.roles[side] = event.target.value; show(); });
  byId("types").addEventListener("change", (event) => { state.type = event.target.value; state.box = null; show(); });
  for (const id of ["opacity", "grey", "boxes"]) byId(id).addEventListener("input", show);
  addEventListener("resize", () => { sizeStage(); place(); });

  // Worst regions: cut-outs of output and reference, and a button that shows the place in the viewer.
  for (const region of document.querySelectorAll(".region")) {
    const picture = pictures[Number(region.dataset.picture)];
    const [left, top, width, height] = region.dataset.box.split(",").map(Number);
    const side = Math.min(clamp(Math.max(width, height) * 1.3, 48, 320), picture.width, picture.height);
    const x = clamp(left + width / 2 - side / 2, 0, picture.width - side);
    const y = clamp(top + height / 2 - side / 2, 0, picture.height - side);
    for (const canvas of region.querySelectorAll("canvas")) {
      const source = new Image();
      source.onload = () => {
        const shrink = source.naturalWidth / picture.width; // large pictures are stored smaller
        canvas.width = canvas.height = 300;
        const paint = canvas.getContext("2d");
        paint.imageSmoothingEnabled = side * shrink > 150;
        paint.drawImage(source, x * shrink, y * shrink, side * shrink, side * shrink, 0, 0, 300, 300);
      };
      source.src = picture.images[canvas.dataset.role];
    }
    region.querySelector(".show").addEventListener("click", () => {
      state.picture = Number(region.dataset.picture);
      byId("picture").value = region.dataset.picture;
      state.type = region.dataset.type;
      byId("types").querySelector(`input[value="${state.type}"]`).checked = true;
      byId("boxes").checked = true;
      state.box = { left, top, width, height };
      state.roles.right = byId("right-role").value = "best";
      show();
      const [paneWidth, paneHeight] = paneSize();
      state.centre = [left + width / 2, top + height / 2];
      zoomTo(Math.max(fitScale(), 0.6 * Math.min(paneWidth / width, paneHeight / height, 8)));
      viewer.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      stage.focus({ preventScroll: true });
    });
  }
  show();
})();
