"""The steps of the kill switch on one account, each a look at orders and positions as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import structlog
from django.db.models import Q
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers import keeping, reporting
from apps.brokers.models import Instrument, PositionsReport
from apps.brokers.port import Accepted, BrokerState, OrderReport, Refused
from apps.orders import clearing, flatten, goals, kill_rows
from apps.orders.dispatch import close_with
from apps.orders.goals import Closing
from apps.orders.models import Order
from apps.orders.services import BadOrder
from apps.orders.states import Status
from apps.risk import footing, gate
from apps.risk.models import (
    DESK,
    ExitGoal,
    GoalState,
    KillAccount,
    KillStage,
    SwitchState,
    TradingState,
)

log = structlog.get_logger(__name__)
PROOFS_NEEDED = 2
TRIES = 5
_WORKING = {BrokerState.IN_TRANSIT, BrokerState.WORKING, BrokerState.PARTIALLY_FILLED}


def _stop(row: KillAccount) -> None:
    """Cancel what works, open a goal for every position, until there is neither."""
    if row.broker_switch and _is_needed(row) and not _broker_lets_go(row):
        return
    orders = _cancel_all(row)
    positions = _close_all(row) if row.flatten else 0
    kill_rows.keep(row, orders_left=orders, positions_left=positions)
    if orders or positions:
        closing = f", positions to close: {positions}" if row.flatten else ""
        kill_rows.wait(row, f"orders left: {orders}{closing}")
        return
    kill_rows.keep(row, stopped_at=row.stopped_at or timezone.now())
    kill_rows.move(
        row, KillStage.PROVING, "nothing works" + (" and nothing is held" if row.flatten else "")
    )


def _is_needed(row: KillAccount) -> bool:
    """True while something is to be cancelled or closed."""
    if Order.objects.alive().filter(account=row.account).exists():
        return True
    report = footing.read_positions(row.account, retries=False)
    return row.flatten and any(footing.keys_open(report))


def _cancel_all(row: KillAccount) -> int:
    """Wish every order cancelled but those that close; how many are left, these and those in doubt
    too.
    """
    clearing.cancel_wholes(kill_rows.actor(row), row.run.reason, account=row.account)
    alive = Order.objects.alive().filter(account=row.account)
    closing = ExitGoal.objects.filter(account=row.account, state=GoalState.WORKING)
    prefixes = tuple(goal.key_prefix for goal in closing)
    orders = alive.select_related("account", "instrument").order_by("pk")
    others = [one for one in orders if not (one.request_key or "").startswith(prefixes)]
    closes = len(orders) - len(others)
    return closes + clearing.cancel_each(others, kill_rows.actor(row), row.run.reason)


def _close_all(row: KillAccount) -> int:
    """Open a goal for every position that is held; how many are held or not proved closed.

    What was delivered on an earlier day is no position: no panic sells it.
    """
    report = footing.read_positions(row.account, retries=False)
    held = set()
    for key, net in [*footing.keys_open(report), *_stopped_parts(row)]:
        instrument = _instrument(key)
        if instrument is None:
            held.add(key)
            text = f"{net} units of {key[0]} {key[1]} are in no instrument file: close them there"
            raise_alert(f"kill:{row.account.name}:{key[1]}", text, Severity.CRITICAL)
            continue
        wanted = Closing(account=row.account, instrument=instrument, product=key[2])
        try:
            goals.open_goal(wanted, kill_rows.actor(row), row.run.reason)
        except BadOrder as error:
            kill_rows.say(row, f"{instrument.symbol}: {error}")
        held.add(key)
    open_goals = ExitGoal.objects.filter(account=row.account).exclude(
        state__in=[GoalState.REACHED, GoalState.WITHDRAWN]
    )
    for goal in open_goals.select_related("instrument"):
        held.add((goal.instrument.segment, goal.instrument.security_id, goal.product))
    return len(held)


def _stopped_parts(row: KillAccount) -> Iterator[tuple[footing.Key, int]]:
    """Positions of which one owner's part could not be closed: all of them is to be, now."""
    parts = ExitGoal.objects.filter(account=row.account, state=GoalState.STOPPED)
    for goal in parts.exclude(owner="").select_related("instrument"):
        yield (goal.instrument.segment, goal.instrument.security_id, goal.product), goal.net or 0


def _instrument(key: footing.Key) -> Instrument | None:
    """The contract that the broker means by the id: today's, else the last that had it."""
    named = Instrument.objects.filter(segment=key[0], security_id=key[1])
    return named.filter(retired_at=None).first() or named.order_by("-retired_at").first()


def _prove(row: KillAccount) -> None:
    """Two reads of the broker's books, begun after everything had ended, must show nothing."""
    shown = _shown(row)
    report = footing.read_positions(row.account, retries=False)
    working = sorted({found.broker_order_id for found in shown if found.state in _WORKING})
    held = list(footing.keys_open(report)) if row.flatten else []
    alive = Order.objects.alive().filter(account=row.account).count()
    if working or held or alive:
        kill_rows.keep(row, proofs=[])
    if held or alive:
        text = f"positions at the broker: {len(held)}; orders of ours: {alive}"
        kill_rows.move(row, KillStage.STOPPING, text)
        return
    if working:
        kill_rows.pause(row)
        kill_rows.wait(row, f"at work at the broker, and not here: {', '.join(working[:9])}")
        return
    if not flatten.is_quiet(row.account, report) or not _explained(row, report):
        kill_rows.wait(row, "nothing is shown; a read begun after the last call must show it")
        return
    if any(proof["mark"] == report.mark for proof in row.proofs):
        return
    kill_rows.keep(row, proofs=[*row.proofs, _proof(report, len(shown))])
    kill_rows.say(row, f"{len(row.proofs)} of {PROOFS_NEEDED} reads show nothing", row.proofs[-1])
    if len(row.proofs) >= PROOFS_NEEDED:
        kill_rows.keep(row, proved_at=timezone.now())
        kill_rows.move(row, KillStage.SWITCHING, "proved by two reads")


