"""Average cost: what a position is worth after any trades."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.orders.averaging import Holding, Move, after

PRICES = st.decimals(min_value=Decimal("0.0001"), max_value=Decimal(100_000), places=4)
SIZES = st.integers(min_value=-10_000, max_value=10_000).filter(bool)
TRADES = st.lists(st.tuples(SIZES, PRICES), max_size=30)


def held(*trades: tuple[int, object]) -> Holding:
    return after(
        Holding(),
        [Move((str(at),), size, Decimal(str(price))) for at, (size, price) in enumerate(trades)],
    )


def test_two_buys_cost_their_average():
    holding = held((10, 100), (30, 104))
    assert (holding.net, holding.cost / 40, holding.realised) == (40, 103, 0)


def test_a_part_sold_earns_against_the_average_and_leaves_it_as_it_was():
    holding = held((10, 100), (30, 104), (-20, 110))
    assert (holding.net, holding.cost / 20, holding.realised) == (20, 103, 140)


def test_a_short_position_earns_when_it_is_bought_back_lower():
    holding = held((-10, 200), (4, 190))
    assert (holding.net, holding.cost, holding.realised) == (-6, 1200, 40)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_trade_across_zero_is_split(sign):
    holding = held((sign * 10, 100), (-sign * 15, 110))
    assert (holding.net, holding.cost) == (-sign * 5, 550)
    assert holding.realised == sign * 100


def test_a_third_leaves_no_crumbs_once_all_is_sold():
    holding = held((3, "0.1"), (4, "0.2"), (-1, "0.3"), (-6, "0.3"))
    assert (holding.net, holding.cost) == (0, 0)
    assert holding.realised == Decimal("1.0")


@given(TRADES)
def test_money_is_conserved_to_the_last_place(trades):
    holding = held(*trades)
    open_value = holding.cost if holding.net > 0 else -holding.cost
    assert holding.realised == holding.sold_value - holding.bought_value + open_value
    assert holding.net == holding.bought - holding.sold == sum(size for size, _ in trades)
    assert (holding.cost == 0) == (holding.net == 0)


@given(TRADES)
def test_the_average_lies_between_the_lowest_and_the_highest_price(trades):
    holding = held(*trades)
    if holding.net:
        prices = [price for _, price in trades]
        crumb = Decimal("0.000001")
        assert min(prices) - crumb <= holding.cost / abs(holding.net) <= max(prices) + crumb
