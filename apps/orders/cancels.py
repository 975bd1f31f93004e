"""Ask the broker to cancel what is wished cancelled, again and again until the order is over."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone

from apps.brokers.journal import close_call, outcome_columns
from apps.brokers.port import Accepted, NotSent, Refused
from apps.orders import lifecycle
from apps.orders.dispatch import back_off
from apps.orders.ingest import REPLY
from apps.orders.lifecycle import Happening
from apps.orders.models import Order
from apps.orders.states import AT_BROKER, Event
from apps.risk import gate

AFTER_A_YES = dt.timedelta(seconds=3)  # the feed or the book should say CANCELLED before that


def send_cancel(order_id: int) -> None:
    """One ask, if the wish still stands and the broker has named the order."""
    order = Order.objects.select_related("account").get(pk=order_id)
    if order.cancel_wanted_at is None or order.status not in AT_BROKER:
        return
    if order.next_cancel_at is not None and order.next_cancel_at > timezone.now():
        return
    result = gate.cancel(order.account, order.correlation_id, order.broker_order_id)
    match result:
        case gate.Sent():
            _settle(order, result)
        case gate.Deferred(not_before=not_before):
            Order.objects.filter(pk=order.pk).update(next_cancel_at=not_before)
        case gate.NotYours():
            return


def _settle(order: Order, sent: gate.Sent) -> None:
    text, pause = _say(sent, order.cancel_attempts)
    with transaction.atomic():
        close_call(
            sent.call,
            http_status=sent.call.http_status,
            response=sent.call.response,
            **outcome_columns(sent.outcome),
        )
        lifecycle.apply(
            order.pk,
            Happening(
                event=Event.NOTE,
                origin=REPLY,
                text=text,
                wire_call_id=sent.call.pk,
                columns={
                    "next_cancel_at": timezone.now() + pause,
                    "cancel_attempts": order.cancel_attempts + 1,
                },
            ),
        )


def _say(sent: gate.Sent, attempts: int) -> tuple[str, dt.timedelta]:
    match sent.outcome:
        case Accepted():
            return "the broker took the cancel request", AFTER_A_YES + back_off(attempts)
        case Refused(code=code, text=text):
            return f"cancel refused: {code} {text}", back_off(attempts)
        case NotSent(why=why):
            return f"cancel not sent: {why}", back_off(attempts)
        case unknown:
            return f"the answer to the cancel is unknown: {unknown.why}", back_off(attempts)
