"""Quantity and price follow the broker's newest word, although its stamps have whole seconds."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.orders import changes, services
from apps.orders.ingest import BOOK, FEED, apply_report
from apps.orders.models import Order
from apps.orders.reconcile import reconcile
from apps.risk.models import Hold
from tests.orders.telling import report, sent, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def second() -> dt.datetime:
    """The one second in which everything happens."""
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def named(order, exchange) -> Order:
    """Accepted by the broker, no word of its terms yet."""
    return sent(order)


def by_book(order: Order, at: dt.datetime, quantity: int, price: int) -> Order:
    news = report(order, quantity=quantity, price=Decimal(price), filled_quantity=0, reported_at=at)
    apply_report(order.account, news, BOOK, timezone.now())
    order.refresh_from_db()
    return order


def by_feed(order: Order, at: dt.datetime, quantity: int, price: int) -> Order:
    news = report(order, quantity=quantity, price=Decimal(price), filled_quantity=0, reported_at=at)
    apply_report(order.account, news, FEED)
    order.refresh_from_db()
    return order


def terms(order: Order) -> tuple[int, Decimal]:
    return order.quantity, order.price


def test_a_late_frame_of_the_same_second_does_not_win_over_the_book(named, second):
    assert terms(by_book(named, second, 50, 1410)) == (50, 1410)
    assert terms(by_feed(named, second, 1, 1400)) == (50, 1410)
    assert Hold.objects.get().quantity == 50
    assert terms(by_book(named, second, 50, 1410)) == (50, 1410)


def test_a_frame_that_was_believed_first_is_put_right_by_the_book(named, second):
    assert terms(by_feed(named, second, 1, 1400)) == (1, 1400)
    assert terms(by_feed(named, second, 50, 1410)) == (1, 1400)
    assert terms(by_book(named, second, 50, 1410)) == (50, 1410)


def test_a_frame_of_a_later_second_wins_over_the_book(named, second):
    by_book(named, second, 50, 1410)
    assert terms(by_feed(named, second + dt.timedelta(seconds=1), 40, 1420)) == (40, 1420)


def test_there_and_back_again_within_one_second_is_followed_by_the_books(named, second):
    for quantity, price in ((1, 1400), (50, 1410), (1, 1400), (50, 1410)):
        assert terms(by_book(named, second, quantity, price)) == (quantity, price)


def test_a_book_that_was_begun_before_our_terms_were_written_does_not_win(named, second):
    began = timezone.now()
    by_book(named, second, 50, 1410)
    old = report(named, quantity=1, price=Decimal(1400), filled_quantity=0, reported_at=second)
    apply_report(named.account, old, BOOK, began)
    named.refresh_from_db()
    assert terms(named) == (50, 1410)


def test_a_price_change_back_to_an_earlier_price_is_applied(working, account, trader):
    order = working()
    for price in (Decimal(1410), Decimal(1400), Decimal(1410)):
        change = services.modify(order, trader, "there and back", price=price)
        changes.send_change(change.pk)
        settled(account)
        order.refresh_from_db()
        change.refresh_from_db()
        assert (order.price, change.status) == (price, "APPLIED")


def test_a_late_frame_of_the_placement_does_not_undo_a_change(working, account, trader):
    order = working(quantity=1)
    change = services.modify(order, trader, "more", quantity=50)
    changes.send_change(change.pk)
    settled(account)
    order.refresh_from_db()
    by_feed(order, order.terms_as_of, 1, 1400)
    for _ in range(2):
        reconcile(account)
    order.refresh_from_db()
    change.refresh_from_db()
    assert (order.quantity, Hold.objects.get().quantity) == (50, 50)
    assert change.status == "APPLIED"
