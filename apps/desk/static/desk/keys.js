// Keys of the live page: j k ↓ ↑ choose a row, Enter opens it, ← → fold its bracket, m c e h act on
// it, p places an order, / searches, ? helps. A key does what the row's own button does, or nothing.

import { openDialog } from "./dialogs.js";
import { fold } from "./legs.js";

export function startKeys(page, table, form) {
  const help = document.getElementById("desk-help");
  document.getElementById("desk-help-open").addEventListener("click", () => help.showModal());

  const move = (step) => {
    const rows = [...table.querySelectorAll("tbody tr:not([hidden])")];
    const at = rows.findIndex((row) => row.classList.contains("desk-selected"));
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    if (next) select(next);
  };
  const select = (row) => {
    table.querySelector(".desk-selected")?.classList.remove("desk-selected");
    row.classList.add("desk-selected");
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };
  const selected = () => table.querySelector(".desk-selected");
  const act = (where, ...names) => {
    const link = where?.querySelector(names.map((name) => `[data-act="${name}"], [data-go="${name}"]`).join());
    if (link) openDialog(link);
  };
  const turn = (open) => {
    const row = selected();
    const unit = row?.closest("tbody");
    if (fold(unit, open) && row.hidden) select(unit.rows[0]);
  };
  const search = form.elements.text;
  const acts = {
    j: () => move(1),
    ArrowDown: () => move(1),
    k: () => move(-1),
    ArrowUp: () => move(-1),
    ArrowLeft: () => turn(false),
    ArrowRight: () => turn(true),
    Enter: () => selected()?.querySelector("a.desk-link").click(),
    m: () => act(selected(), "modify"),
    c: () => act(selected(), "cancel", "drop"),
    e: () => act(selected(), "exit", "stop"),
    h: () => act(selected() ?? page, "halt"),
    p: () => document.getElementById("desk-place-link")?.click(),
    "/": () => search.focus(),
    "?": () => help.showModal(),
  };

  table.addEventListener("click", (event) => {
    const row = event.target.closest("tbody tr");
    if (row && !event.target.closest("a, button")) select(row);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    search.blur();
    event.stopPropagation();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "Enter" && event.target.closest("a, button")) return;
    const meant = acts[event.key];
    if (!meant) return;
    event.preventDefault();
    meant();
  });
}
