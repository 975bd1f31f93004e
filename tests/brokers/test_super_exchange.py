"""Super orders between the real adapter and the simulated exchange, however it shows them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from apps.brokers.dhan.stream import DhanOrderStream
from apps.brokers.dhan.trading import DhanTrading
from apps.brokers.port import (
    Accepted,
    BracketKind,
    BrokerState,
    Exits,
    LegAddress,
    LegName,
    ModifyRequest,
    NotSent,
    OrderReport,
    OrderType,
    Refused,
    Side,
    Unknown,
    Validity,
)
from apps.brokers.reporting import reports_of
from tests.brokers.feed_stub import Listener, until

PIN = {"segment": "NSE_EQ", "securityId": "2885"}
LEVELS = Exits(
    kind=BracketKind.SUPER,
    stop=Decimal(1350),
    target=Decimal(1450),
    trailing_jump=Decimal(5),
)
EXITS = (LegName.STOP_LOSS, LegName.TARGET)


@pytest.fixture
def account(at: Any, exchange: Any) -> Any:
    from apps.brokers.models import AccessToken

    exchange.control("super", leg_ids="shared", details="classic")
    account = at(exchange.rest_url, client_id="1000000001", feed_url=exchange.feed_url)
    AccessToken.put_in_force(account, "token-1")
    return account


@pytest.fixture
def door(account: Any, new_call: Any) -> Any:
    return lambda: DhanTrading(new_call(account))


@pytest.fixture
def bracket(door: Any, account: Any, order_request: Any) -> Any:
    """A super order at the exchange that has left transit: the id of its entry."""

    def make() -> str:
        request = order_request(quantity=10, price=Decimal(1410), exits=LEVELS)
        outcome = door().place(request)
        assert isinstance(outcome, Accepted)
        until(lambda: told(account)[LegName.ENTRY].state is not BrokerState.IN_TRANSIT)
        return outcome.broker_order_id

    return make


def told(account: Any) -> dict[LegName, OrderReport]:
    """The parts of the only super order, as the list tells them."""
    return {report.part: report for report in reports_of(account).super_orders().value}


def booked(account: Any) -> dict[LegName, OrderReport]:
    return {report.part: report for report in reports_of(account).order_book().value}


def part(whole_id: str, leg: LegName) -> LegAddress:
    return LegAddress(kind=BracketKind.SUPER, whole_id=whole_id, leg=leg)


def change(whole_id: str, leg: LegName, **different: Any) -> ModifyRequest:
    terms: dict[str, Any] = {
        "account": "main",
        "correlation_id": "abc123",
        "broker_order_id": whole_id,
        "quantity": 10,
        "order_type": OrderType.LIMIT,
        "price": None,
        "trigger_price": None,
        "validity": Validity.DAY,
        "part": part(whole_id, leg),
    }
    return ModifyRequest(**(terms | different))


def test_while_the_entry_waits_its_exits_have_no_quantity(account: Any, bracket: Any) -> None:
    whole_id = bracket()
    parts = told(account)
    entry = parts[LegName.ENTRY]
    assert (entry.broker_order_id, entry.correlation_id) == (whole_id, "abc123")
    assert (entry.state, entry.quantity, entry.filled_quantity) == (BrokerState.WORKING, 10, 0)
    for leg in EXITS:
        assert (parts[leg].quantity, parts[leg].state) == (None, BrokerState.WORKING)
        assert parts[leg].whole_id == whole_id
    assert set(booked(account)) == {LegName.ENTRY}


@pytest.mark.parametrize("ids", ["own", "shared"])
@pytest.mark.parametrize("details", ["classic", "portal"])
def test_from_the_entry_to_the_target(
    ids: str, details: str, account: Any, bracket: Any, exchange: Any
) -> None:
    exchange.control("super", leg_ids=ids, details=details)
    whole_id = bracket()
    exchange.control("fill", orderId=whole_id)
    parts, book = told(account), booked(account)
    assert set(parts) == set(book) == set(LegName)
    for leg in EXITS:
        one = book[leg]
        assert (one.correlation_id, one.side, one.quantity) == (None, Side.SELL, 10)
        assert one.broker_order_id != one.whole_id == whole_id
        if ids == "shared" or details == "classic":
            assert parts[leg].broker_order_id == one.broker_order_id
        assert parts[leg].price == one.price
        assert parts[leg].trigger_price == one.trigger_price
    assert book[LegName.STOP_LOSS].price is None
    assert book[LegName.STOP_LOSS].trigger_price == 1350
    assert book[LegName.TARGET].price == 1450

    exchange.control("super/fire", orderId=whole_id, legName="TARGET_LEG")
    assert told(account)[LegName.TARGET].state is BrokerState.WORKING  # TRIGGERED
    assert told(account)[LegName.STOP_LOSS].state is BrokerState.CANCELLED
    exchange.control("auto", on=True)
    exchange.control("price", **PIN, price=1451)
    until(lambda: booked(account)[LegName.TARGET].state is BrokerState.FILLED)
    parts = told(account)
    assert parts[LegName.ENTRY].state is BrokerState.FILLED  # CLOSED
    assert parts[LegName.ENTRY].state_word == "CLOSED"
    assert parts[LegName.TARGET].state is BrokerState.FILLED
    assert booked(account)[LegName.TARGET].filled_quantity == 10


def test_an_entry_that_is_closed_in_part_is_over(account: Any, bracket: Any, exchange: Any) -> None:
    whole_id = bracket()
    exchange.control("fill", orderId=whole_id, quantity=4)
    assert told(account)[LegName.STOP_LOSS].quantity == 4
    exchange.control("super/fire", orderId=whole_id, legName="STOP_LOSS_LEG")
    exchange.control("auto", on=True)
    exchange.control("price", **PIN, price=1349)
    until(lambda: told(account)[LegName.ENTRY].state_word == "CLOSED")
    entry = told(account)[LegName.ENTRY]
    assert (entry.state, entry.filled_quantity) == (BrokerState.CANCELLED, 4)
    assert booked(account)[LegName.ENTRY].state is BrokerState.CANCELLED
    stop = told(account)[LegName.STOP_LOSS]
    assert (stop.state, stop.quantity, stop.filled_quantity) == (BrokerState.FILLED, 4, 4)


def test_one_order_asked_for_is_the_entry(account: Any, bracket: Any, exchange: Any) -> None:
    whole_id = bracket()
    exchange.control("fill", orderId=whole_id)
    books = reports_of(account)
    for report in (books.order(whole_id).value, books.order_by_correlation("abc123").value):
        assert report is not None
        assert (report.part, report.broker_order_id) == (LegName.ENTRY, whole_id)
    stop = books.order(f"{whole_id}/STOP_LOSS").value
    assert stop is not None
    assert stop.part is LegName.STOP_LOSS


def test_the_whole_is_changed_with_its_entry(account: Any, bracket: Any, door: Any) -> None:
    whole_id = bracket()
    moved = Exits(
        kind=BracketKind.SUPER, stop=Decimal(1351), target=Decimal(1451), trailing_jump=Decimal(6)
    )
    terms = {"quantity": 8, "price": Decimal(1409), "exits": moved}
    assert isinstance(door().modify(change(whole_id, LegName.ENTRY, **terms)), Accepted)
    parts = told(account)
    assert (parts[LegName.ENTRY].quantity, parts[LegName.ENTRY].price) == (8, 1409)
    assert parts[LegName.STOP_LOSS].trigger_price == 1351
    assert parts[LegName.TARGET].price == 1451
    assert parts[LegName.STOP_LOSS].raw["trailingJump"] == 6


def test_exits_are_changed_and_a_stop_goes_on_trailing(
    account: Any, bracket: Any, door: Any, exchange: Any
) -> None:
    whole_id = bracket()
    exchange.control("fill", orderId=whole_id)
    target = change(whole_id, LegName.TARGET, price=Decimal(1440))
    stop = change(
        whole_id,
        LegName.STOP_LOSS,
        order_type=OrderType.STOP_LIMIT,
        trigger_price=Decimal(1360),
        exits=LEVELS,
    )
    for request in (target, stop):
        assert door().modify(request) == Accepted(whole_id, BrokerState.IN_TRANSIT)
    parts = told(account)
    assert parts[LegName.TARGET].price == 1440
    assert parts[LegName.STOP_LOSS].trigger_price == 1360
    assert parts[LegName.STOP_LOSS].raw["trailingJump"] == 5


def test_a_target_is_cancelled_once_and_the_entry_takes_all_along(
    account: Any, bracket: Any, door: Any, exchange: Any
) -> None:
    whole_id = bracket()
    exchange.control("fill", orderId=whole_id, quantity=4)
    target, entry = part(whole_id, LegName.TARGET), part(whole_id, LegName.ENTRY)
    assert isinstance(door().cancel(f"{whole_id}/TARGET", target), Accepted)
    assert told(account)[LegName.TARGET].state is BrokerState.CANCELLED
    assert told(account)[LegName.STOP_LOSS].state is BrokerState.WORKING
    assert isinstance(door().cancel(f"{whole_id}/TARGET", target), Refused)
    assert isinstance(door().cancel(whole_id, entry), Accepted)
    assert {report.state for report in told(account).values()} == {BrokerState.CANCELLED}


@pytest.mark.parametrize("ids", ["own", "shared"])
def test_the_socket_names_the_parts_as_the_books_do(
    ids: str, account: Any, bracket: Any, exchange: Any
) -> None:
    exchange.control("super", leg_ids=ids)
    with Listener(DhanOrderStream(account)) as heard:
        until(lambda: heard.lives)
        whole_id = bracket()
        exchange.control("fill", orderId=whole_id)
        until(lambda: {report.part for report in heard.reports} == set(LegName))
        exchange.control("super/fire", orderId=whole_id, legName="STOP_LOSS_LEG")
        until(lambda: any(report.state_word == "Triggered" for report in heard.reports))
    book = booked(account)
    last = {report.part: report for report in heard.reports}
    for leg in LegName:
        assert last[leg].broker_order_id == book[leg].broker_order_id
        assert last[leg].correlation_id == book[leg].correlation_id
        assert last[leg].whole_id == whole_id
    assert last[LegName.STOP_LOSS].price is None
    (fired,) = [report for report in heard.reports if report.state_word == "Triggered"]
    assert (fired.part, fired.state) == (LegName.STOP_LOSS, BrokerState.WORKING)
    assert not heard.troubles


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("drop_before_accept", Unknown),
        ("drop_after_accept", Unknown),
        ("http_500", Unknown),
        ("http_429", NotSent),
        ("refused", Refused),
    ],
)
def test_faults_of_the_exchange(
    fault: str, expected: Any, door: Any, order_request: Any, exchange: Any, account: Any
) -> None:
    assert "id" in exchange.fault(fault, "super_place", times=1)
    outcome = door().place(order_request(quantity=10, price=Decimal(1410), exits=LEVELS))
    assert isinstance(outcome, expected)
    there = reports_of(account).super_orders().value
    assert bool(there) is (fault == "drop_after_accept")
