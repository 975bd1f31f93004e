"""The gate: the only module that can open a broker for sending. Risk is the sender.

``review`` decides inside the caller's transaction and leaves a Decision, a Hold and a Permit.
Within an order's ``turn`` its placement is written down in the transaction that claims it, under
the account's lock, and spoken only after the commit; ``modify`` and ``cancel`` do the same in one
call. None of them retries.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.brokers import trading
from apps.brokers.budget import Budget, Priority, no_more_changes, wait_needed
from apps.brokers.journal import open_call
from apps.brokers.locks import order_lock, order_lock_if_free
from apps.brokers.models import BrokerAccount, CallOutcome, Verb, WireCall
from apps.brokers.port import Intent, LegAddress, ModifyRequest, OrderRequest, Outcome
from apps.brokers.rows import insert_row, insert_together, read_row, with_related
from apps.risk import book, hours
from apps.risk.models import DESK, Decision, Hold, Permit, SwitchState, TradingState
from apps.risk.rules import Snapshot
from apps.risk.snapshot import look, take_snapshot
from apps.risk.verdict import judge


@dataclass(frozen=True)
class Sent:
    """The call left (or provably did not): its journal row and what became of it."""

    call: WireCall
    outcome: Outcome


@dataclass(frozen=True)
class Deferred:
    """The rate budget is used up; ask again not before this time. Nothing was written."""

    not_before: dt.datetime


@dataclass(frozen=True)
class NotYours:
    """The order is not this sender's to send (any more). Stop; whoever has it goes on."""

    why: str


@dataclass(frozen=True)
class Stopped:
    """The gate no longer lets the order through; nothing was sent."""

    why: str
    expired: bool = False


class InsideTransaction(RuntimeError):
    """A send was tried while a transaction was open: its rows could still be undone."""


def review(request: OrderRequest, action: str = "PLACE", changes: str | None = None) -> Decision:
    """Decide on one order or on new terms. Call inside a transaction; every answer is stored.

    ``changes`` is the correlation id of the order whose terms change. On yes the order's hold
    is taken (or widened) and one permit is issued.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("review() needs the transaction that stores the order")
    judged = _decide(request, action, changes)
    decision = judged.decision
    if not decision.allowed:
        return insert_row(decision)
    if action == "PLACE":
        insert_together(decision, _permit(decision), judged.hold(None))
    else:
        insert_together(decision, _permit(decision))
        book.widen(request.correlation_id, request.quantity, judged.snapshot.margin_required)
    return decision


@dataclass(frozen=True)
class _Judged:
    """A decision that is not stored yet, and what it rests on."""

    decision: Decision
    snapshot: Snapshot

    def hold(self, claim_id: UUID | None) -> Hold:
        return book.hold(
            self.decision.account,
            self.snapshot.request,
            self.snapshot.own_value,
            claim_id=claim_id,
            counts_from=hours.counts_from(self.snapshot),
            margin=self.snapshot.margin_required,
        )


def _decide(request: OrderRequest, action: str, changes: str | None) -> _Judged:
    """Judge the request. The account stays locked."""
    state = _lock_account(request.account)
    seen = look(request)
    if seen is None:
        raise LookupError(f"account {request.account} does not exist")
    snapshot = take_snapshot(request, state, seen, changes)
    refusals = judge(snapshot)
    lifetime = settings.EXIT_DECISION_LIFETIME if snapshot.exiting else settings.DECISION_LIFETIME
    decision = Decision(
        correlation_id=request.correlation_id,
        account=seen.account,
        action=action,
        allowed=not refusals,
        request=request.as_json(),
        inputs=snapshot.as_json(),
        refusals=refusals,
        expires_at=timezone.now() + dt.timedelta(seconds=lifetime),
    )
    return _Judged(decision, snapshot)


class Turn:
    """One order's turn at its broker, while its lock is held. ``turn()`` makes them."""

    def __init__(self, correlation_id: str) -> None:
        self.correlation_id = correlation_id

    def write_down(
        self, request: OrderRequest, claim_id: UUID
    ) -> WireCall | Deferred | NotYours | Stopped:
        """Write the placement down for the sender of ``claim_id``; a permit is spent by it.

        Call inside the transaction that marks the order as this sender's, once it is approved.
        """
        self._check(request)
        return _write_down_place(request, claim_id)

    def review(
        self, request: OrderRequest, claim_id: UUID
    ) -> tuple[Decision, WireCall | Deferred | None]:
        """``review`` and ``write_down`` under one lock of the account: it is held until the
        commit, so that nothing the decision saw can change before the call is written.

        None when the decision is no; its permit is kept when the rate budget says later.
        """
        self._check(request)
        judged = _decide(request, "PLACE", None)
        decision = judged.decision
        if not decision.allowed:
            return insert_row(decision), None
        account, permit = decision.account, _permit(decision)
        wait = _wait(account, request.intent)
        insert_together(decision, permit, judged.hold(None if wait else claim_id))
        until = hours.leaves_before(judged.snapshot)
        return decision, wait or _open(account, request, Verb.PLACE, permit.pk, until)

    def _check(self, request: OrderRequest) -> None:
        if not connection.in_atomic_block:
            raise RuntimeError("writing a call down needs the transaction that claims the order")
        if request.correlation_id != self.correlation_id:
            raise RuntimeError("this turn is another order's")

    def speak(self, call: WireCall, request: OrderRequest) -> Sent:
        """Send what was written down and committed. At most one call leaves."""
        _assert_no_transaction()
        return Sent(call, trading.place(call, request))


