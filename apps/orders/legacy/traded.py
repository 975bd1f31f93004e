"""What the file's trades of an order add up to."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Any

from apps.orders.legacy.rows import name_of, units
from apps.orders.legacy.schema import ORDERS, Layout, rows_of
from apps.orders.legacy.words import ROLES, CannotCarry

TRADES = "trades"


class Traded:
    """Units that trades tell of. Each trade counts once, for the order and account it names."""

    def __init__(self, database: sqlite3.Connection, layout: Layout) -> None:
        self._units: Counter[tuple[str, str]] = Counter()
        columns = layout.tables.get(TRADES, ())
        if not {"order_id", "quantity"} <= set(columns):
            return
        seen: set[tuple[object, ...]] = set()
        for chunk in rows_of(database, TRADES):
            for _name, row in chunk:
                self._add(row, seen)
        for name in _of_two_accounts(database):
            self._units.pop(("", name), None)

    def of(self, role: str, order_id: str) -> int:
        """Of one order; 0 where no trade surely is of it."""
        return self._units[(role, order_id)] or self._units[("", order_id)]

    def _add(self, row: dict[str, Any], seen: set[tuple[object, ...]]) -> None:
        role = ROLES.get(str(row.get("account_type") or "").strip().upper(), "")
        key = (role, name_of(row["order_id"]))
        name = row.get("trade_id") or row.get("id")
        this = (*key, name_of(name)) if name else (*key, *row.values())
        try:
            if this not in seen:
                self._units[key] += units(row["quantity"], "quantity")
        except CannotCarry:
            return
        seen.add(this)


def _of_two_accounts(database: sqlite3.Connection) -> list[str]:
    """Ids of orders of both accounts: a trade that names no account may be of either."""
    rows = database.execute(
        f"SELECT id FROM {ORDERS} NOT INDEXED GROUP BY id"  # noqa: S608
        " HAVING count(DISTINCT upper(account_type)) > 1"
    )
    return [name_of(name) for (name,) in rows]
