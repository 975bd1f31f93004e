"""Bugs and provocations for a house, put into its modules as they are imported.

The product knows nothing of this: a house has bugs only when it is started with this directory on
its PYTHONPATH and their names in the environment. A bug is what must be caught; a provocation
(its name begins with "when") only makes the moment likely in which the bug would do harm, and a
healthy house bears it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
NAMES = "CHAOS_MUTATIONS"
LATE = 2.0  # seconds: less than a broker may lag behind
FREEZE = 12  # seconds: longer than all the time that a call of these runs has (see mutants.py)
Patch = Callable[[Any], None]


def environment(names: Iterable[str]) -> dict[str, str]:
    """What a house must find in its environment to have these."""
    listed = ",".join(names)
    return {NAMES: listed, "PYTHONPATH": str(HERE)} if listed else {}


def told() -> list[str]:
    """What this process was told to break."""
    return [name for name in os.environ.get(NAMES, "").split(",") if name]


def install(names: Iterable[str]) -> None:
    """Patch the modules that are imported from now on."""
    patches: dict[str, list[Patch]] = {}
    for name in names:
        for module, patch in MUTATIONS[name].items():
            patches.setdefault(module, []).append(patch)
    if patches:
        sys.meta_path.insert(0, _Finder(patches))


class _Finder(MetaPathFinder):
    def __init__(self, patches: dict[str, list[Patch]]) -> None:
        self._patches = patches

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._patches:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        execute, patches = spec.loader.exec_module, self._patches[name]

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for patch in patches:
                patch(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


# --- bugs


def _says_it_again(wire: Any) -> None:
    """A request whose answer was lost is sent once more, as HTTP libraries like to do."""
    once = wire._exchange

    def twice(method: str, *rest: Any) -> Any:
        try:
            reply = once(method, *rest)
        except wire._TROUBLE:
            return once(method, *rest)
        return once(method, *rest) if isinstance(reply.trouble, wire.Unknown) else reply

    wire._exchange = twice


def _hands_unknown_back(dispatch: Any) -> None:
    """An order whose answer was lost is approved again, to be sent again."""
    told = dispatch._happening

    def happening(order: Any, call: Any, outcome: Any, claim_id: Any) -> Any:
        if isinstance(outcome, dispatch.Unknown):
            outcome = dispatch.NotSent(outcome.why)
        return told(order, call, outcome, claim_id)

    dispatch._happening = happening


def _claims_without_comparing(lifecycle: Any) -> None:
    """Whoever hears the bell takes the order: no lock on its row, no look at its status."""

    def take(order_id: int) -> Any:
        order = lifecycle.read_row(lifecycle.Order, "id = %s", [order_id])
        return None if order.over else lifecycle.with_related(order, "account", "instrument")

    lifecycle.take = take
    lifecycle._WRITE = lifecycle._WRITE.replace("AND status = %s", "AND %s <> ''")


def _nobody_waits_for_a_turn(gate: Any) -> None:
    """Two senders of one order do not wait for each other."""

    @contextmanager
    def turn(correlation_id: str) -> Iterator[Any]:
        yield gate.Turn(correlation_id)

    gate.turn = turn


def _two_hold_it(book: Any) -> None:
    """A hold is given to the second sender as well."""
    book.give_to_sender = lambda correlation_id, claim_id: True


def _spends_permits_twice(gate: Any) -> None:
    """The newest permit of a decision is good, whether it was spent or not."""

    def unspent(decision: Any) -> Any:
        return gate.Permit.objects.filter(decision=decision).latest("issued_at").pk

    gate._unspent_permit = unspent


def _calls_not_found_rejected(look: Any) -> None:
    """What the lookup does not find was rejected."""

    def look_for(order: Any, read: Any, book: Any, began: float) -> None:
        found = read.order_by_correlation(order.correlation_id).value
        if found is not None:
            look.apply_report(order.account, found, look.LOOK, book.as_of)
            return
        happening = look.Happening(event=look.Event.REFUSE, origin=look.LOOK, text="not found")
        look.lifecycle.apply(order.pk, happening)

    look._look_for = look_for


def _forgets_send_by(wire: Any) -> None:
    """Nobody looks at the clock before the first byte."""
    wire.boot_clock = lambda: 0.0


def _asks_the_read_alone(rules: Any) -> None:
    """An exit is measured by the broker's read, and by nothing of our own."""

    def refusal(self: Any, snapshot: Any) -> str | None:
        if not snapshot.exiting or snapshot.net_position is None:
            return None
        alone = (snapshot.net_position, snapshot.pending, snapshot.own_filled)
        return self._over(snapshot, "position", *alone)

    rules.ExitCap.refusal = refusal


