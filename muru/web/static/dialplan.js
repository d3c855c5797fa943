// The editor of own numbers: steps come, move and go in place, and the preview follows.

import { announce, debounce, enliven, toast, words } from "./muru.js";

const editor = document.getElementById("editor");
let underWay = new AbortController();

const form = () => editor.querySelector("form");
const fits = () => Boolean(editor.querySelector("#preview pre"));

/** Send the form as the button `action` does; returns the page that comes of it, or null. */
async function send(action) {
  underWay.abort();
  underWay = new AbortController();
  const body = new URLSearchParams(new FormData(form()));
  body.set("do", action);
  try {
    const response = await fetch(form().getAttribute("action"), {
      method: "POST",
      body,
      headers: { Accept: "text/html" },
      signal: underWay.signal,
    });
    if (!response.ok) throw new Error(response.status);
    return new DOMParser().parseFromString(await response.text(), "text/html");
  } catch (error) {
    if (error.name !== "AbortError") toast(words().failed, "error");
    return null;
  }
}

/** Where the step that was at `place` is afterwards. */
function moved(place, action, at) {
  if (action === "add") return place >= at ? place + 1 : place;
  if (action === "remove") return place === at ? -1 : place > at ? place - 1 : place;
  const other = { up: at - 1, down: at + 1 }[action];
  if (place === at) return other ?? place;
  return place === other ? at : place;
}

function steps() {
  return [...editor.querySelectorAll(".plan-step")];
}

async function edit(button) {
  const [action, at] = [button.split(".")[0], Number(button.split(".")[1] ?? steps().length)];
  const open = steps().flatMap((step, place) =>
    step.querySelector("details").open ? [moved(place, action, at)] : [],
  );
  const page = await send(button);
  if (!page) return;
  editor.replaceChildren(...page.getElementById("editor").childNodes);
  steps().forEach((step, place) => {
    if (open.includes(place)) step.querySelector("details").open = true;
  });
  enliven(editor);
  focus(action, at);
}

/** Let the keyboard be where it was, or where the new step is. */
function focus(action, at) {
  const step = steps()[moved(at, action === "add" ? "" : action, at)];
  const found =
    action === "add" || action === "choose"
      ? step?.querySelector("[data-choose]")
      : step?.querySelector(`[value^="${action}."]:not(:disabled)`) ?? step?.querySelector("summary");
  (found ?? editor.querySelector('[value="add"]')).focus();
}

const look = debounce(async () => {
  const page = await send("preview");
  if (!page) return;
  const before = fits();
  for (const stale of editor.querySelectorAll("[data-follows]")) {
    const fresh = page.getElementById(stale.id);
    if (fresh) stale.replaceChildren(...fresh.childNodes);
  }
  if (fits() !== before) announce(fits() ? words().right : words().wrong);
}, 400);

editor.addEventListener("input", (event) => {
  if (!event.target.closest("[data-choose]")) look();
});
editor.addEventListener("change", (event) => {
  const at = event.target.closest("[data-choose]") && event.target.name.split(".")[1];
  if (at) edit(`choose.${at}`);
});
document.addEventListener(
  "submit",
  (event) => {
    const action = event.submitter?.name === "do" ? event.submitter.value : "";
    if (event.target !== form() || !action || action === "save") return;
    event.preventDefault();
    edit(action);
  },
  { capture: true },
);
