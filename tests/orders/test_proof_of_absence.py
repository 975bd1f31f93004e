"""Only whole books of the right day prove that an order is not there; and all books are read."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.alerts.models import Alert, Heartbeat
from apps.brokers.dhan.reporting import DhanReporting
from apps.brokers.models import BrokerAccount
from apps.brokers.port import Known
from apps.orders import look
from apps.orders.models import Order
from apps.orders.reconcile import accounts_due, reconcile
from tests.orders.sweeping import sweep_and_send
from tests.orders.telling import sent, swept_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def known(working) -> Order:
    """At the exchange, and in every whole book of today."""
    return working()


@pytest.fixture
def lost(place, exchange) -> Order:
    """At the exchange; its reply was lost, and the lookup finds nothing."""
    exchange.fault("drop_after_accept", "place", times=1)
    exchange.fault("lookup_404", "by_correlation", seconds=60)
    order = sent(place(quantity=2))
    assert order.status == "UNKNOWN"
    return order


def books(monkeypatch, rows) -> None:
    monkeypatch.setattr(DhanReporting, "order_book", lambda self: Known(rows, timezone.now()))


def looked_for(order: Order, seconds: float) -> Order:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and order.status == "UNKNOWN":
        Order.objects.filter(pk=order.pk).update(next_look_at=timezone.now())
        sweep_and_send()
        order.refresh_from_db()
        time.sleep(0.1)
    return order


def test_a_book_that_lacks_known_orders_proves_nothing(known, lost, account, monkeypatch):
    books(monkeypatch, [])
    assert looked_for(lost, 4).status == "UNKNOWN"
    assert (lost.absences, lost.looks > look.PROOFS_NEEDED) == (0, True)
    alert = Alert.objects.get(key=f"book:{account.name}")
    assert known.broker_order_id in alert.text
    assert Order.objects.get(pk=known.pk).status == "OPEN"


def test_a_book_that_lacks_an_order_which_ended_today_proves_nothing(
    known, lost, account, monkeypatch
):
    Order.objects.filter(pk=known.pk).update(status="CANCELLED")
    books(monkeypatch, [])
    assert looked_for(lost, 3).status == "UNKNOWN"


def test_a_whole_book_twice_proves_it(order, working, exchange):
    working(quantity=3)
    exchange.fault("drop_before_accept", "place", times=1)
    assert sent(order).status == "UNKNOWN"
    doubt = Alert.objects.get(key=f"unknown:{order.correlation_id}")
    assert doubt.open
    swept_until(order, "NEVER_ARRIVED")
    assert order.absences == look.PROOFS_NEEDED
    doubt.refresh_from_db()
    assert not doubt.open
    assert Alert.objects.get(key=f"absent:{order.correlation_id}").open


def test_an_order_that_is_found_ends_the_alert_of_its_doubt(place, exchange):
    exchange.fault("drop_after_accept", "place", times=1)
    order = sent(place(quantity=2))
    doubt = Alert.objects.get(key=f"unknown:{order.correlation_id}")
    swept_until(order, "SUBMITTED", "OPEN")
    doubt.refresh_from_db()
    assert (doubt.open, doubt.acknowledged_by) == (False, None)


def test_a_book_that_cannot_be_read_proves_nothing(lost, exchange):
    exchange.fault("http_500", "book")
    assert looked_for(lost, 2.5).status == "UNKNOWN"
    assert lost.absences == 0
    exchange.heal()
    assert looked_for(lost, 5).status in {"SUBMITTED", "OPEN"}


def test_a_book_of_another_day_proves_nothing(order, exchange, monkeypatch):
    exchange.fault("drop_before_accept", "place", times=1)
    sent(order)
    today = look.trading_day
    tomorrow = timezone.now() + timedelta(seconds=1)

    def day(at=None):
        return today(at) + timedelta(days=1 if at is not None and at > tomorrow else 0)

    monkeypatch.setattr(look, "trading_day", day)
    time.sleep(1.3)
    assert looked_for(order, 2).status == "UNKNOWN"
    assert order.absences == 0


def test_an_account_with_nothing_at_work_is_read_after_a_while(account, exchange, settings):
    assert accounts_due() == [account]
    reconcile(account)
    assert accounts_due() == []
    long_ago = timezone.now() - timedelta(seconds=settings.IDLE_RECONCILE_EVERY + 1)
    Heartbeat.objects.filter(name=f"reconcile:{account.name}").update(at=long_ago)
    assert accounts_due() == [account]


def test_an_idle_disabled_account_is_left_alone_but_not_one_with_a_live_order(
    working, account, exchange
):
    BrokerAccount.objects.filter(pk=account.pk).update(enabled=False)
    account.refresh_from_db()
    Heartbeat.objects.all().delete()
    assert accounts_due() == []
    BrokerAccount.objects.filter(pk=account.pk).update(enabled=True)
    account.refresh_from_db()
    order = working()
    BrokerAccount.objects.filter(pk=account.pk).update(enabled=False)
    exchange.control("fill", orderId=order.broker_order_id)
    for due in accounts_due():
        reconcile(due)
    order.refresh_from_db()
    assert order.status == "FILLED"


def test_an_order_proved_absent_that_lives_after_all_is_found_by_the_idle_reading(
    lost, account, exchange, monkeypatch
):
    with monkeypatch.context() as patched:
        books(patched, [])
        assert looked_for(lost, 6).status == "NEVER_ARRIVED"
    Heartbeat.objects.all().delete()
    for due in accounts_due():
        reconcile(due)
    lost.refresh_from_db()
    assert lost.status in {"SUBMITTED", "OPEN"}
    assert Alert.objects.filter(key=f"late:{lost.correlation_id}").exists()