@contextmanager
def turn(correlation_id: str) -> Iterator[Turn]:
    """Wait for the order's turn to talk to its broker, and keep it until the answer is settled."""
    _assert_no_transaction()
    with order_lock(correlation_id):
        yield Turn(correlation_id)


def modify(
    request: ModifyRequest, decision_id: int, claim_id: UUID
) -> Sent | Deferred | NotYours | Stopped:
    """Send new terms that were reviewed, for the sender that holds ``claim_id``."""
    _assert_no_transaction()
    with order_lock(request.correlation_id):
        with transaction.atomic():
            call = _write_down_modify(request, decision_id, claim_id)
        if not isinstance(call, WireCall):
            return call
        return Sent(call, trading.modify(call, request))


def cancel(
    account: BrokerAccount,
    correlation_id: str,
    broker_order_id: str,
    part: LegAddress | None = None,
) -> Sent | Deferred | NotYours:
    """Ask the broker to cancel. Always allowed; nobody waits for a call that is under way."""
    _assert_no_transaction()
    with order_lock_if_free(correlation_id) as free:
        if not free:
            return NotYours("a call about this order is under way")
        with transaction.atomic():
            TradingState.objects.select_for_update().filter(account=account).first()
            wait = wait_needed(account, Budget.ORDER, Priority.CANCEL)
            if wait is not None:
                return Deferred(timezone.now() + wait)
            call = open_call(
                account,
                Verb.CANCEL,
                "cancel order",
                budget=Budget.ORDER,
                correlation_id=correlation_id,
                request=_as_asked(broker_order_id, part),
            )
        return Sent(call, trading.cancel(call, broker_order_id, part))


def _as_asked(broker_order_id: str, part: LegAddress | None) -> dict[str, str]:
    asked = {"broker_order_id": broker_order_id}
    return asked if part is None else asked | {"whole_id": part.whole_id, "leg": part.leg.value}


def turn_broker_switch(account: BrokerAccount, *, on: bool) -> Sent | Deferred:
    """Turn the broker's own kill switch. Tightening needs nobody; the desk's switch stays as is."""
    _assert_no_transaction()
    with transaction.atomic():
        TradingState.objects.select_for_update().filter(account=account).first()
        wait = wait_needed(account, Budget.ORDER, Priority.EXIT)
        if wait is not None:
            return Deferred(timezone.now() + wait)
        call = open_call(
            account, Verb.CONTROL, "kill switch", budget=Budget.ORDER, request={"on": on}
        )
    return Sent(call, trading.kill_switch(call, on=on))


def _write_down_place(
    request: OrderRequest, claim_id: UUID
) -> WireCall | Deferred | NotYours | Stopped:
    decision = _decision_for(request, "PLACE")  # history: no lock is needed to read it
    state = _lock_with_account(request.account)
    stop = _switch_stops(state, exiting=request.intent is Intent.EXIT)
    stop = stop or _test_stops(request, state)
    if stop or state is None or state.account is None:
        return Stopped(stop or "the account has no risk state")
    if decision is None:
        return Stopped("no decision allows exactly this order")
    last = hours.last_look(state.account, decision.request, changing=False)
    if last.stop:
        return Stopped(last.stop)
    permit = _unspent_permit(decision)
    if permit is None:
        return Stopped("the decision expired before the order could leave", expired=True)
    wait = _wait(state.account, request.intent)
    if wait is not None:
        return wait
    if not book.give_to_sender(request.correlation_id, claim_id):
        return NotYours("another sender has the order, or it is over")
    return _open(state.account, request, Verb.PLACE, permit, last.until)


def _write_down_modify(
    request: ModifyRequest, decision_id: int, claim_id: UUID
) -> WireCall | Deferred | NotYours | Stopped:
    state = _lock_with_account(request.account)
    hold = Hold.objects.select_for_update().filter(correlation_id=request.correlation_id).first()
    if hold is None or hold.change_claim != claim_id or hold.released_at is not None:
        return NotYours("another sender has the change, or the order is over")
    decision = Decision.objects.filter(
        pk=decision_id, action="MODIFY", allowed=True, correlation_id=request.correlation_id
    ).first()
    if decision is None or not _same_terms(decision, request):
        return Stopped("no decision allows exactly these terms")
    exiting = decision.request["intent"] == Intent.EXIT
    stop = _switch_stops(state, exiting=exiting)
    if stop or state is None or state.account is None:
        return Stopped(stop or "the account has no risk state")
    last = hours.last_look(state.account, decision.request, changing=True)
    stop = last.stop or no_more_changes(request.correlation_id)
    if stop:
        return Stopped(stop)
    permit = _unspent_permit(decision)
    if permit is None:
        return Stopped("the decision on the new terms expired", expired=True)
    return _wait(state.account, decision.request["intent"]) or _open(
        state.account, request, Verb.MODIFY, permit, last.until
    )


