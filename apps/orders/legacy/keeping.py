"""Rows of the file as they stood there, each once in the desk, in whatever file it comes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.brokers.models import BrokerAccount
from apps.orders.legacy.content import content
from apps.orders.legacy.report import Report
from apps.orders.legacy.rows import Row, check_storable, digest, identity
from apps.orders.legacy.schema import CONFIG, KEPT
from apps.orders.legacy.tables import Filling, fetched, new_ids
from apps.orders.legacy.words import ROLES, CannotCarry
from apps.orders.models import ImportedRow

if TYPE_CHECKING:
    from apps.orders.legacy.past_orders import PastOrders

# One name at a time: the planner's figures are of before these rows came, and by them it would
# rather read a whole table than look a thousand names up.
_KNOWN = """
    SELECT named.name, r.digest, o.id, o.account_id, o.instrument_id
    FROM unnest(%s::text[]) AS named (name)
    CROSS JOIN LATERAL (SELECT id, digest FROM orders_importedrow
                        WHERE identity = named.name OFFSET 0) r
    LEFT JOIN LATERAL (SELECT id, account_id, instrument_id FROM orders_order
                       WHERE origin_id = r.id OFFSET 0) o ON TRUE
"""
CHANGED = "it is in the desk already and said something else when it was imported"


@dataclass(frozen=True)
class Known:
    """A row that an earlier import brought, and the order that it became."""

    digest: str
    order_id: int | None
    account_id: int | None
    instrument_id: int | None


class Keeper:
    """Stores the rows of one import and counts what becomes of them."""

    def __init__(self, number: int, accounts: Mapping[str, BrokerAccount], report: Report) -> None:
        self.accounts = accounts
        self.report = report
        self._rows = Filling(ImportedRow, brought_by_id=number)
        self._seen: dict[bytes, bytes] = {}  # one per row of the file: half as large as texts
        self._cut: Counter[str] = Counter()

    def again(self, name: str, said: str) -> str:
        """Why this row is one too many in its own file; empty when it is the first of its name."""
        short, what = bytes.fromhex(name), bytes.fromhex(said)
        if short not in self._seen:
            self._seen[short] = what
            return ""
        same = self._seen[short] == what
        return "the same row again" if same else "another row of the same name stands before it"

    def known(self, names: list[str]) -> dict[str, Known]:
        """Those that are in the desk already, by identity."""
        found = fetched(_KNOWN, [names]) if names else []
        return {row[0]: Known(*row[1:]) for row in found}

    def keep(self, table: str, legacy_id: str, row: Row, **more: Any) -> None:  # noqa: ANN401
        """Store one row; ``more`` by column: its ``id``, ``identity`` and ``digest`` among it."""
        text, was_cut = content(_named_by_key(table, row))
        self._cut[table] += was_cut
        self._rows.add(table=table, legacy_id=legacy_id[:100], content=text, **more)

    def write(self) -> None:
        """Write what was kept."""
        self._rows.write()

    def tell_of_cuts(self) -> None:
        """Note how many rows were too large to be kept whole."""
        for table, rows in self._cut.items():
            if rows:
                self.report.notes.append(f"{table}: {rows:,} over 8 kB, cut in the longest columns")

    def take(self, orders: PastOrders, table: str, chunk: Sequence[tuple[str, Row]]) -> None:
        """Keep rows of a table that the desk has no table for."""
        new = []
        for legacy_id, row in chunk:
            try:
                check_storable(row)
                said = digest(row)
                name = identity(table, said)
                about = self._about(table, row, orders)
                if why := self.again(name, said):
                    raise CannotCarry(why)
            except CannotCarry as error:
                self.report.leave(table, legacy_id, str(error))
            else:
                new.append((legacy_id, name, said, row, about))
        known = self.known([name for _id, name, *_rest in new])
        ids = new_ids(ImportedRow, len(new))
        for pk, (legacy_id, name, said, row, about) in zip(ids, new, strict=True):
            if name in known:
                self.report.known(table)
                continue
            account = self._account(row)
            self.keep(
                table, legacy_id, row,
                id=pk, identity=name, digest=said, about_id=about, account_id=account,
            )  # fmt: skip
            self.report.carried(table)
        self.write()

    def _account(self, row: Row) -> int | None:
        role = ROLES.get(str(row.get("account_type") or "").strip().upper(), "")
        return self.accounts[role].pk if role in self.accounts else None

    def _about(self, table: str, row: Row, orders: PastOrders) -> int | None:
        """The order that the row is about. Raises ``CannotCarry`` when that was not carried."""
        column = KEPT[table]
        if not column or column not in row:
            return None
        role = "leader" if table == "copy_mappings" else str(row.get("account_type") or "")
        return orders.find(ROLES.get(role.strip().upper(), ""), row[column], column).pk


def _named_by_key(table: str, row: Row) -> Row:
    """A setting is kept under its key, which says whether it is a secret."""
    if table != CONFIG or row.get("key") is None:
        return row
    return {str(row["key"]): row.get("value"), **row, "value": None}
