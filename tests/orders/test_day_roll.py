"""An order that is still at work when its day is over: nobody saw its end, so it is UNKNOWN."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers.models import WireCall
from apps.orders import cancels, services
from apps.orders.ingest import FEED, apply_report
from apps.orders.models import Order, trading_day
from apps.orders.reconcile import reconcile
from apps.orders.sweep import sweep
from apps.risk.models import Hold
from tests.orders.telling import CANCELLED, FILLED, PARTLY, report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def grown_old(order: Order) -> Order:
    """As if it had been placed yesterday."""
    Order.objects.filter(pk=order.pk).update(trading_day=trading_day() - dt.timedelta(days=1))
    order.refresh_from_db()
    return order


def swept(order: Order) -> Order:
    sweep(direct=True)
    order.refresh_from_db()
    return order


@pytest.fixture
def old(working, exchange) -> Order:
    """At work since yesterday; today's books are empty."""
    order = grown_old(working(quantity=10))
    exchange.reset()
    return order


def test_it_becomes_unknown_with_an_alert_and_keeps_its_hold(old):
    assert swept(old).status == "UNKNOWN"
    assert "statement" in old.reason
    alert = Alert.objects.get(key=f"unknown:{old.correlation_id}")
    assert alert.severity == "CRITICAL"
    assert Hold.objects.get().released_at is None


@pytest.mark.parametrize("status", ["SUBMITTED", "PARTIALLY_FILLED"])
def test_it_does_so_from_every_state_at_the_broker(old, status):
    Order.objects.filter(pk=old.pk).update(status=status)
    assert swept(old).status == "UNKNOWN"


def test_the_brokers_books_are_not_asked_to_cancel_it(old, trader):
    services.cancel(old, trader, "stop")
    cancels.send_cancel(old.pk)
    assert not WireCall.objects.filter(verb="CANCEL").exists()
    swept(old)
    cancels.send_cancel(old.pk)
    swept(old)
    assert not WireCall.objects.filter(verb="CANCEL").exists()


def test_it_is_looked_for_seldom(old):
    swept(old)
    looks = swept(old).looks
    assert looks >= 1
    assert old.next_look_at > timezone.now() + dt.timedelta(minutes=9)
    assert swept(old).looks == looks


def test_an_order_of_today_is_looked_for_soon(order, exchange):
    Order.objects.filter(pk=order.pk).update(status="UNKNOWN")
    assert swept(order).next_look_at < timezone.now() + dt.timedelta(seconds=3)


def test_an_empty_book_of_today_proves_nothing_of_it(old, account):
    time.sleep(1.3)  # whatever its call did is over
    for _ in range(3):
        Order.objects.filter(pk=old.pk).update(next_look_at=None)
        swept(old)
        reconcile(account)
    old.refresh_from_db()
    assert (old.status, old.absences) == ("UNKNOWN", 0)


@pytest.mark.parametrize(("state", "after"), [(FILLED, "FILLED"), (CANCELLED, "CANCELLED")])
def test_late_news_of_its_end_still_ends_it(old, account, state, after):
    swept(old)
    apply_report(account, report(old, state, quantity=10, filled_quantity=10), FEED)
    old.refresh_from_db()
    assert old.status == after
    assert Hold.objects.get().released_at is not None


def test_late_news_of_an_order_that_nobody_swept_yet_finds_it(old, account):
    apply_report(account, report(old, PARTLY, quantity=10, filled_quantity=4), FEED)
    old.refresh_from_db()
    assert (old.status, old.filled_quantity) == ("PARTIALLY_FILLED", 4)


def test_an_order_that_was_over_yesterday_stays_as_it_is(working, account, exchange):
    order = working(quantity=1)
    apply_report(account, report(order, FILLED, quantity=1, filled_quantity=1), FEED)
    assert swept(grown_old(order)).status == "FILLED"
