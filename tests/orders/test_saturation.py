"""More entries than the broker takes, and exits among them: no 429, and every exit leaves."""

from __future__ import annotations

import threading
import time
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.brokers.budget import Budget, Priority, allowed
from apps.brokers.models import WireCall
from apps.brokers.port import Intent, Side
from apps.orders import services
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source
from tests.orders.telling import OnTheSide, settled

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS, SENDERS, WAITING = 10.0, 6, 12


@pytest.fixture
def held(working, account, exchange) -> None:
    """More shares than the exits will sell."""
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    exchange.control("fill", orderId=working(quantity=100).broker_order_id)
    settled(account)


def _due(intent: Intent) -> list[int]:
    now = timezone.now()
    approved = Order.objects.filter(status="APPROVED", intent=intent)
    return [
        pk
        for pk, not_before in approved.values_list("pk", "not_before")
        if not_before is None or not_before <= now
    ]


def keep_entering(place, stop: threading.Event) -> None:
    """There is always an entry more than may leave, and somebody who tries to send it."""
    while not stop.is_set():
        if Order.objects.filter(status="APPROVED", intent=Intent.ENTRY).count() < WAITING:
            place()
        for pk in _due(Intent.ENTRY):
            dispatch(pk)
        time.sleep(0.01)


def keep_leaving(place, stop: threading.Event) -> None:
    """At half the rate that is kept for exits; the last ones still leave after the end."""
    kept = allowed(Budget.ORDER, 1) - allowed(Budget.ORDER, 1, Priority.ENTRY)
    next_at = time.monotonic()
    while not stop.is_set():
        if time.monotonic() >= next_at:
            place(side=Side.SELL, intent=Intent.EXIT, price=Decimal(1450))
            next_at += 2 / kept
        for pk in _due(Intent.EXIT):
            dispatch(pk)
        time.sleep(0.01)


def test_under_saturation_no_call_is_too_many_and_every_exit_leaves(
    held, intent, trader, exchange, no_bells
):
    def place(**different: object) -> Order:
        return services.place(intent(**different), trader, Source.COMMAND)

    exchange.control("limits", on=True)
    before, stop = exchange.report()["rate_limited"], threading.Event()
    senders = [OnTheSide(keep_entering, place, stop) for _ in range(SENDERS)]
    senders.append(OnTheSide(keep_leaving, place, stop))
    time.sleep(SECONDS)
    stop.set()
    assert [sender.over() for sender in senders] == [None] * len(senders)
    while waiting := _due(Intent.EXIT):
        for pk in waiting:
            dispatch(pk)
    report = exchange.report()
    exits = Order.objects.filter(intent=Intent.EXIT)
    assert (report["rate_limited"] - before, report["doubled"]) == (0, [])
    assert not WireCall.objects.filter(http_status=429).exists()
    assert exits.count() >= SECONDS
    assert {order.status for order in exits} <= {"SUBMITTED", "OPEN"}
    assert all(len(report["accepted"][order.correlation_id]) == 1 for order in exits)
    assert Order.objects.filter(reason="waiting for the rate budget").exists()
    assert Order.objects.filter(intent=Intent.ENTRY, status="SUBMITTED").count() > SECONDS
