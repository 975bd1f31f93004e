"""What became of every row of a file: counts that add up, and each row that stayed behind."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from apps.brokers.storable import clean_text

MOST_REASON = 300  # characters
MOST_NAME = 60


@dataclass
class Count:
    """Of one table. Every row read is exactly one of the other three."""

    read: int = 0
    carried: int = 0
    known: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Left:
    """A row that was not carried."""

    table: str
    legacy_id: str
    reason: str


@dataclass
class Report:
    """Of one run."""

    counts: dict[str, Count] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def of(self, table: str) -> Count:
        """The table's counts."""
        return self.counts.setdefault(clean_text(table)[:MOST_NAME], Count())

    def read(self, table: str, rows: int) -> None:
        """So many more rows were read."""
        self.of(table).read += rows

    def carried(self, table: str) -> None:
        """One row is in the desk now that was not."""
        self.of(table).carried += 1

    def known(self, table: str) -> None:
        """One row was in the desk already, just so."""
        self.of(table).known += 1

    def leave(self, table: str, legacy_id: str, reason: str) -> None:
        """One row stays behind."""
        self.of(table).left_out += 1
        self.left.append(Left(clean_text(table)[:MOST_NAME], legacy_id, reason[:MOST_REASON]))

    def plain_counts(self) -> dict[str, dict[str, int]]:
        """The counts as JSON."""
        return {table: asdict(count) for table, count in self.counts.items()}


def as_json(report: Report) -> str:
    """Facts, counts, notes and every row that stayed behind."""
    body = report.facts | {
        "counts": report.plain_counts(),
        "notes": report.notes,
        "left_out": [asdict(row) for row in report.left],
    }
    return json.dumps(body, indent=2, ensure_ascii=False, default=str) + "\n"


def as_csv(report: Report) -> str:
    """One line per count, note and row that stayed behind; ``what`` tells them apart."""
    rows: list[tuple[object, ...]] = [
        ("count", table, "", "", count.read, count.carried, count.known, count.left_out)
        for table, count in report.counts.items()
    ]
    rows += [("note", "", "", note) for note in report.notes]
    rows += [("left out", row.table, row.legacy_id, row.reason) for row in report.left]
    return in_csv(rows)


HEADER = ("what", "table", "id", "reason", "read", "carried", "known already", "left out")


def in_csv(rows: Iterable[tuple[object, ...]]) -> str:
    """The lines under their header; a spreadsheet takes no cell for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for row in rows:
        cells = [_inert(cell) for cell in row]
        writer.writerow([*cells, *[""] * (len(HEADER) - len(cells))])
    return text.getvalue()


def _inert(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r") else cell
