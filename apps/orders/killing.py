"""The kill switch: halt, cancel, close, prove, turn the broker's own, stay locked.

Every pass looks at orders and positions as they are, so it goes on wherever it was stopped. Nothing
of it relaxes anything: that is for two people (``risk.resuming``), and only once it has done its
work.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers import reporting
from apps.brokers.locks import turn_if_free
from apps.brokers.models import BrokerAccount, Instrument, PositionsReport
from apps.brokers.port import Accepted, BrokerState, ReadFailed, Refused
from apps.orders import clearing, flatten, goals, queue
from apps.orders.dispatch import close_with
from apps.orders.goals import Closing
from apps.orders.models import Order
from apps.orders.services import Actor, BadOrder
from apps.orders.states import Status
from apps.risk import footing, gate, switch
from apps.risk.models import (
    DESK,
    ExitGoal,
    GoalState,
    KillAccount,
    KillNote,
    KillRun,
    KillStage,
    SwitchState,
    TradingState,
)

log = structlog.get_logger(__name__)
PROOFS_NEEDED = 2
TRIES = 5
LOCKED_LOOK = dt.timedelta(seconds=2)
_WORKING = {BrokerState.IN_TRANSIT, BrokerState.WORKING, BrokerState.PARTIALLY_FILLED}


class CannotKill(Exception):
    """What was asked cannot be done; the text says what would be right."""


def kill(
    scope: str, actor: Actor, reason: str, *, with_positions: bool, drill: bool = False
) -> KillRun:
    """Halt now, and work off the rest: the halt is committed when this returns.

    ``scope`` is an account's name or ``desk``. A drill touches simulated accounts alone. Raises
    ``CannotKill``.
    """
    if not reason.strip():
        raise CannotKill("say why, for the record")
    accounts = _accounts(scope, drill=drill)
    deadline = timezone.now() + dt.timedelta(seconds=settings.FLATTEN_DEADLINE)
    with transaction.atomic():
        halted = [account.name for account in accounts] if drill else [scope]
        for name in halted:
            switch.halt(name, f"kill switch: {reason}"[:300], actor.name, actor.user)
        run = KillRun.objects.create(
            scope=scope,
            flatten=with_positions,
            drill=drill,
            reason=reason[:300],
            actor=actor.name,
            user=actor.user,
            deadline_at=deadline,
        )
        for account in accounts:
            _begin(run, account)
    return run


def _accounts(scope: str, *, drill: bool) -> list[BrokerAccount]:
    every = BrokerAccount.objects.filter(risk_state__isnull=False).order_by("name")
    found = list(every if scope == DESK else every.filter(name=scope))
    if drill:
        found = [account for account in found if account.environment == "paper"]
        if not found:
            raise CannotKill("a drill needs a simulated account")
    if not found and scope != DESK:
        raise CannotKill(f"there is no account {scope!r} with a switch")
    return found


def _begin(run: KillRun, account: BrokerAccount) -> None:
    """A row of this account; one that is under way already is only made to close as well."""
    row = KillAccount.objects.select_for_update().filter(account=account)
    under_way = row.exclude(stage=KillStage.CLEARED).first()
    if under_way is None:
        under_way = KillAccount.objects.create(run=run, account=account, flatten=run.flatten)
        _say(under_way, f"halted by {run.actor}: {run.reason}")
    elif run.flatten and not under_way.flatten:
        under_way.flatten, under_way.proofs = True, []
        under_way.save(update_fields=["flatten", "proofs"])
        _move(under_way, KillStage.STOPPING, f"{run.actor} asks to close as well: {run.reason}")
    transaction.on_commit(partial(queue.ring_kill, under_way.pk))


def due() -> list[KillAccount]:
    """Accounts on which there is something to do or to watch."""
    now = timezone.now()
    at_hand = Q(not_before=None) | Q(not_before__lte=now)
    open_ones = KillAccount.objects.filter(at_hand).exclude(stage=KillStage.CLEARED)
    return list(open_ones.select_related("account", "run"))


def advance_due() -> None:
    """One pass over every account that is being stopped."""
    for row in due():
        advance(row.pk)


def advance(row_id: int) -> None:
    """One pass over one account; one at a time. What breaks is told and tried again."""
    row = KillAccount.objects.select_related("account", "run").get(pk=row_id)
    with turn_if_free(f"kill:{row.account.name}") as mine:
        if not mine:
            return
        row.refresh_from_db()
        try:
            if row.stage in _STEPS:
                _STEPS[KillStage(row.stage)](row)
        except ReadFailed as error:
            _wait(row, f"the broker's books cannot be read: {error}")
        except Exception as error:
            log.exception("kill switch broke", account=row.account.name)
            text = f"the kill switch broke on {row.account.name}: {type(error).__name__}"
            raise_alert(f"kill:{row.account.name}:broke", text, Severity.CRITICAL)
        _watch_deadline(row)


def _stop(row: KillAccount) -> None:
    """Cancel what works, open a goal for every position, until there is neither."""
    orders = _cancel_all(row)
    positions = _close_all(row) if row.flatten else 0
    row.orders_left, row.positions_left = orders, positions
    row.save(update_fields=["orders_left", "positions_left"])
    if orders or positions:
        closing = f", positions to close: {positions}" if row.flatten else ""
        _wait(row, f"orders to cancel: {orders}{closing}")
        return
    row.stopped_at = row.stopped_at or timezone.now()
    row.save(update_fields=["stopped_at"])
    _move(row, KillStage.PROVING, "nothing works" + (" and nothing is held" if row.flatten else ""))


def _actor(row: KillAccount) -> Actor:
    return Actor(name=f"kill switch #{row.run_id}", user=row.run.user)


def _cancel_all(row: KillAccount) -> int:
    """Wish every order cancelled but those that close; how many are left, those in doubt too."""
    clearing.cancel_wholes(_actor(row), row.run.reason, account=row.account)
    alive = Order.objects.alive().filter(account=row.account)
    closing = ExitGoal.objects.filter(account=row.account, state=GoalState.WORKING)
    prefixes = tuple(goal.key_prefix for goal in closing)
    orders = alive.select_related("account", "instrument").order_by("pk")
    others = [one for one in orders if not (one.request_key or "").startswith(prefixes)]
    return clearing.cancel_each(others, _actor(row), row.run.reason)


def _close_all(row: KillAccount) -> int:
    """Open a goal for every position that is held; how many are held or not proved closed.

    What was delivered on an earlier day is no position: no panic sells it.
    """
    report = footing.read_positions(row.account, retries=False)
    held = set()
    for key, net in footing.keys_open(report):
        instrument = _instrument(key)
        if instrument is None:
            held.add(key)
            text = f"{net} units of {key[0]} {key[1]} are in no instrument file: close them there"
            raise_alert(f"kill:{row.account.name}:{key[1]}", text, Severity.CRITICAL)
            continue
        wanted = Closing(account=row.account, instrument=instrument, product=key[2])
        try:
            goals.open_goal(wanted, _actor(row), row.run.reason)
        except BadOrder as error:
            _say(row, f"{instrument.symbol}: {error}")
        held.add(key)
    open_goals = ExitGoal.objects.filter(account=row.account).exclude(
        state__in=[GoalState.REACHED, GoalState.WITHDRAWN]
    )
    for goal in open_goals.select_related("instrument"):
        held.add((goal.instrument.segment, goal.instrument.security_id, goal.product))
    return len(held)


def _instrument(key: footing.Key) -> Instrument | None:
    """The contract that the broker means by the id: today's, else the last that had it."""
    named = Instrument.objects.filter(segment=key[0], security_id=key[1])
    return named.filter(retired_at=None).first() or named.order_by("-retired_at").first()


