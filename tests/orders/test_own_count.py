"""An exit is measured against our own count as well: reads may be late, and owners share."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import transaction
from django.utils import timezone

from apps.brokers.journal import moment
from apps.brokers.models import PositionsReport
from apps.brokers.port import Intent, Side
from apps.orders.models import Order
from apps.risk import footing
from apps.risk.models import Footing, OwnedPosition
from tests.orders.telling import sent, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
RELIANCE = {"segment": "NSE_EQ", "security_id": "2885", "product": "INTRADAY"}


@pytest.fixture
def bought(working, account, exchange):
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)

    def buy(quantity: int, **different) -> Order:
        entry = working(quantity=quantity, **different)
        filled(entry)
        return entry

    def filled(order: Order) -> None:
        exchange.control("fill", orderId=order.broker_order_id)
        settled(account)
        order.refresh_from_db()
        assert order.status == "FILLED"

    buy.filled = filled
    return buy


@pytest.fixture
def leave(place):
    def leave(quantity: int, **different) -> Order:
        return place(side=Side.SELL, quantity=quantity, intent=Intent.EXIT, **different)

    return leave


def shown(account, net: int, after: float = 0.0) -> PositionsReport:
    """A read of the positions, begun so many seconds after now, that shows so many units."""
    at = timezone.now() + dt.timedelta(seconds=after)
    rows = [RELIANCE | {"net_quantity": net}]
    return PositionsReport(account=account, as_of=at, mark=moment(), rows=rows)


def books_read(account) -> None:
    """The order book was read, and explains nothing."""
    type(account).objects.update(reconcile_wanted=False)


def test_a_late_read_of_the_position_lets_no_second_exit_through(bought, leave, exchange, account):
    bought(10)
    footing.read_positions(account)
    old = PositionsReport.objects.get().rows
    bought.filled(sent(leave(10)))
    exchange.fault("http_500", "positions")
    PositionsReport.objects.update(rows=old, mark=moment())
    order = leave(10)
    assert order.status == "DENIED"
    assert "10 is more than the 0 left of the position by the desk's own count" in order.reason


def test_units_that_no_order_explains_count_once_two_reads_and_the_order_book_agree(
    account, settings
):
    settings.SETTLE_TIME = 60
    footing.observe(account, shown(account, 10))
    assert not Footing.objects.get().foreign
    footing.observe(account, shown(account, 10, after=61))  # nobody has read the order book since
    assert not Footing.objects.get().foreign
    books_read(account)
    footing.observe(account, shown(account, 10, after=30))  # too soon: the broker may lag
    assert not Footing.objects.get().foreign
    footing.observe(account, shown(account, 10, after=61))
    assert Footing.objects.get().foreign == 10


@pytest.mark.parametrize("second", [0, 5])
def test_units_that_the_next_read_shows_otherwise_are_not_confirmed(account, second):
    footing.observe(account, shown(account, 10))
    books_read(account)
    footing.observe(account, shown(account, second, after=1))
    assert Footing.objects.get().foreign == 0
    assert Footing.objects.get().candidate == (second or None)


def test_the_same_read_twice_confirms_nothing(account):
    report = shown(account, 10)
    footing.observe(account, report)
    books_read(account)
    footing.observe(account, report)
    assert Footing.objects.get().foreign == 0


def test_a_strategy_leaves_its_own_part_and_no_more(bought, leave, account):
    bought(10, strategy="breakout")
    bought(5, strategy="momentum")
    bought(2)
    assert {row.owner: row.net for row in OwnedPosition.objects.all()} == {
        "strategy:breakout": 10,
        "strategy:momentum": 5,
        "manual": 2,
    }
    refused = leave(6, strategy="momentum")
    assert refused.status == "DENIED"
    assert "the strategy's own position 5" in refused.reason
    assert leave(5, strategy="momentum").status == "APPROVED"
    assert leave(1, strategy="momentum").status == "DENIED"
    assert leave(12).status == "APPROVED"  # a person may leave what others hold


def test_orders_that_exclude_each_other_take_the_position_once(bought, leave, account):
    bought(10)
    assert leave(10, group="target or stop").status == "APPROVED"
    assert leave(10, group="target or stop").status == "APPROVED"
    assert leave(1).status == "DENIED"
    assert leave(11, group="target or stop").status == "DENIED"


def test_a_fill_of_one_of_them_takes_the_position_and_the_others_are_too_much(
    bought, leave, account
):
    bought(10)
    target, stop = (sent(leave(10, group="target or stop")) for _ in range(2))
    settled(account)
    bought.filled(target)
    assert leave(10, group="target or stop").status == "DENIED"
    stop.refresh_from_db()
    assert stop.status == "OPEN"


def test_a_fill_that_nobody_told_us_of_does_not_keep_its_owner_from_leaving(
    working, leave, account, exchange
):
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    entry = working(quantity=10)
    exchange.control("fill", orderId=entry.broker_order_id)
    assert leave(10).status == "APPROVED"


def confirmed(account, units: int, candidate: int | None) -> Footing:
    named = RELIANCE | {"foreign": units, "candidate": candidate}
    return Footing.objects.create(account=account, **named)


def explained_meanwhile(account, monkeypatch, where: object, name: str) -> None:
    """The order that made the ten gets its row just after this was asked."""
    real = getattr(where, name)

    def and_then(*args):
        result = real(*args)
        with transaction.atomic():
            footing.explain(account, ("NSE_EQ", "2885", "INTRADAY"), 10)
        return result

    monkeypatch.setattr(where, name, and_then)


@pytest.mark.parametrize("candidate", [4, None])
def test_units_that_are_explained_while_a_read_is_weighed_are_not_put_back(
    account, monkeypatch, candidate
):
    confirmed(account, 10, candidate)
    explained_meanwhile(account, monkeypatch, footing.held, "shown")
    footing.observe(account, shown(account, 10 if candidate else 7))
    assert Footing.objects.get().foreign == 0


def test_units_that_are_explained_while_they_are_confirmed_are_not_nobodys(
    account, monkeypatch, settings
):
    settings.SETTLE_TIME = 60
    footing.observe(account, shown(account, 10))
    footing.observe(account, shown(account, 10, after=61))
    books_read(account)
    explained_meanwhile(account, monkeypatch, footing, "turn_taken")
    footing.observe(account, shown(account, 10, after=61))
    assert Footing.objects.get().foreign == 0
