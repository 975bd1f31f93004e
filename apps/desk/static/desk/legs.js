// The legs of a bracket under its entry: shown while anything of it can trade, and then hidden; by
// its button, or by the arrow keys, as a person likes. What is unknown cannot be hidden.

const chosen = new Map(); // unit → whether a person wants its legs to be seen

export function legsOf(unit) {
  return [...unit.rows].filter((row) => row.classList.contains("desk-leg"));
}

// ``all``: the page is filtered, so any leg may be what somebody looks for.
export function settleLegs(unit, all) {
  const fold = unit.querySelector(".desk-fold");
  if (!fold) return;
  const { alive, pinned } = unit.dataset;
  const open = pinned === "1" || (chosen.get(unit.dataset.unit) ?? (alive === "1" || all));
  fold.setAttribute("aria-expanded", String(open));
  for (const row of legsOf(unit)) row.hidden = !open;
}

// Answers whether the unit has legs.
export function fold(unit, open) {
  if (!unit?.querySelector(".desk-fold")) return false;
  chosen.set(unit.dataset.unit, open);
  settleLegs(unit, false);
  return true;
}

export function foldByButton(table) {
  table.addEventListener("click", (event) => {
    const button = event.target.closest(".desk-fold");
    if (button) fold(button.closest("tbody"), button.getAttribute("aria-expanded") !== "true");
  });
}
