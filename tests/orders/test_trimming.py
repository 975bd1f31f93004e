"""Exits never stay larger than the position, whoever traded it elsewhere."""

from __future__ import annotations

import itertools
import time
from decimal import Decimal

import pytest

from apps.brokers.port import Intent, OrderType, Side
from apps.orders.models import Order
from apps.orders.reconcile import reconcile
from apps.orders.trimming import trim
from apps.risk import footing
from tests.orders.closing import held
from tests.orders.sweeping import sweep_and_send
from tests.orders.telling import sent, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def bought(place, account, exchange):
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    exchange.control("auto", on=True)
    entry = sent(place(quantity=10, price=Decimal(1405)))
    settled(account)
    entry.refresh_from_db()
    assert entry.status == "FILLED"
    return entry


@pytest.fixture
def stop(place, account, bought):
    def stop(quantity: int, group: str = "") -> Order:
        order = sent(
            place(
                side=Side.SELL,
                quantity=quantity,
                order_type=OrderType.STOP_LIMIT,
                price=Decimal(1340),
                trigger_price=Decimal(1345),
                intent=Intent.EXIT,
                group=group,
            )
        )
        settled(account)
        order.refresh_from_db()
        assert order.status == "OPEN", order.reason
        return order

    return stop


@pytest.fixture
def sold_by_hand(exchange, account):
    def sell(quantity: int) -> None:
        exchange.control(
            "hand",
            client_id=account.client_id,
            transactionType="SELL",
            exchangeSegment="NSE_EQ",
            securityId="2885",
            productType="INTRADAY",
            orderType="MARKET",
            quantity=quantity,
            fill=True,
        )

    return sell


def trimmed(account, shows=None) -> None:
    """What the desk does within a minute: until the orders show it, or a few times."""
    deadline = time.monotonic() + 20
    for number in itertools.count(1):
        trim(account, footing.read_positions(account))
        sweep_and_send()
        time.sleep(0.35)
        reconcile(account)
        if shows is None and number == 4:
            return
        if shows is not None and (shows() or time.monotonic() > deadline):
            return


def shown(*orders: Order) -> list[tuple[str, int]]:
    return [Order.objects.values_list("status", "quantity").get(pk=one.pk) for one in orders]


def test_a_stop_larger_than_what_is_left_shrinks_to_it(stop, sold_by_hand, account):
    order = stop(10)
    sold_by_hand(4)
    trimmed(account, lambda: shown(order) == [("OPEN", 6)])
    assert shown(order) == [("OPEN", 6)]


def test_a_stop_of_a_position_that_is_gone_is_cancelled(stop, sold_by_hand, account):
    order = stop(10)
    sold_by_hand(10)
    trimmed(account, lambda: shown(order) == [("CANCELLED", 10)])
    assert shown(order) == [("CANCELLED", 10)]
    assert held(account) == 0


def test_the_youngest_is_taken_back_first(stop, sold_by_hand, account):
    older, younger = stop(5), stop(5)
    sold_by_hand(5)
    right = [("OPEN", 5), ("CANCELLED", 5)]
    trimmed(account, lambda: shown(older, younger) == right)
    assert shown(older, younger) == right


def test_orders_that_exclude_each_other_cover_the_position_once(stop, account):
    orders = [stop(10, group="pair"), stop(10, group="pair")]
    trimmed(account)
    assert [Order.objects.get(pk=order.pk).status for order in orders] == ["OPEN", "OPEN"]


def test_one_late_read_takes_no_protection_away(stop, account):
    order = stop(10)
    report = footing.read_positions(account)
    report.rows = []
    trim(account, report)
    order.refresh_from_db()
    assert order.cancel_wanted_at is None


def test_orders_that_exclude_each_other_shrink_together(stop, sold_by_hand, account):
    orders = [stop(10, group="pair"), stop(10, group="pair")]
    sold_by_hand(4)
    right = [("OPEN", 6), ("OPEN", 6)]
    trimmed(account, lambda: shown(*orders) == right)
    assert shown(*orders) == right


def trimmed_twice(account) -> None:
    """A second look before anything was sent of what the first one wished."""
    for _ in range(2):
        trim(account, footing.read_positions(account))


def wished_gone(*orders: Order) -> list[bool]:
    found = (Order.objects.get(pk=order.pk) for order in orders)
    return [order.cancel_wanted_at is not None for order in found]


def test_an_exit_whose_cancel_is_under_way_is_not_too_much_a_second_time(
    stop, sold_by_hand, account
):
    older, younger = stop(5), stop(5)
    sold_by_hand(5)
    reconcile(account)
    trimmed_twice(account)
    assert wished_gone(older, younger) == [False, True]
    right = [("OPEN", 5), ("CANCELLED", 5)]
    trimmed(account, lambda: shown(older, younger) == right)
    assert shown(older, younger) == right


def test_an_exit_shrinks_once_while_another_is_cancelled(stop, sold_by_hand, account):
    older, younger = stop(5), stop(5)
    sold_by_hand(7)
    reconcile(account)
    trimmed_twice(account)
    assert wished_gone(older, younger) == [False, True]
    assert [change.quantity for change in older.modifications.all()] == [3]
    right = [("OPEN", 3), ("CANCELLED", 5)]
    trimmed(account, lambda: shown(older, younger) == right)
    assert shown(older, younger) == right
