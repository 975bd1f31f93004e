"""Measure the desk: ``python -m tests.bench [--quick] [--target URL]``. See docs/performance.md."""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.figures import Run, latency_table, write
from tests.house import ROOT, WIDE, House, open_house

# Each costs a call to the broker, which would be measured instead of the desk.
UNMEASURED = {"RISK_CHECK_MARGIN": "False", "RISK_PRICE_BAND_PERCENT": ""}
EXITS, FLATTEN = "exit_under_load", "flatten"
NARROW = (EXITS, FLATTEN)  # the second's window is as narrow as in life
BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


def main() -> None:
    options = arguments()
    if options.only in NARROW:
        in_a_house(options, {"ORDER_LIMITS": "1:10,60:1000000"})
        return
    in_a_house(options, {})
    for name in NARROW if not options.target else ():
        if not options.only or name in options.only.split(","):
            beside(options, name)


def beside(options: argparse.Namespace, name: str) -> None:
    """In a house with other limits: a process has the settings of one only."""
    out = Path(options.out)
    its = out.with_suffix(f".{name}")
    command = [sys.executable, "-m", "tests.bench", "--only", name, "--out", str(its)]
    subprocess.run([*command, *(["--quick"] if options.quick else [])], cwd=ROOT, check=True)
    write(out, json.loads(out.read_text()) + json.loads(its.read_text()))
    its.unlink()


def in_a_house(options: argparse.Namespace, limits: dict[str, str]) -> None:
    """Measure what is asked for in a house with these limits, and write it down."""
    say("starting a house of its own")
    with open_house(**{**WIDE, **UNMEASURED, **limits}) as house:
        os.environ.update({k: v for k, v in house.env.items() if k.isupper()})
        import django

        django.setup()
        log_beside_the_others(house)
        report(options, *measure(house, options))


def log_beside_the_others(house: House) -> None:
    """This process is a part of the house too: what it logs costs time, as in the web process."""
    for handler in logging.getLogger().handlers:
        handler.setStream((house.var / "log" / "bench.log").open("a"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few samples: does it all work?")
    parser.add_argument("--only", default="", help="some scenarios, as in order,signal_c8,pages")
    parser.add_argument("--out", default=str(ROOT / "var" / "bench.json"), help="where to write")
    parser.add_argument("--target", default="", help="REST address of another exchange")
    parser.add_argument("--client-id", default="1000000001", help="for --target")
    parser.add_argument("--token", default="token-1", help="for --target")
    parser.add_argument("--feed", default="ws://127.0.0.1:9", help="order updates of --target")
    parser.add_argument("--instrument", default="ITC", help="what is traded")
    parser.add_argument("--price", default="371.10", help="rupees; low, so that orders rest")
    return parser.parse_args()


def measure(house: House, options: argparse.Namespace) -> tuple[list[Run], dict[str, Any]]:
    from tests.bench import (
        baselines,
        books,
        exits,
        flatten,
        memory,
        opening,
        pages,
        scenarios,
        signals,
        stages,
    )

    amount = scenarios.QUICK if options.quick else scenarios.FULL
    wanted = set(filter(None, options.only.split(",")))
    desk = opening.open_desk(house, options)
    if options.only == EXITS:
        say(EXITS)
        return [exits.exits_under_load(desk, exits.QUICK if options.quick else exits.FULL)], {}
    if options.only == FLATTEN:
        say(FLATTEN)
        return [flatten.flatten(desk, flatten.QUICK if options.quick else flatten.FULL)], {}
    say("sdk, floor")
    runs = [baselines.bare_sdk(desk, amount.others), baselines.floor(amount.others)]
    tables: dict[str, Any] = {}
    for name, way in (
        ("order", lambda: desk.place),
        ("signal", lambda: signals.sender(house, desk)),
    ):
        only = scenarios.chosen(name, wanted)
        if only:
            found = scenarios.way_in(name, desk, way(), amount, say, only)
            tables |= {f"stages of {run.name}": stages.stages(run) for run in found}
            runs += found
    if not wanted or "pages" in wanted:
        say("pages")
        runs.append(
            pages.live_pages(house, desk, 10 if options.quick else 50, 3 if options.quick else 15)
        )
    if not wanted or books.NAME in wanted:
        say(books.NAME)
        runs.append(books.unchanged(desk, books.QUICK if options.quick else books.FULL))
    say("memory")
    tables["memory"] = memory.memory(house)
    return runs, tables


def report(options: argparse.Namespace, runs: list[Run], tables: dict[str, Any]) -> None:
    from tests.bench import memory, stages

    sdk = runs[0] if runs[0].name == "sdk" else None
    figures = [run.figures(sdk) for run in runs]
    print("\n" + latency_table(figures))
    for run in runs:
        if run.more:
            print(f"{run.name}: {json.dumps(run.more)}")
    for name, rows in tables.items():
        print(f"\n{name}\n{(memory if name == 'memory' else stages).shown(rows)}")
    at = figures[-1]["at"]
    write(
        Path(options.out),
        [*figures, *({"name": n, "rows": r, "at": at} for n, r in tables.items())],
    )
    say(f"written to {options.out}")


if __name__ == "__main__":
    main()
