"""Send reviewed changes of terms, and settle them by what the order then shows."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.brokers.journal import boot_clock, boot_id, close_call, outcome_columns
from apps.brokers.port import Accepted, NotSent, Outcome, Refused
from apps.orders import lifecycle
from apps.orders.dispatch import back_off
from apps.orders.ingest import REPLY
from apps.orders.lifecycle import Happening
from apps.orders.models import UNDER_WAY, Change, Modification, Order
from apps.orders.states import Event
from apps.risk import book, gate


def send_change(modification_id: int) -> None:
    """Send one approved change; being second is normal and does nothing."""
    change = Modification.objects.select_related("order__account").get(pk=modification_id)
    if change.order.over:
        _finish(change, Change.LAPSED, f"the order is {change.order.status}")
        return
    claimed = Modification.objects.filter(pk=change.pk, status=Change.APPROVED).update(
        status=Change.SENDING
    )
    if not claimed:
        return
    result = gate.modify(change.request(), change.decision_id)
    match result:
        case gate.Sent():
            _settle(change, result)
        case gate.Deferred(not_before=not_before):
            _move(change, Change.APPROVED, "waiting for the rate budget", not_before=not_before)
        case gate.Stopped(why=why):
            _finish(change, Change.LAPSED, why)
        case gate.NotYours(why=why):
            _finish(change, Change.LAPSED, why)


def resolve(change: Modification, book_as_of: dt.datetime | None = None) -> None:
    """Settle a change from what the broker has shown of the order since it was sent.

    New terms seen → APPLIED. Old terms in a book that began after the call could last have had
    an effect → REFUSED (it never took effect). ``book_as_of`` is when such a book was begun.
    """
    order = Order.objects.get(pk=change.order_id)
    if _terms(change) == _terms(order):
        _finish(change, Change.APPLIED, "")
    elif order.over:
        _finish(change, Change.LAPSED, f"the order was {order.status} first")
    elif book_as_of is not None and _no_effect_any_more(change, book_as_of):
        _finish(change, Change.REFUSED, "the broker's books still show the old terms")


def _no_effect_any_more(change: Modification, book_as_of: dt.datetime) -> bool:
    call = change.wire_call
    return call is not None and call.effect_is_over(book_as_of, boot_id(), boot_clock())


def _terms(row: Modification | Order) -> tuple[object, ...]:
    return row.quantity, row.price, row.trigger_price


def _settle(change: Modification, sent: gate.Sent) -> None:
    status, text = _status_after(change, sent.outcome)
    with transaction.atomic():
        close_call(
            sent.call,
            http_status=sent.call.http_status,
            response=sent.call.response,
            **outcome_columns(sent.outcome),
        )
        columns: dict[str, Any] = {"wire_call": sent.call}
        if status == Change.APPROVED:
            columns["not_before"] = timezone.now() + back_off(1)
        if status == Change.REFUSED:
            _finish(change, status, text, **columns)
        else:
            _move(change, status, text, **columns)


def _status_after(change: Modification, outcome: Outcome) -> tuple[Change, str]:
    match outcome:
        case Accepted():
            return Change.ACCEPTED, "the broker took the change"
        case Refused(code=code, text=text):
            return Change.REFUSED, f"{code}: {text}"
        case NotSent(why=why):
            return Change.APPROVED, f"not sent: {why}"
        case unknown:
            return Change.UNKNOWN, unknown.why


def _move(change: Modification, status: Change, text: str, **columns: Any) -> None:  # noqa: ANN401
    Modification.objects.filter(pk=change.pk).update(status=status, reason=text, **columns)
    _note(change, f"change to {change}: {status.label.lower()} {text}".strip())


def _finish(change: Modification, status: Change, text: str, **columns: Any) -> None:  # noqa: ANN401
    with transaction.atomic():
        done = Modification.objects.filter(pk=change.pk, status__in=UNDER_WAY).update(
            status=status, reason=text, settled_at=timezone.now(), **columns
        )
        if not done:
            return
        order = Order.objects.get(pk=change.order_id)
        book.settle_quantity(order.correlation_id, order.quantity)
        _note(change, f"change to {change}: {status.label.lower()} {text}".strip())


def _note(change: Modification, text: str) -> None:
    lifecycle.apply(change.order_id, Happening(event=Event.NOTE, origin=REPLY, text=text))
