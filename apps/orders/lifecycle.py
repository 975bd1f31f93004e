"""The one pen: every change of an order's status is written here, with its event.

One transaction holds the event, the status, the hold and the account's change number. Lock
order everywhere: risk row, order row, change number. Touch one order per transaction.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert
from apps.brokers.models import BrokerAccount
from apps.brokers.port import OrderType
from apps.orders import announce, queue
from apps.orders.models import Order, OrderEvent
from apps.orders.states import AT_BROKER, FACTS, IN_DOUBT, TERMINAL, Event, Status, destination
from apps.risk import book


class ImpossibleTransition(RuntimeError):
    """One of our own commands does not fit the order's status: a bug, never the broker's fault."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Quantity and prices of a working order as the broker reports them."""

    quantity: int | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Happening:
    """Something that happened to an order, told once. ``None`` means "no news".

    ``key`` is a function of the fact, so that the same fact by reply, socket and poll is one
    event; our own commands leave it empty and get a unique one.
    """

    event: Event
    origin: str
    key: str = ""
    text: str = ""
    actor: str = ""
    filled_quantity: int | None = None
    average_price: Decimal | None = None
    broker_order_id: str = ""
    exchange_order_id: str = ""
    terms: Terms = field(default_factory=Terms)
    reported_at: dt.datetime | None = None
    raw: dict[str, Any] | None = None
    wire_call_id: int | None = None
    decision_id: int | None = None
    columns: dict[str, Any] = field(default_factory=dict)


def apply(order_id: int, happening: Happening) -> bool:
    """Let something happen to an order. False when it was known already or does not fit.

    Raises ``ImpossibleTransition`` for a command of ours that the table does not allow.
    """
    with transaction.atomic():
        order = _locked(order_id)
        key = f"{order.correlation_id}|{happening.key or uuid.uuid4().hex}"
        if happening.key and OrderEvent.objects.filter(dedupe_key=key).exists():
            return False
        event = _weigh(order, happening)
        to = destination(Status(order.status), event)
        if to is None and event not in FACTS:
            raise ImpossibleTransition(f"{event} does not fit an order that is {order.status}")
        trouble = _trouble(order, happening, to)
        if to is None or trouble:
            _keep_unfit(order, happening, event, key, trouble)
            return False
        _record(order, happening, event, key, to)
        _write(order, to, _columns(order, happening, event, to))
    return True


def claim(order_id: int) -> uuid.UUID | None:
    """Take an approved order for sending; None when somebody else was first or it is not due."""
    claim_id = uuid.uuid4()
    with transaction.atomic():
        order = _locked(order_id)
        due = order.not_before is None or order.not_before <= timezone.now()
        if order.status != Status.APPROVED or not due:
            return None
        columns = {
            "claim_id": claim_id,
            "claimed_at": timezone.now(),
            "attempts": F("attempts") + 1,
            "not_before": None,
        }
        happening = Happening(event=Event.CLAIM, origin="dispatch")
        if not _write(order, Status.SENDING, columns):
            return None
        _record(order, happening, Event.CLAIM, f"{order.correlation_id}|{claim_id}", Status.SENDING)
        book.give_to_sender(order.correlation_id, claim_id)
    return claim_id


def _locked(order_id: int) -> Order:
    return Order.objects.select_for_update(of=("self",)).select_related("account").get(pk=order_id)


def _write(order: Order, to: Status, columns: dict[str, Any]) -> bool:
    """Compare and set the status, count the change, tell the pages after the commit."""
    sequence = _next_sequence(order.account_id)
    changed = Order.objects.filter(pk=order.pk, status=order.status).update(
        status=to, live_seq=sequence, **columns
    )
    if changed:
        transaction.on_commit(lambda: announce.changed(order.account_id, order.pk, sequence))
        _ring_what_follows(order, to, columns)
    return changed == 1


def _ring_what_follows(order: Order, to: Status, columns: dict[str, Any]) -> None:
    wanted = order.cancel_wanted_at or columns.get("cancel_wanted_at")
    if wanted and to in AT_BROKER and (order.status not in AT_BROKER or not order.cancel_wanted_at):
        transaction.on_commit(lambda: queue.ring_cancel(order.pk))


def _weigh(order: Order, happening: Happening) -> Event:
    """The event that the numbers speak of, when they say more than the broker's word."""
    filled = happening.filled_quantity
    if happening.event not in {Event.WORK, Event.PARTIAL} or not filled:
        return happening.event
    quantity = happening.terms.quantity or order.quantity
    return Event.FILL if filled >= quantity else Event.PARTIAL


def _trouble(order: Order, happening: Happening, to: Status | None) -> str:
    """Why a fact must not be applied although the table knows it, or why people must look."""
    theirs = happening.broker_order_id
    if theirs and order.broker_order_id and theirs != order.broker_order_id:
        return f"the broker reports a second order {theirs} under the same correlation id"
    if to is None:
        return f"{happening.event} does not fit an order that is {order.status}"
    return ""


def _keep_unfit(order: Order, happening: Happening, event: Event, key: str, trouble: str) -> None:
    _record(order, happening, event, key, None)
    BrokerAccount.objects.filter(pk=order.account_id).update(reconcile_wanted=True)
    raise_alert(
        f"order:{order.correlation_id}:{event}",
        f"order {order.correlation_id} on {order.account.name}: {trouble}; nothing was changed",
        Severity.CRITICAL,
    )


