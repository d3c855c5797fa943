// The live line of the connect page: asked for anew until the phone works.

import { announce, enliven, refresh } from "./muru.js";

const OFTEN = 1_500; // milliseconds
const SELDOM = 10_000; // once it works, or after a long wait
const PATIENCE = 15 * 60_000;

const url = location.pathname.replace(/connect$/, "live");
const began = Date.now();
let said = "";

const live = () => document.getElementById("live");

function pause() {
  const works = live().classList.contains("registered") || live().classList.contains("tested");
  return works || Date.now() - began > PATIENCE ? SELDOM : OFTEN;
}

async function look() {
  // While a test is under way its button says so: it stays as it is.
  if (!document.hidden && !live().querySelector("[aria-busy]")) await refresh("live", url);
  setTimeout(look, pause());
}

live().addEventListener("refreshed", () => {
  enliven(live());
  const title = document.getElementById("live-title").textContent;
  if (title !== said) announce(`${title} ${document.getElementById("live-text").textContent}`);
  said = title;
});
said = document.getElementById("live-title").textContent;
setTimeout(look, OFTEN);
