"""Redis and the workers are gone: exits, cancels and looking go on, entries wait."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from celery import Celery
from django.utils import timezone

from apps.alerts.models import Alert, Heartbeat
from apps.alerts.raising import sign_of_life
from apps.brokers.port import Intent, Side
from apps.orders import guard, queue, services
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source
from apps.orders.sweep import SWEEP

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def ripe(*orders: Order) -> None:
    """As if approved a while ago: nobody heard the bell."""
    earlier = timezone.now() - timedelta(seconds=5)
    Order.objects.filter(pk__in=[order.pk for order in orders]).update(approved_at=earlier)


@pytest.fixture
def position(account, intent, trader, exchange, no_bells) -> Order:
    entry = services.place(intent(quantity=5), trader, Source.ADMIN)
    dispatch(entry.pk)
    entry.refresh_from_db()
    time.sleep(0.1)
    exchange.control("fill", orderId=entry.broker_order_id)
    return entry


def test_the_guard_sends_exits_and_leaves_entries_to_the_workers(
    position, intent, trader, exchange
):
    entry = services.place(intent(), trader, Source.ADMIN)
    leave = intent(side=Side.SELL, quantity=5, intent=Intent.EXIT, price=intent().price)
    leaving = services.place(leave, trader, Source.ADMIN)
    ripe(entry, leaving)
    guard.act()
    assert len(exchange.accepted(leaving.correlation_id)) == 1
    assert exchange.accepted(entry.correlation_id) == []


def test_the_guard_asks_for_wished_cancels_and_reads_the_books(
    account, intent, trader, exchange, no_bells
):
    order = services.place(intent(), trader, Source.ADMIN)
    dispatch(order.pk)
    time.sleep(0.1)
    services.cancel(order, trader, "no longer wanted")
    guard.act()
    time.sleep(0.1)
    guard.act()
    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_the_guard_looks_for_what_is_unknown(account, intent, trader, exchange, no_bells):
    order = services.place(intent(), trader, Source.ADMIN)
    exchange.fault("drop_after_accept", "place", times=1)
    dispatch(order.pk)
    guard.act()
    time.sleep(0.2)
    guard.act()
    order.refresh_from_db()
    assert order.status in {"SUBMITTED", "OPEN"}


def test_the_guard_acts_only_when_nobody_swept_lately(db, settings):
    assert guard.nobody_sweeps()
    sign_of_life(SWEEP)
    assert not guard.nobody_sweeps()
    Heartbeat.objects.filter(name=SWEEP).update(
        at=timezone.now() - timedelta(seconds=settings.GUARD_AFTER + 1)
    )
    assert guard.nobody_sweeps()


def test_the_guard_says_once_that_it_acts(account, no_bells):
    assert guard._turn(acting=False)
    assert guard._turn(acting=True)
    assert Alert.objects.get(key=guard.ALERT).times == 1


def test_an_order_is_taken_although_nobody_can_be_rung(
    account, intent, trader, exchange, monkeypatch
):
    deaf = Celery("deaf", broker="redis+socket:///nowhere/valkey.sock")
    deaf.config_from_object("django.conf:settings", namespace="CELERY")
    deaf.conf.broker_url = "redis+socket:///nowhere/valkey.sock"
    monkeypatch.setattr(queue, "current_app", deaf)
    began = time.monotonic()
    order = services.place(intent(), trader, Source.ADMIN)
    assert time.monotonic() - began < 3
    assert order.status == "APPROVED"
    dispatch(order.pk)
    assert len(exchange.accepted(order.correlation_id)) == 1
