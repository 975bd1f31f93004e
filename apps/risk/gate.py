"""The gate: the only module that can open a broker for sending. Risk is the sender.

``review`` decides inside the caller's transaction and leaves a Decision, a Hold and a Permit.
``send``, ``modify`` and ``cancel`` each write the call down in one short transaction under the
account's lock, commit, and only then speak. None of them retries.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.brokers import trading
from apps.brokers.budget import Budget, Priority, wait_needed
from apps.brokers.journal import open_call
from apps.brokers.locks import order_lock, order_lock_if_free
from apps.brokers.models import BrokerAccount, CallOutcome, Verb, WireCall
from apps.brokers.port import Intent, ModifyRequest, OrderRequest, Outcome
from apps.risk import book
from apps.risk.models import DESK, Decision, Hold, Permit, SwitchState, TradingState
from apps.risk.snapshot import take_snapshot
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
    state = _lock_account(request.account)
    account = state.account if state else BrokerAccount.objects.filter(name=request.account).first()
    if account is None:
        raise LookupError(f"account {request.account} does not exist")
    snapshot = take_snapshot(request, account, state, _desk_switch(), changes)
    refusals = judge(snapshot)
    lifetime = settings.EXIT_DECISION_LIFETIME if snapshot.exiting else settings.DECISION_LIFETIME
    decision = Decision.objects.create(
        correlation_id=request.correlation_id,
        account=account,
        action=action,
        allowed=not refusals,
        request=request.as_json(),
        inputs=snapshot.as_json(),
        refusals=refusals,
        expires_at=timezone.now() + dt.timedelta(seconds=lifetime),
    )
    if decision.allowed:
        _issue_permit(decision)
        if action == "PLACE":
            book.take(account, request, snapshot.value, snapshot.margin_required)
        else:
            book.widen(request.correlation_id, request.quantity, snapshot.margin_required)
    return decision


def send(request: OrderRequest, claim_id: UUID) -> Sent | Deferred | NotYours | Stopped:
    """Place an approved order for the sender that holds ``claim_id``. At most one call leaves."""
    _assert_no_transaction()
    with order_lock(request.correlation_id):
        with transaction.atomic():
            call = _write_down_place(request, claim_id)
        if not isinstance(call, WireCall):
            return call
        return Sent(call, trading.place(call, request))


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
    account: BrokerAccount, correlation_id: str, broker_order_id: str
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
                request={"broker_order_id": broker_order_id},
            )
        return Sent(call, trading.cancel(call, broker_order_id))


def _write_down_place(
    request: OrderRequest, claim_id: UUID
) -> WireCall | Deferred | NotYours | Stopped:
    decision = _decision_for(request, "PLACE")  # history: no lock is needed to read it
    state = _lock_account(request.account)
    stop = _switch_stops(state, exiting=request.intent is Intent.EXIT)
    stop = stop or _test_stops(request, state)
    hold = Hold.objects.select_for_update().filter(correlation_id=request.correlation_id).first()
    if hold is None or hold.claim_id != claim_id or hold.released_at is not None:
        return NotYours("another sender has the order, or it is over")
    if stop or state is None or state.account is None:
        return Stopped(stop or "the account has no risk state")
    if decision is None:
        return Stopped("no decision allows exactly this order")
    permit = _unspent_permit(decision)
    if permit is None:
        return Stopped("the decision expired before the order could leave", expired=True)
    return _within_budget(state.account, request, Verb.PLACE, permit, hold.intent)


def _write_down_modify(
    request: ModifyRequest, decision_id: int, claim_id: UUID
) -> WireCall | Deferred | NotYours | Stopped:
    state = _lock_account(request.account)
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
    permit = _unspent_permit(decision)
    if permit is None:
        return Stopped("the decision on the new terms expired", expired=True)
    return _within_budget(state.account, request, Verb.MODIFY, permit, decision.request["intent"])


def _within_budget(
    account: BrokerAccount,
    request: OrderRequest | ModifyRequest,
    verb: Verb,
    permit: UUID,
    intent: str,
) -> WireCall | Deferred:
    priority = Priority.EXIT if intent == Intent.EXIT else Priority.ENTRY
    wait = wait_needed(account, Budget.ORDER, priority)
    if wait is not None:
        return Deferred(timezone.now() + wait)
    return open_call(
        account,
        verb,
        f"{verb.lower()} order",
        budget=Budget.ORDER,
        correlation_id=request.correlation_id,
        permit=permit,
        request=request.as_json(),
    )


def _same_terms(decision: Decision, request: ModifyRequest) -> bool:
    asked = request.as_json()
    names = ("account", "quantity", "order_type", "price", "trigger_price", "validity")
    return all(decision.request[name] == asked[name] for name in (*names, "disclosed_quantity"))


def _lock_account(name: str) -> TradingState | None:
    return (
        TradingState.objects.select_for_update(of=("self",))
        .select_related("account")
        .filter(account__name=name)
        .first()
    )


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
    decision = Decision.objects.filter(
        correlation_id=request.correlation_id, action=action, allowed=True
    ).first()
    return decision if decision and decision.request == request.as_json() else None


def _issue_permit(decision: Decision) -> UUID:
    return Permit.objects.create(decision=decision, correlation_id=decision.correlation_id).pk


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
    return _issue_permit(decision) if outcome == CallOutcome.NOT_SENT else None


def _assert_no_transaction() -> None:
    if connection.in_atomic_block:
        raise InsideTransaction("a broker must not be called inside a transaction")
