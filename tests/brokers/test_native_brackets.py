"""Bracket and cover orders: their bodies, and their life at the simulated exchange."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from apps.brokers.dhan.mapping import report_from_row
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
    Outcome,
    Product,
    Refused,
    Side,
    Unknown,
    Validity,
)
from apps.brokers.reporting import reports_of
from tests.brokers.conftest import CLIENT
from tests.brokers.feed_stub import Listener, until
from tests.brokers.stub import Act, Stub, answer
from tests.brokers.test_mapping import INDIA, ROW

WHOLE, LEG = "112111182045", "112111182046"
TAKEN = {"orderId": WHOLE, "orderStatus": "TRANSIT"}
Do = Callable[[DhanTrading], Outcome]


def exits(**different: Any) -> Exits:
    terms: dict[str, Any] = {
        "kind": BracketKind.NATIVE,
        "stop": Decimal("1379.50"),
        "target": Decimal(1440),
    }
    return Exits(**(terms | different))


def part(leg: LegName, whole_id: str = WHOLE) -> LegAddress:
    return LegAddress(kind=BracketKind.NATIVE, whole_id=whole_id, leg=leg)


def change(leg: LegName, broker_order_id: str = WHOLE, **different: Any) -> ModifyRequest:
    terms: dict[str, Any] = {
        "account": "main",
        "correlation_id": "abc123",
        "broker_order_id": broker_order_id,
        "quantity": 10,
        "order_type": OrderType.LIMIT,
        "price": None,
        "trigger_price": None,
        "validity": Validity.DAY,
        "part": part(leg),
    }
    return ModifyRequest(**(terms | different))


@pytest.fixture
def send(at: Any, new_call: Any) -> Any:
    """One request to a broker that answers like this: the outcome, and what was sent."""

    def run(do: Do, act: Act | None = None) -> tuple[Outcome, list[bytes]]:
        with Stub(act or answer(200, TAKEN)) as stub:
            outcome = do(DhanTrading(new_call(at(f"{stub.url}/v2"))))
        return outcome, stub.requests

    return run


def body_of(raw: bytes) -> Any:
    return json.loads(raw.partition(b"\r\n\r\n")[2])


PLAIN = {
    "dhanClientId": CLIENT,
    "correlationId": "abc123",
    "transactionType": "BUY",
    "exchangeSegment": "NSE_EQ",
    "orderType": "LIMIT",
    "validity": "DAY",
    "securityId": "2885",
    "quantity": 5,
    "price": 1400.0,
    "afterMarketOrder": False,
}


def test_a_bracket_order_says_how_far_its_exits_are(send: Any, order_request: Any) -> None:
    request = order_request(price=Decimal(1400), exits=exits())
    outcome, (raw,) = send(lambda door: door.place(request))
    assert outcome == Accepted(WHOLE, BrokerState.IN_TRANSIT)
    assert raw.startswith(b"POST /v2/orders HTTP/1.1\r\n")
    assert body_of(raw) == PLAIN | {
        "productType": "BO",
        "boProfitValue": 40.0,
        "boStopLossValue": 20.5,
    }


def test_of_a_sale_the_distances_are_positive_too(send: Any, order_request: Any) -> None:
    short = exits(stop=Decimal("1410.05"), target=Decimal("1390.10"))
    request = order_request(side=Side.SELL, price=Decimal(1400), exits=short)
    _, (raw,) = send(lambda door: door.place(request))
    body = body_of(raw)
    assert (body["boProfitValue"], body["boStopLossValue"]) == (9.9, 10.05)


def test_without_a_target_it_is_a_cover_order(send: Any, order_request: Any) -> None:
    request = order_request(price=Decimal(1400), exits=exits(target=None))
    _, (raw,) = send(lambda door: door.place(request))
    assert body_of(raw) == PLAIN | {"productType": "CO", "triggerPrice": 1379.5}


@pytest.mark.parametrize(
    ("request_", "path", "body"),
    [
        (
            change(LegName.ENTRY, price=Decimal(1399), exits=exits()),
            WHOLE,
            {"legName": "ENTRY_LEG", "orderType": "LIMIT", "quantity": 10, "price": 1399.0},
        ),
        (
            change(LegName.TARGET, f"{WHOLE}/TARGET", price=Decimal(1430)),
            WHOLE,
            {"legName": "TARGET_LEG", "orderType": "LIMIT", "price": 1430.0},
        ),
        (
            change(
                LegName.STOP_LOSS,
                f"{WHOLE}/STOP_LOSS",
                order_type=OrderType.STOP_LIMIT,
                trigger_price=Decimal(1390),
            ),
            WHOLE,
            {"legName": "STOP_LOSS_LEG", "orderType": "STOP_LOSS", "triggerPrice": 1390.0},
        ),
        (
            change(LegName.STOP_LOSS, LEG, trigger_price=Decimal(1390), exits=exits()),
            LEG,
            {"legName": "STOP_LOSS_LEG", "orderType": "STOP_LOSS", "triggerPrice": 1390.0},
        ),
    ],
    ids=["entry", "target", "stop under its entry's id", "stop with its own id"],
)
def test_a_part_is_changed_by_its_name(
    request_: ModifyRequest, path: str, body: dict[str, Any], send: Any
) -> None:
    taken = answer(200, {"orderId": path, "orderStatus": "TRANSIT"})
    outcome, (raw,) = send(lambda door: door.modify(request_), taken)
    assert outcome == Accepted(path, BrokerState.IN_TRANSIT)
    assert raw.startswith(f"PUT /v2/orders/{path} HTTP/1.1\r\n".encode())
    common = {"dhanClientId": CLIENT, "orderId": path, "validity": "DAY"}
    assert body_of(raw) == common | body


@pytest.mark.parametrize(
    ("leg", "broker_order_id", "path"),
    [
        (LegName.ENTRY, WHOLE, WHOLE),
        (LegName.TARGET, LEG, LEG),
        (LegName.STOP_LOSS, LEG, LEG),
    ],
)
def test_a_part_is_cancelled_by_its_own_id(
    leg: LegName, broker_order_id: str, path: str, send: Any
) -> None:
    outcome, (raw,) = send(lambda door: door.cancel(broker_order_id, part(leg)), answer(202))
    assert outcome == Accepted(path)
    assert raw.startswith(f"DELETE /v2/orders/{path} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("leg", [LegName.TARGET, LegName.STOP_LOSS])
@pytest.mark.parametrize("named", ["composite", "whole"])
def test_an_exit_under_its_entrys_id_is_never_cancelled_with_it(
    leg: LegName, named: str, send: Any
) -> None:
    broker_order_id = WHOLE if named == "whole" else f"{WHOLE}/{leg}"
    outcome, sent = send(lambda door: door.cancel(broker_order_id, part(leg)), answer(202))
    assert isinstance(outcome, NotSent)
    assert "no id of its own" in outcome.why
    assert sent == []


CANNOT_BE_SAID: dict[str, tuple[dict[str, Any], str]] = {
    "a delivery": ({"product": Product.DELIVERY}, "are INTRADAY"),
    "after the market": ({"after_market": True}, "next opening"),
    "a stop that trails": ({"exits": exits(trailing_jump=Decimal(5))}, "cannot trail"),
    "a stop order": ({"order_type": OrderType.STOP_LIMIT, "trigger_price": Decimal(1)}, "a limit"),
    "at once or never": ({"validity": Validity.IOC}, "works for the day"),
    "no price": ({"price": None}, "needs a price"),
    "the stop above": ({"exits": exits(stop=Decimal(1401))}, "stop is on the wrong side"),
    "the stop at the price": ({"exits": exits(stop=Decimal(1400))}, "stop is on the wrong side"),
    "the target below": ({"exits": exits(target=Decimal(1399))}, "target is on the wrong side"),
    "a cover's stop above": (
        {"exits": exits(stop=Decimal(1401), target=None)},
        "stop is on the wrong side",
    ),
}


@pytest.mark.parametrize("case", CANNOT_BE_SAID)
def test_what_cannot_be_said_is_provably_not_sent(case: str, send: Any, order_request: Any) -> None:
    different, why = CANNOT_BE_SAID[case]
    request = order_request(**({"price": Decimal(1400), "exits": exits()} | different))
    outcome, sent = send(lambda door: door.place(request))
    assert isinstance(outcome, NotSent)
    assert why in outcome.why
    assert sent == []


@pytest.mark.parametrize(
    "request_",
    [
        change(LegName.ENTRY, exits=exits()),
        change(LegName.ENTRY, price=Decimal(1), exits=exits(trailing_jump=Decimal(1))),
        change(LegName.TARGET, trigger_price=Decimal(1)),
        change(LegName.STOP_LOSS, price=Decimal(1)),
        change(LegName.STOP_LOSS, trigger_price=Decimal(1), exits=exits(trailing_jump=Decimal(1))),
    ],
)
def test_a_change_that_cannot_be_said_is_provably_not_sent(
    request_: ModifyRequest, send: Any
) -> None:
    outcome, sent = send(lambda door: door.modify(request_))
    assert isinstance(outcome, NotSent)
    assert sent == []


def test_a_reply_about_another_order_is_unknown(send: Any) -> None:
    other = answer(200, {"orderId": "9", "orderStatus": "TRANSIT"})
    target = change(LegName.TARGET, price=Decimal(1430))
    assert isinstance(send(lambda door: door.modify(target), other)[0], Unknown)
    assert isinstance(send(lambda door: door.cancel(LEG, part(LegName.TARGET)), other)[0], Unknown)


def test_the_trigger_of_a_cover_orders_entry_is_its_stops() -> None:
    row = ROW | {
        "productType": "CO",
        "orderType": "LIMIT",
        "legName": "ENTRY_LEG",
        "price": 1400,
        "triggerPrice": 1380,
    }
    report = report_from_row(row, INDIA)
    assert (report.part, report.price, report.trigger_price) == (LegName.ENTRY, 1400, None)


# --- at the exchange


@pytest.fixture
def account(at: Any, exchange: Any) -> Any:
    from apps.brokers.models import AccessToken

    exchange.control("super", leg_ids="shared", native=True)
    account = at(exchange.rest_url, client_id="1000000001", feed_url=exchange.feed_url)
    AccessToken.put_in_force(account, "token-1")
    return account


@pytest.fixture
def door(account: Any, new_call: Any) -> Any:
    return lambda: DhanTrading(new_call(account))


@pytest.fixture
def bracket(door: Any, account: Any, order_request: Any, exchange: Any) -> Any:
    """A bracket or cover order at the exchange whose entry has filled: the entry's id."""

    def make(**different: Any) -> str:
        request = order_request(quantity=10, price=Decimal(1400), exits=exits(**different))
        outcome = door().place(request)
        assert isinstance(outcome, Accepted)
        until(lambda: booked(account)[LegName.ENTRY].state is BrokerState.WORKING)
        exchange.control("fill", orderId=outcome.broker_order_id)
        return outcome.broker_order_id

    return make


