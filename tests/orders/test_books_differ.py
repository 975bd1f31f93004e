"""The comparison itself: equal books have no difference, and each change shows as what it is."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.brokers.port import BrokerState, Fill, OrderReport, Product, Segment, Side
from apps.orders.books import (
    Difference,
    Ours,
    by_broker_id,
    collapsed,
    new_trades,
    of_orders,
    of_trades,
    sorted_out,
)
from apps.orders.models import BreakKind, trading_day

NOW = timezone.now()
STATE = {
    "OPEN": BrokerState.WORKING,
    "PARTIALLY_FILLED": BrokerState.PARTIALLY_FILLED,
    "FILLED": BrokerState.FILLED,
    "CANCELLED": BrokerState.CANCELLED,
}


def ours(number: int, status: str, quantity: int, filled: int) -> Ours:
    return Ours(
        pk=number,
        correlation_id=f"{number:020x}",
        broker_order_id=str(number),
        status=status,
        side="BUY",
        product="INTRADAY",
        segment="NSE_EQ",
        security_id="2885",
        symbol="RELIANCE",
        quantity=quantity,
        price=Decimal(1400),
        trigger_price=None,
        filled_quantity=filled,
        average_price=Decimal(1400) if filled else None,
        after_market=False,
        submitted_at=NOW - dt.timedelta(seconds=9),
        trading_day=trading_day(),
    )


@st.composite
def books(draw: st.DrawFn) -> list[Ours]:
    """Orders in any state in which the desk can have them."""
    rows = []
    for number in range(1, draw(st.integers(1, 8)) + 1):
        status = draw(st.sampled_from(sorted(STATE)))
        quantity = draw(st.integers(2, 50))
        filled = {"OPEN": 0, "FILLED": quantity}.get(status, draw(st.integers(1, quantity - 1)))
        rows.append(ours(number, status, quantity, filled))
    return rows


def told(order: Ours, **different: object) -> OrderReport:
    fields = {
        "broker_order_id": order.broker_order_id,
        "state": STATE[order.status],
        "state_word": order.status,
        "correlation_id": order.correlation_id,
        "quantity": order.quantity,
        "filled_quantity": order.filled_quantity,
        "price": order.price,
    }
    return OrderReport(**(fields | different))  # type: ignore[arg-type]


def trades_of(orders: list[Ours]) -> list[Fill]:
    return [
        Fill(
            broker_order_id=order.broker_order_id,
            exchange_trade_id=f"T{order.pk}",
            segment=Segment.NSE_EQ,
            security_id="2885",
            side=Side.BUY,
            product=Product.INTRADAY,
            quantity=order.filled_quantity,
            price=Decimal(1400),
            traded_at=None,
        )
        for order in orders
        if order.filled_quantity
    ]


def stored(trades: list[Fill]) -> dict[tuple[str, str, str], tuple[int, Decimal]]:
    return {
        (one.broker_order_id, one.segment.value, one.exchange_trade_id): (one.quantity, one.price)
        for one in trades
    }


@given(books(), st.randoms())
def test_equal_books_in_any_order_with_repetitions_have_no_difference(orders, random):
    book, trades = [told(order) for order in orders], trades_of(orders)
    book, again = book + book[:2], trades + trades[:2]
    random.shuffle(book)
    random.shuffle(again)
    named = by_broker_id(orders)
    assert sorted_out(orders, book) == ([], [])
    assert list(of_orders(named, book, NOW)) == []
    assert list(of_trades(named, stored(trades), again)) == []
    assert new_trades(named, stored(trades), again) == {}


@given(books(), st.data())
def test_every_report_is_known_or_news_or_a_strangers(orders, data):
    known = data.draw(st.sets(st.sampled_from(orders)))
    book = [told(order) for order in orders]
    news, strangers = sorted_out(sorted(known, key=lambda order: order.pk), book)
    assert news == []
    ids = {report.broker_order_id for report in strangers}
    assert ids == {order.broker_order_id for order in set(orders) - known}


@given(books(), st.data())
def test_what_the_book_lacks_is_named_and_nothing_else(orders, data):
    missing = data.draw(st.sampled_from(orders))
    book = [told(order) for order in orders if order is not missing]
    (found,) = of_orders(by_broker_id(orders), book, NOW)
    assert (found.kind, found.subject) == (BreakKind.OURS_ONLY, missing.correlation_id)


@given(books(), st.data())
def test_another_filled_quantity_is_named_and_is_news(orders, data):
    odd = data.draw(st.sampled_from(orders))
    book = [told(o, filled_quantity=o.filled_quantity + (o is odd)) for o in orders]
    found = list(of_orders(by_broker_id(orders), book, NOW))
    assert [(one.kind, one.subject) for one in found] == [(BreakKind.QUANTITY, odd.correlation_id)]
    assert [report.broker_order_id for report in sorted_out(orders, book)[0]] == [
        odd.broker_order_id
    ]


@pytest.mark.parametrize("status", ["FILLED", "CANCELLED"])
def test_one_that_is_over_here_and_at_work_there_differs(status):
    order = ours(1, status, 10, 10 if status == "FILLED" else 3)
    report = told(order, state=BrokerState.WORKING, state_word="PENDING")
    kinds = [one.kind for one in of_orders(by_broker_id([order]), [report], NOW)]
    assert kinds == [BreakKind.STATUS]


@given(books(), st.data())
def test_a_trade_that_is_stored_and_not_in_the_book_or_the_other_way_round(orders, data):
    trades = trades_of(orders)
    named = by_broker_id(orders)
    if not trades:
        return
    odd = data.draw(st.sampled_from(trades))
    rest = [one for one in trades if one is not odd]
    lacking = list(of_trades(named, stored(trades), rest))
    assert [one.kind for one in lacking] == [BreakKind.FILL]
    assert new_trades(named, stored(rest), trades) == {odd.broker_order_id: [odd]}


@given(st.integers(0, 60))
def test_a_book_that_lacks_much_is_one_difference(count):
    many = [Difference(BreakKind.OURS_ONLY, str(n), str(n), {"n": n}, {}) for n in range(count)]
    other = Difference(BreakKind.STATUS, "x", "x", {"a": 1}, {"a": 2})
    found = collapsed([*many, other])
    assert other in found
    assert len(found) == (count if count <= 20 else 1) + 1
