"""Send one approved order and write down what became of it."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from apps.brokers.budget import Budget, wait_needed
from apps.brokers.journal import close_call, outcome_columns
from apps.brokers.models import WireCall
from apps.brokers.port import (
    Accepted,
    BrokerState,
    Intent,
    NotSent,
    OrderRequest,
    Outcome,
    Refused,
    Unknown,
)
from apps.orders import lifecycle, queue, wholes
from apps.orders.ingest import REPLY
from apps.orders.lifecycle import Happening
from apps.orders.models import Order
from apps.orders.states import Event, Status
from apps.risk import gate

log = structlog.get_logger(__name__)
WRITES = 3


@dataclass(frozen=True)
class Leaving:
    """A placement that is written down: to be sent once the transaction is committed."""

    order: Order
    call: WireCall
    request: OrderRequest
    claim_id: uuid.UUID


def dispatch(order_id: int) -> None:
    """Claim the order and send it. Being second is normal and does nothing."""
    correlation_id = _correlation_id(order_id)
    if correlation_id is None or _still_waits(order_id):
        return
    with gate.turn(correlation_id) as turn:
        with transaction.atomic():
            order = lifecycle.take(order_id)
            leaving = None if order is None else write_down(turn, order)
        if leaving is not None:
            send(turn, leaving)
    if leaving is not None:
        wholes.ring_next(leaving.order)


def _correlation_id(order_id: int) -> str | None:
    approved = Order.objects.filter(pk=order_id, status=Status.APPROVED)
    return approved.values_list("correlation_id", flat=True).first()


def _still_waits(order_id: int) -> bool:
    """An entry that the rate budget held back before, and would again: no lock is taken for it.

    Many of them ask again every second, and an exit must not queue for the account behind them.
    """
    held_back = Order.objects.filter(pk=order_id, not_before__isnull=False)
    order = held_back.exclude(intent=Intent.EXIT).select_related("account").first()
    if order is None:
        return False
    wait = wait_needed(order.account, Budget.ORDER, gate.priority_of(order.intent))
    if wait is None:
        return False
    Order.objects.filter(pk=order_id, status=Status.APPROVED).update(
        not_before=timezone.now() + wait
    )
    return True


def write_down(turn: gate.Turn, order: Order) -> Leaving | None:
    """Claim an order, for the transaction that has it locked; None when it stays here."""
    if order.instrument.retired_at is not None:
        _stay(order, Event.DENY, "its security id names another contract by now", {})
        return None
    request, claim_id = order.request(), uuid.uuid4()
    return follow(order, request, claim_id, turn.write_down(request, claim_id))


def follow(
    order: Order,
    request: OrderRequest,
    claim_id: uuid.UUID,
    answer: WireCall | gate.Deferred | gate.NotYours | gate.Stopped,
) -> Leaving | None:
    """Let an order follow the gate's answer, in the transaction of that answer.

    The claim and its journal row stand or fall together: an order that is SENDING has its call.
    """
    match answer:
        case gate.Deferred(not_before=not_before):
            text = "waiting for the rate budget"
            _stay(order, Event.NOTE, text, {"not_before": not_before, "reason": text})
            if order.intent == Intent.EXIT:
                ring = partial(queue.ring_at, not_before, "orders.dispatch", order.pk)
                transaction.on_commit(ring)
        case gate.Stopped(why=why, expired=expired):
            _stay(order, Event.LAPSE if expired else Event.DENY, why, {})
        case gate.NotYours(why=why):
            log.info("not sent", why=why)
        case call:
            lifecycle.sending(order, claim_id)
            return Leaving(order, call, request, claim_id)
    return None


def _stay(order: Order, event: Event, text: str, columns: dict[str, Any]) -> None:
    lifecycle.apply_to(order, Happening(event=event, origin="gate", text=text, columns=columns))


def send(turn: gate.Turn, leaving: Leaving) -> None:
    """Send what was written down, and settle."""
    order = leaving.order
    with structlog.contextvars.bound_contextvars(correlation_id=order.correlation_id):
        sent = turn.speak(leaving.call, leaving.request)
        settle(order, sent.call, sent.outcome, leaving.claim_id)


def settle(order: Order, call: WireCall, outcome: Outcome, claim_id: uuid.UUID) -> None:
    """Journal row and order in one transaction. A lost transaction leaves the row open: we look."""
    log.info("placed", outcome=type(outcome).__name__, ms=_milliseconds(call))

    def write() -> None:
        first = close_with(call, outcome)
        if not first and isinstance(outcome, NotSent | Unknown):
            return  # the sweep has already called it UNKNOWN; looking will end that
        lifecycle.apply(order.pk, _happening(order, call, outcome, claim_id))

    insist(write)


def insist(write: Callable[[], None]) -> None:
    """Write in one transaction, and again after a deadlock: a broker's answer is at stake."""
    for attempt in range(WRITES):
        try:
            with transaction.atomic():
                write()
            return
        except OperationalError:
            if attempt == WRITES - 1:
                raise
            log.warning("writing again", attempt=attempt)


def close_with(call: WireCall, outcome: Outcome) -> bool:
    """Complete the journal row with what was heard; False when somebody else already did."""
    return close_call(
        call, http_status=call.http_status, response=call.response, **outcome_columns(outcome)
    )


def _happening(order: Order, call: WireCall, outcome: Outcome, claim_id: uuid.UUID) -> Happening:
    match outcome:
        case Accepted(broker_order_id=broker_order_id, state=state):
            event = Event.REJECT if state is BrokerState.REJECTED else Event.ACCEPT
            return Happening(
                event=event,
                origin=REPLY,
                key=f"{event}|{broker_order_id}",
                broker_order_id=broker_order_id,
                wire_call_id=call.pk,
            )
        case Refused(code=code, text=text):
            return Happening(
                event=Event.REFUSE,
                origin=REPLY,
                key=f"REFUSE|{call.pk}",
                text=f"{code}: {text}" if code else text,
                wire_call_id=call.pk,
            )
        case Unknown(why=why):
            return Happening(
                event=Event.LOSE,
                origin=REPLY,
                text=why,
                wire_call_id=call.pk,
                columns={"next_look_at": timezone.now()},
            )
        case NotSent(why=why):
            return _not_sent(order, call, why, claim_id)


def _not_sent(order: Order, call: WireCall, why: str, claim_id: uuid.UUID) -> Happening:
    alive = order.decide_by is not None and order.decide_by > timezone.now()
    return Happening(
        event=Event.HAND_BACK if alive else Event.LAPSE,
        origin=REPLY,
        text=f"not sent: {why}",
        wire_call_id=call.pk,
        claim_id=claim_id,
        columns={"not_before": timezone.now() + back_off(order.attempts)} if alive else {},
    )


def back_off(attempts: int) -> dt.timedelta:
    """0.5 s doubling to 15 s, with jitter."""
    seconds = min(0.5 * 2 ** min(attempts, 6), 15.0)
    return dt.timedelta(seconds=seconds * random.uniform(0.7, 1.3))  # noqa: S311 - jitter


def call_time_out() -> dt.timedelta:
    """The longest that a journal row may honestly stay without an outcome."""
    return dt.timedelta(
        seconds=settings.SEND_WITHIN + settings.CONNECT_TIMEOUT + settings.CALL_TIMEOUT + 1
    )


def _milliseconds(call: WireCall) -> float | None:
    if call.sent_at is None:
        return None
    return round((timezone.now() - call.sent_at).total_seconds() * 1000, 1)