def _record(order: Order, happening: Happening, event: Event, key: str, to: Status | None) -> None:
    OrderEvent.objects.create(
        order=order,
        event=event,
        origin=happening.origin,
        dedupe_key=key[:200],
        applied=to is not None,
        before=order.status,
        after=to or order.status,
        text=happening.text,
        actor=happening.actor,
        facts=_facts(happening),
        raw=happening.raw,
        wire_call_id=happening.wire_call_id,
        decision_id=happening.decision_id,
        reported_at=happening.reported_at,
    )


def _facts(happening: Happening) -> dict[str, str]:
    values = {
        "filled_quantity": happening.filled_quantity,
        "average_price": happening.average_price,
        "broker_order_id": happening.broker_order_id or None,
        **vars(happening.terms),
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _columns(order: Order, happening: Happening, event: Event, to: Status) -> dict[str, Any]:
    columns = dict(happening.columns)
    columns |= _numbers(order, happening, event)
    columns |= _names(order, happening)
    columns |= _stage_times(order, to)
    if happening.text and event not in {Event.WANT_CANCEL, Event.NOTE}:
        columns["reason"] = happening.text
    if event in FACTS:
        columns["news_at"] = timezone.now()
    if to not in IN_DOUBT:
        columns["claim_id"] = None
    _follow_with_hold(order, event, to, columns)
    _alert_the_unusual(order, to, columns)
    return columns


def _numbers(order: Order, happening: Happening, event: Event) -> dict[str, Any]:
    """Filled quantity never falls; terms follow the newest report."""
    columns: dict[str, Any] = {}
    filled = happening.filled_quantity
    if event is Event.FILL and filled is None:
        filled = happening.terms.quantity or order.quantity
    if filled is not None and filled > order.filled_quantity:
        columns["filled_quantity"] = filled
    if happening.average_price is not None and (filled or 0) >= order.filled_quantity:
        columns["average_price"] = happening.average_price
    newest = order.terms_as_of is None or (
        happening.reported_at is not None and happening.reported_at >= order.terms_as_of
    )
    if event in FACTS and happening.reported_at is not None and newest:
        columns["terms_as_of"] = happening.reported_at
        columns |= _terms(order, happening.terms)
    return columns


def _terms(order: Order, terms: Terms) -> dict[str, Any]:
    """Terms that say something; a MARKET order keeps no price, whatever the broker made of it."""
    told = {name: value for name, value in vars(terms).items() if value}
    if order.order_type == OrderType.MARKET:
        told.pop("price", None)
    return told


def _names(order: Order, happening: Happening) -> dict[str, str]:
    names = {
        "broker_order_id": happening.broker_order_id,
        "exchange_order_id": happening.exchange_order_id,
    }
    return {name: value for name, value in names.items() if value and not getattr(order, name)}


def _stage_times(order: Order, to: Status) -> dict[str, dt.datetime]:
    now = timezone.now()
    reached = {"approved_at": to is Status.APPROVED}
    reached["submitted_at"] = to in AT_BROKER or to is Status.FILLED
    reached["opened_at"] = to in {Status.OPEN, Status.PARTIALLY_FILLED, Status.FILLED}
    times = {name: now for name, yes in reached.items() if yes and getattr(order, name) is None}
    if to in TERMINAL and order.status not in TERMINAL:
        times["finished_at"] = now
    return times


def _follow_with_hold(order: Order, event: Event, to: Status, columns: dict[str, Any]) -> None:
    if to is Status.APPROVED or event in {Event.WANT_CANCEL, Event.NOTE}:
        if event is Event.HAND_BACK:
            book.take_from_sender(order.correlation_id)
        return
    book.follow(
        order.correlation_id,
        quantity=columns.get("quantity", order.quantity),
        filled=columns.get("filled_quantity", order.filled_quantity),
        over=to in TERMINAL,
    )


def _alert_the_unusual(order: Order, to: Status, columns: dict[str, Any]) -> None:
    filled = columns.get("filled_quantity", order.filled_quantity)
    quantity = columns.get("quantity", order.quantity)
    about = f"order {order.correlation_id} on {order.account.name}"
    if filled > quantity:
        raise_alert(
            f"overfill:{order.correlation_id}",
            f"{about} filled {filled} of {quantity}",
            Severity.CRITICAL,
        )
    if to is Status.UNKNOWN:
        raise_alert(f"unknown:{order.correlation_id}", f"{about} is UNKNOWN", Severity.CRITICAL)
    if to is Status.NEVER_ARRIVED:
        raise_alert(f"absent:{order.correlation_id}", f"{about} never arrived at the broker")
    if (
        order.status in {Status.NEVER_ARRIVED, Status.LAPSED, Status.REJECTED}
        and to != order.status
    ):
        raise_alert(
            f"late:{order.correlation_id}",
            f"{about} was {order.status} and now shows up at the broker as {to}",
            Severity.CRITICAL,
        )


def _next_sequence(account_id: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_desksequence (account_id, value) VALUES (%s, 1)"
            " ON CONFLICT (account_id) DO UPDATE SET value = orders_desksequence.value + 1"
            " RETURNING value",
            [account_id],
        )
        return int(cursor.fetchone()[0])
