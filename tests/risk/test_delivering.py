"""What a sale of DELIVERY may take: the arithmetic, and what is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.brokers.port import Intent, Product, Segment, Side
from apps.risk.delivering import Delivery, DeliveryFacts, left_to_sell
from apps.risk.held import together
from apps.risk.rules import ExitCap
from tests.risk.test_rules import LIMITS, request, snapshot

ISIN = "INE002A01018"
READ = {"net": 0, "net_age": 1.0, "holdings_age": 1.0, "ddpi_age": 1.0, "approved_age": 1.0}
OLD = LIMITS.max_data_age + 1.0


def facts(**different: Any) -> DeliveryFacts:
    fields = {"isin": ISIN, "available": 100, "most": 100, "ddpi": False, "approved": 0} | READ
    return DeliveryFacts(**(fields | different))


def why(quantity: int = 10, intent: Intent = Intent.ENTRY, **different: Any) -> str | None:
    terms = request(
        side=Side.SELL,
        product=Product.DELIVERY,
        segment=Segment.NSE_EQ,
        quantity=quantity,
        intent=intent,
    )
    return Delivery().refusal(snapshot(request=terms, delivery=facts(**different)))


@pytest.mark.parametrize("intent", list(Intent))
def test_ddpi_lets_all_of_it_leave_and_no_more(intent):
    assert why(100, intent, ddpi=True) is None
    assert "101 is more than the 100 left" in why(101, intent, ddpi=True)


@pytest.mark.parametrize("intent", list(Intent))
def test_an_approval_lets_so_many_leave_in_the_whole_day(intent):
    assert why(10, intent, approved=10) is None
    assert f"authorise 11 units of {ISIN}" in why(11, intent, approved=10)
    assert "authorise 21 units" in why(11, intent, approved=20, net=-10, available=90)
    assert why(10, intent, approved=20, net=-10, available=90) is None


@pytest.mark.parametrize("intent", list(Intent))
def test_todays_own_buys_need_no_authority_and_no_holding(intent):
    assert why(10, intent, net=10, available=0, most=0) is None
    assert why(10, intent, net=10, holdings_age=None, ddpi=None, approved=None) is None
    assert "authorise 1 units" in why(11, intent, net=10)


def test_other_sales_are_taken_off_and_those_that_exclude_this_one_are_not():
    assert "left" in why(41, ddpi=True, pending=60, pending_all=60)
    assert why(40, ddpi=True, pending=60, pending_all=60) is None
    together = {"pending": 60, "pending_all": 60, "group_pending": 60}
    assert why(60, ddpi=True, **together) is None
    assert "authorise 60 units" in why(10, **together)


@pytest.mark.parametrize(
    "unknown",
    [
        {"net": None},
        {"net_age": None},
        {"net_age": OLD},
        {"holdings_age": None},
        {"holdings_age": OLD},
        {"ddpi": None},
        {"ddpi_age": OLD},
        {"approved": None},
        {"approved_age": OLD},
        {"approved_age": None},
        {"ddpi": None, "approved": None},
    ],
)
def test_what_is_not_known_stops_an_entry_and_no_exit(unknown):
    assert why(10, Intent.ENTRY, **unknown)
    assert why(10, Intent.ADJUST, **unknown)
    assert why(10, Intent.EXIT, **unknown) is None


def test_what_is_not_known_says_what_to_do():
    assert f"authorise 10 units of {ISIN} at the broker's eDIS page" in why(10, approved=None)


@pytest.mark.parametrize("known", [{"ddpi": True, "approved": None}, {"ddpi": None, "approved": 9}])
def test_one_authority_is_enough(known):
    assert why(9, **known) is None


def test_shares_on_their_way_need_an_approval_for_an_entry_alone():
    assert "authorise 10 units" in why(10, t1=10)
    assert why(10, Intent.EXIT, t1=10) is None
    assert "authorise 11 units" in why(11, Intent.EXIT, t1=10)


def test_without_any_facts_an_entry_waits_and_an_exit_goes():
    terms = {"side": Side.SELL, "product": Product.DELIVERY, "segment": Segment.NSE_EQ}
    seen = snapshot(request=request(**terms))
    assert Delivery().refusal(seen) == "what may be delivered is not known"
    assert Delivery().refusal(snapshot(request=request(**terms, intent=Intent.EXIT))) is None


@pytest.mark.parametrize(
    "terms", [{"side": Side.BUY, "product": Product.DELIVERY}, {"side": Side.SELL}]
)
def test_no_other_order_is_asked(terms):
    assert Delivery().refusal(snapshot(request=request(**terms))) is None


def test_taking_less_than_before_is_never_too_much():
    terms = request(side=Side.SELL, product=Product.DELIVERY, segment=Segment.NSE_EQ, quantity=10)
    seen = snapshot(
        request=terms, changes="x", delivery=facts(available=0, most=0, own_quantity=10)
    )
    assert Delivery().refusal(seen) is None
    assert Delivery().refusal(replace(seen, delivery=facts(available=0, most=0, own_quantity=9)))


UNITS = st.integers(0, 60)


@given(st.integers(0, 100), st.lists(st.tuples(st.booleans(), UNITS), max_size=8), st.booleans())
def test_no_day_of_sales_takes_more_than_there_is(held, asked, at_once):
    """Whether a sale leaves the holding at once or over night, and in whatever order it goes."""
    net = 0
    for buys, units in asked:
        now = held - max(-net, 0) if at_once else held
        seen = facts(available=now, most=held, net=net, ddpi=True)
        left = left_to_sell(seen)
        assert left == held + net
        assert min(together(net, now, held)) == held + net
        if buys:
            net += units
        elif units and why(units, available=now, most=held, net=net, ddpi=True) is None:
            net -= units
    assert held + net >= 0


@given(
    st.integers(1, 100),
    st.integers(0, 100),
    st.integers(-60, 60),
    st.integers(0, 60),
    st.integers(0, 100),
    st.integers(0, 100),
    st.sampled_from(list(Intent)),
)
def test_what_passes_is_covered_by_what_is_there_and_what_may_leave(
    quantity, available, net, pending, approved, most, intent
):
    known = {
        "available": available, "most": max(most, available), "net": net,
        "pending": pending, "pending_all": pending, "approved": approved,
    }  # fmt: skip
    if why(quantity, intent, **known) is None:
        assert quantity + pending <= max(known["most"], 0) + net or quantity + pending <= net
        assert quantity + pending - net <= max(approved, 0)
    for more in ({"approved": approved + 1}, {"available": available + 1, "most": most + 101}):
        if why(quantity, intent, **known) is None:
            assert why(quantity, intent, **(known | more)) is None


def test_while_holdings_are_not_known_the_desks_own_count_measures_an_exit():
    terms = request(
        side=Side.SELL,
        product=Product.DELIVERY,
        segment=Segment.NSE_EQ,
        quantity=65,
        intent=Intent.EXIT,
    )
    seen = snapshot(request=terms, net_position=0, standing=65)
    assert "more than the 0 left" in ExitCap().refusal(seen)
    assert ExitCap().refusal(replace(seen, holdings_known=False)) is None
    less = replace(seen, holdings_known=False, standing=64)
    assert "own count" in ExitCap().refusal(less)