def booked(account: Any) -> dict[LegName | None, OrderReport]:
    return {report.part: report for report in reports_of(account).order_book().value}


@pytest.mark.parametrize("ids", ["own", "shared"])
def test_a_bracket_order_in_book_and_on_the_socket(
    ids: str, account: Any, bracket: Any, exchange: Any
) -> None:
    exchange.control("super", leg_ids=ids)
    with Listener(DhanOrderStream(account)) as heard:
        until(lambda: heard.lives)
        whole_id = bracket()
        until(lambda: {report.part for report in heard.reports} == set(LegName))
    book = booked(account)
    assert set(book) == set(LegName)
    stop, target = book[LegName.STOP_LOSS], book[LegName.TARGET]
    assert (stop.price, stop.trigger_price) == (None, Decimal("1379.5"))
    assert target.price == 1440
    for leg in (LegName.STOP_LOSS, LegName.TARGET):
        one = book[leg]
        assert (one.correlation_id, one.side, one.quantity) == (None, Side.SELL, 10)
        assert (one.whole_id, one.leg) == (whole_id, True)
        told = [report for report in heard.reports if report.part is leg][-1]
        assert (told.broker_order_id, told.whole_id) == (one.broker_order_id, whole_id)
    assert reports_of(account).super_orders().value == []
    (fill,) = reports_of(account).trade_book().value
    assert fill.product is Product.INTRADAY
    assert not heard.troubles


