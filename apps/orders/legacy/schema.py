"""What is in the file: which tables and columns, and which version that amounts to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from apps.orders.legacy.source import Refused

ORDERS, LEGS, CONFIG, INSTRUMENTS = "orders", "bracket_order_legs", "config", "instruments"
# Kept row by row as they stand; the column that names the order they are about, if they are.
KEPT = {
    "order_events": "order_id",
    "trades": "order_id",
    "copy_mappings": "leader_order_id",
    "positions": "",
    "funds": "",
    INSTRUMENTS: "",
    "audit_log": "",
    CONFIG: "",
}
NEEDED = (
    "id", "account_type", "status", "side", "product", "order_type", "validity", "security_id",
    "exchange_segment", "quantity", "created_at",
)  # fmt: skip
OF_VERSION_2 = (
    "co_stop_loss_value", "co_trigger_price", "bo_profit_value", "bo_stop_loss_value",
    "bo_order_type", "parent_order_id", "leg_type",
)  # fmt: skip
NEWEST = 2
CHUNK = 1000


@dataclass(frozen=True)
class Layout:
    """Tables with their columns. ``version`` is in words, ``notes`` are for the report."""

    version: str
    tables: dict[str, list[str]]
    notes: list[str] = field(default_factory=list)

    @property
    def strangers(self) -> list[str]:
        """Tables that this command does not know."""
        return [name for name in self.tables if name not in {ORDERS, LEGS, *KEPT}]


def layout_of(database: sqlite3.Connection) -> Layout:
    """Raises ``Refused`` for what is no copy trader's database, or a later version's."""
    named = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%'"
        " ESCAPE '!' ORDER BY name"
    )
    names = [str(name).lower() for (name,) in named.fetchall()]
    tables = {name: _columns(database, name) for name in names}
    if ORDERS not in tables:
        there = ", ".join(tables) or "no tables"
        raise Refused(f"this is not a copy trader's database: it has no table orders ({there})")
    missing = [name for name in NEEDED if name not in tables[ORDERS]]
    if missing:
        raise Refused(f"its table orders lacks the columns {', '.join(missing)}")
    return _judged(tables, _claimed(database, tables))


def rows_of(database: sqlite3.Connection, table: str) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """All rows of a table in chunks: each with a name for the report, read without any index."""
    try:
        cursor = database.execute(f"SELECT rowid, * FROM {_quoted(table)} NOT INDEXED")  # noqa: S608
    except sqlite3.OperationalError:  # WITHOUT ROWID
        cursor = database.execute(f"SELECT NULL, * FROM {_quoted(table)}")  # noqa: S608
    columns = [str(column[0]).lower() for column in cursor.description[1:]]
    while chunk := cursor.fetchmany(CHUNK):
        yield [
            (_name(rowid, row), row)
            for rowid, *values in chunk
            for row in [dict(zip(columns, values, strict=True))]
        ]


def count_of(database: sqlite3.Connection, table: str) -> int:
    """How many rows a table has."""
    return int(database.execute(f"SELECT count(*) FROM {_quoted(table)}").fetchone()[0])  # noqa: S608


def _name(rowid: int | None, row: dict[str, Any]) -> str:
    for column in ("id", "key", "leg_order_id", "order_id"):
        if row.get(column) not in {None, ""}:
            text = row[column].hex() if isinstance(row[column], bytes) else str(row[column])
            return text.encode("utf-8", "replace").decode().replace("\x00", "?")[:100]
    return "row ?" if rowid is None else f"row {rowid}"


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [str(row[1]).lower() for row in database.execute(f"PRAGMA table_info({_quoted(table)})")]


def _claimed(database: sqlite3.Connection, tables: dict[str, list[str]]) -> int | None:
    """What ``config`` says the version is; None when it says nothing."""
    if not {"key", "value"} <= set(tables.get(CONFIG, ())):
        return None
    rows = database.execute("SELECT value FROM config WHERE key = 'schema_version'").fetchall()
    said = {str(value).strip() for (value,) in rows if value not in {None, ""}}
    for text in sorted(said):
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Refused(f"its config says schema_version {text[:20]!r}, which is no number")
    return max(map(int, said), default=None)


def _judged(tables: dict[str, list[str]], claimed: int | None) -> Layout:
    if claimed is not None and claimed > NEWEST:
        raise Refused(f"it is of schema version {claimed}, and this command knows versions 1 and 2")
    there = [name for name in OF_VERSION_2 if name in tables[ORDERS]]
    complete = len(there) == len(OF_VERSION_2) and LEGS in tables
    begun = bool(there) or LEGS in tables
    version = "2" if complete else "1, half-migrated to 2" if begun else "1"
    notes = []
    if begun and not complete:
        lacking = [name for name in OF_VERSION_2 if name not in there]
        lacking += [] if LEGS in tables else [f"the table {LEGS}"]
        notes.append(f"half-migrated: it lacks {', '.join(lacking)}")
    if claimed is not None and str(claimed) != version:
        notes.append(f"its config says version {claimed}; it was read by the columns it has")
    if claimed is None:
        notes.append("its config names no version; it was read by the columns it has")
    return Layout(version, tables, notes)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
