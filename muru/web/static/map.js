// The floor plan: larger and smaller, moved by dragging, and where somebody taps, a place.

const MOST = 4; // as map.css has widths for

/** Let the sheet grow and shrink around a point of its window, by default the middle. */
function zoomable(plan) {
  const view = plan.querySelector(".plan-window");
  const sheet = plan.querySelector(".plan-sheet");
  const [larger, smaller] = ["in", "out"].map((way) => plan.querySelector(`[data-zoom="${way}"]`));
  let zoom = 1;

  const set = (wanted, x = view.clientWidth / 2, y = view.clientHeight / 2) => {
    const next = Math.min(MOST, Math.max(1, wanted));
    if (next === zoom) return;
    const grown = next / zoom;
    const left = (view.scrollLeft + x) * grown - x;
    const top = (view.scrollTop + y) * grown - y;
    zoom = next;
    sheet.dataset.zoom = zoom;
    view.scrollTo(left, top);
    larger.disabled = zoom === MOST;
    smaller.disabled = zoom === 1;
  };

  larger.addEventListener("click", () => set(zoom + 1));
  smaller.addEventListener("click", () => set(zoom - 1));
  view.addEventListener("keydown", (event) => {
    if (event.key === "+") set(zoom + 1);
    else if (event.key === "-") set(zoom - 1);
  });
  view.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey) return; // as browsers have it: without it the page is scrolled
      event.preventDefault();
      const box = view.getBoundingClientRect();
      set(zoom - Math.sign(event.deltaY), event.clientX - box.left, event.clientY - box.top);
    },
    { passive: false },
  );
}

/** Let a mouse move the sheet; fingers do so by themselves. */
function draggable(view) {
  let from = null;

  view.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    from = { x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop, moved: false };
    from.start = [event.clientX, event.clientY];
  });
  addEventListener("pointermove", (event) => {
    if (!from) return;
    from.moved ||= Math.hypot(event.clientX - from.start[0], event.clientY - from.start[1]) > 5;
    if (!from.moved) return;
    view.classList.add("dragged");
    view.scrollTo(from.x - event.clientX, from.y - event.clientY);
  });
  addEventListener("pointerup", () => {
    view.classList.remove("dragged");
    const { moved } = from ?? {};
    from = null;
    // The click that ends a drag is none.
    if (!moved) return;
    const stop = (event) => {
      event.stopPropagation();
      event.preventDefault();
    };
    view.addEventListener("click", stop, { capture: true, once: true });
    setTimeout(() => view.removeEventListener("click", stop, { capture: true }));
  });
  view.addEventListener("dragstart", (event) => event.preventDefault());
}

/** Fill the fields of a place with where somebody taps, and show where the fields say. */
function choosable(place) {
  const sheet = place.querySelector(".plan-sheet");
  const spot = place.querySelector("[data-spot]");
  const [lat, lng] = place.querySelectorAll(".coordinates input");
  const [south, west, north, east] = place.dataset.bounds.split(" ").map(Number);
  const written = (value) => String(Number(value.toFixed(Number(place.dataset.decimals))));

  const show = () => {
    const x = (lng.valueAsNumber - west) / (east - west);
    const y = (north - lat.valueAsNumber) / (north - south);
    const fits = x >= 0 && x <= 1 && y >= 0 && y <= 1;
    spot.setAttribute("visibility", fits ? "visible" : "hidden");
    if (!fits) return;
    spot.setAttribute("x", `${100 * x}%`);
    spot.setAttribute("y", `${100 * y}%`);
  };

  sheet.addEventListener("click", (event) => {
    const box = sheet.getBoundingClientRect();
    lng.value = written(west + ((event.clientX - box.left) / box.width) * (east - west));
    lat.value = written(north - ((event.clientY - box.top) / box.height) * (north - south));
    show();
  });
  place.addEventListener("input", show);
  place.querySelector("[data-clear]").addEventListener("click", () => {
    lat.value = lng.value = "";
    show();
  });
}

for (const plan of document.querySelectorAll("[data-plan]")) {
  zoomable(plan);
  draggable(plan.querySelector(".plan-window"));
}
document.querySelectorAll("[data-place]").forEach(choosable);
