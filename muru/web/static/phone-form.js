// The form of a phone: free numbers while somebody types, and rows that come and go.

import { debounce, words } from "./muru.js";

const form = document.querySelector("[data-phone-form]");
const number = form.querySelector("[data-number]");

function watchNumber() {
  const told = form.querySelector("[data-availability]");
  let asked = 0;

  const look = debounce(async () => {
    const value = number.value.trim();
    const turn = ++asked;
    let fault = "";
    if (value) {
      try {
        const answer = await fetch(`/phones/add/number?${new URLSearchParams({ number: value })}`);
        if (!answer.ok) return;
        ({ fault } = await answer.json());
      } catch {
        return; // the form says so when it is sent
      }
    }
    if (turn !== asked) return;
    told.textContent = fault || (value ? words().free : "");
    told.classList.toggle("bad", Boolean(fault));
    number.setCustomValidity(fault);
    if (fault) number.setAttribute("aria-invalid", "true");
    else number.removeAttribute("aria-invalid");
  }, 250);

  number.addEventListener("input", () => {
    number.setCustomValidity("");
    look();
  });
  form.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-take]");
    if (!chip) return;
    number.value = chip.dataset.take;
    number.setCustomValidity("");
    look();
  });
}

function manageRows(box) {
  const add = box.querySelector("[data-add-row]");
  const template = box.querySelector("template");
  const most = Number(box.dataset.most);
  let next = box.querySelectorAll(".row-of-list").length;

  const count = () => (add.disabled = box.querySelectorAll(":scope > .row-of-list").length >= most);

  box.querySelectorAll(":scope > [data-blank]").forEach((row) => row.remove());
  add.addEventListener("click", () => {
    const row = template.content.firstElementChild.cloneNode(true);
    for (const each of row.querySelectorAll("*")) {
      for (const { name, value } of [...each.attributes]) {
        if (value.includes("__row__")) each.setAttribute(name, value.replaceAll("__row__", next));
      }
    }
    next += 1;
    row.querySelectorAll("[data-scripted]").forEach((each) => (each.hidden = false));
    add.parentElement.before(row);
    row.querySelector("input, select")?.focus();
    count();
  });
  box.addEventListener("click", (event) => {
    const button = event.target.closest("[data-remove-row]");
    if (!button) return;
    button.closest(".row-of-list").remove();
    add.focus();
    count();
  });
  count();
}

if (number) watchNumber();
form.querySelectorAll("[data-rows]").forEach(manageRows);
