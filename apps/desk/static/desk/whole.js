// The page of a sliced order or of a bracket: its parts are read anew every few seconds; dialogs,
// keys, copying.

import { askAgain, clock } from "./again.js";
import { openDialog, setUpDialogs } from "./dialogs.js";
import { replaceParts } from "./parts.js";

const page = document.getElementById("desk-whole");
const parts = document.getElementById("desk-parts");
const stateLine = document.getElementById("desk-state");
const stateText = document.getElementById("desk-state-text");
const KEYS = {
  r: '[data-act="resume"]',
  d: '[data-act="drop"]',
  c: '[data-act="stop"]',
  m: '[data-leg="ENTRY"] [data-act="modify"]',
  x: '[data-leg="ENTRY"] [data-act="cancel"]',
  t: '[data-leg="TARGET"] [data-go="modify"]',
  s: '[data-leg="STOP_LOSS"] [data-go="modify"]',
};

function show(state, words, time) {
  stateLine.dataset.state = state;
  if (stateText.textContent !== words) stateText.textContent = words;
  document.getElementById("desk-state-time").textContent = time;
  parts.classList.toggle("desk-stale", state === "stale");
}

askAgain(page.dataset.again, {
  take: (html) => {
    replaceParts(parts, html);
    show("live", "Up to date", clock(new Date()));
  },
  silent: (since) => show("stale", "Stale: the desk does not answer since", clock(since)),
  back: () => show("connecting", "Asking…", ""),
});
setUpDialogs(page, () => location.reload());

page.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input, select, textarea")) return;
  const link = KEYS[event.key] && page.querySelector(KEYS[event.key]);
  if (!link) return;
  event.preventDefault();
  openDialog(link);
});
