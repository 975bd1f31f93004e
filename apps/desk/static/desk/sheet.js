// The rows of the page. Unknown orders first, then the newest; a row never goes back in time.

export class Sheet {
  constructor(body, { seen, limit, full }) {
    this.body = body;
    this.seen = new Map(Object.entries(seen).map(([account, seq]) => [Number(account), seq]));
    this.limit = limit;
    this.full = full;
    this.rows = new Map();
    for (const row of body.rows) this.rows.set(Number(row.dataset.id), row);
  }

  seenAsObject() {
    return Object.fromEntries(this.seen);
  }

  last(account) {
    return this.seen.get(account) ?? 0;
  }

  // Everything anew.
  replace(message) {
    this.body.innerHTML = message.rows.map((row) => row.html).join("\n");
    this.rows = new Map([...this.body.rows].map((row) => [Number(row.dataset.id), row]));
    this.seen = new Map(Object.entries(message.seq).map(([a, seq]) => [Number(a), seq]));
    this.full = message.full;
  }

  // One row. Returns "gap" when something before it is missing, "short" when a row has to come
  // from below the last one, else "".
  apply(message) {
    if (message.after > this.last(message.account)) return "gap";
    this.seen.set(message.account, Math.max(message.seq, this.last(message.account)));
    const old = this.rows.get(message.id);
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
    const row = this.rows.get(id);
    if (!row) return "";
    row.remove();
    this.rows.delete(id);
    return this.full && !pinned(row) ? "short" : "";
  }

  put(message, old) {
    const holder = document.createElement("tbody");
    holder.innerHTML = message.html;
    const fresh = holder.rows[0];
    const stays = old && pinned(old) === pinned(fresh);
    this.rows.set(message.id, fresh);
    if (stays) {
      fresh.classList.toggle("desk-selected", old.classList.contains("desk-selected"));
      const focused = old.contains(document.activeElement);
      old.replaceWith(fresh);
      if (focused) fresh.focus({ preventScroll: true });
    } else {
      old?.remove();
      this.body.insertBefore(fresh, this.placeFor(fresh));
    }
    flash(fresh);
    const lacks = old && !stays && this.full && pinned(fresh);
    this.trim();
    return lacks ? "short" : "";
  }

  placeFor(fresh) {
    const key = rank(fresh);
    for (const row of this.body.rows) if (key > rank(row)) return row;
    return null;
  }

  trim() {
    const others = [...this.body.rows].filter((row) => !pinned(row));
    if (others.length >= this.limit) this.full = true;
    for (const row of others.slice(this.limit)) {
      this.rows.delete(Number(row.dataset.id));
      row.remove();
    }
  }
}

function pinned(row) {
  return row.classList.contains("desk-pinned");
}

function rank(row) {
  return (pinned(row) ? 2 ** 52 : 0) + Number(row.dataset.id);
}

function flash(row) {
  row.classList.add("desk-fresh");
  setTimeout(() => row.classList.remove("desk-fresh"), 1200);
}
