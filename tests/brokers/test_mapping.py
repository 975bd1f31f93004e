"""DhanHQ's rows and frames become our words; every published and recorded message is tried."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apps.brokers.dhan import mapping, words
from apps.brokers.port import BadWire, BrokerState, OrderType, Product, Segment, Side
from tests.brokers.payloads import payload

INDIA = ZoneInfo("Asia/Kolkata")
ROW: dict[str, Any] = {"orderId": "112111182198", "orderStatus": "PENDING"}
FRAME: dict[str, Any] = {"orderNo": "351260318338501", "status": "Pending"}


def row(**different: Any) -> Any:
    return mapping.report_from_row(ROW | different, INDIA)


def frame(**different: Any) -> Any:
    return mapping.report_from_frame(FRAME | different, INDIA)


@pytest.mark.parametrize(
    ("name", "state", "filled", "average", "reason"),
    [
        ("observed-ws-order-update-pending", BrokerState.WORKING, None, None, ""),
        ("observed-ws-order-update-traded-api", BrokerState.FILLED, 75, Decimal("133.55"), ""),
        (
            "observed-ws-order-update-traded-after-modify",
            BrokerState.FILLED,
            1,
            Decimal("379.55"),
            "",
        ),
        (
            "observed-ws-order-update-rejected",
            BrokerState.REJECTED,
            None,
            None,
            "RMS:341260209256501:You have insufficient funds. Please add Rs.23.67 to trade.",
        ),
        ("ws-order-update-message", BrokerState.CANCELLED, 0, None, ""),
        ("portal-ws-order-update-message", BrokerState.CANCELLED, 0, None, ""),
    ],
)
def test_every_known_frame(
    name: str, state: BrokerState, filled: int | None, average: Decimal | None, reason: str
) -> None:
    report = mapping.report_from_frame(payload(name)["Data"], INDIA)
    assert (report.state, report.filled_quantity, report.average_price) == (state, filled, average)
    assert report.reason == reason
    assert report.side in Side
    assert report.segment in Segment
    assert report.product in Product
    assert report.reported_at is not None


def test_a_frame_from_the_wire_in_full() -> None:
    report = mapping.report_from_frame(
        payload("observed-ws-order-update-traded-api")["Data"], INDIA
    )
    assert report.broker_order_id == "102250326300826"
    assert report.exchange_order_id == "1600000085011333"
    assert report.correlation_id == "SCRUBBED_CLIENT_ID-1742967679712"
    assert (report.segment, report.security_id) == (Segment.NSE_FNO, "53847")
    assert (report.side, report.product) == (Side.SELL, Product.INTRADAY)
    assert (report.order_type, report.price) == (OrderType.LIMIT, Decimal("133.5"))
    assert report.trigger_price is None
    assert report.quantity == 75
    assert report.reported_at == dt.datetime(2025, 3, 26, 11, 13, tzinfo=INDIA)
    assert report.raw["avgTradedPrice"] == 133.55


def test_a_market_frame_leaves_the_price_out_and_a_rejected_one_has_no_exchange_id() -> None:
    report = mapping.report_from_frame(payload("observed-ws-order-update-rejected")["Data"], INDIA)
    assert report.order_type is OrderType.MARKET
    assert report.price is None
    assert report.exchange_order_id is None
    assert report.correlation_id is None


@pytest.mark.parametrize(
    "name",
    ["orders-by-id.response", "orders-by-correlation-id.response", "postback.request"],
)
def test_every_known_row(name: str) -> None:
    report = mapping.report_from_row(payload(name), INDIA)
    assert (report.broker_order_id, report.correlation_id) == ("112111182198", "123abc678")
    assert (report.state, report.quantity) == (BrokerState.WORKING, 5)
    assert report.filled_quantity == (1 if name.startswith("postback") else 0)
    assert report.price is None
    assert report.average_price is None


def test_the_placeholders_of_the_sdk_are_a_row_too() -> None:
    report = row(**payload("sdk-tests-get-current-orders-list")["data"][0])
    assert report.reported_at is None
    assert report.filled_quantity == 0


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("TRANSIT", BrokerState.IN_TRANSIT),
        ("Transit", BrokerState.IN_TRANSIT),
        ("PENDING", BrokerState.WORKING),
        ("Modified", BrokerState.WORKING),
        ("PART_TRADED", BrokerState.PARTIALLY_FILLED),
        ("Part-traded", BrokerState.PARTIALLY_FILLED),
        ("Part_traded", BrokerState.PARTIALLY_FILLED),
        ("Part Traded", BrokerState.PARTIALLY_FILLED),
        (" traded ", BrokerState.FILLED),
        ("Rejected", BrokerState.REJECTED),
        ("Cancelled", BrokerState.CANCELLED),
        ("EXPIRED", BrokerState.EXPIRED),
        ("TRIGGERED", BrokerState.UNRECOGNISED),
        ("CLOSED", BrokerState.UNRECOGNISED),
        ("CONFIRM", BrokerState.UNRECOGNISED),
        ("INACTIVE", BrokerState.UNRECOGNISED),
        ("Teleported", BrokerState.UNRECOGNISED),
    ],
)
def test_status_words_in_any_spelling(word: str, state: BrokerState) -> None:
    assert row(orderStatus=word).state is state
    assert frame(status=word).state is state
    assert row(orderStatus=word).state_word == word.strip()


@pytest.mark.parametrize("missing", ["orderId", "orderStatus"])
@pytest.mark.parametrize("value", [None, "", "NA", True, [], {}, 1.5])
def test_a_row_without_id_or_status_is_refused_by_name(missing: str, value: Any) -> None:
    with pytest.raises(BadWire, match=missing):
        row(**{missing: value})
    with pytest.raises(BadWire, match=f"{missing} is missing"):
        mapping.report_from_row({k: v for k, v in ROW.items() if k != missing}, INDIA)


@pytest.mark.parametrize("missing", ["orderNo", "status"])
def test_a_frame_without_id_or_status_is_refused_by_name(missing: str) -> None:
    with pytest.raises(BadWire, match=f"{missing} is missing"):
        mapping.report_from_frame({k: v for k, v in FRAME.items() if k != missing}, INDIA)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", -1),
        ("quantity", True),
        ("quantity", Decimal("1.5")),
        ("quantity", "five"),
        ("quantity", 10**12),
        ("filledQty", Decimal("NaN")),
        ("filledQty", [1]),
        ("averageTradedPrice", Decimal(-1)),
        ("averageTradedPrice", Decimal("1e999999")),
        ("price", "1e5"),
        ("price", {}),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_without_showing_it(field: str, value: Any) -> None:
    with pytest.raises(BadWire) as caught:
        row(**{field: value})
    assert field in str(caught.value)
    assert str(value) not in str(caught.value)


def test_numbers_may_come_as_text() -> None:
    report = row(quantity="75", filledQty="25.0", averageTradedPrice="133.55", price=" 133.5 ")
    assert (report.quantity, report.filled_quantity) == (75, 25)
    assert (report.average_price, report.price) == (Decimal("133.55"), Decimal("133.5"))


def test_zero_prices_are_no_news_and_zero_fills_are() -> None:
    report = row(price=0, triggerPrice=Decimal("0.0"), averageTradedPrice=0, filledQty=0)
    assert (report.price, report.trigger_price, report.average_price) == (None, None, None)
    assert report.filled_quantity == 0


def test_what_a_frame_leaves_out_is_no_news() -> None:
    report = frame()
    assert report.filled_quantity is None
    assert report.quantity is None
    assert report.average_price is None
    assert report.reported_at is None
    assert report.reason == ""


@pytest.mark.parametrize(
    ("exchange", "letter", "segment"),
    [(e, s, segment) for (e, s), segment in words.SOCKET_SEGMENTS.items()]
    + [("NSE", "M", None), ("ICEX", "E", None), (None, "E", None)],
)
def test_segments_of_the_socket(exchange: Any, letter: str, segment: Segment | None) -> None:
    assert frame(exchange=exchange, segment=letter).segment is segment


@pytest.mark.parametrize(
    ("word", "product"),
    [
        ("CNC", Product.DELIVERY),
        ("INTRADAY", Product.INTRADAY),
        ("MARGIN", Product.MARGIN),
        ("MTF", Product.MTF),
        ("BO", None),
        ("CO", None),
        ("V", None),
        ("B", None),
        (7, None),
    ],
)
def test_an_unknown_product_does_not_lose_the_order(word: Any, product: Product | None) -> None:
    report = row(productType=word)
    assert report.product is product
    assert report.raw["productType"] == word


def test_stop_loss_market_is_not_taken_for_a_stop_limit() -> None:
    assert row(orderType="STOP_LOSS").order_type is OrderType.STOP_LIMIT
    assert row(orderType="STOP_LOSS_MARKET").order_type is OrderType.STOP_MARKET
    assert frame(orderType="SL").order_type is OrderType.STOP_LIMIT
    assert frame(orderType="SLM").order_type is OrderType.STOP_MARKET


@pytest.mark.parametrize("never", ["0001-01-01 00:00:00", "0001-01-01", "NA", "", None, "soon", 7])
def test_never_is_no_time(never: Any) -> None:
    assert row(updateTime=never, createTime=never).reported_at is None


def test_stamps_are_read_in_the_zone_of_the_account() -> None:
    stamped = ROW | {"updateTime": "2026-03-18 14:25:47"}
    live = mapping.report_from_row(stamped, INDIA).reported_at
    sandbox = mapping.report_from_row(stamped, ZoneInfo("UTC")).reported_at
    assert live is not None
    assert sandbox is not None
    assert sandbox - live == dt.timedelta(hours=5, minutes=30)


@pytest.mark.parametrize("nobody", ["", "NA", None])
def test_no_correlation_id(nobody: Any) -> None:
    assert row(correlationId=nobody).correlation_id is None
    assert frame(correlationId=nobody).correlation_id is None


def test_the_wire_wins_where_both_casings_are_in_one_frame() -> None:
    assert frame(Quantity=9, quantity=3).quantity == 3
    assert (
        mapping.report_from_frame({"OrderNo": "1", "Status": "Traded"}, INDIA).broker_order_id
        == "1"
    )


def test_trades() -> None:
    fill = mapping.fill_from_row(payload("trades-list.response")[0], INDIA)
    assert (fill.broker_order_id, fill.exchange_trade_id) == ("112111182045", "15112111182045")
    assert (fill.side, fill.quantity, fill.price) == (Side.BUY, 40, Decimal("3345.8"))
    assert fill.traded_at == dt.datetime(2021, 11, 25, 17, 35, 12, tzinfo=INDIA)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tradedQuantity", 0),
        ("tradedPrice", None),
        ("exchangeTradeId", ""),
        ("transactionType", "HOLD"),
        ("exchangeSegment", "NSE_COMM"),
        ("productType", "XYZ"),
    ],
)
def test_a_trade_that_makes_no_sense_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(BadWire, match=field):
        mapping.fill_from_row(payload("trades-list.response")[0] | {field: value}, INDIA)


def test_positions() -> None:
    position = mapping.position_from_row(payload("positions.response")[0])
    assert (position.segment, position.security_id) == (Segment.NSE_EQ, "11536")
    assert (position.product, position.net_quantity) == (Product.DELIVERY, 40)
    assert (position.buy_average, position.unrealised) == (Decimal("3345.8"), Decimal(6122))


def test_a_short_position_and_one_of_a_cover_order() -> None:
    sample = payload("positions.response")[0]
    position = mapping.position_from_row(sample | {"netQty": -40, "productType": "CO"})
    assert (position.net_quantity, position.product) == (-40, Product.INTRADAY)


@pytest.mark.parametrize("field", ["netQty", "buyQty", "sellQty", "realizedProfit", "securityId"])
def test_a_position_without_its_numbers_is_refused_by_name(field: str) -> None:
    sample = payload("positions.response")[0]
    with pytest.raises(BadWire, match=f"{field} is missing"):
        mapping.position_from_row({k: v for k, v in sample.items() if k != field})


def test_funds_with_the_spelling_of_the_broker() -> None:
    funds = mapping.funds_from_body(payload("observed-live-fundlimit.response"))
    assert (funds.available, funds.opening) == (Decimal("0.18"), Decimal("0.18"))
    assert mapping.funds_from_body(payload("fundlimit.response")).utilised == Decimal(15202)


def test_funds_in_the_right_spelling_are_not_funds() -> None:
    body = payload("fundlimit.response")
    body["availableBalance"] = body.pop("availabelBalance")
    with pytest.raises(BadWire, match="availabelBalance is missing"):
        mapping.funds_from_body(body)


def test_profiles() -> None:
    live = mapping.profile_from_body(payload("observed-live-profile.response"))
    assert live.segments == ("E", "D", "C", "M")
    assert live.token_valid_until == dt.datetime(2026, 9, 9, 8, 0, tzinfo=INDIA)
    documented = mapping.profile_from_body(payload("profile.response"))
    assert documented.segments == ("Equity", "Derivative", "Currency", "Commodity")


def test_raw_rows_can_be_stored() -> None:
    report = row(omsErrorDescription="bad\x00text\ud800", price=Decimal("133.55"))
    assert "\x00" not in report.reason
    assert report.raw["price"] == 133.55
    assert "\x00" not in report.raw["omsErrorDescription"]


@pytest.mark.parametrize(
    "different",
    [
        {"order_type": OrderType.LIMIT, "price": None},
        {"order_type": OrderType.STOP_LIMIT, "price": Decimal(1), "trigger_price": None},
    ],
)
def test_a_missing_price_never_becomes_zero(order_request: Any, different: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs a price"):
        mapping.place_arguments(order_request(**different))


def test_a_frame_says_where_the_order_was_placed() -> None:
    frame = {"orderNo": "1", "status": "Pending"}
    assert mapping.report_from_frame(frame | {"source": "P"}, INDIA).platform == "API"
    assert mapping.report_from_frame(frame | {"source": "W"}, INDIA).platform == "W"
    assert mapping.report_from_frame(frame, INDIA).platform == ""


@pytest.mark.parametrize(
    ("different", "leg"),
    [
        ({"legName": "NA"}, False),
        ({"legName": None}, False),
        ({"legName": "TARGET_LEG"}, True),
        ({"productType": "BO"}, True),
        ({"productType": "INTRADAY"}, False),
    ],
)
def test_a_row_says_whether_it_is_a_leg(different: dict[str, Any], leg: bool) -> None:
    row = {"orderId": "1", "orderStatus": "PENDING"} | different
    assert mapping.report_from_row(row, INDIA).leg is leg


@pytest.mark.parametrize(
    ("different", "leg"),
    [
        ({"remarks": " ", "legNo": 1}, False),
        ({"remarks": "Super Order"}, True),
        ({"algoOrdNo": "351260318338501"}, True),
        ({"algoOrdNo": "0"}, False),
        ({"product": "V"}, True),
        ({"product": "I"}, False),
    ],
)
def test_a_frame_says_whether_it_is_a_leg(different: dict[str, Any], leg: bool) -> None:
    frame = {"orderNo": "1", "status": "Pending"} | different
    assert mapping.report_from_frame(frame, INDIA).leg is leg


def test_a_row_says_when_it_was_placed_and_how_long_it_works() -> None:
    row = {
        "orderId": "1",
        "orderStatus": "PENDING",
        "createTime": "2026-03-18 14:25:47",
        "updateTime": "2026-03-18 15:00:00",
        "validity": "IOC",
        "orderType": "STOP_LOSS_MARKET",
        "afterMarketOrder": True,
    }
    report = mapping.report_from_row(row, INDIA)
    assert report.placed_at == dt.datetime(2026, 3, 18, 14, 25, 47, tzinfo=INDIA)
    assert (report.validity, report.order_type) == ("IOC", "STOP_MARKET")
    assert report.after_market
