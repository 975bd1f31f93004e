"""Samples into figures, figures into a table and a file."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NO_NEWS = "–"


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share of all does not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass
class Run:
    """One scenario's result. Latencies in milliseconds."""

    name: str
    samples: list[float]
    seconds: float | None = None  # that the whole scenario took: gives the rate
    more: dict[str, Any] = field(default_factory=dict)
    orders: list[Any] = field(default_factory=list, repr=False)
    asked: dict[int, float] = field(default_factory=dict, repr=False)  # by quantity, epoch seconds

    def figures(self, sdk: Run | None) -> dict[str, Any]:
        """As the file has it: compared with the bare SDK where that makes sense."""
        p50 = percentile(self.samples, 0.5)
        found: dict[str, Any] = {
            "name": self.name,
            "samples": len(self.samples),
            "p50_ms": round(p50, 2),
            "p95_ms": round(percentile(self.samples, 0.95), 2),
            "p99_ms": round(percentile(self.samples, 0.99), 2),
        }
        if self.seconds:
            found["per_s"] = round(len(self.samples) / self.seconds, 1)
        if sdk is not None and sdk is not self:
            base = percentile(sdk.samples, 0.5)
            found |= {"ratio_to_sdk": round(p50 / base, 2), "over_sdk_ms": round(p50 - base, 2)}
        return found | self.more | {"at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds")}


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns that line up: the first to the left, figures to the right."""
    lines = [[str(cell) if cell is not None else NO_NEWS for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(headings), *lines]) for i in range(len(headings))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        ).rstrip()
        for line in [list(headings), *lines]
    )


def latency_table(runs: Sequence[dict[str, Any]]) -> str:
    """The scenarios side by side."""
    columns = ("p50_ms", "p95_ms", "p99_ms", "per_s", "over_sdk_ms", "ratio_to_sdk", "samples")
    rows = [[run["name"], *(run.get(column) for column in columns)] for run in runs]
    return table(["scenario", *(column.replace("_", " ") for column in columns)], rows)


def write(path: Path, runs: list[dict[str, Any]]) -> None:
    """Replace the file as a whole: nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(json.dumps(runs, indent=1) + "\n")
    half.replace(path)
