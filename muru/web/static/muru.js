// What all pages share: fetching, live parts, toasts, and what makes forms pleasant.
// Each page works without it, but for what is live.

/** An error that the API answered with: `message` is for people, `fields` maps fields to faults. */
export class Problem extends Error {
  constructor(document, status) {
    super(document.detail || words().failed);
    this.status = status;
    this.type = document.type || "";
    this.fields = Object.fromEntries((document.errors || []).map((each) => [each.field, each.message]));
  }
}

/** Call the JSON API: `await api("/extensions", {method: "POST", body: {…}})`. */
export async function api(path, { method = "GET", body, signal } = {}) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      signal,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ detail: words().offline }, 0);
  }
  const text = await response.text();
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    throw new Problem({}, response.status);
  }
  if (!response.ok) throw new Problem(answer || {}, response.status);
  return answer;
}

/**
 * Follow server-sent events: `follow("/registrations/stream", {added: (data) => …})`.
 * The browser connects again by itself; `onState(true or false)` tells whether it is connected.
 * Returns a function that ends it.
 */
export function follow(path, handlers, onState = () => {}) {
  const source = new EventSource(`/api/v1${path}`);
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(event.data ? JSON.parse(event.data) : null));
  }
  source.addEventListener("open", () => onState(true));
  source.addEventListener("error", () => onState(false));
  addEventListener("pagehide", () => source.close());
  return () => source.close();
}

/** Make an element: `element("p", {class: "muted"}, "text", child)`. Text is never HTML. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Make a symbol out of icons.svg. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", new URL(`icons.svg`, import.meta.url).pathname + `#${name}`);
  svg.append(use);
  return svg;
}

let known;

/** The translated texts that this page brought along for its scripts. */
export function words() {
  if (!known) {
    known = {};
    for (const each of document.querySelectorAll('script[type="application/json"].words')) {
      Object.assign(known, JSON.parse(each.textContent));
    }
  }
  return known;
}

/** Show a short message for some seconds; `kind` "error" stays longer. */
export function toast(text, kind = "info") {
  const shown = element("div", { class: `toast ${kind}` }, text);
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), kind === "error" ? 10_000 : 4_000);
}

/** Tell something to people who hear the page. */
export function announce(text) {
  const place = document.getElementById("announcements");
  place.textContent = "";
  setTimeout(() => (place.textContent = text), 50);
}

/** Return a function that runs `call` once nobody has called it for `milliseconds`. */
export function debounce(call, milliseconds = 200) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), milliseconds);
  };
}

const underWay = new Map();

/**
 * Get `url` and put its element `id` in the place of this page's one; the newest call wins.
 * Returns whether it was done.
 */
export async function refresh(id, url = location.href) {
  underWay.get(id)?.abort();
  const control = new AbortController();
  underWay.set(id, control);
  let html;
  try {
    const response = await fetch(url, { signal: control.signal, headers: { Accept: "text/html" } });
    if (!response.ok || response.redirected) return false;
    html = await response.text();
  } catch {
    return false;
  }
  const fresh = new DOMParser().parseFromString(html, "text/html").getElementById(id);
  const stale = document.getElementById(id);
  if (!fresh || !stale || control.signal.aborted) return false;
  if (fresh.innerHTML !== stale.innerHTML) {
    const href = stale.contains(document.activeElement) && document.activeElement.getAttribute("href");
    stale.replaceChildren(...fresh.childNodes);
    if (href) stale.querySelector(`a[href="${CSS.escape(href)}"]`)?.focus();
    stale.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
  }
  return true;
}

/** `<form data-live="id">`: while somebody types, the element `id` follows. */
function searchAsYouType(form) {
  const search = debounce(async () => {
    const url = `${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`;
    if (await refresh(form.dataset.live, url)) {
      history.replaceState(null, "", url);
      const found = document.querySelector(`#${form.dataset.live} [data-announce]`);
      if (found) announce(found.textContent.trim());
    }
  });
  form.addEventListener("input", search);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
}

/** `<div id="…" data-refresh="15">`: fetched anew every 15 seconds, while somebody looks. */
function keepFresh(part) {
  setInterval(() => {
    if (!document.hidden) refresh(part.id);
  }, Number(part.dataset.refresh) * 1000);
}

/** A button that shows a password. */
function showPasswords(input) {
  const button = element("button", { type: "button", "aria-pressed": "false" }, words().show);
  button.addEventListener("click", () => {
    const hidden = input.type === "password";
    input.type = hidden ? "text" : "password";
    button.textContent = hidden ? words().hide : words().show;
    button.setAttribute("aria-pressed", String(hidden));
  });
  const box = element("div", { class: "with-button" });
  input.replaceWith(box);
  box.append(input, button);
}

/** `<button data-copy="text">`. Without TLS browsers have no clipboard, so there is the old way. */
async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    const area = element("textarea", { class: "visually-hidden", readonly: true });
    area.value = button.dataset.copy;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  toast(words().copied);
  announce(words().copied);
}

/** A form that was sent is not sent twice, and shows that something is under way. */
function wait(form) {
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => {
    delete form.dataset.sent;
    form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
  });
}

/** Make what came with the page, or was added to it, behave. */
export function enliven(root = document) {
  root.querySelectorAll("form[data-live]").forEach(searchAsYouType);
  root.querySelectorAll("[data-refresh]").forEach(keepFresh);
  root.querySelectorAll('input[type="password"]').forEach(showPasswords);
  root.querySelectorAll('form[method="post"]').forEach(wait);
  root.querySelectorAll("[data-scripted]").forEach((each) => (each.hidden = false));
}

document.documentElement.classList.add("scripted");
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
document.addEventListener("refreshed", (event) => {
  event.target.querySelectorAll("[data-scripted]").forEach((each) => (each.hidden = false));
});
enliven();
document.querySelector('[role="alert"]')?.focus();
