// Uploads with progress: the file goes to the API as it is.

import { announce, toast, words } from "./muru.js";

const form = document.querySelector("[data-upload]");
const file = form.querySelector('input[type="file"]');
const drop = form.querySelector("[data-drop]");
const box = form.querySelector("[data-progress]");
const bar = box.querySelector("progress");
const told = box.querySelector("[data-told]");
const button = form.querySelector("button");

function say(text) {
  told.textContent = text;
}

function fail(text) {
  box.hidden = true;
  button.disabled = false;
  toast(text, "error");
  announce(text);
}

function send(chosen, name) {
  const request = new XMLHttpRequest();
  request.open("POST", `/api/v1/media?${new URLSearchParams({ name })}`);
  request.setRequestHeader("Content-Type", chosen.type || "application/octet-stream");
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) bar.value = (100 * event.loaded) / event.total;
    if (bar.value === 100) say(words().converting);
  });
  request.addEventListener("load", () => {
    if (request.status === 201) return location.assign("/media");
    let problem = {};
    try {
      problem = JSON.parse(request.responseText);
    } catch {
      // no words for it
    }
    fail(problem.detail || words().failed);
  });
  request.addEventListener("error", () => fail(words().offline));
  bar.value = 0;
  box.hidden = false;
  button.disabled = true;
  say(words().uploading);
  request.send(chosen);
}

form.addEventListener("submit", (event) => {
  const [chosen] = file.files;
  if (!chosen) return;
  event.preventDefault();
  send(chosen, (form.elements.name.value.trim() || chosen.name).slice(0, 100));
}, { capture: true });

for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) file.files = event.dataTransfer.files;
  });
}