def _prove(row: KillAccount) -> None:
    """Two reads of the broker's books, begun after everything had ended, must show nothing."""
    book = reporting.reports_of(row.account, retries=False).order_book()
    report = footing.read_positions(row.account, retries=False)
    working = sum(found.state in _WORKING for found in book.value)
    held = list(footing.keys_open(report)) if row.flatten else []
    alive = Order.objects.alive().filter(account=row.account).count()
    if working or held or alive:
        row.proofs = []
        row.save(update_fields=["proofs"])
        text = f"at the broker: orders {working}, positions {len(held)}; orders of ours: {alive}"
        _move(row, KillStage.STOPPING, text)
        return
    if not flatten.is_quiet(row.account, report) or not _explained(row, report):
        _wait(row, "nothing is shown; a read begun after the last call must show it")
        return
    if any(proof["mark"] == report.mark for proof in row.proofs):
        return
    row.proofs = [*row.proofs, _proof(report, len(book.value))]
    row.save(update_fields=["proofs"])
    _say(row, f"{len(row.proofs)} of {PROOFS_NEEDED} reads show nothing", row.proofs[-1])
    if len(row.proofs) >= PROOFS_NEEDED:
        row.proved_at = timezone.now()
        row.save(update_fields=["proved_at"])
        _move(row, KillStage.SWITCHING, "proved by two reads")


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
    said = _turn_broker_switch(row, on=True)
    if said is None and row.tries < TRIES:
        return
    row.broker_switch = said == ""
    row.save(update_fields=["broker_switch"])
    if said:
        text = f"the broker did not turn its own switch of {row.account.name} on: {said}"
        raise_alert(f"kill:{row.account.name}:broker", text)
    _lock(row, f"the broker's own switch: {said or 'on'}" if said is not None else "no answer")


