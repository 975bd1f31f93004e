"""Prove the promise: ``python -m tests.chaos --orders 2000 --seed 1``. See docs/chaos.md.

A house of its own gets orders through every way in while its processes are killed and frozen,
its stores restarted, and its exchange refuses, drops, hangs, lies and lags; all by a plan that
follows from the seed. Then the exchange heals, the house settles, and the exchange's own report
is held against the rows. The last line counts orders:

asked      those asked for
sendable   those the gate approved, without those that lapsed for lack of rate budget, or that a
           kill switch or a goal stopped on their way
placed     sendable ones that the exchange accepted
accepted   orders that the exchange has; known: those we know under exactly its name for them
kills      processes killed and stores restarted; faults: freezes, locks, and faults that fired
doubled    sent more than once, or one ask that became two orders
lost       accepted and not known, known and not there, or answered for and nowhere
unproven   ended without the stored message that proves it, or against what the exchange knows
unknown    undecided, or its row says other than the exchange
holds_leaked  the hold is not the remainder of a working order
exits      exits that the exchange took; goals: positions that were to be closed
crossed    exits of ours that took a position through zero, by the exchange's own fills
breaks     differences between the broker's books and ours that nobody has explained
external   rows of orders made by hand at the exchange
unclosed   goals that did not end, or were called reached while the position was not
miscounted positions or hand trades of which our counts say other than the fills

Exit code 0 only if doubled to holds_leaked, crossed, breaks, unclosed and miscounted are 0 and at
least nine tenths of the sendable were placed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from tests.chaos import plan as plans
from tests.chaos.launch import mutations
from tests.house import ROOT, WIDE, House, open_house

PER_SECOND = 4.0  # orders asked for, unless the minutes are given
MIX = ROOT / "tests" / "chaos" / "mix.json"
KEPT = ROOT / "var" / "chaos"
SHOWN = 40  # notes about what is wrong
BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


def arguments() -> argparse.Namespace:
    text = (__doc__ or "").split("\n\n", 1)[1]
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="spread the asks over these (4 a second)")
    parser.add_argument("--mix", type=Path, help="JSON over tests/chaos/mix.json, key by key")
    parser.add_argument("--plan", action="store_true", help="print the plan and stop")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    mix = json.loads(MIX.read_text())
    if options.mix is not None:
        mix |= json.loads(options.mix.read_text())
    seconds = options.minutes * 60 if options.minutes else options.orders / PER_SECOND
    plan = plans.make(options.orders, options.seed, seconds, mix)
    if options.plan:
        print(plans.shown(plan))
        return 0
    environment = WIDE | mix["times"] | mutations.environment(mix.get("mutations", []))
    say(f"starting a house of its own; {options.orders} orders in {seconds:.0f} s")
    with open_house(**environment) as house:
        return run(house, plan, mix)


def run(house: House, plan: plans.Plan, mix: dict[str, Any]) -> int:
    """In this process, which becomes a part of the house."""
    os.environ.update({name: value for name, value in house.env.items() if name.isupper()})
    mutations.install(mix.get("mutations", []))
    import django

    django.setup()
    for handler in logging.getLogger().handlers:
        handler.setStream((house.var / "log" / "chaos.log").open("a"))
    from tests.chaos import opening, storm

    desk = opening.open_desk(house, list(plan.asks), mix)
    say("the storm begins")
    raging = storm.Storm(desk, plan, say)
    raging.rage()
    say("healing")
    storm.heal(desk, float(mix["patience"]), say)
    judge = storm.settle(desk, float(mix["patience"]), say)
    verdict = storm.verdict(raging, judge)
    for reason, number in storm.denials():
        print(f"  denied {number}: {reason}")
    for note in verdict.notes[:SHOWN]:
        print(f"  {note}")
    for word in mix.get("search_logs", []):
        if any(word in log.read_text(errors="replace") for log in (house.var / "log").iterdir()):
            print(f"  in the logs: {word}")
    if not verdict.clean:
        keep(house)
    print(verdict.line, flush=True)
    return 0 if verdict.clean else 1


def keep(house: House) -> None:
    """The logs of a run that went wrong."""
    shutil.rmtree(KEPT, ignore_errors=True)
    shutil.copytree(house.var / "log", KEPT / "log")
    shutil.copy(house.var / "supervisor.log", KEPT / "log")
    print(f"  the logs are in {KEPT}")


if __name__ == "__main__":
    sys.exit(main())
