"""The limit of a MARKET order: always on the tick, in the band, and on the side that can trade."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apps.brokers.port import Side
from apps.orders.protection import Band, beyond

D = Decimal
TICKS = st.sampled_from([D("0.0025"), D("0.01"), D("0.05"), D("0.10"), D("0.50"), D(1), D(5)])
PERCENTS = st.decimals(D("0.05"), D(50), places=2)


@st.composite
def cases(draw: Any) -> tuple[Decimal, Decimal, Side, Band]:
    tick = draw(TICKS)
    last = draw(st.integers(1, 200_000)) * tick
    limits = st.decimals(D("0.01"), D(10**6), places=2)
    lower, upper = draw(st.none() | limits), draw(st.none() | limits)
    return last, draw(PERCENTS), draw(st.sampled_from(list(Side))), Band(tick, lower, upper)


@given(cases())
def test_a_limit_is_on_the_tick_in_the_band_and_on_the_right_side(case):
    last, percent, side, band = case
    limit = beyond(last, percent, side, band)
    if limit is None:
        return
    assert limit > 0
    assert limit % band.tick == 0
    assert band.holds(limit)
    assert (limit - last) * side.sign >= 0


@given(cases())
def test_a_last_price_inside_a_band_of_whole_ticks_always_has_a_limit(case):
    last, percent, side, band = case
    tick = band.tick
    whole = Band(
        tick,
        None if band.lower is None else (band.lower // tick + 1) * tick,
        None if band.upper is None else band.upper // tick * tick,
    )
    assume(whole.holds(last))
    assert beyond(last, percent, side, whole) is not None


@given(cases())
def test_protection_is_what_was_asked_for_to_the_tick(case):
    last, percent, side, band = case
    free = Band(band.tick, None, None)
    limit = beyond(last, percent, side, free)
    assert limit is not None
    away = abs(limit - last)
    wanted = max(last * percent / 100, band.tick)
    assert away < wanted + band.tick
    if side is Side.BUY or last - wanted >= band.tick:
        assert away >= wanted


@pytest.mark.parametrize(
    ("last", "percent", "side", "expected"),
    [
        ("1402", "1", Side.BUY, "1416.05"),
        ("1402", "1", Side.SELL, "1387.95"),
        ("1400", "1", Side.BUY, "1414"),
        ("1540", "1", Side.BUY, "1542.20"),
        ("1262", "1", Side.SELL, "1261.80"),
        ("1542.20", "1", Side.BUY, "1542.20"),
        ("1400", "0.05", Side.BUY, "1400.70"),
        ("1600", "1", Side.SELL, None),
        ("1600", "1", Side.BUY, None),
        ("0", "1", Side.BUY, None),
    ],
)
def test_a_share_in_its_band(last, percent, side, expected):
    band = Band(D("0.05"), D("1261.80"), D("1542.20"))
    limit = beyond(D(last), D(percent), side, band)
    assert limit == (None if expected is None else D(expected))


@pytest.mark.parametrize(("side", "expected"), [(Side.BUY, "0.10"), (Side.SELL, "0.05")])
def test_the_cheapest_option_has_a_tick_of_room_upwards_and_never_a_price_of_nothing(
    side, expected
):
    assert beyond(D("0.05"), D(1), side, Band(D("0.05"), None, None)) == D(expected)


def test_a_band_off_the_tick_ends_at_its_last_whole_tick():
    band = Band(D("0.10"), D("90.03"), D("110.07"))
    assert beyond(D(110), D(5), Side.BUY, band) == D(110)
    assert beyond(D("90.1"), D(5), Side.SELL, band) == D("90.1")
