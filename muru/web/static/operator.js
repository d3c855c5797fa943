// What moves on the operator's pages: lists with buttons, ticks, printing.

import { refresh } from "./muru.js";

/** `<div id="…" data-keep="3">`: fetched anew every 3 seconds, but not under somebody's hands. */
for (const part of document.querySelectorAll("[data-keep]")) {
  setInterval(() => {
    if (!document.hidden && !part.contains(document.activeElement)) refresh(part.id);
  }, Number(part.dataset.keep) * 1000);
}

// On a small screen the menu of these pages is wider than that: show where one is.
const places = document.querySelector(".places");
const here = places.querySelector("[aria-current]");
if (here) places.scrollLeft = here.offsetLeft - (places.clientWidth - here.offsetWidth) / 2;

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
  if (event.target.closest("[data-tick-all]")) {
    const ticks = [...document.querySelectorAll(".tick")];
    const wanted = ticks.some((tick) => !tick.checked);
    ticks.forEach((tick) => (tick.checked = wanted));
  }
});
