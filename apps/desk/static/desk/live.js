// The live order page: rows that keep themselves right, filters, keys, ages.

import { tickAges } from "./ages.js";
import { setUpDialogs } from "./dialogs.js";
import { startKeys } from "./keys.js";
import { foldByButton, settleLegs } from "./legs.js";
import { Sheet } from "./sheet.js";
import { LiveSocket } from "./socket.js";

const page = document.getElementById("desk-live");
const table = document.getElementById("desk-orders");
const empty = document.getElementById("desk-empty");
const form = document.getElementById("desk-filters");
const stateLine = document.getElementById("desk-state");
const stateText = document.getElementById("desk-state-text");
let filters = JSON.parse(page.dataset.filters);
let asking = false;
const sheet = new Sheet(table, {
  seen: JSON.parse(page.dataset.seen),
  limits: JSON.parse(page.dataset.limits),
  full: JSON.parse(page.dataset.full),
  settle: (unit) => settleLegs(unit, filtered()),
});

const socket = new LiveSocket(page.dataset.socket, {
  hello: () => ask("hello"),
  message: take,
  state: showState,
  forbidden: () => {
    location.href = `${page.dataset.login}?next=${encodeURIComponent(location.pathname + location.search)}`;
  },
});

function ask(type, snapshot = false) {
  asking = true;
  return { type, seen: sheet.seenAsObject(), filters, snapshot };
}

function catchUp(snapshot = false) {
  if (!asking || snapshot) socket.send(ask("catch_up", snapshot));
}

function take(message) {
  if (message.type === "snapshot") {
    if (message.filters && !same(message.filters, filters)) return;
    const selected = table.querySelector(".desk-selected")?.id;
    sheet.replace(message);
    if (selected) document.getElementById(selected)?.classList.add("desk-selected");
    asking = false;
  } else if (message.type === "row") {
    const lack = sheet.apply(message);
    if (lack) catchUp(lack === "short");
  } else if (message.type === "upto") {
    sheet.upto(message.seq);
  } else if (message.type === "pulse") {
    asking = false;
    document.getElementById("desk-banner").innerHTML = message.banner;
    if (sheet.behind(message.seq)) catchUp();
  }
  if (message.type === "row" || message.type === "snapshot") offerStrategies();
  empty.hidden = table.tBodies.length > 0;
  page.setAttribute("aria-busy", "false");
  tickAges(table);
}

function filtered() {
  return Object.entries(filters).some(([name, value]) => value && !(name === "group" && value === "all"));
}

function showState(state, heard) {
  const since = heard.toLocaleTimeString("en-GB", { timeZone: "Asia/Kolkata" });
  const words = {
    connecting: "Connecting…",
    live: "Live",
    reconnecting: `Reconnecting… last news ${since}`,
    stale: `Stale since ${since}: do not trust these rows`,
  }[state];
  if (stateText.textContent !== words) stateText.textContent = words;
  stateLine.dataset.state = state;
  page.classList.toggle("desk-stale", state === "stale");
}

function refilter() {
  const said = new FormData(form);
  filters = {
    account: said.get("account") ? Number(said.get("account")) : null,
    group: said.get("group"),
    source: said.get("source"),
    strategy: said.get("strategy"),
    text: said.get("text").trim(),
  };
  const address = new URLSearchParams([...said].filter(([, value]) => value && value !== "all"));
  history.replaceState(null, "", address.size ? `?${address}` : location.pathname);
  document.getElementById("desk-all").hidden = !address.size;
  page.setAttribute("aria-busy", "true");
  socket.send(ask("catch_up", true));
}

function same(one, other) {
  return Object.keys(one).every((name) => one[name] === other[name]);
}

// A strategy that has just begun to trade can be chosen at once.
function offerStrategies() {
  const choice = form.elements.strategy;
  const known = new Set([...choice.options].map((option) => option.value));
  for (const unit of table.tBodies) {
    const name = unit.dataset.strategy;
    if (!name || known.has(name)) continue;
    known.add(name);
    const after = [...choice.options].slice(1).find((option) => option.value > name);
    choice.add(new Option(name, name), after ?? null);
  }
}

let typing = null;
form.addEventListener("change", refilter);
form.addEventListener("input", (event) => {
  if (event.target.type !== "search") return;
  clearTimeout(typing);
  typing = setTimeout(refilter, 250);
});
form.addEventListener("submit", (event) => {
  if (stateLine.dataset.state !== "live") return;
  event.preventDefault();
  refilter();
});

// The socket alone is no activity; keys and pointer are, told at most once a minute.
let told = Date.now();
function here() {
  if (Date.now() - told < 60000) return;
  told = Date.now();
  socket.send({ type: "here" });
}
document.addEventListener("pointerdown", here);
document.addEventListener("keydown", here);

document.getElementById("desk-show").hidden = true; // choices count at once from here on
setUpDialogs(page);
foldByButton(table);
startKeys(page, table, form);
setInterval(() => tickAges(table), 1000);
tickAges(table);