def _shown(row: KillAccount) -> list[OrderReport]:
    """Every order of the broker's books. Exits of super orders may be in their list alone."""
    read = reporting.reports_of(row.account, retries=False)
    supers = read.super_orders().value if keeping.lists_supers(row.account) else []
    return [*read.order_book().value, *supers]


def _explained(row: KillAccount, report: PositionsReport) -> bool:
    """True when our own count of every position agrees, where positions are to be closed."""
    return not row.flatten or footing.agrees(row.account, report)


def _proof(report: PositionsReport, orders: int) -> dict[str, Any]:
    at = timezone.localtime(report.as_of).strftime("%H:%M:%S.%f")
    return {"mark": report.mark, "as_of": at, "positions": len(report.rows), "orders": orders}


def _switch(row: KillAccount) -> None:
    """The broker's own switch, which it refuses unless the account is flat."""
    if not row.flatten:
        _lock(row, "the broker's own switch is for flat accounts: not asked")
        return
    kill_rows.pause(row)
    said = _turn_broker_switch(row, on=True) if row.tries < TRIES else "it may be on: no answer"
    if said is None:
        return
    if said:
        text = f"the broker did not turn its own switch of {row.account.name} on: {said}"
        raise_alert(f"kill:{row.account.name}:broker", text)
    _lock(row, f"the broker's own switch: {said or 'on'}")


def _turn_broker_switch(row: KillAccount, *, on: bool) -> str | None:
    """Empty when it stands as asked, by the broker's own read; a refusal; None: try again."""
    before = row.broker_switch
    kill_rows.keep(row, broker_switch=True)  # until the broker says otherwise
    sent = gate.turn_broker_switch(row.account, on=on)
    if isinstance(sent, gate.Deferred):
        kill_rows.keep(row, broker_switch=before)
        return None
    close_with(sent.call, sent.outcome)
    kill_rows.keep(row, tries=row.tries + 1)
    stands = reporting.reports_of(row.account, retries=False).kill_switch().value
    if stands is on:
        kill_rows.keep(row, broker_switch=on)
        return ""
    if isinstance(sent.outcome, Refused):
        kill_rows.keep(row, broker_switch=stands)
        return f"{sent.outcome.code} {sent.outcome.text}".strip()
    if isinstance(sent.outcome, Accepted):
        kill_rows.say(row, "the broker said yes to its own switch, and does not show it yet")
    return None


def _lock(row: KillAccount, text: str) -> None:
    kill_rows.keep(row, locked_at=row.locked_at or timezone.now(), tries=0)
    kill_rows.move(row, KillStage.LOCKED, text)


def _watch(row: KillAccount) -> None:
    """Locked: what appears now is stopped again; two people may have cleared it."""
    if _is_cleared(row):
        kill_rows.move(row, KillStage.CLEARING, "two people have cleared it")
        return
    alive = Order.objects.alive().filter(account=row.account).exclude(status=Status.UNKNOWN)
    report = PositionsReport.objects.filter(account=row.account).first()
    held = list(footing.keys_open(report)) if row.flatten and report else []
    if alive.exists() or held:
        text = f"{row.account.name} is locked, and something appeared: it is stopped again"
        raise_alert(f"kill:{row.account.name}:violation", text, Severity.CRITICAL)
        kill_rows.keep(row, proofs=[])
        kill_rows.move(row, KillStage.STOPPING, "something appeared while it was locked")
        return
    kill_rows.pause(row)


def _is_cleared(row: KillAccount) -> bool:
    """True once two people have turned every switch of the account back."""
    switches = TradingState.objects.filter(Q(account=row.account) | Q(scope=DESK))
    return all(state.switch == SwitchState.ACTIVE for state in switches)


def _clear(row: KillAccount) -> None:
    """Turn the broker's own switch back, if we had turned it; unless it is halted again."""
    if not _is_cleared(row):
        kill_rows.keep(row, proofs=[], tries=0)
        kill_rows.move(row, KillStage.STOPPING, "it was halted again")
        return
    if not _broker_lets_go(row):
        return
    kill_rows.keep(row, cleared_at=timezone.now())
    kill_rows.move(row, KillStage.CLEARED, "cleared")
    for what in ("waits", "late", "broker", "violation", "broke"):
        settle_alert(f"kill:{row.account.name}:{what}", "the kill switch was cleared")


def _broker_lets_go(row: KillAccount) -> bool:
    """True once the broker's own switch is off: with it on, it takes no exit either."""
    if not row.broker_switch:
        return True
    kill_rows.pause(row)
    said = _turn_broker_switch(row, on=False)
    if said == "":
        kill_rows.keep(row, tries=0)
        return True
    text = f"the broker's own switch of {row.account.name} is still on: {said or 'asking'}"
    raise_alert(f"kill:{row.account.name}:broker", text, Severity.CRITICAL)
    return False


STEPS: dict[KillStage, Callable[[KillAccount], None]] = {
    KillStage.STOPPING: _stop,
    KillStage.PROVING: _prove,
    KillStage.SWITCHING: _switch,
    KillStage.LOCKED: _watch,
    KillStage.CLEARING: _clear,
}
