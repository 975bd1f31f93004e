"""Ask the broker to cancel what is wished cancelled, again and again until the order is over."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from apps.brokers.port import Accepted, NotSent, Refused
from apps.orders import lifecycle, queue
from apps.orders.dispatch import back_off, call_time_out, close_with, insist
from apps.orders.ingest import REPLY
from apps.orders.lifecycle import Happening
from apps.orders.models import Order, trading_day
from apps.orders.states import AT_BROKER, Event
from apps.risk import gate

SOON = dt.timedelta(seconds=1)
AFTER_A_YES = dt.timedelta(seconds=3)  # the feed or the book should say CANCELLED before that


def send_cancel(order_id: int) -> None:
    """One ask, if the wish still stands and the broker has named the order.

    Many bells ring for one wish; whoever moves ``next_cancel_at`` on has the ask.
    """
    now = timezone.now()
    mine = Order.objects.filter(
        pk=order_id,
        cancel_wanted_at__isnull=False,
        status__in=AT_BROKER,
        trading_day__gte=trading_day(),
        next_cancel_at__lte=now,
    ).update(next_cancel_at=now + call_time_out())
    if not mine:
        return
    order = Order.objects.select_related("account").get(pk=order_id)
    result = gate.cancel(order.account, order.correlation_id, order.broker_order_id, order.address)
    match result:
        case gate.Sent():
            insist(lambda: _settle(order, result))
        case gate.Deferred(not_before=not_before):
            Order.objects.filter(pk=order.pk).update(next_cancel_at=not_before)
            queue.ring_at(not_before, "orders.cancel", order.pk)
        case gate.NotYours():
            Order.objects.filter(pk=order.pk).update(next_cancel_at=now + SOON)


def _settle(order: Order, sent: gate.Sent) -> None:
    text, pause = _say(sent, order.cancel_attempts)
    close_with(sent.call, sent.outcome)
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
