"""What is in the file: which tables and columns, and which version that amounts to."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from string import ascii_lowercase, ascii_uppercase
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
CHUNK = 1000  # rows
_MOST_CHUNK = 32_000_000  # characters and bytes of its texts and blobs
_LONG = {str, bytes}
_ROWIDS = ("rowid", "_rowid_", "oid")
_VERSION = re.compile(r"v?(\d{1,20})((?:\.\d{1,20})*)", re.ASCII | re.IGNORECASE)
_FOLD = str.maketrans(ascii_uppercase, ascii_lowercase)


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
        "SELECT name, type, rootpage FROM sqlite_master WHERE type IN ('table', 'view')"
        " AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name"
    )
    tables: dict[str, list[str]] = {}
    views: list[str] = []
    virtual: list[str] = []
    for name, kind, page in named.fetchall():
        if kind == "table" and page:
            tables[_folded(name)] = _columns(database, _folded(name))
        else:
            (views if kind == "view" else virtual).append(_folded(name))
    if ORDERS not in tables:
        there = ", ".join(tables) or "no tables"
        what = "is a view in it, and not a table" if ORDERS in views else "is not among its tables"
        raise Refused(f"this is not a copy trader's database: orders {what} ({there})")
    missing = [name for name in NEEDED if name not in tables[ORDERS]]
    if missing:
        raise Refused(f"its table orders lacks the columns {', '.join(missing)}")
    notes = [f"{name} is a view, which is not read" for name in views if name in {LEGS, *KEPT}]
    notes += [f"{name} is a virtual table, which is not read" for name in virtual]
    return _judged(tables, _claimed(database, tables, notes), notes)


def rows_of(database: sqlite3.Connection, table: str) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """All rows of a table in chunks: each with a name for the report, read without any index."""
    free = (name for name in _ROWIDS if name not in _columns(database, table))
    rowid = next(free, "NULL")
    try:
        cursor = database.execute(f"SELECT {rowid}, * FROM {_quoted(table)} NOT INDEXED")  # noqa: S608
    except sqlite3.OperationalError:  # WITHOUT ROWID
        cursor = database.execute(f"SELECT NULL, * FROM {_quoted(table)}")  # noqa: S608
    columns = [_folded(column[0]) for column in cursor.description[1:]]
    chunk, size = [], 0
    for number, *values in cursor:
        row = dict(zip(columns, values, strict=True))
        chunk.append((_name(number, row), row))
        size += sum([len(value) for value in values if type(value) in _LONG])
        if len(chunk) == CHUNK or size > _MOST_CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


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
    """Generated ones too, which a plain list of columns leaves out; no hidden ones."""
    rows = database.execute(f"PRAGMA table_xinfo({_quoted(table)})")
    return [_folded(row[1]) for row in rows if row[6] != 1]


def _claimed(
    database: sqlite3.Connection, tables: dict[str, list[str]], notes: list[str]
) -> int | None:
    """What ``config`` says the version is; None when it says nothing that can be understood."""
    if not {"key", "value"} <= set(tables.get(CONFIG, ())):
        return None
    said = {
        str(row["value"]).strip()
        for chunk in rows_of(database, CONFIG)
        for _name, row in chunk
        if str(row["key"]).strip().lower() == "schema_version" and row["value"] is not None
    }
    claimed = []
    for text in sorted(said - {""}):
        version = _VERSION.fullmatch(text)
        if version is None:
            notes.append(f"its config says schema_version {text[:20]!r}, which is no version")
            continue
        if int(version[1]) > NEWEST or (int(version[1]) == NEWEST and version[2].strip(".0")):
            known = "this command knows versions 1 and 2"
            raise Refused(f"it is of schema version {text[:20]}, and {known}")
        claimed.append(int(version[1]))
    return max(claimed, default=None)


def _judged(tables: dict[str, list[str]], claimed: int | None, notes: list[str]) -> Layout:
    there = [name for name in OF_VERSION_2 if name in tables[ORDERS]]
    complete = len(there) == len(OF_VERSION_2) and LEGS in tables
    begun = bool(there) or LEGS in tables
    version = "2" if complete else "1, half-migrated to 2" if begun else "1"
    if begun and not complete:
        lacking = [name for name in OF_VERSION_2 if name not in there]
        lacking += [] if LEGS in tables else [f"the table {LEGS}"]
        notes.append(f"half-migrated: it lacks {', '.join(lacking)}")
    if claimed is not None and str(claimed) != version:
        notes.append(f"its config says version {claimed}; it was read by the columns it has")
    if claimed is None:
        notes.append("its config names no version; it was read by the columns it has")
    return Layout(version, tables, notes)


def _folded(name: object) -> str:
    """As SQLite compares names: letters of other alphabets keep their case."""
    return str(name).translate(_FOLD)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
