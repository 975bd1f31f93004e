"""Brackets of ours from end to end: real rows, the real gate, orders at the simulated exchange."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.brokers.port import Side
from apps.orders import brackets
from apps.orders.bracket_check import breaks_of
from apps.orders.bracket_machine import Part
from apps.orders.brackets import BracketIntent
from apps.orders.models import Bracket, Source
from tests.orders.bracketing import is_held, is_over, newest, status_of, until
from tests.orders.closing import held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def market(exchange):
    """Turn the price of the share; orders that it reaches fill."""

    def price(rupees: float) -> None:
        exchange.control("price", segment="NSE_EQ", securityId="2885", price=rupees)

    price(1400)
    exchange.control("auto", on=True)
    return price


@pytest.fixture
def wanted(account, reliance):
    def make(**different) -> BracketIntent:
        fields = {
            "account": account,
            "instrument": reliance,
            "side": Side.BUY,
            "quantity": 10,
            "price": Decimal(1405),
            "stop_price": Decimal(1380),
            "target_price": Decimal(1430),
        }
        return BracketIntent(**(fields | different))

    return make


@pytest.fixture
def place(wanted, trader, no_bells):
    def make(**different) -> Bracket:
        return brackets.place(wanted(**different), trader, Source.COMMAND, "test")

    return make


@pytest.fixture
def entered(place, market):
    """A bracket whose entry has filled, with target and stop at work."""

    def make(**different) -> Bracket:
        bracket = place(**different)
        until(bracket, is_held(bracket))
        return bracket

    return make


def test_legs_are_rows_from_the_moment_it_is_accepted(place):
    bracket = place()
    assert sorted(bracket.legs.values_list("leg", "status")) == [
        ("ENTRY", "SUBMITTED"),
        ("STOP_LOSS", "AWAITED"),
        ("TARGET", "AWAITED"),
    ]
    assert bracket.status == "ENTERING"


def test_an_entered_bracket_has_its_exits_at_work_in_one_group(entered):
    bracket = entered()
    stop, target = newest(bracket, Part.STOP_LOSS), newest(bracket, Part.TARGET)
    assert bracket.status == "HOLDING"
    assert (stop.order_type, stop.trigger_price, stop.intent) == ("STOP_LIMIT", 1380, "EXIT")
    assert stop.price < stop.trigger_price
    assert (target.order_type, target.price) == ("LIMIT", 1430)
    assert stop.group == target.group == bracket.name
    assert breaks_of(bracket) == []
    legs = bracket.legs.order_by("leg")
    assert [leg.leg_order_id for leg in legs] == [leg.order.broker_order_id for leg in legs]


@pytest.mark.parametrize(
    ("to", "filled", "gone"),
    [
        (1431, "TARGET", "STOP_LOSS"),
        (1379, "STOP_LOSS", "TARGET"),
    ],
)
def test_the_exit_that_fills_cancels_its_sibling(entered, market, account, to, filled, gone):
    bracket = entered()
    market(to)
    until(bracket, is_over(bracket))
    assert status_of(bracket, filled) == "FILLED"
    assert status_of(bracket, gone) == "CANCELLED"
    assert held(account) == 0
    assert breaks_of(bracket) == []


def test_a_sold_bracket_works_the_other_way_round(entered, market, account):
    bracket = entered(
        side=Side.SELL, price=Decimal(1395), stop_price=Decimal(1420), target_price=Decimal(1370)
    )
    assert held(account) == -10
    market(1421)
    until(bracket, is_over(bracket))
    assert (held(account), status_of(bracket, "STOP_LOSS")) == (0, "FILLED")