def _leaves_by_the_read_alone(leaving: Any) -> None:
    """The same, before an exit is asked for."""

    def left(account: Any, request: Any, report: Any) -> int:
        net = report.net(request.segment, request.security_id, request.product)
        taken = leaving.book.taken(account, request, report)
        return max(-net * request.side.sign - taken.read, 0)

    leaving.left = left


def _closes_despite_a_doubt(flatten: Any) -> None:
    """A goal does not see orders that are UNKNOWN or on their way."""
    look = flatten._look

    def look_away(goal: Any, report: Any) -> Any:
        seen = look(goal, report)
        mine, others = (
            [order for order in orders if order.status not in flatten.IN_DOUBT]
            for orders in (seen.mine, seen.others)
        )
        return flatten._Sight(seen.net, mine, others)

    flatten._look = look_away


def _nothing_is_taken(book: Any) -> None:
    """What other orders may still take of a position is not asked."""
    book.taken = lambda *_: book.Taken(0, 0, 0, 0)


# --- provocations


def _shows_positions_late(reporting: Any) -> None:
    """A read of the positions shows what another showed up to two seconds ago."""
    from django.utils import timezone

    read = reporting.DhanReporting.positions
    kept: dict[Any, tuple[float, Any]] = {}

    def late(self: Any) -> Any:
        name, now = self._account.pk, time.monotonic()
        if name not in kept or now - kept[name][0] > LATE:
            kept[name] = now, read(self)
            return kept[name][1]
        return reporting.Known(kept[name][1].value, timezone.now())

    reporting.DhanReporting.positions = late


def _bells_ring_twice(queue: Any) -> None:
    ring = queue.ring_dispatch

    def twice(order_id: int, *, exiting: bool) -> None:
        for _ in range(2):
            ring(order_id, exiting=exiting)

    queue.ring_dispatch = twice


def _freezes_before_the_first_byte(wire: Any) -> None:
    """Now and then the whole process stands still between its journal row and its first byte."""
    speak = wire._exchange

    def freeze(method: str, *rest: Any) -> Any:
        if method == "POST" and random.random() < 0.06:
            sleep = f"sleep {FREEZE}; kill -CONT {os.getpid()}"
            subprocess.Popen(["sh", "-c", sleep], start_new_session=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        return speak(method, *rest)

    wire._exchange = freeze


def _stumbles_over_the_clock(dispatch: Any) -> None:
    """Between the claim and the journal row a sender is slow, so that another can overtake."""
    write_down = dispatch.write_down

    def slowly(turn: Any, order: Any) -> Any:
        time.sleep(random.uniform(0, 0.05))
        return write_down(turn, order)

    dispatch.write_down = slowly


WIRE, GATE, BOOK = "apps.brokers.wire", "apps.risk.gate", "apps.risk.book"
LIFECYCLE, DISPATCH = "apps.orders.lifecycle", "apps.orders.dispatch"
RULES, LEAVING = "apps.risk.rules", "apps.risk.leaving"
FLATTEN, REPORTING = "apps.orders.flatten", "apps.brokers.dhan.reporting"
TWO_SENDERS = {
    LIFECYCLE: _claims_without_comparing,
    GATE: _nobody_waits_for_a_turn,
    BOOK: _two_hold_it,
}
MUTATIONS: dict[str, dict[str, Patch]] = {
    "blind retry": {WIRE: _says_it_again},
    "unknown is sent again": {DISPATCH: _hands_unknown_back},
    "two senders": TWO_SENDERS,
    "permits are spent twice": {GATE: _spends_permits_twice},
    "not found is rejected": {"apps.orders.look": _calls_not_found_rejected},
    "no send_by": {WIRE: _forgets_send_by},
    "the read alone": {RULES: _asks_the_read_alone, LEAVING: _leaves_by_the_read_alone},
    "no wait for a doubt": {FLATTEN: _closes_despite_a_doubt, BOOK: _nothing_is_taken},
    "when positions are late": {REPORTING: _shows_positions_late},
    "when bells ring twice": {"apps.orders.queue": _bells_ring_twice},
    "when senders are slow": {DISPATCH: _stumbles_over_the_clock},
    "when senders freeze": {WIRE: _freezes_before_the_first_byte},
}
