"""What each process of the house holds in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.figures import table
from tests.house import House, command_of, processes_of

NAMES = {
    "worker@": "worker",
    "exits@": "worker-exits",
    "house@": "worker-house",
    " beat ": "beat",
    "daphne": "web",
    "stream_orders": "stream",
    "guard": "guard",
    "simexchange": "simulated exchange",
    "valkey": "valkey",
    "postgres": "postgres",
}


def memory(house: House) -> list[dict[str, Any]]:
    """Megabytes by part. A page shared by several processes counts once (PSS)."""
    parts: dict[str, list[float]] = {}
    for pid in processes_of(house):
        size = _megabytes(pid)
        if size is not None:
            parts.setdefault(_name(command_of(pid)), []).append(size)
    return [
        {"part": name, "processes": len(sizes), "mb": round(sum(sizes), 1)}
        for name, sizes in sorted(parts.items(), key=lambda item: -sum(item[1]))
    ]


def shown(rows: list[dict[str, Any]]) -> str:
    """The parts as a table, with their sum."""
    whole = round(sum(row["mb"] for row in rows), 1)
    lines = [[row["part"], row["processes"], row["mb"]] for row in rows]
    return table(["part", "processes", "MB"], [*lines, ["all", "", whole]])


def _name(command: str) -> str:
    return next((name for word, name in NAMES.items() if word in command), "other")


def _megabytes(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), None)
