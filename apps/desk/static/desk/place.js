// The order form: instruments as you type, lots in words, prices only where the type has them.

import { watchPrice } from "./prices.js";

const form = document.getElementById("desk-place");
const box = form.elements.instrument;
const list = document.getElementById("desk-suggestions");
const facts = document.getElementById("desk-instrument-facts");
const last = document.getElementById("desk-last-price");
const market = document.getElementById("desk-market");
const lots = document.getElementById("desk-lots");
let found = [];
let at = -1;
let chosen = null;
let typing = null;

box.setAttribute("role", "combobox");
box.setAttribute("aria-controls", list.id);
box.setAttribute("aria-autocomplete", "list");

async function suggest() {
  const asked = box.value;
  const account = encodeURIComponent(form.elements.account.value);
  const answer = await fetch(`${form.dataset.suggest}?q=${encodeURIComponent(asked)}&account=${account}`);
  if (!answer.ok || box.value !== asked) return;
  found = (await answer.json()).instruments;
  at = -1;
  list.replaceChildren(...found.map(option));
  open(found.length > 0);
}

function option(instrument, index) {
  const item = document.createElement("li");
  item.role = "option";
  item.id = `desk-suggestion-${index}`;
  const symbol = document.createElement("b");
  symbol.textContent = instrument.symbol;
  const about = document.createElement("small");
  about.textContent = `${instrument.about} · ${instrument.facts}`;
  item.append(symbol, " ", about);
  item.addEventListener("mousedown", (event) => {
    event.preventDefault();
    choose(index);
  });
  return item;
}

function open(yes) {
  list.hidden = !yes;
  box.setAttribute("aria-expanded", String(yes));
}

function mark(step) {
  at = (at + step + found.length) % found.length;
  [...list.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === at)));
  box.setAttribute("aria-activedescendant", `desk-suggestion-${at}`);
  list.children[at].scrollIntoView({ block: "nearest" });
}

function choose(index) {
  chosen = found[index];
  box.value = chosen.value;
  facts.textContent = chosen.facts;
  market.textContent = chosen.market;
  open(false);
  askPrice();
  sayLots();
}

function sayLots() {
  const quantity = Number(form.elements.quantity.value);
  if (!chosen || !quantity) return (lots.textContent = "");
  const whole = Math.floor(quantity / chosen.lot);
  const rest = quantity % chosen.lot;
  lots.textContent = rest
    ? `Not whole lots: one lot is ${chosen.lot} units; ${chosen.lot * Math.max(1, whole)} would fit.`
    : `${whole} lot${whole === 1 ? "" : "s"} of ${chosen.lot}.`;
}

function watched() {
  const account = form.elements.account.value;
  const instrument = box.value;
  if (!account || !instrument.includes(":")) return null;
  return { address: last.dataset.watch.replace("/0/", `/${account}/`), instrument };
}

function showPrices() {
  const type = form.elements.order_type.value;
  for (const [name, used] of [["price", !type.endsWith("MARKET")], ["trigger_price", type.startsWith("STOP")]]) {
    const input = form.elements[name];
    input.disabled = !used;
    input.closest(".desk-field").classList.toggle("desk-unused", !used);
  }
}

box.addEventListener("input", () => {
  chosen = null;
  facts.textContent = market.textContent = "";
  clearTimeout(typing);
  typing = setTimeout(suggest, 150);
});
box.addEventListener("keydown", (event) => {
  if (list.hidden) return;
  const acts = {
    ArrowDown: () => mark(1),
    ArrowUp: () => mark(-1),
    Escape: () => open(false),
    Enter: () => choose(Math.max(at, 0)),
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
});
box.addEventListener("blur", () => open(false));
form.elements.quantity.addEventListener("input", sayLots);
form.elements.account.addEventListener("change", () => (market.textContent = ""));
form.elements.order_type.addEventListener("change", showPrices);
showPrices();
const askPrice = watchPrice(last, watched, "Last price ");
form.elements.account.addEventListener("change", askPrice);
