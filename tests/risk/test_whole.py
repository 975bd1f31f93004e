"""What each rule sees of a slice: the whole, or the slice itself."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.brokers.port import Intent, OrderType, Side
from apps.risk import rules
from apps.risk.rules import Snapshot
from tests.risk.test_rules import request, snapshot


def slice_of(whole: int | None, quantity: int = 130, **different: Any) -> Snapshot:
    """A slice of a whole, in a world in which everything is well."""
    wanted = request(quantity=quantity, whole=whole, whole_id="w" if whole else "", **different)
    return replace(snapshot(), request=wanted)


def limited(seen: Snapshot, **limits: Any) -> Snapshot:
    return replace(seen, limits=replace(seen.limits, **limits))


def test_the_quantity_limit_is_about_the_whole():
    rule = rules.QuantityAndLot()
    most = snapshot().limits.max_order_quantity
    whole = (most // 65 + 1) * 65
    assert f"quantity {whole} is above the limit {most}" in rule.refusal(slice_of(whole))
    assert rule.refusal(slice_of(None)) is None


def test_the_freeze_quantity_is_about_the_slice():
    rule = rules.QuantityAndLot()
    seen = slice_of(260)
    facts = replace(seen.instrument, freeze_quantity=130)
    assert rule.refusal(replace(seen, instrument=facts)) is None
    facts = replace(seen.instrument, freeze_quantity=129)
    assert "quantity 130 is above the freeze" in rule.refusal(replace(seen, instrument=facts))


@pytest.mark.parametrize(("whole", "quantity"), [(261, 130), (260, 131)])
def test_whole_and_slice_are_lot_multiples(whole, quantity):
    assert "is not a multiple" in rules.QuantityAndLot().refusal(slice_of(whole, quantity))


@given(st.integers(1, 50))
def test_the_value_limit_cannot_be_walked_around(times):
    seen = slice_of(130 * times)
    assert seen.value == seen.own_value * times
    assert seen.own_value == slice_of(None).value
    value = seen.value
    assert rules.OrderValue().refusal(limited(seen, max_order_value=value)) is None
    assert rules.OrderValue().refusal(limited(seen, max_order_value=value - 1)) is not None
    asked = limited(seen, approval_above_value=value - 1)
    assert "somebody else must approve" in rules.SecondPerson().refusal(asked)


def approved(seen: Snapshot, quantity: int, price: str, **limits: Any) -> str | None:
    seen = replace(seen, approved_quantity=quantity, approved_price=Decimal(price))
    return rules.SecondPerson().refusal(limited(seen, approval_above_value=Decimal(1), **limits))


def test_a_yes_is_for_the_whole_that_was_shown():
    assert approved(slice_of(260), 260, "100.05") is None
    assert approved(slice_of(260), 130, "100.05") is not None


@pytest.mark.parametrize("side", Side)
def test_a_whole_at_the_market_may_move_as_far_as_market_orders_are_protected(side):
    def at(price: str, asked: OrderType | None, whole: int | None = 260) -> str | None:
        seen = slice_of(whole, side=side, price=Decimal(price), asked_type=asked)
        seen = replace(seen, last_price=Decimal(100), last_price_age=1.0)
        return approved(seen, 260, "100", protection_percent=Decimal(1))

    worse = {Side.BUY: ("101", "101.05"), Side.SELL: ("99", "98.95")}[side]
    assert at(worse[0], OrderType.MARKET) is None
    assert at(worse[1], OrderType.MARKET) is not None
    assert at(worse[0], None) is not None
    assert at(worse[0], OrderType.MARKET, whole=None) is not None


def test_an_exit_is_capped_slice_by_slice():
    seen = slice_of(260, side=Side.SELL, intent=Intent.EXIT)
    seen = replace(seen, net_position=130, standing=130, position_age=1.0)
    assert rules.ExitCap().refusal(seen) is None
    assert "more than the 0 left" in rules.ExitCap().refusal(replace(seen, pending=130))


def test_an_order_of_its_own_says_nothing_of_a_whole():
    assert not {"whole", "whole_id"} & request().as_json().keys()
    assert request(whole=260, whole_id="w").as_json()["whole"] == 260
