"""One journal row, one request on the wire, one outcome: against a broker made of raw sockets."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from apps.brokers import trading, wire
from apps.brokers.dhan.trading import DhanTrading
from apps.brokers.models import AccessToken, WireCall
from apps.brokers.port import Accepted, BrokerState, NotSent, OrderType, Refused, Unknown
from apps.brokers.wire import NotOnTheWire
from tests.brokers.conftest import CLIENT, TOKEN
from tests.brokers.payloads import payload
from tests.brokers.stub import Act, Stub, answer, drip, drop, hang, say

TAKEN = {"orderId": "112111182198", "orderStatus": "TRANSIT"}
HTML = b"<html><body>502 Bad Gateway</body></html>"


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.CALL_TIMEOUT = 0.5
    settings.CONNECT_TIMEOUT = 0.5


def body_of(raw: bytes) -> Any:
    return json.loads(raw.partition(b"\r\n\r\n")[2])


def test_without_anybody_to_watch_its_time_nothing_leaves(
    at: Any, new_call: Any, order_request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(wire._deadlines, "watch", no_thread)
    with Stub(answer(200, TAKEN)) as stub:
        outcome = DhanTrading(new_call(at(f"{stub.url}/v2/"))).place(order_request())
        assert stub.requests == []
    assert isinstance(outcome, NotSent)


def test_a_reply_may_take_longer_than_connecting(
    at: Any, new_call: Any, order_request: Any, settings: Any
) -> None:
    settings.CONNECT_TIMEOUT, settings.CALL_TIMEOUT = 0.2, 5

    def late(peer: Any) -> None:
        time.sleep(0.6)
        answer(200, TAKEN)(peer)

    with Stub(late) as stub:
        outcome = DhanTrading(new_call(at(f"{stub.url}/v2/"))).place(order_request())
    assert isinstance(outcome, Accepted)


def test_a_placed_order_on_the_wire(at: Any, new_call: Any, order_request: Any) -> None:
    with Stub(answer(200, TAKEN)) as stub:
        call = new_call(at(f"{stub.url}/v2/"))
        outcome = DhanTrading(call).place(order_request())
    assert outcome == Accepted("112111182198", BrokerState.IN_TRANSIT)
    assert (call.http_status, call.response) == (200, TAKEN)
    (raw,) = stub.requests
    assert raw.startswith(b"POST /v2/orders HTTP/1.1\r\n")
    head = raw.lower()
    assert f"access-token: {TOKEN.lower()}".encode() in head
    assert f"client-id: {CLIENT}".encode() in head
    assert b"user-agent: tradingops-desk" in head
    assert b"content-type: application/json" in head
    assert b'"price": 133.55,' in raw
    assert body_of(raw) == {
        "dhanClientId": CLIENT,
        "correlationId": "abc123",
        "transactionType": "BUY",
        "exchangeSegment": "NSE_EQ",
        "productType": "INTRADAY",
        "orderType": "LIMIT",
        "validity": "DAY",
        "securityId": "2885",
        "quantity": 5,
        "price": 133.55,
        "afterMarketOrder": False,
    }


@pytest.mark.parametrize("kind", [OrderType.MARKET, OrderType.STOP_MARKET])
def test_no_market_order_is_ever_sent_as_such(
    kind: OrderType, at: Any, new_call: Any, order_request: Any
) -> None:
    with (
        Stub(answer(200, TAKEN)) as stub,
        pytest.raises(ValueError, match="never sent as such"),
    ):
        DhanTrading(new_call(at(stub.url))).place(order_request(order_type=kind))
    assert stub.connections == 0


def test_a_stop_order_has_a_trigger(at: Any, new_call: Any, order_request: Any) -> None:
    from decimal import Decimal

    with Stub(answer(200, TAKEN)) as stub:
        request = order_request(
            order_type=OrderType.STOP_LIMIT, trigger_price=Decimal("133.50"), disclosed_quantity=2
        )
        DhanTrading(new_call(at(stub.url))).place(request)
    body = body_of(stub.requests[0])
    assert (body["orderType"], body["triggerPrice"]) == ("STOP_LOSS", 133.5)
    assert body["disclosedQuantity"] == 2


def test_a_modified_order_on_the_wire(at: Any, new_call: Any, modify_request: Any) -> None:
    with Stub(answer(200, payload("orders-modify.response"))) as stub:
        outcome = DhanTrading(new_call(at(stub.url))).modify(modify_request())
    assert isinstance(outcome, Accepted)
    assert stub.requests[0].startswith(b"PUT /orders/112111182045 ")
    assert body_of(stub.requests[0]) == {
        "dhanClientId": CLIENT,
        "orderId": "112111182045",
        "orderType": "LIMIT",
        "quantity": 7,
        "price": 3345.8,
        "validity": "DAY",
    }


def test_a_cancel_answered_by_an_empty_202(at: Any, new_call: Any) -> None:
    with Stub(answer(202)) as stub:
        outcome = DhanTrading(new_call(at(stub.url))).cancel("112111182045")
    assert outcome == Accepted("112111182045")
    assert stub.requests[0].startswith(b"DELETE /orders/112111182045 ")


UNKNOWN: dict[str, Act] = {
    "dropped": drop,
    "hanging": hang,
    "dripping": drip,
    "500": answer(500, {"errorCode": "DH-908", "errorType": "x", "errorMessage": "y"}),
    "502 html": answer(502, HTML),
    "200 html": answer(200, HTML),
    "200 empty": answer(200),
    "200 garbage": answer(200, b"\xff\xfe{"),
    "200 NaN": answer(200, b'{"orderId": NaN}'),
    "307": answer(307, headers="Location: /elsewhere\r\n"),
    "301": answer(301, headers="Location: /elsewhere\r\n"),
    "307 to nowhere": say(b"HTTP/1.1 307 X\r\nLocation: /\xff\xfe\r\n\r\n"),
    "a broken header": say(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
    "half a status line": say(b"HTTP/1.1 2"),
    "half a body": say(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"orderId":'),
    "whole JSON in half a body": say(
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + json.dumps(TAKEN).encode()
    ),
    "broken gzip": say(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"
    ),
    "broken chunks": say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
    "not HTTP": say(b"SSH-2.0-OpenSSH_9.6\r\n"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_when_the_request_may_have_arrived_the_outcome_is_unknown(
    case: str, at: Any, new_call: Any, order_request: Any
) -> None:
    with Stub(UNKNOWN[case]) as stub:
        began = time.monotonic()
        outcome = DhanTrading(new_call(at(stub.url))).place(order_request())
        took = time.monotonic() - began
    assert isinstance(outcome, Unknown)
    assert outcome.why
    assert took < 2
    assert stub.connections == 1
    assert len(stub.requests) == 1


def test_a_reply_larger_than_the_limit(
    at: Any, new_call: Any, order_request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_BODY", 1000)
    with Stub(answer(200, TAKEN | {"pad": "x" * 2000})) as stub:
        outcome = DhanTrading(new_call(at(stub.url))).place(order_request())
    assert isinstance(outcome, Unknown)


def test_a_connection_that_ends_before_the_request_was_read_is_unknown(
    at: Any, new_call: Any, order_request: Any
) -> None:
    with Stub(drop, read_first=False) as stub:
        outcome = DhanTrading(new_call(at(stub.url))).place(order_request())
    assert isinstance(outcome, Unknown)
    assert stub.connections == 1


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9", "http://no-such-host.invalid", "https://127.0.0.1:1"],
)
def test_nothing_left_when_nobody_listens(
    url: str, at: Any, new_call: Any, order_request: Any
) -> None:
    assert isinstance(DhanTrading(new_call(at(url))).place(order_request()), NotSent)


def test_nothing_left_when_tls_fails(at: Any, new_call: Any, order_request: Any) -> None:
    with Stub(say(b"this is not TLS at all\r\n")) as stub:
        url = stub.url.replace("http://", "https://")
        outcome = DhanTrading(new_call(at(url))).place(order_request())
    assert isinstance(outcome, NotSent)
    assert TOKEN.encode() not in b"".join(stub.requests)


def test_a_429_placed_nothing_and_is_not_repeated(
    at: Any, new_call: Any, order_request: Any
) -> None:
    with Stub(answer(429, payload("observed-error-429-rate-limit"))) as stub:
        outcome = DhanTrading(new_call(at(stub.url))).place(order_request())
    assert isinstance(outcome, NotSent)
    assert stub.connections == 1


def test_a_refusal_carries_the_message_but_no_secret(
    at: Any, new_call: Any, order_request: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = f"RMS: {CLIENT} has no funds, token {TOKEN} seen\x00"
    error = {"errorType": "Order_Error", "errorCode": "DH-906", "errorMessage": said}
    with Stub(answer(400, error)) as stub:
        call = new_call(at(stub.url))
        outcome = DhanTrading(call).place(order_request())
    assert isinstance(outcome, Refused)
    assert outcome.code == "DH-906"
    assert "has no funds" in outcome.text
    kept = f"{outcome!r} {call.response} {call!r} {caplog.text}"
    assert TOKEN not in kept
    assert CLIENT not in outcome.text
    assert "\x00" not in json.dumps(call.response, ensure_ascii=False)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "tökén", "nul\x00"])
def test_a_token_that_cannot_be_one_never_leaves_and_is_never_shown(
    token: str, at: Any, new_call: Any, order_request: Any
) -> None:
    with Stub(answer(200, TAKEN)) as stub:
        account = at(stub.url)
        AccessToken.put_in_force(account, token)
        outcome = DhanTrading(new_call(account)).place(order_request())
    assert isinstance(outcome, NotSent)
    assert not token or token not in outcome.why
    assert stub.connections == 0


def test_without_a_token_nothing_leaves(at: Any, new_call: Any, order_request: Any) -> None:
    account = at("http://127.0.0.1:9")
    AccessToken.objects.update(retired_at="2026-01-01T00:00Z")
    outcome = DhanTrading(new_call(account)).place(order_request())
    assert isinstance(outcome, NotSent)
    assert "missing" in outcome.why


@pytest.mark.parametrize("odd", ["1/../2", "1?x=1", "1#", "1 2", "é"])
def test_an_id_that_would_change_the_address_never_leaves(odd: str, at: Any, new_call: Any) -> None:
    with Stub(answer(200, TAKEN)) as stub:
        outcome = DhanTrading(new_call(at(stub.url))).cancel(odd)
    assert isinstance(outcome, NotSent)
    assert stub.connections == 0


def test_no_byte_leaves_after_the_deadline(at: Any, new_call: Any, order_request: Any) -> None:
    with Stub(answer(200, TAKEN)) as stub:
        call = new_call(at(stub.url))
        call.boot_deadline -= 3600
        outcome = DhanTrading(call).place(order_request())
        time.sleep(0.1)
    assert isinstance(outcome, NotSent)
    assert all(raw == b"" for raw in stub.requests)


def test_a_row_is_used_once(at: Any, new_call: Any, order_request: Any) -> None:
    with Stub(answer(200, TAKEN)) as stub:
        call = new_call(at(stub.url))
        DhanTrading(call).place(order_request())
        with pytest.raises(NotOnTheWire):
            DhanTrading(call).place(order_request())
    assert stub.connections == 1


def test_a_row_that_was_read_back_may_not_be_used(
    at: Any, new_call: Any, order_request: Any
) -> None:
    with Stub(answer(200, TAKEN)) as stub:
        call = WireCall.objects.get(pk=new_call(at(stub.url)).pk)
        with pytest.raises(NotOnTheWire):
            DhanTrading(call).place(order_request())
    assert stub.connections == 0


def test_nothing_leaves_inside_a_transaction(at: Any, new_call: Any, order_request: Any) -> None:
    with Stub(answer(200, TAKEN)) as stub:
        account = at(stub.url)
        with pytest.raises(NotOnTheWire), transaction.atomic():
            DhanTrading(new_call(account)).place(order_request())
    assert stub.connections == 0


def test_a_row_that_was_rolled_back_may_not_be_used(
    at: Any, new_call: Callable[..., Any], order_request: Any
) -> None:
    with Stub(answer(200, TAKEN)) as stub:
        account = at(stub.url)
        with transaction.atomic():
            call = new_call(account)
            transaction.set_rollback(True)
        with pytest.raises(NotOnTheWire):
            DhanTrading(call).place(order_request())
    assert stub.connections == 0


@pytest.mark.parametrize("door", ["place", "modify", "cancel"])
def test_a_row_without_a_permit_does_not_open_the_door(
    door: str, at: Any, new_call: Any, order_request: Any, modify_request: Any
) -> None:
    asked = {"place": order_request(), "modify": modify_request(), "cancel": "1"}[door]
    with Stub(answer(200, TAKEN)) as stub, pytest.raises(NotOnTheWire):
        getattr(trading, door)(new_call(at(stub.url)), asked)
    assert stub.connections == 0


def test_nothing_that_holds_the_token_shows_it(at: Any, new_call: Any) -> None:
    from apps.brokers.dhan.client import DhanClient

    call = new_call(at("http://127.0.0.1:9"))
    client = DhanClient(call)
    for thing in (client, client.line, DhanTrading(call), call, call.account, call.account.token()):
        assert TOKEN not in f"{thing!r} {thing}"
