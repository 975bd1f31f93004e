"""Quotes and margins over REST: as published, in one call, and never a zero for what is missing."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from apps.brokers.models import WireCall
from apps.brokers.port import BadWire, Level, OrderType, ReadFailed, Segment, Side
from apps.brokers.reporting import reports_of
from tests.brokers.payloads import payload
from tests.brokers.stub import Stub, answer

OPTION = (Segment.NSE_FNO, "49081")
SHARE = (Segment.NSE_EQ, "11536")


def sent_by(stub: Stub, number: int = 0) -> Any:
    return json.loads(stub.requests[number].partition(b"\r\n\r\n")[2])


def test_a_quote_as_published(at: Any) -> None:
    with Stub(answer(200, payload("marketfeed-quote.response"))) as stub:
        known = reports_of(at(stub.url)).quotes(lambda: [OPTION])
    (news,) = known.value
    assert (news.segment, news.security_id) == OPTION
    assert (news.last_price, news.close) == (Decimal("368.15"), Decimal("368.15"))
    assert (news.lower_circuit, news.upper_circuit) == (Decimal("48.25"), Decimal("510.85"))
    assert news.bids == (
        Level(price=Decimal(77), quantity=1800, orders=1),
        Level(price=Decimal(50), quantity=25, orders=1),
    )
    assert news.asks == ()
    assert news.traded_at is None  # the first of January 1980
    call = WireCall.objects.get()
    assert known.as_of == call.created_at
    assert (call.what, call.budget) == ("quotes", "QUOTE")
    assert stub.requests[0].startswith(b"POST /marketfeed/quote ")


def test_many_instruments_travel_in_one_call_by_segment(at: Any) -> None:
    wanted = [OPTION, SHARE, (Segment.NSE_FNO, "49082"), (Segment.INDEX, "13")]
    with Stub(answer(200, payload("marketfeed-quote.response"))) as stub:
        known = reports_of(at(stub.url)).quotes(lambda: wanted)
    body = sent_by(stub)
    assert body["NSE_FNO"] == [49081, 49082]
    assert (body["NSE_EQ"], body["IDX_I"]) == ([11536], [13])
    assert [news.security_id for news in known.value] == ["49081"]  # the others are missing


def test_wishes_are_asked_for_when_the_turn_has_come_and_a_thousand_at_most(at: Any) -> None:
    asked: list[bool] = []

    def wanted() -> list[tuple[Segment, str]]:
        asked.append(WireCall.objects.exists())
        return [(Segment.NSE_FNO, str(number)) for number in range(1, 1201)]

    with Stub(answer(200, payload("marketfeed-quote.response"))) as stub:
        reports_of(at(stub.url)).quotes(wanted)
    assert asked == [True]
    assert len(sent_by(stub)["NSE_FNO"]) == 1000


def test_an_unknown_instrument_is_missing_and_no_error(at: Any) -> None:
    body = payload("observed-live-marketfeed-ltp-unknown-id.response")
    with Stub(answer(200, body)) as stub:
        assert reports_of(at(stub.url)).quotes(lambda: [(Segment.INDEX, "1")]).value == []


def test_no_trade_is_no_price(at: Any) -> None:
    body = {"data": {"NSE_EQ": {"11536": {"last_price": 0}}}}
    with Stub(answer(200, body)) as stub:
        (news,) = reports_of(at(stub.url)).quotes(lambda: [SHARE]).value
    assert (news.last_price, news.bids, news.close) == (None, None, None)


def test_half_a_depth_is_not_known_and_not_empty(at: Any) -> None:
    row = {"last_price": 5, "depth": {"buy": [{"price": 5, "quantity": 1, "orders": 1}]}}
    with Stub(answer(200, {"data": {"NSE_EQ": {"11536": row}}})) as stub:
        (news,) = reports_of(at(stub.url)).quotes(lambda: [SHARE]).value
    assert (news.bids, news.asks) == (None, None)


def test_a_trade_has_its_indian_time(at: Any) -> None:
    row = {"last_price": 5, "last_trade_time": "23/11/2026 10:15:00"}
    with Stub(answer(200, {"data": {"NSE_EQ": {"11536": row}}})) as stub:
        (news,) = reports_of(at(stub.url)).quotes(lambda: [SHARE]).value
    assert news.traded_at is not None
    assert news.traded_at.isoformat() == "2026-11-23T10:15:00+05:30"


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({}, "last_price"),
        ({"last_price": "x"}, "last_price"),
        ({"last_price": -1}, "last_price"),
        ({"last_price": 5, "depth": {"buy": [{"price": 5}]}}, "depth"),
        ({"last_price": 5, "ohlc": {"close": "x"}}, "close"),
        ([], "not an object"),
    ],
)
def test_what_does_not_fit_is_named(row: Any, field: str, at: Any) -> None:
    with (
        Stub(answer(200, {"data": {"NSE_EQ": {"11536": row}}})) as stub,
        pytest.raises(BadWire, match=field),
    ):
        reports_of(at(stub.url)).quotes(lambda: [SHARE])


@pytest.mark.parametrize("body", [{}, {"data": []}, [], {"data": None}])
def test_a_reply_without_data_is_no_quote(body: Any, at: Any) -> None:
    with Stub(answer(200, body)) as stub, pytest.raises(ReadFailed):
        reports_of(at(stub.url)).quotes(lambda: [SHARE])


# ---- margins


def test_the_margin_of_one_order_as_published(at: Any, order_request: Any) -> None:
    request = order_request(
        security_id="1333",
        price=Decimal(1428),
        trigger_price=Decimal(1427),
        order_type=OrderType.STOP_LIMIT,
    )
    with Stub(answer(200, payload("margincalculator.response"))) as stub:
        account = at(stub.url)
        known = reports_of(account).margin([request])
    assert (known.value.required, known.value.available) == (2800, 10500)
    assert known.value.raw["spanMargin"] == 1200
    body = sent_by(stub)
    published = payload("margincalculator.request") | {"dhanClientId": account.client_id}
    assert body == {**published, "productType": "INTRADAY"}
    assert WireCall.objects.get().budget == "READ"


def test_an_order_without_a_trigger_names_none(at: Any, order_request: Any) -> None:
    with Stub(answer(200, payload("margincalculator.response"))) as stub:
        reports_of(at(stub.url)).margin([order_request()])
    assert "triggerPrice" not in sent_by(stub)


@pytest.mark.parametrize(
    "body",
    [
        payload("sdk-tests-margin-calculator")["data"],  # single precision's lowest number
        payload("margincalculator.response") | {"totalMargin": -1},
        {"availableBalance": 5},
        {"totalMargin": 5, "availabelBalance": 5},
        [],
    ],
)
def test_a_margin_that_makes_no_sense_is_no_margin(body: Any, at: Any, order_request: Any) -> None:
    with Stub(answer(200, body)) as stub, pytest.raises(BadWire):
        reports_of(at(stub.url)).margin([order_request()])


@pytest.mark.parametrize(
    "body", [payload("margincalculator-multi.response"), {"totalMargin": 150000.0, "exposure": 1}]
)
def test_several_orders_in_either_documented_form(body: Any, at: Any, order_request: Any) -> None:
    legs = [order_request(), order_request(side=Side.SELL, price=Decimal(5))]
    with Stub(answer(200, body)) as stub:
        known = reports_of(at(stub.url)).margin(legs)
    assert (known.value.required, known.value.available) == (150000, None)
    assert stub.requests[0].startswith(b"POST /margincalculator/multi ")
    rows = sent_by(stub)["scripList"]
    assert [row["transactionType"] for row in rows] == ["BUY", "SELL"]
    assert rows[0]["price"] == 133.55
