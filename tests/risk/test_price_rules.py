"""Bands, triggers, protected limits and margin: each rule alone, with the figures it gives."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.brokers.port import Intent, OrderType, Product, Segment, Side
from apps.risk import rules
from apps.risk.rules import Snapshot
from tests.risk.test_rules import INSTRUMENT, LIMITS, refusals, request, snapshot, snapshots

BAND = replace(LIMITS, price_band_percent=Decimal(10))
MARGIN = replace(LIMITS, check_margin=True)
FRESH = {"last_price": Decimal(100), "last_price_age": 1.0}
STOP = {"order_type": OrderType.STOP_LIMIT}


def why(rule: rules.Rule, seen: Snapshot) -> str | None:
    return rule.refusal(seen)


def band(price: str, **different: Any) -> str | None:
    terms = different.pop("terms", {})
    seen = snapshot(**({"limits": BAND, **FRESH} | different))
    return why(rules.PriceBand(), replace(seen, request=request(price=Decimal(price), **terms)))


class TestTheDaysBand:
    @pytest.mark.parametrize("price", ["50", "150"])
    def test_its_ends_belong_to_it(self, price):
        assert band(price, limits=LIMITS) is None

    def test_a_price_outside_is_refused_with_both_values(self):
        assert band("150.05", limits=LIMITS) == ("price 150.05 is above the day's upper limit 150")

    def test_a_trigger_outside_is_refused_too(self):
        terms = {**STOP, "trigger_price": Decimal("150.05")}
        assert "trigger price 150.05 is above" in (band("150", limits=LIMITS, terms=terms) or "")

    def test_todays_quote_outranks_the_instrument_file(self):
        quoted = {"lower_circuit": Decimal(90), "upper_circuit": Decimal(110), "limits": LIMITS}
        assert band("111", **quoted) == "price 111 is above the day's upper limit 110"
        assert band("151", upper_circuit=Decimal(200), limits=LIMITS) is None

    def test_an_exit_is_held_to_it(self):
        assert band("49", limits=LIMITS, terms={"intent": Intent.EXIT})

    def test_without_any_limit_there_is_none(self):
        bare = replace(INSTRUMENT, lower_limit=None, upper_limit=None)
        assert band("9000", limits=LIMITS, instrument=bare) is None


class TestTheBandAroundTheLastPrice:
    @pytest.mark.parametrize("price", ["90", "110"])
    def test_its_ends_belong_to_it(self, price):
        assert band(price) is None

    @pytest.mark.parametrize("price", ["89.95", "110.05"])
    def test_an_entry_beyond_is_refused_with_the_figures(self, price):
        assert band(price) == (
            f"price {price} is more than 10 % away from the last price 100: 90 to 110 is allowed"
        )

    def test_cheap_prices_have_at_least_twenty_ticks(self):
        assert (
            band("51", last_price=Decimal(50), limits=replace(BAND, price_band_percent=1)) is None
        )

    @pytest.mark.parametrize("age", [None, 10.1])
    def test_an_entry_without_a_fresh_price_is_refused_with_its_age(self, age):
        refused = band("100", last_price_age=age) or ""
        assert "no fresh price" in refused
        assert ("10 s old, at most 10 s is fresh" if age else "none was heard") in refused

    def test_an_exit_without_a_fresh_price_may_go(self):
        assert band("100", last_price_age=None, terms={"intent": Intent.EXIT}) is None

    def test_an_exit_may_ask_for_a_better_price_but_not_give_more_away(self):
        leave = {"intent": Intent.EXIT, "side": Side.SELL}
        assert band("140", terms=leave) is None
        assert band("89.95", terms=leave)

    def test_a_stops_limit_is_measured_against_its_trigger(self):
        far = {**STOP, "trigger_price": Decimal(140)}
        assert band("142", terms=far, last_price_age=None) is None
        assert "away from the trigger 120" in (
            band("140", terms={**STOP, "trigger_price": Decimal(120)}) or ""
        )

    def test_a_policy_without_it_asks_for_no_price(self):
        assert band("140", limits=LIMITS, last_price_age=None) is None


class TestTheSideOfATrigger:
    def trigger(self, side: Side, trigger: str, **different: Any) -> str | None:
        terms = {**STOP, "side": side, "trigger_price": Decimal(trigger)}
        terms["intent"] = different.pop("intent", Intent.ENTRY)
        seen = snapshot(request=request(**terms), **(FRESH | different))
        return why(rules.TriggerSide(), seen)

    @pytest.mark.parametrize(("side", "price"), [(Side.BUY, "100.05"), (Side.SELL, "99.95")])
    def test_a_trigger_that_waits_passes(self, side, price):
        assert self.trigger(side, price) is None

    @pytest.mark.parametrize(
        ("side", "price"),
        [(Side.BUY, "100"), (Side.BUY, "99"), (Side.SELL, "100"), (Side.SELL, "101")],
    )
    def test_one_that_would_fire_at_once_is_refused(self, side, price):
        refused = self.trigger(side, price) or ""
        assert "the last price 100" in refused
        assert price in refused

    def test_unknown_prices_stop_entries_and_let_exits_go(self):
        assert "none was heard" in (self.trigger(Side.BUY, "101", last_price_age=None) or "")
        assert self.trigger(Side.BUY, "90", last_price_age=None, intent=Intent.EXIT) is None

    def test_what_is_no_stop_has_no_trigger(self):
        assert why(rules.TriggerSide(), snapshot()) is None


class TestOrdersAskedForAtTheMarket:
    ASKED = {"price": None, "asked_type": OrderType.MARKET}

    def no_price(self, **different: Any) -> str:
        terms = self.ASKED | different.pop("terms", {})
        found = refusals(snapshot(request=request(**terms), **different))
        assert set(found) <= {"price and tick", "value limit"}
        return found["price and tick"]

    def test_no_price_heard_is_the_reason(self):
        assert "no fresh one is known (none was heard)" in self.no_price()

    def test_an_old_price_is_the_reason_with_its_age(self):
        reason = self.no_price(last_price=Decimal(100), last_price_age=34.2)
        assert "34 s old, at most 10 s is fresh" in reason

    def test_a_price_outside_the_band_is_the_reason(self):
        reason = self.no_price(last_price=Decimal(160), last_price_age=1.0)
        assert "160, lies outside the day's band 50 to 150" in reason

    def test_a_stop_without_a_usable_trigger_says_so(self):
        limits = replace(LIMITS, order_types=("STOP_MARKET",))
        asked = {**STOP, "asked_type": OrderType.STOP_MARKET}
        reason = self.no_price(terms=asked, limits=limits)
        assert "STOP_MARKET needs a trigger price" in reason

    def test_the_limit_that_stands_in_for_it_passes(self):
        seen = snapshot(request=request(asked_type=OrderType.MARKET), **FRESH)
        assert refusals(seen) == {}

    def test_a_policy_that_forbids_market_forbids_its_limit(self):
        limits = replace(LIMITS, order_types=("LIMIT",))
        seen = snapshot(request=request(asked_type=OrderType.MARKET), limits=limits)
        assert refusals(seen)["order type"] == "MARKET orders are not allowed by the policy"

    @pytest.mark.parametrize("kind", [OrderType.MARKET, OrderType.STOP_MARKET])
    def test_neither_type_is_ever_sent_as_such(self, kind):
        assert "price and tick" in refusals(snapshot(request=request(order_type=kind)))


class TestMargin:
    def margin(self, **different: Any) -> str | None:
        known = {"margin_required": Decimal(2600), "margin_age": 2.0, "limits": MARGIN}
        terms = request(**different.pop("terms", {}))
        return why(rules.Margin(), snapshot(request=terms, **(known | different)))

    def test_an_entry_within_what_is_free_passes(self):
        assert self.margin(margin_available=Decimal(2600)) is None

    def test_one_above_it_is_refused_with_the_figures(self):
        refused = self.margin(margin_available=Decimal(3000), margin_reserved=Decimal(500))
        assert refused == (
            "margin ₹2,600.00 is above ₹2,500.00 (free ₹3,000.00 less ₹500.00 promised to orders "
            "on their way)"
        )

    @pytest.mark.parametrize("age", [None, 60.1])
    def test_an_unknown_margin_is_refused_unless_the_policy_lets_it(self, age):
        free = {"margin_available": Decimal(9000), "margin_age": age}
        assert "the margin is not known" in (self.margin(**free) or "")
        lenient = replace(MARGIN, refuse_unknown_margin=False)
        assert self.margin(**free, limits=lenient) is None

    def test_unknown_funds_are_refused(self):
        assert self.margin(margin_available=None) == "it is not known how much money is free"

    def test_an_exit_is_not_asked(self):
        assert self.margin(margin_required=None, terms={"intent": Intent.EXIT}) is None

    def test_a_policy_without_the_check_does_not_ask(self):
        assert self.margin(margin_required=None, limits=LIMITS) is None

    def test_a_delivery_sale_brings_money_in(self):
        sale = {"side": Side.SELL, "product": Product.DELIVERY, "segment": Segment.NSE_EQ}
        assert self.margin(margin_required=None, terms=sale) is None


@given(snapshots(), st.sampled_from([1, 3]))
def test_a_shorter_life_of_quotes_never_turns_an_entrys_no_into_a_yes(seen, seconds):
    if refusals(seen) and not seen.exiting:
        assert refusals(replace(seen, limits=replace(LIMITS, max_quote_age=seconds)))


ON_TICK = st.integers(1000, 3000).map(lambda ticks: ticks * Decimal("0.05"))


@given(ON_TICK, ON_TICK, st.sampled_from([OrderType.LIMIT, OrderType.STOP_LIMIT]), ON_TICK)
def test_an_exit_with_a_price_of_its_own_never_waits_for_a_quote(price, last, kind, trigger):
    """Quotes falling silent take no way out: whatever passes with a price passes without."""
    limits = replace(LIMITS, price_band_percent=Decimal(5), check_margin=True)
    terms: dict[str, Any] = {"price": price, "order_type": kind, "side": Side.SELL}
    if kind is OrderType.STOP_LIMIT:
        terms["trigger_price"] = max(price, trigger)
    seen = snapshot(
        request=request(intent=Intent.EXIT, **terms),
        limits=limits,
        net_position=130,
        last_price=last,
        last_price_age=1.0,
    )
    silent = replace(seen, last_price=None, last_price_age=None)
    assert set(refusals(silent)) <= set(refusals(seen))
    assert set(refusals(silent)) <= {"price band"}  # the stop's own distance, if anything
