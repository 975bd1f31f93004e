// The start page: its parts are read anew every few seconds; only those that changed are replaced.

import { tickAges } from "./ages.js";
import { askAgain, clock } from "./again.js";
import "./approvals.js";
import { setUpDialogs } from "./dialogs.js";

const page = document.getElementById("desk-start");
const parts = document.getElementById("desk-parts");
const stateLine = document.getElementById("desk-state");
const stateText = document.getElementById("desk-state-text");
const drawn = new Map(); // part → its HTML as it came, before ages were written into it

function take(html) {
  const fresh = document.createElement("div");
  fresh.innerHTML = html;
  for (const part of fresh.children) put(part);
  for (const part of [...parts.children]) if (!fresh.querySelector(`#${part.id}`)) part.remove();
  document.getElementById("desk-banner").innerHTML = document.getElementById("start-banner").innerHTML;
  tickAges(parts);
  show("live", `Up to date at ${clock(new Date())}`);
}

function put(part) {
  const html = part.outerHTML;
  const old = document.getElementById(part.id);
  if (old && drawn.get(part.id) === html) return;
  drawn.set(part.id, html);
  const twin = part.cloneNode(true);
  if (!old) return parts.append(twin);
  const focused = old.contains(document.activeElement) ? addressOf(document.activeElement) : null;
  old.replaceWith(twin);
  if (focused) [...twin.querySelectorAll("a, button")].find((one) => addressOf(one) === focused)?.focus();
}

function addressOf(element) {
  return element.getAttribute("formaction") ?? `${element.getAttribute("href")} ${element.dataset.scope ?? ""}`;
}

function silent(heard) {
  show("stale", `Stale since ${clock(heard)}: the desk does not answer`);
}

function show(state, words) {
  stateLine.dataset.state = state;
  stateText.textContent = words;
  parts.classList.toggle("desk-stale", state === "stale");
}

askAgain(page.dataset.again, { take, silent, back: () => show("connecting", "Asking…") });
setUpDialogs(page);
setInterval(() => tickAges(parts), 1000);
tickAges(parts);