def test_a_cover_order_has_a_stop_alone(account: Any, bracket: Any) -> None:
    bracket(target=None)
    book = booked(account)
    assert set(book) == {LegName.ENTRY, LegName.STOP_LOSS}
    assert book[LegName.STOP_LOSS].trigger_price == Decimal("1379.5")
    assert book[LegName.ENTRY].trigger_price is None


@pytest.mark.parametrize("ids", ["own", "shared"])
def test_exits_move_where_they_are_asked_to(
    ids: str, account: Any, bracket: Any, door: Any, exchange: Any
) -> None:
    exchange.control("super", leg_ids=ids)
    whole_id = bracket()
    for leg, level in (
        (LegName.STOP_LOSS, {"trigger_price": Decimal(1390)}),
        (LegName.TARGET, {"price": Decimal(1430)}),
    ):
        named = booked(account)[leg].broker_order_id
        request = change(leg, named, part=part(leg, whole_id), **level)
        assert isinstance(door().modify(request), Accepted)
    book = booked(account)
    assert book[LegName.STOP_LOSS].trigger_price == 1390
    assert book[LegName.TARGET].price == 1430


def test_one_exit_is_cancelled_by_its_own_id(
    account: Any, bracket: Any, door: Any, exchange: Any
) -> None:
    exchange.control("super", leg_ids="own")
    whole_id = bracket()
    target = part(LegName.TARGET, whole_id)
    named = booked(account)[LegName.TARGET].broker_order_id
    assert isinstance(door().cancel(named, target), Accepted)
    book = booked(account)
    assert book[LegName.TARGET].state is BrokerState.CANCELLED
    assert book[LegName.STOP_LOSS].state is BrokerState.WORKING
    assert isinstance(door().cancel(named, target), Refused)


def test_the_entry_is_changed_and_takes_all_along(
    account: Any, door: Any, order_request: Any, exchange: Any
) -> None:
    outcome = door().place(order_request(quantity=10, price=Decimal(1400), exits=exits()))
    assert isinstance(outcome, Accepted)
    whole_id = outcome.broker_order_id
    until(lambda: booked(account)[LegName.ENTRY].state is BrokerState.WORKING)
    entry = part(LegName.ENTRY, whole_id)
    request = change(
        LegName.ENTRY, whole_id, part=entry, quantity=8, price=Decimal(1401), exits=exits()
    )
    assert isinstance(door().modify(request), Accepted)
    exchange.control("fill", orderId=whole_id, quantity=4)
    assert booked(account)[LegName.TARGET].price == 1441  # as far from it as it was
    assert isinstance(door().cancel(whole_id, entry), Accepted)
    assert {one.state for one in booked(account).values()} == {BrokerState.CANCELLED}


def test_a_broker_that_takes_none_refuses(
    door: Any, order_request: Any, exchange: Any, account: Any
) -> None:
    exchange.control("super", native=False)
    outcome = door().place(order_request(quantity=10, price=Decimal(1400), exits=exits()))
    assert isinstance(outcome, Refused)
