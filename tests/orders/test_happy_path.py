"""One real order through gate, adapter and exchange, and back by book and cancel."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from apps.brokers.models import WireCall
from apps.brokers.port import Intent, Side
from apps.orders import cancels, changes, services
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source
from apps.orders.reconcile import reconcile
from apps.risk.models import Hold

pytestmark = pytest.mark.django_db(transaction=True)


def place(make, trader, /, **different) -> Order:
    return services.place(make(**different), trader, Source.COMMAND)


def settled(account) -> None:
    time.sleep(0.1)
    reconcile(account)


def test_an_approved_order_reaches_the_exchange_once_and_is_open(
    account, intent, trader, exchange, no_bells
):
    order = place(intent, trader)
    assert order.status == "APPROVED"
    dispatch(order.pk)
    dispatch(order.pk)
    order.refresh_from_db()
    assert order.status == "SUBMITTED"
    assert len(exchange.accepted(order.correlation_id)) == 1
    settled(account)
    order.refresh_from_db()
    assert order.status == "OPEN"
    assert [e.event for e in order.events.all()] == ["APPROVE", "CLAIM", "ACCEPT", "WORK"]


def test_fills_arrive_by_book_and_release_the_hold(account, intent, trader, exchange, no_bells):
    order = place(intent, trader, quantity=10)
    dispatch(order.pk)
    settled(account)
    order.refresh_from_db()
    exchange.control("fill", orderId=order.broker_order_id, quantity=4)
    settled(account)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("PARTIALLY_FILLED", 4)
    exchange.control("fill", orderId=order.broker_order_id)
    settled(account)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("FILLED", 10)
    assert sum(f.quantity for f in order.fills.all()) == 10
    assert not Hold.objects.filter(released_at=None).exists()


def test_cancel_asks_the_broker_and_the_book_ends_it(account, intent, trader, exchange, no_bells):
    order = place(intent, trader)
    dispatch(order.pk)
    settled(account)
    services.cancel(order, trader, "changed my mind")
    cancels.send_cancel(order.pk)
    settled(account)
    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_an_order_cancelled_before_sending_never_leaves(
    account, intent, trader, exchange, no_bells
):
    order = place(intent, trader)
    assert services.cancel(order, trader, "no").status == "CANCELLED"
    dispatch(order.pk)
    assert exchange.accepted(order.correlation_id) == []
    assert not WireCall.objects.filter(verb="PLACE").exists()


def test_a_change_is_reviewed_sent_and_read_back(account, intent, trader, exchange, no_bells):
    order = place(intent, trader, quantity=5)
    dispatch(order.pk)
    settled(account)
    change = services.modify(order, trader, "closer", quantity=8, price=Decimal(1401))
    assert Hold.objects.get().quantity == 8
    changes.send_change(change.pk)
    settled(account)
    order.refresh_from_db()
    change.refresh_from_db()
    assert change.status == "APPLIED"
    assert (order.quantity, order.price) == (8, Decimal(1401))


def test_an_exit_is_capped_to_the_position_the_broker_shows(
    account, intent, trader, exchange, no_bells
):
    entry = place(intent, trader, quantity=10)
    dispatch(entry.pk)
    settled(account)
    entry.refresh_from_db()
    exchange.control("fill", orderId=entry.broker_order_id)
    settled(account)
    too_much = place(intent, trader, side=Side.SELL, quantity=11, intent=Intent.EXIT)
    assert too_much.status == "DENIED"
    right = place(intent, trader, side=Side.SELL, quantity=10, intent=Intent.EXIT)
    assert right.status == "APPROVED", right.reason
    twice = place(intent, trader, side=Side.SELL, quantity=1, intent=Intent.EXIT)
    assert twice.status == "DENIED"


def test_a_reason_of_an_earlier_status_is_not_carried_on(
    account, intent, trader, exchange, no_bells
):
    exchange.fault("http_429", "place", times=1)
    order = place(intent, trader)
    dispatch(order.pk)
    order.refresh_from_db()
    assert "429" in order.reason
    Order.objects.filter(pk=order.pk).update(not_before=None)
    dispatch(order.pk)
    order.refresh_from_db()
    assert (order.status, order.reason) == ("SUBMITTED", "")