def priority_of(intent: str) -> Priority:
    """Who goes first: a change of an order's terms counts like the order itself."""
    return Priority.EXIT if intent == Intent.EXIT else Priority.ENTRY


def _wait(account: BrokerAccount, intent: str) -> Deferred | None:
    """The rate budget's answer; hold the account's lock while asking."""
    wait = wait_needed(account, Budget.ORDER, priority_of(intent))
    return None if wait is None else Deferred(timezone.now() + wait)


def _open(
    account: BrokerAccount,
    request: OrderRequest | ModifyRequest,
    verb: Verb,
    permit: UUID,
    until: dt.datetime | None,
) -> WireCall:
    return open_call(
        account,
        verb,
        f"{verb.lower()} order",
        budget=Budget.ORDER,
        correlation_id=request.correlation_id,
        permit=permit,
        request=request.as_json(),
        not_after=until,
    )


def _same_terms(decision: Decision, request: ModifyRequest) -> bool:
    asked = request.as_json()
    names = ("account", "quantity", "order_type", "price", "trigger_price", "validity")
    same = all(decision.request[name] == asked[name] for name in (*names, "disclosed_quantity"))
    exits = decision.request.get("exits")
    return same and (exits is None or exits == asked.get("exits"))


def _lock_account(name: str) -> TradingState | None:
    """The account's risk row, locked. What it guards must be read by later statements."""
    its = "account_id = (SELECT id FROM brokers_brokeraccount WHERE name = %s)"
    return read_row(TradingState, its, [name], lock="FOR UPDATE")


def _lock_with_account(name: str) -> TradingState | None:
    state = _lock_account(name)
    return state and with_related(state, "account")


def _desk_switch() -> str | None:
    """The desk's switch, held in share mode so that a halt waits for sends being written down."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT switch FROM risk_tradingstate WHERE scope = %s FOR SHARE", [DESK])
        row = cursor.fetchone()
    return row[0] if row else None


def _switch_stops(state: TradingState | None, *, exiting: bool) -> str | None:
    """Why the switches stop this send now, or None."""
    for where, switch in (("account", state.switch if state else None), ("desk", _desk_switch())):
        if switch not in SwitchState.values:
            return f"the {where} has no risk state"
        if switch != SwitchState.ACTIVE and not exiting:
            return f"the {where} is {switch}: only exits may go"
    return _account_stops(state.account if state else None, exiting=exiting)


def _account_stops(account: BrokerAccount | None, *, exiting: bool) -> str | None:
    """Read again at the last moment: an account disabled or disarmed since its review."""
    if account is None:
        return "the account has no risk state"
    live = account.environment == "live"
    if live and not settings.LIVE_TRADING:
        return "live trading is switched off"
    if exiting:
        return None
    armed = account.armed_until is not None and account.armed_until > timezone.now()
    if not account.enabled:
        return "the account is disabled"
    return "the live account is not armed" if live and not armed else None


def _test_stops(request: OrderRequest, state: TradingState | None) -> str | None:
    """Read again at the last moment: the address of an account may have changed since."""
    account = state.account if state else None
    if not request.test or (account and account.environment in {"paper", "sandbox"}):
        return None
    return "a test order can never reach a live account"


def _decision_for(request: OrderRequest, action: str) -> Decision | None:
    decision = read_row(
        Decision,
        "correlation_id = %s AND action = %s AND allowed ORDER BY id DESC",
        [request.correlation_id, action],
    )
    return decision if decision and decision.request == request.as_json() else None


def _permit(decision: Decision) -> Permit:
    return Permit(decision=decision, correlation_id=decision.correlation_id)


_NEWEST_PERMIT = """
    SELECT permit.id, spent.id, spent.outcome
    FROM risk_permit permit LEFT JOIN brokers_wirecall spent ON spent.permit = permit.id
    WHERE permit.decision_id = %s ORDER BY permit.issued_at DESC LIMIT 1
"""


def _unspent_permit(decision: Decision) -> UUID | None:
    """A permit good for one send: the issued one, or a fresh one if the last provably left nothing.

    None once the decision has expired.
    """
    if decision.expires_at <= timezone.now():
        return None
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST_PERMIT, [decision.pk])
        row = cursor.fetchone()
    if row is None:
        return None
    permit, call, outcome = row
    if call is None:
        return UUID(str(permit))
    return insert_row(_permit(decision)).pk if outcome == CallOutcome.NOT_SENT else None


def _assert_no_transaction() -> None:
    if connection.in_atomic_block:
        raise InsideTransaction("a broker must not be called inside a transaction")
