"""The broker's facts: those that came too early, those that contradict us, those that say less."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers.dhan import words
from apps.brokers.models import WireCall
from apps.brokers.port import BrokerState, Refused
from apps.orders import cancels, services
from apps.orders.ingest import BOOK, FEED, apply_fill, apply_report
from apps.orders.models import Order
from apps.orders.reconcile import reconcile
from apps.risk import gate
from apps.risk.models import Hold
from tests.orders.sending import Sender
from tests.orders.sweeping import sweep_and_send
from tests.orders.telling import (
    CANCELLED,
    FILLED,
    PARTLY,
    report,
    sent,
    settled,
    swept_until,
    trade,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def told(order: Order, state: BrokerState, /, **facts: object) -> Order:
    apply_report(order.account, report(order, state, **facts), FEED)
    order.refresh_from_db()
    return order


def late_alert(order: Order) -> Alert:
    return Alert.objects.get(key=f"late:{order.correlation_id}")


def test_a_fact_that_did_not_fit_is_applied_when_it_does(working):
    order = working(quantity=1)
    told(order, FILLED, quantity=1, filled_quantity=1)
    for _ in range(2):
        assert told(order, CANCELLED, filled_quantity=1).status == "FILLED"
    kept = order.events.filter(applied=False)
    assert [event.event for event in kept] == ["CANCEL"]
    remainder = {"quantity": 3, "filled_quantity": 1}
    now = timezone.now() + dt.timedelta(seconds=1)
    assert told(order, PARTLY, **remainder, reported_at=now).status == "PARTIALLY_FILLED"
    assert told(order, CANCELLED, filled_quantity=1).status == "CANCELLED"
    assert Hold.objects.get().released_at is not None


def test_a_fact_that_did_not_fit_marks_the_account_and_alerts(working, account):
    order = working(quantity=1)
    told(order, FILLED, quantity=1, filled_quantity=1)
    told(order, CANCELLED, filled_quantity=1)
    account.refresh_from_db()
    assert account.reconcile_wanted
    assert Alert.objects.filter(key=f"order:{order.correlation_id}:CANCEL").exists()


def test_an_order_taken_with_a_429_is_adopted_from_the_books_and_not_sent_again(
    order, account, exchange
):
    exchange.fault("http_500", "place", times=1, accept=True, status=429)
    assert sent(order).status == "APPROVED"
    settled(account)
    order.refresh_from_db()
    assert order.status == "OPEN"
    assert "APPROVED" in late_alert(order).text
    Order.objects.filter(pk=order.pk).update(not_before=None)
    for _ in range(3):
        sweep_and_send()
    assert len(exchange.accepted(order.correlation_id)) == 1
    assert WireCall.objects.filter(verb="PLACE").count() == 1


def test_refused_by_the_reply_but_live_at_the_broker_is_adopted_with_an_alert(
    order, account, exchange
):
    sender = Sender(order)
    call = sender.speak().call
    sender.settle(gate.Sent(call, Refused("DH-905", "bad input")))
    order.refresh_from_db()
    assert order.status == "REJECTED"
    settled(account)
    order.refresh_from_db()
    assert order.status == "OPEN"
    assert order.broker_order_id == exchange.accepted(order.correlation_id)[0]["orderId"]
    assert Hold.objects.get().released_at is None
    assert "REJECTED" in late_alert(order).text


def test_withdrawn_after_a_429_that_lied_it_is_adopted_with_an_alert(
    order, account, exchange, trader
):
    exchange.fault("http_500", "place", times=1, accept=True, status=429)
    sent(order)
    assert services.cancel(order, trader, "no").status == "CANCELLED"
    settled(account)
    order.refresh_from_db()
    assert order.status == "OPEN"
    assert Hold.objects.get().released_at is None
    assert "CANCELLED" in late_alert(order).text
    assert order.can_cancel


def test_found_with_an_unknown_word_it_gets_its_name_and_can_be_cancelled(
    order, account, exchange, trader, monkeypatch
):
    exchange.fault("drop_after_accept", "place", times=1)
    assert sent(order).status == "UNKNOWN"
    for word in ("PENDING", "TRANSIT"):
        monkeypatch.setitem(words.STATES, word, BrokerState.UNRECOGNISED)
    swept_until(order, "SUBMITTED")
    assert order.broker_order_id == exchange.accepted(order.correlation_id)[0]["orderId"]
    assert Alert.objects.filter(key__startswith="word:dhan:").exists()
    services.cancel(order, trader, "strange")
    cancels.send_cancel(order.pk)
    settled(account)
    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_traded_with_less_than_all_is_not_filled(working, account, trader):
    order = working(quantity=10)
    told(order, FILLED, quantity=10, filled_quantity=4)
    assert (order.status, order.filled_quantity) == ("PARTIALLY_FILLED", 4)
    assert Hold.objects.get().released_at is None
    alert = Alert.objects.get(key=f"short:{order.correlation_id}")
    assert alert.severity == "CRITICAL"
    assert services.cancel(order, trader, "the rest").cancel_wanted_at is not None


def test_more_filled_than_ordered_alerts(working):
    order = told(working(quantity=1), FILLED, quantity=1, filled_quantity=2)
    assert (order.status, order.filled_quantity) == ("FILLED", 2)
    assert Alert.objects.filter(key=f"overfill:{order.correlation_id}").exists()


def test_the_average_price_is_true_although_trades_and_book_saw_different_parts(working, account):
    order = working(quantity=2)
    told(order, PARTLY, quantity=2, filled_quantity=1, average_price=Decimal(1400))
    for number, price in ((1, 1400), (2, 1390)):
        apply_fill(account, trade(order, number, price))
    last = report(order, FILLED, quantity=2, filled_quantity=2, average_price=Decimal(1395))
    apply_report(account, last, BOOK)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("FILLED", 2)
    assert order.average_price == Decimal(1395)


def test_a_trade_of_an_earlier_part_does_not_spoil_the_average_of_the_whole(working, account):
    order = working(quantity=2)
    told(order, FILLED, quantity=2, filled_quantity=2, average_price=Decimal(1395))
    apply_fill(account, trade(order, 1, 1400))
    order.refresh_from_db()
    assert (order.status, order.average_price) == ("FILLED", Decimal(1395))
    apply_fill(account, trade(order, 2, 1390))
    order.refresh_from_db()
    assert order.average_price == Decimal(1395)


def test_the_average_of_parts_filled_at_the_exchange_is_the_exchanges(working, account, exchange):
    order = working(quantity=3)
    for price in (1390, 1380):
        exchange.control("fill", orderId=order.broker_order_id, quantity=1, price=price)
        reconcile(account)
    exchange.control("fill", orderId=order.broker_order_id, quantity=1, price=1400)
    time.sleep(0.05)
    reconcile(account)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("FILLED", 3)
    assert order.average_price == Decimal(1390)
