(() => {
  const stage = document.getElementById("stage");
  const split = document.getElementById("split");
  const moments = [...stage.querySelectorAll(".moment")];
  const thumbs = [...document.querySelectorAll(".film button")];
  const zooms = [...document.querySelectorAll(".bar [data-zoom]")];
  const lefts = [...document.querySelectorAll(".bar [data-left]")];
  const view = { zoom: 1, x: 0, y: 0 }; // x, y: shift of the picture in shares of the stage, 0 or less

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function draw() {
    view.x = clamp(view.x, 1 - view.zoom, 0);
    view.y = clamp(view.y, 1 - view.zoom, 0);
    stage.style.setProperty("--split", `${split.value}%`);
    stage.style.setProperty("--zoom", view.zoom);
    stage.style.setProperty("--x", `${100 * view.x}%`);
    stage.style.setProperty("--y", `${100 * view.y}%`);
    stage.dataset.zoom = view.zoom;
    stage.classList.toggle("zoomed", view.zoom > 1);
    split.setAttribute("aria-valuetext", `${Math.round(split.value)} percent source`);
    zooms.forEach((each) => each.setAttribute("aria-pressed", Number(each.dataset.zoom) === view.zoom));
  }

  function choose(index) {
    moments.forEach((each, at) => { each.hidden = at !== index; });
    thumbs.forEach((each, at) => each.setAttribute("aria-pressed", at === index));
  }

  // Zoom so that the point at (x, y), in shares of the picture, comes as near to the middle as the edges allow.
  function zoomTo(zoom, x, y) {
    Object.assign(view, { zoom, x: 0.5 - x * zoom, y: 0.5 - y * zoom });
    draw();
  }

  const middle = () => [(0.5 - view.x) / view.zoom, (0.5 - view.y) / view.zoom];

  let drag = null;
  stage.addEventListener("pointerdown", (event) => {
    const sliding = view.zoom === 1 || event.target.closest(".handle");
    drag = { sliding, x: event.clientX, y: event.clientY, from: { ...view } };
    stage.setPointerCapture(event.pointerId);
    stage.classList.toggle("moving", !sliding);
    split.focus({ preventScroll: true });
    if (sliding) slide(event);
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (drag.sliding) { slide(event); return; }
    const box = stage.getBoundingClientRect();
    view.x = drag.from.x + (event.clientX - drag.x) / box.width;
    view.y = drag.from.y + (event.clientY - drag.y) / box.height;
    draw();
  });
  const drop = () => { drag = null; stage.classList.remove("moving"); };
  stage.addEventListener("pointerup", drop);
  stage.addEventListener("pointercancel", drop);

  function slide(event) {
    const box = stage.getBoundingClientRect();
    split.value = clamp((100 * (event.clientX - box.left)) / box.width, 0, 100);
    draw();
  }

  split.addEventListener("input", draw);
  split.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
    if (!step) return;
    split.value = Number(split.value) + step * (event.shiftKey ? 5 : 1);
    draw();
    event.preventDefault();
  });
  thumbs.forEach((each, at) => each.addEventListener("click", () => choose(at)));
  zooms.forEach((each) => each.addEventListener("click", () => zoomTo(Number(each.dataset.zoom), ...middle())));
  lefts.forEach((each) => each.addEventListener("click", () => {
    stage.dataset.left = each.dataset.left;
    document.getElementById("left").textContent = each.dataset.left;
    lefts.forEach((other) => other.setAttribute("aria-pressed", other === each));
  }));
  document.querySelectorAll(".details button").forEach((each, at) => each.addEventListener("click", () => {
    choose(at);
    zoomTo(4, Number(each.dataset.x), Number(each.dataset.y));
    stage.scrollIntoView({ block: "center", behavior: "smooth" });
    split.focus({ preventScroll: true });
  }));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key >= "1" && event.key <= String(moments.length)) choose(Number(event.key) - 1);
    if (event.key.toLowerCase() === "z") zoomTo({ 1: 2, 2: 4, 4: 1 }[view.zoom], ...middle());
  });
  draw();
})();
