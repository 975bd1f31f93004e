// The start page: its parts are read anew every few seconds; only those that changed are replaced.

import { tickAges } from "./ages.js";
import { askAgain, clock } from "./again.js";
import "./approvals.js";
import { setUpDialogs } from "./dialogs.js";
import { replaceParts } from "./parts.js";

const page = document.getElementById("desk-start");
const parts = document.getElementById("desk-parts");
const stateLine = document.getElementById("desk-state");
const stateText = document.getElementById("desk-state-text");
const stateTime = document.getElementById("desk-state-time");
const heard = document.getElementById("desk-heard"); // read out when it changes

function take(html) {
  replaceParts(parts, html);
  document.getElementById("desk-banner").innerHTML = document.getElementById("start-banner").innerHTML;
  tickAges(parts);
  write(heard, document.getElementById("start-needs").textContent.replace(/\s+/g, " ").trim());
  show("live", "Up to date", clock(new Date()));
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
