"""An order whose quantity a change has raised ends only by what the broker says of the whole."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from apps.brokers.dhan.reporting import DhanReporting
from apps.orders import changes, services
from apps.orders.ingest import FEED, apply_fill, apply_report
from apps.orders.reconcile import reconcile
from apps.risk.models import Hold
from tests.orders.telling import FILLED, PARTLY, WORKING, report, settled, shown, trade

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def test_the_trade_book_alone_never_ends_an_order(working, account):
    order = working(quantity=1)
    apply_fill(account, trade(order, 1, 1400))
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("PARTIALLY_FILLED", 1)
    assert Hold.objects.get().released_at is None
    apply_report(account, report(order, FILLED, quantity=1, filled_quantity=1), FEED)
    order.refresh_from_db()
    assert order.status == "FILLED"


def test_grown_and_partly_traded_between_the_two_books_it_goes_on(
    working, account, exchange, trader, monkeypatch
):
    order = working(quantity=1)
    change = services.modify(order, trader, "more", quantity=3)
    order_book = DhanReporting.order_book

    def then_the_world_moves(self):
        known = order_book(self)
        monkeypatch.setattr(DhanReporting, "order_book", order_book)
        changes.send_change(change.pk)
        exchange.control("fill", orderId=order.broker_order_id, quantity=1)
        return known

    monkeypatch.setattr(DhanReporting, "order_book", then_the_world_moves)
    reconcile(account)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("PARTIALLY_FILLED", 1)
    settled(account)
    order.refresh_from_db()
    change.refresh_from_db()
    assert (order.status, order.filled_quantity, order.quantity) == ("PARTIALLY_FILLED", 1, 3)
    assert (shown(order).quantity, change.status) == (3, "APPLIED")
    hold = Hold.objects.get()
    assert (hold.quantity, hold.filled, hold.released_at) == (3, 1, None)
    exchange.control("fill", orderId=order.broker_order_id)
    settled(account)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("FILLED", 3)


@pytest.mark.parametrize("state", [WORKING, PARTLY])
def test_filled_is_reopened_by_newer_news_of_a_remainder(working, account, state):
    order = working(quantity=1)
    apply_report(account, report(order, FILLED, quantity=1, filled_quantity=1), FEED)
    assert Hold.objects.get().released_at is not None
    later = timezone.now() + dt.timedelta(seconds=1)
    news = report(order, state, quantity=3, filled_quantity=1, reported_at=later)
    apply_report(account, news, FEED)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity, order.quantity) == ("PARTIALLY_FILLED", 1, 3)
    hold = Hold.objects.get()
    assert (hold.quantity, hold.released_at, hold.released_mark) == (3, None, None)


def test_filled_stays_filled_by_older_news_of_a_remainder(working, account):
    order = working(quantity=3)
    apply_report(
        account,
        report(order, FILLED, quantity=3, filled_quantity=3, reported_at=timezone.now()),
        FEED,
    )
    earlier = timezone.now() - dt.timedelta(seconds=5)
    late = report(order, PARTLY, quantity=5, filled_quantity=1, reported_at=earlier)
    apply_report(account, late, FEED)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity, order.quantity) == ("FILLED", 3, 3)
    assert Hold.objects.get().released_at is not None


def test_filled_stays_filled_by_news_without_a_remainder(working, account):
    order = working(quantity=1)
    apply_report(account, report(order, FILLED, quantity=1, filled_quantity=1), FEED)
    later = timezone.now() + dt.timedelta(seconds=1)
    apply_report(
        account,
        report(order, PARTLY, quantity=1, filled_quantity=1, reported_at=later),
        FEED,
    )
    order.refresh_from_db()
    assert order.status == "FILLED"