def _turn_broker_switch(row: KillAccount, *, on: bool) -> str | None:
    """Empty when it stands as asked, by the broker's own read; a refusal; None: try again."""
    sent = gate.turn_broker_switch(row.account, on=on)
    if isinstance(sent, gate.Deferred):
        return None
    close_with(sent.call, sent.outcome)
    row.tries += 1
    row.save(update_fields=["tries"])
    if isinstance(sent.outcome, Refused):
        return f"{sent.outcome.code} {sent.outcome.text}".strip()
    stands = reporting.reports_of(row.account, retries=False).kill_switch().value
    if stands is on:
        return ""
    if isinstance(sent.outcome, Accepted):
        _say(row, "the broker said yes to its own switch, and does not show it yet")
    return None


def _lock(row: KillAccount, text: str) -> None:
    row.locked_at = row.locked_at or timezone.now()
    row.tries = 0
    row.save(update_fields=["locked_at", "tries"])
    _move(row, KillStage.LOCKED, text)


def _watch(row: KillAccount) -> None:
    """Locked: what appears now is stopped again; two people may have cleared it."""
    switches = TradingState.objects.filter(Q(account=row.account) | Q(scope=DESK))
    if all(state.switch == SwitchState.ACTIVE for state in switches):
        _move(row, KillStage.CLEARING, "two people have cleared it")
        return
    alive = Order.objects.alive().filter(account=row.account).exclude(status=Status.UNKNOWN)
    report = PositionsReport.objects.filter(account=row.account).first()
    held = list(footing.keys_open(report)) if row.flatten and report else []
    if alive.exists() or held:
        text = f"{row.account.name} is locked, and something appeared: it is stopped again"
        raise_alert(f"kill:{row.account.name}:violation", text, Severity.CRITICAL)
        row.proofs = []
        row.save(update_fields=["proofs"])
        _move(row, KillStage.STOPPING, "something appeared while it was locked")
        return
    row.not_before = timezone.now() + LOCKED_LOOK
    row.save(update_fields=["not_before"])


def _clear(row: KillAccount) -> None:
    """Turn the broker's own switch back, if we had turned it."""
    if row.broker_switch:
        said = _turn_broker_switch(row, on=False)
        if said != "":
            text = f"the broker's own switch of {row.account.name} is still on: {said or 'asking'}"
            raise_alert(f"kill:{row.account.name}:broker", text, Severity.CRITICAL)
            row.not_before = timezone.now() + LOCKED_LOOK
            row.save(update_fields=["not_before"])
            return
    row.cleared_at = timezone.now()
    row.save(update_fields=["cleared_at"])
    _move(row, KillStage.CLEARED, "cleared")
    for what in ("waits", "late", "broker", "violation", "broke"):
        settle_alert(f"kill:{row.account.name}:{what}", "the kill switch was cleared")


def _move(row: KillAccount, stage: KillStage, text: str) -> None:
    row.stage, row.not_before, row.waits_since = stage, None, None
    row.save(update_fields=["stage", "not_before", "waits_since"])
    _say(row, f"{stage.label}: {text}")
    settle_alert(f"kill:{row.account.name}:waits", text)
    transaction.on_commit(partial(queue.ring_kill, row.pk))


def _say(row: KillAccount, text: str, facts: dict[str, Any] | None = None) -> None:
    """What happens now, on the row and in its history; the same words again are no news."""
    if text[:400] == row.note:
        return
    row.note = text[:400]
    with transaction.atomic():
        row.save(update_fields=["note"])
        KillNote.objects.create(on=row, text=row.note, facts=facts or {})


def _wait(row: KillAccount, why: str) -> None:
    _say(row, why)
    if row.waits_since is None:
        row.waits_since = timezone.now()
        row.save(update_fields=["waits_since"])


def _watch_deadline(row: KillAccount) -> None:
    """Not locked by the deadline is the loudest alarm there is."""
    done = row.stage in {KillStage.LOCKED, KillStage.CLEARING, KillStage.CLEARED}
    if done:
        settle_alert(f"kill:{row.account.name}:late", row.note)
    elif row.run.deadline_at <= timezone.now():
        text = f"{row.account.name} is not stopped by its deadline: {row.note}"
        raise_alert(f"kill:{row.account.name}:late", text, Severity.CRITICAL)


_STEPS: dict[KillStage, Callable[[KillAccount], None]] = {
    KillStage.STOPPING: _stop,
    KillStage.PROVING: _prove,
    KillStage.SWITCHING: _switch,
    KillStage.LOCKED: _watch,
    KillStage.CLEARING: _clear,
}
