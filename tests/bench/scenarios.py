"""Orders end to end, through each way in: from asking to the exchange's acceptance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.desk import Desk, Watch
from tests.bench.figures import Run
from tests.bench.pacing import Ask, Finished, Load, at_a_pace, several_at_once

WARM_UP = 10  # orders that are not counted: connections, caches, compiled code


@dataclass(frozen=True)
class Amount:
    """How many samples each scenario takes."""

    paced: int
    others: int
    per_second: float = 5.0


FULL, QUICK = Amount(paced=200, others=240), Amount(paced=10, others=20)


LOADS = ("paced", "sequential", "c8", "c32")


def chosen(name: str, wanted: set[str]) -> list[str]:
    """The loads of one way in that are wanted: ``signal`` means all of its loads."""
    return [load for load in LOADS if not wanted or wanted & {name, f"{name}_{load}"}]


def way_in(
    name: str,
    desk: Desk,
    ask: Ask,
    amount: Amount,
    say: Callable[[str], None],
    only: list[str],
) -> list[Run]:
    """The wanted loads of one way in."""
    say(f"{name}: warming up")
    measured(name, desk, lambda over: several_at_once(range(1, WARM_UP + 1), 4, ask, over))
    paced, others = range(1, amount.paced + 1), range(1, amount.others + 1)
    loads: dict[str, Callable[[Finished], Load]] = {
        "paced": lambda over: at_a_pace(paced, amount.per_second, ask, over),
        "sequential": lambda over: several_at_once(others, 1, ask, over),
        "c8": lambda over: several_at_once(others, 8, ask, over),
        "c32": lambda over: several_at_once(others, 32, ask, over),
    }
    runs = []
    for suffix in only:
        say(f"{name}_{suffix}")
        runs.append(measured(f"{name}_{suffix}", desk, loads[suffix]))
    return runs


def measured(name: str, desk: Desk, load: Callable[[Finished], Load]) -> Run:
    """Put one load on the desk and compare with what the exchange says."""
    desk.clear()
    with Watch(desk).open() as watch:
        done = load(watch.finished)
    orders = watch.orders()
    accepted = desk.accepted_at(orders)
    samples = [(accepted[n] - at) * 1000 for n, at in done.asked.items() if n in accepted]
    missing = len(done.asked) - len(samples)
    if not samples:
        raise RuntimeError(f"{name}: the exchange accepted none of {len(done.asked)} orders")
    more = {"not_accepted": missing} if missing else {}
    return Run(name, samples, done.seconds, more, orders, done.asked)
