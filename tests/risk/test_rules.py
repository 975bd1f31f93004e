"""Each rule alone, and what must hold of all of them together."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.brokers.market import Market, Phase, always_open
from apps.brokers.port import (
    Intent,
    OrderRequest,
    OrderType,
    Product,
    Segment,
    Side,
    Validity,
)
from apps.risk import rules
from apps.risk.delivering import Delivery
from apps.risk.rules import ACTIVE, HALTED, REDUCING, InstrumentFacts, Limits, Snapshot

ALL = [
    rules.KnownAccount(),
    rules.TestMode(),
    rules.Switch(),
    rules.Ready(),
    rules.Tradable(),
    rules.MarketOpen(),
    rules.QuantityAndLot(),
    rules.PriceAndTick(),
    rules.PriceBand(),
    rules.TriggerSide(),
    rules.AllowedOrderType(),
    rules.OrderValue(),
    rules.OpenOrders(),
    rules.AgeOfData(),
    rules.Margin(),
    rules.ExitCap(),
    Delivery(),
    rules.SecondPerson(),
]


def request(**different: Any) -> OrderRequest:
    fields: dict[str, Any] = {
        "account": "alpha",
        "correlation_id": "0" * 20,
        "segment": Segment.NSE_FNO,
        "security_id": "1",
        "side": Side.BUY,
        "quantity": 130,
        "order_type": OrderType.LIMIT,
        "price": Decimal("100.05"),
        "trigger_price": None,
        "product": Product.INTRADAY,
        "validity": Validity.DAY,
    }
    return OrderRequest(**(fields | different))


INSTRUMENT = InstrumentFacts(
    lot_size=65,
    tick_size=Decimal("0.05"),
    freeze_quantity=1755,
    lower_limit=Decimal(50),
    upper_limit=Decimal(150),
    expiry=dt.date(2026, 12, 29),
    tradable=True,
)
LIMITS = Limits(
    version=1,
    max_order_quantity=650,
    max_order_value=Decimal(20000),
    max_open_orders=5,
    max_data_age=60,
    order_types=("LIMIT", "MARKET", "STOP_LIMIT"),
)


def snapshot(**different: Any) -> Snapshot:
    fields: dict[str, Any] = {
        "request": request(),
        "today": dt.date(2026, 11, 23),
        "account_known": True,
        "account_enabled": True,
        "environment": "paper",
        "live_allowed": False,
        "armed": False,
        "switch": ACTIVE,
        "desk_switch": ACTIVE,
        "instrument": INSTRUMENT,
        "limits": LIMITS,
        "open_orders": 0,
        "funds_age": 3.0,
        "net_position": 0,
        "standing": different.get("net_position", 0),
        "position_age": 3.0,
        "not_ready": (),
        "market": always_open("NSE_FNO"),
    }
    return Snapshot(**(fields | different))


def refusals(seen: Snapshot) -> dict[str, str]:
    answers = {rule.name: rule.refusal(seen) for rule in ALL}
    return {name: reason for name, reason in answers.items() if reason is not None}


def test_hours_that_nobody_knows_trap_no_exit():
    for market in (None, UNKNOWN):
        assert refusals(snapshot(request=EXIT, net_position=130, market=market)) == {}


def test_the_decision_keeps_what_it_saw_of_the_market():
    seen = json.loads(json.dumps(snapshot(market=CLOSED).as_json()))
    assert seen["market"]["why"] == "holiday: x"


def test_a_plain_entry_passes_every_rule():
    assert refusals(snapshot()) == {}


CLOSED = Market(segment="NSE_FNO", phase=Phase.CLOSED, why="holiday: x")
UNKNOWN = Market(segment="NSE_FNO", phase=Phase.UNKNOWN, why="nobody confirmed 2027")
EXIT = request(side=Side.SELL, intent=Intent.EXIT)
CASES = [
    ("unknown account", {"account_known": False}, "known account"),
    ("disabled account", {"account_enabled": False}, "known account"),
    ("live but not allowed", {"environment": "live", "armed": True}, "known account"),
    ("live, not armed", {"environment": "live", "live_allowed": True}, "known account"),
    ("halted", {"switch": HALTED}, "switch"),
    ("reducing", {"switch": REDUCING}, "switch"),
    ("desk halted", {"desk_switch": HALTED}, "switch"),
    ("no risk row", {"switch": None}, "switch"),
    ("no desk row", {"desk_switch": None}, "switch"),
    ("a word that is no switch", {"switch": "RELAXED"}, "switch"),
    ("not ready", {"not_ready": ("token: it ended",)}, "ready"),
    ("readiness not known", {"not_ready": None}, "ready"),
    ("not in the master", {"instrument": None}, "tradable"),
    ("not tradable", {"instrument": replace(INSTRUMENT, tradable=False)}, "tradable"),
    (
        "gone, and entered",
        {"instrument": replace(INSTRUMENT, tradable=False, leavable=True)},
        "tradable",
    ),
    (
        "made up, and live",
        {"simulated_facts": True, "environment": "live", "live_allowed": True, "armed": True},
        "tradable",
    ),
    ("expired", {"instrument": replace(INSTRUMENT, expiry=dt.date(2026, 11, 22))}, "tradable"),
    ("an index", {"request": request(segment=Segment.INDEX)}, "tradable"),
    ("zero quantity", {"request": request(quantity=0)}, "quantity and lot"),
    ("negative quantity", {"request": request(quantity=-65)}, "quantity and lot"),
    ("no lot multiple", {"request": request(quantity=66)}, "quantity and lot"),
    ("above freeze", {"request": request(quantity=1820)}, "quantity and lot"),
    ("above the policy", {"request": request(quantity=715)}, "quantity and lot"),
    ("disclosed", {"request": request(disclosed_quantity=65)}, "quantity and lot"),
    ("no price", {"request": request(price=None)}, "price and tick"),
    ("zero price", {"request": request(price=Decimal(0))}, "price and tick"),
    ("negative price", {"request": request(price=Decimal(-5))}, "price and tick"),
    ("not a number", {"request": request(price=Decimal("NaN"))}, "price and tick"),
    ("off the tick", {"request": request(price=Decimal("100.02"))}, "price and tick"),
    ("below the band", {"request": request(price=Decimal("49.95"))}, "price band"),
    ("above the band", {"request": request(price=Decimal("150.05"))}, "price band"),
    (
        "a market order with a price",
        {"request": request(order_type=OrderType.MARKET)},
        "price and tick",
    ),
    (
        "a limit with a trigger",
        {"request": request(trigger_price=Decimal(99))},
        "price and tick",
    ),
    (
        "a stop without trigger",
        {"request": request(order_type=OrderType.STOP_LIMIT)},
        "price and tick",
    ),
    (
        "a buy stop whose limit is below its trigger",
        {"request": request(order_type=OrderType.STOP_LIMIT, trigger_price=Decimal(101))},
        "price and tick",
    ),
    (
        "a sell stop whose limit is above its trigger",
        {
            "request": request(
                order_type=OrderType.STOP_LIMIT, side=Side.SELL, trigger_price=Decimal(99)
            )
        },
        "price and tick",
    ),
    (
        "type not in the policy",
        {"limits": replace(LIMITS, order_types=("MARKET",))},
        "order type",
    ),
    ("delivery of an option", {"request": request(product=Product.DELIVERY)}, "order type"),
    ("too valuable", {"limits": replace(LIMITS, max_order_value=Decimal(13006))}, "value limit"),
    (
        "market without a price",
        {"request": request(order_type=OrderType.MARKET, price=None)},
        "value limit",
    ),
    (
        "market with a stale price",
        {
            "request": request(order_type=OrderType.MARKET, price=None),
            "last_price": Decimal(100),
            "last_price_age": 61.0,
        },
        "value limit",
    ),
    (
        "a test at a live account",
        {"request": request(test=True), "environment": "live", "live_allowed": True, "armed": True},
        "test mode",
    ),
    (
        "a test exit at a live account",
        {"request": request(test=True, intent=Intent.EXIT), "environment": "live"},
        "test mode",
    ),
    ("hours nobody knows", {"market": None}, "market open"),
    ("a holiday", {"market": CLOSED}, "market open"),
    ("an unconfirmed year", {"market": UNKNOWN}, "market open"),
    (
        "after market at an exchange that is always open",
        {"request": request(after_market=True)},
        "market open",
    ),
    (
        "an exit on a holiday",
        {"request": EXIT, "net_position": 130, "market": CLOSED},
        "market open",
    ),
    ("a test nobody knows where", {"request": request(test=True), "environment": ""}, "test mode"),
    ("too many open", {"open_orders": 5}, "open orders"),
    ("funds never read", {"funds_age": None}, "age of data"),
    ("funds too old", {"funds_age": 60.5}, "age of data"),
    ("no policy", {"limits": None}, "value limit"),
]


@pytest.mark.parametrize(("_what", "different", "rule"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_refuses_with_a_reason(_what, different, rule):
    found = refusals(snapshot(**different))
    assert rule in found
    assert found[rule]


@pytest.mark.parametrize("environment", ["paper", "sandbox"])
def test_a_test_order_passes_where_no_money_is(environment):
    assert refusals(snapshot(request=request(test=True), environment=environment)) == {}


def exit_of(quantity: int, net: int | None, pending: int = 0, **more: Any) -> Snapshot:
    side = Side.SELL if (net or 1) > 0 else Side.BUY
    return snapshot(
        request=request(quantity=quantity, side=side, intent=Intent.EXIT),
        net_position=net,
        pending=pending,
        **more,
    )


@pytest.mark.parametrize("net", [130, -130])
def test_an_exit_up_to_the_position_passes_whatever_the_switch_limits_and_funds_say(net):
    seen = exit_of(
        130,
        net,
        switch=HALTED,
        desk_switch=HALTED,
        open_orders=99,
        funds_age=None,
        limits=replace(LIMITS, max_order_value=Decimal(1), max_order_quantity=1),
    )
    assert refusals(seen) == {}


@pytest.mark.parametrize(
    "seen",
    [
        exit_of(130, 130, standing=None),
        exit_of(130, 130, standing=65),
        exit_of(130, 130, standing=-130),
        exit_of(130, 130, standing_pending=65),
        exit_of(130, 130, owned=65),
        exit_of(130, 130, owned=130, owned_pending=65),
        exit_of(195, 130),
        exit_of(65, 0),
        exit_of(65, None),
        exit_of(130, 130, pending=65),
        exit_of(65, 130, position_age=61.0),
        exit_of(65, 130, position_age=None),
        snapshot(request=request(intent=Intent.EXIT), net_position=130),
    ],
    ids=[
        "own count unknown",
        "own count smaller",
        "own count on the other side",
        "own count taken by others",
        "strategy owns less",
        "strategy's part taken by others",
        "more",
        "flat",
        "unknown",
        "others pending",
        "old read",
        "never read",
        "same side",
    ],
)
def test_an_exit_beyond_the_proven_position_is_refused(seen):
    assert "exit cap" in refusals(seen)


def test_an_exit_is_validated_like_any_order():
    assert "quantity and lot" in refusals(exit_of(66, 130))


quantities = st.integers(min_value=-200, max_value=3000)
prices = st.decimals(min_value=Decimal(-10), max_value=Decimal(300), places=2, allow_nan=False)


@st.composite
def requests_(draw: Any) -> OrderRequest:
    kind = draw(st.sampled_from(list(OrderType)))
    return request(
        side=draw(st.sampled_from(list(Side))),
        quantity=draw(quantities),
        order_type=kind,
        price=draw(st.none() | prices),
        trigger_price=draw(st.none() | prices),
        product=draw(st.sampled_from(list(Product))),
        intent=draw(st.sampled_from(list(Intent))),
    )


@st.composite
def snapshots(draw: Any) -> Snapshot:
    age = st.none() | st.floats(min_value=0, max_value=200)
    return snapshot(
        request=draw(requests_()),
        switch=draw(st.sampled_from([ACTIVE, REDUCING, HALTED, None])),
        desk_switch=draw(st.sampled_from([ACTIVE, REDUCING, HALTED, None])),
        open_orders=draw(st.integers(0, 10)),
        funds_age=draw(age),
        position_age=draw(age),
        net_position=draw(st.none() | st.integers(-400, 400)),
        pending=draw(st.integers(0, 200)),
        standing=draw(st.none() | st.integers(-400, 400)),
        standing_pending=draw(st.integers(0, 200)),
        owned=draw(st.none() | st.integers(-400, 400)),
        last_price=draw(st.none() | prices),
        last_price_age=draw(age),
        margin_required=draw(st.none() | prices.map(abs)),
        margin_age=draw(age),
        margin_available=draw(st.none() | prices),
    )


@given(snapshots(), st.integers(0, 6))
def test_a_tighter_limit_never_turns_a_no_into_a_yes(seen, which):
    tighter = [
        replace(LIMITS, max_order_quantity=65),
        replace(LIMITS, max_order_value=Decimal(5000)),
        replace(LIMITS, max_open_orders=1),
        replace(LIMITS, max_data_age=5),
        replace(LIMITS, approval_above_value=Decimal(1000)),
        replace(LIMITS, price_band_percent=Decimal(1)),
        replace(LIMITS, check_margin=True),
    ][which]
    if refusals(seen):
        assert refusals(replace(seen, limits=tighter))


@given(snapshots())
def test_a_tighter_switch_never_turns_a_no_into_a_yes(seen):
    if refusals(seen):
        assert refusals(replace(seen, switch=HALTED))


@given(snapshots(), st.sampled_from(["instrument", "limits", "switch", "desk_switch"]))
def test_missing_data_never_makes_an_order_pass(seen, missing):
    assert refusals(replace(seen, **{missing: None}))


@given(snapshots())
def test_what_passes_is_a_positive_lot_multiple_at_a_price_on_the_tick(seen):
    if refusals(seen):
        return
    order = seen.request
    assert order.quantity > 0
    assert order.quantity % INSTRUMENT.lot_size == 0
    assert order.price is None or order.price % INSTRUMENT.tick_size == 0
    if order.intent is Intent.EXIT:
        assert order.quantity <= abs(seen.net_position or 0) - seen.pending
        assert order.quantity <= abs(seen.standing or 0) - seen.standing_pending
        assert seen.owned is None or order.quantity <= abs(seen.owned)
    else:
        assert seen.switch == seen.desk_switch == ACTIVE
        assert seen.value is not None
        assert seen.value <= LIMITS.max_order_value


@given(snapshots())
def test_a_snapshot_can_always_be_stored(seen):

    json.dumps(seen.as_json())
    json.dumps(seen.request.as_json())


SALE = {"side": Side.SELL}
SMALL = replace(LIMITS, approval_above_value=Decimal(13000))


@pytest.mark.parametrize(
    ("different", "terms", "passes"),
    [
        ({}, {}, False),  # 130 at 100.05 is above 13,000
        ({}, {"price": Decimal(100)}, True),
        ({}, {"intent": Intent.EXIT}, True),
        ({"approved_quantity": 130, "approved_price": Decimal("100.05")}, {}, True),
        ({"approved_quantity": 65, "approved_price": Decimal("100.05")}, {}, False),
        ({"approved_quantity": 130, "approved_price": Decimal(100)}, {}, False),
        ({"approved_quantity": 195, "approved_price": Decimal(101)}, {}, True),
        ({"approved_quantity": 130, "approved_price": None}, {}, False),
        ({"approved_quantity": 130}, {"order_type": OrderType.MARKET, "price": None}, True),
        ({}, {"order_type": OrderType.MARKET, "price": None}, False),
        ({"approved_quantity": 130, "approved_price": Decimal(99)}, {"price": None}, False),
        ({"approved_quantity": 130, "approved_price": Decimal("100.05")}, SALE, True),
        ({"approved_quantity": 130, "approved_price": Decimal(101)}, SALE, False),
        ({"limits": LIMITS}, {}, True),
    ],
)
def test_a_second_person_covers_these_terms_and_smaller_ones(different, terms, passes):
    seen = snapshot(**({"limits": SMALL, "request": request(**terms)} | different))
    assert (rules.SecondPerson().refusal(seen) is None) == passes
