// What the page shows. A unit is an order, or a bracket with its legs: one <tbody>, whose rows stay
// together. Unknown ones first, then the newest; a unit never goes back in time.

export class Sheet {
  // ``settle`` is told of every unit that was drawn anew.
  constructor(table, { seen, limits, full, settle }) {
    this.table = table;
    this.seen = new Map(Object.entries(seen).map(([account, seq]) => [Number(account), seq]));
    this.limits = limits;
    this.full = full;
    this.settle = settle;
    this.drawn = new WeakMap(); // row → its HTML as it came
    this.gather();
  }

  gather() {
    this.units = new Map();
    for (const unit of this.table.tBodies) this.keep(unit);
  }

  keep(unit) {
    this.units.set(unit.dataset.unit, unit);
    for (const row of unit.rows) this.drawn.set(row, row.innerHTML);
    this.settle(unit);
  }

  seenAsObject() {
    return Object.fromEntries(this.seen);
  }

  last(account) {
    return this.seen.get(account) ?? 0;
  }

  // Everything anew.
  replace(message) {
    for (const unit of [...this.table.tBodies]) unit.remove();
    this.table.append(...parsed(message.rows.map((row) => row.html).join("\n")));
    this.seen = new Map(Object.entries(message.seq).map(([a, seq]) => [Number(a), seq]));
    this.full = message.full;
    this.gather();
  }

  // One unit. Returns "gap" when something before it is missing, "short" when another has to come
  // from below the last one, else "".
  apply(message) {
    if (message.after > this.last(message.account)) return "gap";
    this.seen.set(message.account, Math.max(message.seq, this.last(message.account)));
    const old = this.units.get(message.id);
    if (old && Number(old.dataset.seq) >= message.seq) return "";
    if (message.html === null) return this.drop(message.id);
    return this.put(message, old);
  }

  upto(numbers) {
    for (const [account, seq] of Object.entries(numbers)) {
      this.seen.set(Number(account), Math.max(seq, this.last(Number(account))));
    }
  }

  behind(numbers) {
    return Object.entries(numbers).some(([account, seq]) => seq > this.last(Number(account)));
  }

  drop(id) {
    const unit = this.units.get(id);
    if (!unit) return "";
    unit.remove();
    this.units.delete(id);
    return this.full[unit.dataset.kind] && !pinned(unit) ? "short" : "";
  }

  put(message, old) {
    const [fresh] = parsed(message.html);
    const stays = old && pinned(old) === pinned(fresh);
    const focused = old?.contains(document.activeElement) ? document.activeElement : null;
    this.keep(fresh);
    for (const row of fresh.rows) this.follow(row, old);
    if (stays) {
      old.replaceWith(fresh);
    } else {
      old?.remove();
      this.table.insertBefore(fresh, this.placeFor(fresh));
    }
    if (focused) twinOf(focused, fresh)?.focus({ preventScroll: true });
    const lacks = old && !stays && this.full[fresh.dataset.kind] && pinned(fresh);
    this.trim(fresh.dataset.kind);
    return lacks ? "short" : "";
  }

  // A row takes over from the one that it replaces, and flashes when it says something else.
  follow(row, old) {
    const before = old && [...old.rows].find((one) => one.id === row.id);
    row.classList.toggle("desk-selected", before?.classList.contains("desk-selected") ?? false);
    if (before && this.drawn.get(before) === this.drawn.get(row)) return;
    row.classList.add("desk-fresh");
    setTimeout(() => row.classList.remove("desk-fresh"), 1200);
  }

  placeFor(fresh) {
    for (const unit of this.table.tBodies) if (above(fresh, unit)) return unit;
    return null;
  }

  // Of each kind the page keeps so many of the newest.
  trim(kind) {
    const others = [...this.table.tBodies]
      .filter((unit) => unit.dataset.kind === kind && !pinned(unit))
      .sort((one, other) => other.dataset.pk - one.dataset.pk);
    if (others.length >= this.limits[kind]) this.full[kind] = true;
    for (const unit of others.slice(this.limits[kind])) {
      this.units.delete(unit.dataset.unit);
      unit.remove();
    }
  }
}

function parsed(html) {
  const holder = document.createElement("table");
  holder.innerHTML = html;
  return [...holder.tBodies];
}

function pinned(unit) {
  return unit.dataset.pinned === "1";
}

function above(one, other) {
  if (pinned(one) !== pinned(other)) return pinned(one);
  const later = one.dataset.rank - other.dataset.rank;
  return later === 0 ? one.dataset.pk - other.dataset.pk > 0 : later > 0;
}

// What stands in a fresh unit where ``element`` stood in the old one: a fold, or else a row.
function twinOf(element, fresh) {
  if (element.matches(".desk-fold")) return fresh.querySelector(".desk-fold");
  const row = element.closest("tr");
  return [...fresh.rows].find((one) => one.id === row?.id && !one.hidden) ?? fresh.rows[0];
}
