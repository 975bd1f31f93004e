"""Super orders on the wire: bodies as published, and one of four outcomes for each request."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

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
    OrderType,
    Outcome,
    Product,
    Refused,
    Side,
    Unknown,
    Validity,
)
from tests.brokers.conftest import CLIENT, TOKEN
from tests.brokers.payloads import payload
from tests.brokers.stub import Act, Stub, answer, drop, hang

WHOLE = "112111182045"
TAKEN = payload("super-orders-place.response")
DH_906 = {"errorType": "Order_Error", "errorCode": "DH-906", "errorMessage": "Leg is Traded"}
Do = Callable[[DhanTrading], Outcome]


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.CALL_TIMEOUT = 0.5
    settings.CONNECT_TIMEOUT = 0.5


def exits(**different: Any) -> Exits:
    terms: dict[str, Any] = {
        "kind": BracketKind.SUPER,
        "stop": Decimal(1400),
        "target": Decimal(1600),
        "trailing_jump": Decimal(10),
    }
    return Exits(**(terms | different))


def part(leg: LegName) -> LegAddress:
    return LegAddress(kind=BracketKind.SUPER, whole_id=WHOLE, leg=leg)


def change(leg: LegName, **different: Any) -> ModifyRequest:
    terms: dict[str, Any] = {
        "account": "main",
        "correlation_id": "abc123",
        "broker_order_id": WHOLE,
        "quantity": 40,
        "order_type": OrderType.LIMIT,
        "price": None,
        "trigger_price": None,
        "validity": Validity.DAY,
        "part": part(leg),
    }
    return ModifyRequest(**(terms | different))


@pytest.fixture
def published(order_request: Any) -> Any:
    """The order of the published request."""
    return order_request(
        correlation_id="123abc678",
        security_id="11536",
        price=Decimal(1500),
        product=Product.DELIVERY,
        exits=exits(),
    )


ENTRY = change(
    LegName.ENTRY,
    price=Decimal(1300),
    exits=exits(stop=Decimal(1350), target=Decimal(1450), trailing_jump=Decimal(20)),
)
STOP = change(
    LegName.STOP_LOSS,
    order_type=OrderType.STOP_LIMIT,
    trigger_price=Decimal(1350),
    exits=exits(trailing_jump=Decimal(20)),
)
TARGET = change(LegName.TARGET, price=Decimal(1450))


@pytest.fixture
def send(at: Any, new_call: Any) -> Any:
    """One request to a broker that answers like this: the outcome, and what was sent."""

    def run(do: Do, act: Act) -> tuple[Outcome, list[bytes]]:
        with Stub(act) as stub:
            outcome = do(DhanTrading(new_call(at(f"{stub.url}/v2"))))
        return outcome, stub.requests

    return run


def body_of(raw: bytes) -> Any:
    return json.loads(raw.partition(b"\r\n\r\n")[2], parse_float=Decimal)


def sample(name: str, **different: Any) -> Any:
    """A published body; two of its numbers are texts there."""
    body = payload(name) | {"dhanClientId": CLIENT} | different
    numbers = {"quantity", "price"} & body.keys()
    return body | {name: Decimal(body[name]) for name in numbers}


def test_a_super_order_is_sent_as_published(send: Any, published: Any) -> None:
    outcome, (raw,) = send(lambda door: door.place(published), answer(200, TAKEN))
    assert outcome == Accepted("112111182198", BrokerState.WORKING)
    assert raw.startswith(b"POST /v2/super/orders HTTP/1.1\r\n")
    assert f"access-token: {TOKEN.lower()}".encode() in raw.lower()
    assert body_of(raw) == sample("super-orders-place.request")


def test_what_does_not_trail_says_so(send: Any, published: Any, order_request: Any) -> None:
    still = order_request(
        price=Decimal("133.55"),
        exits=exits(stop=Decimal("130.05"), target=Decimal("140.10"), trailing_jump=None),
    )
    _, (raw,) = send(lambda door: door.place(still), answer(200, TAKEN))
    assert b'"price": 133.55, "targetPrice": 140.1, "stopLossPrice": 130.05,' in raw
    assert b'"trailingJump": 0.0' in raw


def test_a_sale_has_its_target_below_and_its_stop_above(send: Any, order_request: Any) -> None:
    short = order_request(
        side=Side.SELL, price=Decimal(1500), exits=exits(stop=Decimal(1510), target=Decimal(1480))
    )
    outcome, (raw,) = send(lambda door: door.place(short), answer(200, TAKEN))
    assert isinstance(outcome, Accepted)
    assert body_of(raw)["transactionType"] == "SELL"


@pytest.mark.parametrize(
    ("request_", "published_as"),
    [
        (ENTRY, "super-orders-modify-entry-leg.request"),
        (TARGET, "super-orders-modify-target-leg.request"),
        (STOP, "super-orders-modify-stop-loss-leg.request"),
    ],
    ids=["entry", "target", "stop"],
)
def test_a_part_is_changed_as_published(
    request_: ModifyRequest, published_as: str, send: Any
) -> None:
    taken = answer(200, payload("super-orders-modify.response"))
    outcome, (raw,) = send(lambda door: door.modify(request_), taken)
    assert outcome == Accepted(WHOLE, BrokerState.IN_TRANSIT)
    assert raw.startswith(f"PUT /v2/super/orders/{WHOLE} HTTP/1.1\r\n".encode())
    assert body_of(raw) == sample(published_as)


def test_a_stop_that_stays_where_it_is_says_so(send: Any) -> None:
    still = change(LegName.STOP_LOSS, trigger_price=Decimal(1350), exits=exits(trailing_jump=None))
    _, (raw,) = send(lambda door: door.modify(still), answer(200, TAKEN))
    assert body_of(raw)["trailingJump"] == 0


@pytest.mark.parametrize(
    ("leg", "word"),
    [
        (LegName.ENTRY, "ENTRY_LEG"),
        (LegName.TARGET, "TARGET_LEG"),
        (LegName.STOP_LOSS, "STOP_LOSS_LEG"),
    ],
)
@pytest.mark.parametrize(
    ("act", "state"),
    [
        (answer(202), BrokerState.IN_TRANSIT),
        (answer(202, payload("super-orders-cancel-leg.response")), BrokerState.CANCELLED),
    ],
    ids=["empty 202", "202 with a body"],
)
def test_a_part_is_cancelled(
    leg: LegName, word: str, act: Act, state: BrokerState, send: Any
) -> None:
    outcome, (raw,) = send(lambda door: door.cancel(f"{WHOLE}/{leg}", part(leg)), act)
    assert outcome == Accepted(WHOLE, state)
    assert raw.startswith(f"DELETE /v2/super/orders/{WHOLE}/{word} HTTP/1.1\r\n".encode())


def test_a_part_without_a_whole_is_not_cancelled(send: Any) -> None:
    nobody = LegAddress(kind=BracketKind.SUPER, whole_id="", leg=LegName.TARGET)
    outcome, sent = send(lambda door: door.cancel("1", nobody), answer(202))
    assert isinstance(outcome, NotSent)
    assert sent == []


ANSWERS: list[tuple[Act, type[Outcome]]] = [
    (answer(400, DH_906), Refused),
    (answer(200, DH_906), Refused),
    (answer(400, payload("observed-error-quantity-required")), Refused),
    (answer(429, payload("observed-error-429-rate-limit")), NotSent),
    (answer(401, payload("portal-error-auth")), NotSent),
    (answer(404, payload("observed-live-forever-all-404.response")), Unknown),
    (answer(404), Unknown),
    (answer(500, DH_906), Unknown),
    (answer(200, b"<html>"), Unknown),
    (answer(200, {"orderStatus": "PENDING"}), Unknown),
    (hang, Unknown),
    (drop, Unknown),
]


@pytest.mark.parametrize(("act", "kind"), ANSWERS)
@pytest.mark.parametrize("door", ["place", "modify", "cancel"])
def test_every_request_has_one_of_four_outcomes(
    door: str, act: Act, kind: type[Outcome], send: Any, published: Any
) -> None:
    requests: dict[str, Do] = {
        "place": lambda trading: trading.place(published),
        "modify": lambda trading: trading.modify(STOP),
        "cancel": lambda trading: trading.cancel("5", part(LegName.STOP_LOSS)),
    }
    outcome, sent = send(requests[door], act)
    assert isinstance(outcome, kind)
    assert len(sent) == 1


def test_an_empty_answer_is_a_yes_to_a_cancel_only(send: Any, published: Any) -> None:
    for do in (lambda door: door.place(published), lambda door: door.modify(STOP)):
        assert isinstance(send(do, answer(202))[0], Unknown)


@pytest.mark.parametrize("leg", LegName)
def test_a_reply_about_another_whole_is_unknown(leg: LegName, send: Any) -> None:
    other = answer(200, {"orderId": "112111182046", "orderStatus": "CANCELLED"})
    outcome, _ = send(lambda door: door.cancel("5", part(leg)), other)
    assert isinstance(outcome, Unknown)
    outcome, _ = send(lambda door: door.modify(ENTRY), other)
    assert isinstance(outcome, Unknown)


CANNOT_BE_SAID: dict[str, tuple[dict[str, Any], str]] = {
    "no target": ({"exits": exits(target=None)}, "needs a price"),
    "no price": ({"price": None}, "needs a price"),
    "a price of 0": ({"price": Decimal(0)}, "Missing required"),
    "no quantity": ({"quantity": 0}, "Missing required"),
    "the target below": ({"exits": exits(target=Decimal(100))}, "targetPrice must be > price"),
    "the stop above": ({"exits": exits(stop=Decimal(1501))}, "stopLossPrice must be < price"),
    "a stop order": (
        {"order_type": OrderType.STOP_LIMIT, "trigger_price": Decimal(1499)},
        "is a limit",
    ),
    "a market order": ({"order_type": OrderType.MARKET}, "is a limit"),
    "at once or never": ({"validity": Validity.IOC}, "works for the day"),
    "after the market": ({"after_market": True}, "next opening"),
    "a hidden part": ({"disclosed_quantity": 2}, "hide a part"),
}


@pytest.mark.parametrize("case", CANNOT_BE_SAID)
def test_what_cannot_be_said_is_provably_not_sent(case: str, send: Any, order_request: Any) -> None:
    different, why = CANNOT_BE_SAID[case]
    request = order_request(**({"price": Decimal(1500), "exits": exits()} | different))
    outcome, sent = send(lambda door: door.place(request), answer(200, TAKEN))
    assert isinstance(outcome, NotSent)
    assert why in outcome.why
    assert not outcome.about_session
    assert sent == []


@pytest.mark.parametrize(
    "request_",
    [
        change(LegName.ENTRY, price=Decimal(1300)),
        change(LegName.ENTRY, exits=exits()),
        change(LegName.STOP_LOSS, trigger_price=Decimal(1350)),
        change(LegName.STOP_LOSS, exits=exits()),
        change(LegName.TARGET, trigger_price=Decimal(1450)),
    ],
)
def test_a_change_that_leaves_something_out_is_provably_not_sent(
    request_: ModifyRequest, send: Any
) -> None:
    outcome, sent = send(lambda door: door.modify(request_), answer(200, TAKEN))
    assert isinstance(outcome, NotSent)
    assert sent == []


def test_what_breaks_after_the_request_left_is_never_called_not_sent(
    at: Any, new_call: Any, published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("the broker was heard, and then this broke")

    monkeypatch.setattr("apps.brokers.sessions.heard", broken)
    with Stub(answer(200, TAKEN)) as stub, pytest.raises(ValueError, match="was heard"):
        DhanTrading(new_call(at(stub.url))).place(published)
    assert len(stub.requests) == 1
