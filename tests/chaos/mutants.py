"""Does the proof catch bugs? ``python -m tests.chaos.mutants [NAME ...]``; see docs/chaos.md.

Each run is a house with one bug and with what provokes it. The bug is caught when the judge finds
something wrong; or when a fence of the house stopped it: then an error of that fence is in the
logs and every order is in a known state all the same. A run without a bug and with every
provocation has to be clean. Exit code 0 only if it is and every bug was caught.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.counts import MUST_BE_NONE
from tests.house import ROOT

ORDERS, SEED = 60, 5
LOST_ANSWERS = [
    {"fault": "drop_after_accept", "endpoint": "place", "probability": 0.25},
    {"fault": "hang", "endpoint": "place", "probability": 0.05, "seconds": 20, "accept": True},
]
NOT_TO_BE_FOUND = [
    {"fault": "lookup_404", "seconds": 600},
    {"fault": "book_lags", "seconds": 5},
    {"fault": "delayed_frames", "seconds": 6},
]
"""Within the time in which a broker may hide an order, but long enough to send it once more."""
NO_FENCES = [
    "DROP INDEX one_order_one_place",
    "ALTER TABLE brokers_wirecall DROP CONSTRAINT brokers_wirecall_permit_key",
]
PROVOKED = ("when bells ring twice", "when senders are slow", "when senders freeze")
FENCES = {
    "one_order_one_place": "the index one_order_one_place",
    "brokers_wirecall_permit": "a permit is unique in the journal",
    "order_is_named_once": "the trigger order_is_named_once",
    "changed although its row was locked": "compare and set in the one pen",
    "does not fit an order that is": "the table of transitions",
}
MIX: dict[str, Any] = {
    "blow_every": 5,
    "blows": {},
    "ways": {"service": 1},
    "orders": {"resting": 3, "crossing": 1},
    "steps": {"leave": 0},
    "deeds": {},
    "kill_switch": False,
    "pieces": {},
    "freeze_quantity": 0,
    "times": {
        "SEND_WITHIN": "1",
        "CALL_TIMEOUT": "2",
        "SETTLE_TIME": "6",
        "DECISION_LIFETIME": "120",
    },
    "patience": 60,
    "faults": [],
}


@dataclass(frozen=True)
class Mutant:
    """A bug, what provokes it, and the SQL that takes fences away."""

    name: str
    mutations: Sequence[str]
    faults: Sequence[dict[str, Any]] = ()
    drop: Sequence[str] = ()
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def mix(self) -> dict[str, Any]:
        own = {"mutations": self.mutations, "faults": self.faults, "drop": self.drop}
        return MIX | own | self.more


CONTROL = "no bug, every provocation"
LATE = "when positions are late"
CLOSING = {
    "orders": {"crossing": 1},
    "steps": {"leave": 0.4},
    "deeds": {"close": 1.5, "hand": 6},
    "pieces": {"units": 10, "pause": 0.2},
}
"""Positions that are left and closed, many times."""
MUTANTS = [
    Mutant(CONTROL, PROVOKED, [*LOST_ANSWERS, *NOT_TO_BE_FOUND]),
    Mutant(f"{CONTROL} of exits", [LATE], LOST_ANSWERS, more=CLOSING),
    Mutant("exits measured by the broker's read alone", ["the read alone", LATE], more=CLOSING),
    Mutant(
        "a goal that does not wait for an UNKNOWN, and takes what others take",
        ["no wait for a doubt", LATE],
        LOST_ANSWERS,
        more=CLOSING,
    ),
    Mutant("a blind retry after an Unknown", ["blind retry"], LOST_ANSWERS),
    Mutant(
        "an Unknown is handed back and sent again",
        ["unknown is sent again"],
        [*LOST_ANSWERS, *NOT_TO_BE_FOUND],
    ),
    Mutant("a claim without compare and set", ["two senders", *PROVOKED[:2]]),
    Mutant(
        "the same, with permits spent twice and without the database's fences",
        ["two senders", "permits are spent twice", *PROVOKED[:2]],
        drop=NO_FENCES,
    ),
    Mutant(
        "a permit that is spent twice, without the database's fences",
        ["permits are spent twice", "unknown is sent again"],
        [*LOST_ANSWERS, *NOT_TO_BE_FOUND],
        NO_FENCES,
    ),
    Mutant(
        "not found means rejected",
        ["not found is rejected"],
        [*LOST_ANSWERS, *NOT_TO_BE_FOUND],
    ),
    Mutant("a sender without send_by", ["no send_by", PROVOKED[2]]),
]


@dataclass(frozen=True)
class Result:
    """What a run with a bug (or without one) showed."""

    mutant: Mutant
    line: str
    fences: list[str]
    clean: bool

    @property
    def counts(self) -> dict[str, int]:
        return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", self.line)}

    @property
    def wrong(self) -> list[str]:
        """The judge's counts that should be 0 and are not."""
        return [f"{name}={self.counts[name]}" for name in MUST_BE_NONE if self.counts.get(name)]

    @property
    def harmless(self) -> bool:
        """True for a run that has no bug."""
        return self.mutant.name.startswith(CONTROL)

    @property
    def as_it_should(self) -> bool:
        if self.harmless:
            return self.clean
        return bool(self.wrong or self.fences)

    @property
    def caught_by(self) -> str:
        if self.harmless:
            return "nothing to catch" if self.clean else f"NOT CLEAN: {self.line or 'it broke'}"
        judge = [f"the judge: {', '.join(self.wrong)}"] if self.wrong else []
        fences = [f"a fence: {', '.join(self.fences)}"] if self.fences else []
        return "; ".join([*judge, *fences]) or "NOBODY"


def run(mutant: Mutant, orders: int = ORDERS, seed: int = SEED) -> Result:
    """One house with this bug."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "mix.json"
        path.write_text(json.dumps(mutant.mix | {"search_logs": list(FENCES)}))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.chaos", "--orders", str(orders)),
                *("--seed", str(seed), "--mix", str(path)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    lines = done.stdout.strip().splitlines()
    line = lines[-1] if lines and lines[-1].startswith("asked=") else ""
    if not line:
        print(done.stdout[-2000:], done.stderr[-2000:], sep="\n")
    found = [FENCES[word] for word in FENCES if f"  in the logs: {word}" in done.stdout]
    return Result(mutant, line, found, done.returncode == 0)


def main(names: Sequence[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    results = []
    for mutant in chosen:
        result = run(mutant)
        results.append(result)
        print(f"{mutant.name}\n    {result.line}\n    caught by {result.caught_by}", flush=True)
    return 0 if results and all(result.as_it_should for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
