// The start page: its parts are read anew every few seconds; only those that changed are replaced.

import { tickAges } from "./ages.js";
import { askAgain, clock } from "./again.js";
import "./approvals.js";
import { setUpDialogs } from "./dialogs.js";

const page = document.getElementById("desk-start");
const parts = document.getElementById("desk-parts");
const stateLine = document.getElementById("desk-state");
const stateText = document.getElementById("desk-state-text");
const stateTime = document.getElementById("desk-state-time");
const heard = document.getElementById("desk-heard"); // read out when it changes
const drawn = new Map(); // part → its HTML as it came, before ages were written into it

function take(html) {
  const fresh = document.createElement("div");
  fresh.innerHTML = html;
  for (const part of fresh.children) put(part);
  for (const part of [...parts.children]) if (!fresh.querySelector(`#${part.id}`)) part.remove();
  document.getElementById("desk-banner").innerHTML = document.getElementById("start-banner").innerHTML;
  tickAges(parts);
  write(heard, document.getElementById("start-needs").textContent.replace(/\s+/g, " ").trim());
  show("live", "Up to date", clock(new Date()));
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

function silent(since) {
  show("stale", "Stale: the desk does not answer since", clock(since));
}

// The time is written apart: a screen reader need not read out every look.
function show(state, words, time) {
  stateLine.dataset.state = state;
  write(stateText, words);
  stateTime.textContent = time;
  parts.classList.toggle("desk-stale", state === "stale");
}

function write(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

askAgain(page.dataset.again, { take, silent, back: () => show("connecting", "Asking…", "") });
setUpDialogs(page);
setInterval(() => tickAges(parts), 1000);
tickAges(parts);
