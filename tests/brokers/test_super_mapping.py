"""Entry, target and stop as DhanHQ tells of them: list, order book and socket, in every way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apps.brokers.dhan import mapping
from apps.brokers.dhan.supers import reports_from_supers
from apps.brokers.port import BadWire, BrokerState, LegName, OrderReport, Segment, Side
from apps.brokers.reporting import reports_of
from tests.brokers.stub import Stub, answer

INDIA = ZoneInfo("Asia/Kolkata")
ENTRY_ID, STOP_ID, TARGET_ID = "112111182198", "112111182199", "112111182200"
ENTRY: dict[str, Any] = {
    "dhanClientId": "1100003626",
    "orderId": ENTRY_ID,
    "correlationId": "abc123",
    "orderStatus": "TRADED",
    "transactionType": "BUY",
    "exchangeSegment": "NSE_EQ",
    "productType": "INTRADAY",
    "orderType": "LIMIT",
    "validity": "DAY",
    "securityId": "2885",
    "quantity": 10,
    "remainingQuantity": 0,
    "filledQty": 10,
    "averageTradedPrice": Decimal("1399.5"),
    "price": Decimal(1400),
    "ltp": Decimal(1401),
    "legName": "ENTRY_LEG",
    "exchangeOrderId": "1100000000000001",
    "updateTime": "2026-03-18 14:25:47",
}
STOP: dict[str, Any] = {
    "orderId": ENTRY_ID,
    "legName": "STOP_LOSS_LEG",
    "transactionType": "SELL",
    "totalQuatity": 10,
    "remainingQuantity": 10,
    "triggeredQuantity": 0,
    "price": Decimal(1380),
    "orderStatus": "PENDING",
    "trailingJump": Decimal(5),
}
TARGET: dict[str, Any] = {
    "orderId": ENTRY_ID,
    "legName": "TARGET_LEG",
    "transactionType": "SELL",
    "remainingQuantity": 10,
    "triggeredQuantity": 0,
    "price": Decimal(1450),
    "orderStatus": "PENDING",
    "trailingJump": Decimal(0),
}
PORTAL_STOP: dict[str, Any] = {
    "legName": "STOP_LOSS_LEG",
    "orderStatus": "PENDING",
    "orderType": "STOP_LOSS",
    "quantity": 10,
    "remainingQuantity": 10,
    "price": Decimal("1373.10"),
    "triggerPrice": Decimal(1380),
    "exchangeOrderId": "0",
}
PORTAL_TARGET: dict[str, Any] = {
    "legName": "TARGET_LEG",
    "orderStatus": "PENDING",
    "orderType": "LIMIT",
    "quantity": 10,
    "remainingQuantity": 10,
    "price": Decimal(1450),
    "triggerPrice": Decimal(0),
    "exchangeOrderId": "0",
}
WAITING = {"orderStatus": "PENDING", "filledQty": 0, "remainingQuantity": 10}


def listed(*legs: dict[str, Any], **different: Any) -> list[OrderReport]:
    return reports_from_supers([ENTRY | different | {"legDetails": list(legs)}], INDIA)


def leg(row: dict[str, Any], **different: Any) -> OrderReport:
    """One leg of an entry that has filled."""
    return listed(row | different)[1]


def test_an_entry_in_the_list() -> None:
    (entry,) = listed()
    assert (entry.broker_order_id, entry.whole_id, entry.part) == (
        ENTRY_ID,
        ENTRY_ID,
        LegName.ENTRY,
    )
    assert (entry.correlation_id, entry.leg) == ("abc123", True)
    assert (entry.state, entry.quantity, entry.filled_quantity) == (BrokerState.FILLED, 10, 10)
    assert (entry.price, entry.average_price) == (Decimal(1400), Decimal("1399.5"))
    assert entry.reported_at is not None


@pytest.mark.parametrize(
    ("stop", "target"), [(STOP, TARGET), (PORTAL_STOP, PORTAL_TARGET)], ids=["classic", "portal"]
)
def test_both_descriptions_of_legs(stop: dict[str, Any], target: dict[str, Any]) -> None:
    _, first, second = listed(stop, target)
    assert (first.part, second.part) == (LegName.STOP_LOSS, LegName.TARGET)
    assert first.broker_order_id == f"{ENTRY_ID}/STOP_LOSS"
    assert second.broker_order_id == f"{ENTRY_ID}/TARGET"
    assert (first.price, first.trigger_price) == (None, Decimal(1380))
    assert (second.price, second.trigger_price) == (Decimal(1450), None)
    assert (first.quantity, first.filled_quantity) == (10, 0)
    for each in (first, second):
        assert (each.whole_id, each.leg, each.correlation_id) == (ENTRY_ID, True, None)
        assert each.state is BrokerState.WORKING
        assert (each.segment, each.security_id) == (Segment.NSE_EQ, "2885")
        assert each.exchange_order_id is None


def test_only_the_classic_page_tells_the_side_and_no_total_of_a_target() -> None:
    assert leg(TARGET).side is Side.SELL
    assert (leg(TARGET).quantity, leg(TARGET).filled_quantity) == (10, 0)  # by what remains
    gone_out = leg(TARGET, orderStatus="TRIGGERED", triggeredQuantity=10)
    assert (gone_out.quantity, gone_out.filled_quantity) == (None, None)
    assert leg(PORTAL_TARGET).side is None
    assert (leg(PORTAL_TARGET).quantity, leg(PORTAL_TARGET).filled_quantity) == (10, 0)


def test_a_portal_stop_whose_trigger_is_not_told_has_none() -> None:
    assert leg(PORTAL_STOP, triggerPrice=0).trigger_price is None


def test_legs_with_ids_of_their_own() -> None:
    _, stop, target = listed(STOP | {"orderId": STOP_ID}, TARGET | {"orderId": TARGET_ID})
    assert (stop.broker_order_id, target.broker_order_id) == (STOP_ID, TARGET_ID)
    assert stop.whole_id == target.whole_id == ENTRY_ID


@pytest.mark.parametrize("nobody", [None, "", "NA", "0", 0])
def test_a_leg_without_an_id_is_named_after_its_entry(nobody: Any) -> None:
    assert leg(STOP, orderId=nobody).broker_order_id == f"{ENTRY_ID}/STOP_LOSS"


@pytest.mark.parametrize("row", [STOP, TARGET, PORTAL_STOP, PORTAL_TARGET])
def test_a_leg_that_waits_for_its_entry_has_no_quantity_yet(row: dict[str, Any]) -> None:
    for different in (WAITING, WAITING | {"filledQty": None}):
        report = listed(row, **different)[1]
        assert (report.quantity, report.filled_quantity) == (None, None)
        assert report.state is BrokerState.WORKING


@pytest.mark.parametrize(
    ("different", "state", "filled"),
    [
        ({"orderStatus": "PENDING"}, BrokerState.WORKING, 0),
        ({"orderStatus": "PENDING", "remainingQuantity": 0}, BrokerState.WORKING, None),
        ({"orderStatus": "TRIGGERED", "triggeredQuantity": 10}, BrokerState.WORKING, 0),
        (
            {"orderStatus": "TRIGGERED", "triggeredQuantity": 10, "remainingQuantity": 0},
            BrokerState.WORKING,
            None,
        ),
        (
            {"orderStatus": "PART_TRADED", "triggeredQuantity": 10, "remainingQuantity": 6},
            BrokerState.PARTIALLY_FILLED,
            4,
        ),
        ({"orderStatus": "PART_TRADED"}, BrokerState.PARTIALLY_FILLED, None),
        (
            {"orderStatus": "TRADED", "triggeredQuantity": 10, "remainingQuantity": 0},
            BrokerState.FILLED,
            10,
        ),
        ({"orderStatus": "TRADED", "triggeredQuantity": 10}, BrokerState.FILLED, None),
        ({"orderStatus": "TRADED", "remainingQuantity": 0}, BrokerState.FILLED, None),
        ({"orderStatus": "CANCELLED"}, BrokerState.CANCELLED, 0),
        ({"orderStatus": "CANCELLED", "remainingQuantity": 0}, BrokerState.CANCELLED, 0),
        (
            {"orderStatus": "CANCELLED", "triggeredQuantity": 10, "remainingQuantity": 6},
            BrokerState.CANCELLED,
            4,
        ),
        ({"orderStatus": "REJECTED"}, BrokerState.REJECTED, 0),
        ({"orderStatus": "EXPIRED"}, BrokerState.EXPIRED, 0),
        ({"orderStatus": "CLOSED"}, BrokerState.UNRECOGNISED, 0),
        ({"orderStatus": "Levitating"}, BrokerState.UNRECOGNISED, 0),
        ({"totalQuatity": 0}, BrokerState.WORKING, 0),
        ({"totalQuatity": 0, "triggeredQuantity": 10}, BrokerState.WORKING, None),
        ({"remainingQuantity": None}, BrokerState.WORKING, None),
    ],
)
def test_what_a_leg_has_filled_must_fit_its_status(
    different: dict[str, Any], state: BrokerState, filled: int | None
) -> None:
    report = leg(STOP, **different)
    assert (report.state, report.filled_quantity) == (state, filled)


def test_a_portal_leg_that_never_reached_the_exchange_has_filled_nothing() -> None:
    done = {"orderStatus": "TRADED", "remainingQuantity": 0}
    assert leg(PORTAL_STOP, **done).filled_quantity is None
    assert leg(PORTAL_STOP, **done, exchangeOrderId="12").filled_quantity == 10


@pytest.mark.parametrize(
    ("different", "state"),
    [
        ({"filledQty": 10}, BrokerState.FILLED),
        ({"filledQty": 4}, BrokerState.CANCELLED),
        ({"filledQty": 0}, BrokerState.UNRECOGNISED),
        ({"filledQty": None}, BrokerState.UNRECOGNISED),
        ({"quantity": None}, BrokerState.UNRECOGNISED),
    ],
)
def test_a_closed_entry_ends_with_what_it_has_filled(
    different: dict[str, Any], state: BrokerState
) -> None:
    (entry,) = listed(orderStatus="CLOSED", **different)
    assert entry.state is state
    assert entry.state_word == "CLOSED"


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({key: value for key, value in ENTRY.items() if key != "legDetails"}, "legDetails"),
        (ENTRY | {"legDetails": None}, "row 0: legDetails is not a list"),
        (ENTRY | {"legDetails": {}}, "legDetails is not a list"),
        (ENTRY | {"legDetails": [7]}, "row 0, leg 0 is not an object"),
        (ENTRY | {"legDetails": [STOP, {}]}, "leg 1: legName is missing"),
        (ENTRY | {"legDetails": [STOP | {"legName": "EXIT_LEG"}]}, "legName is a word"),
        (ENTRY | {"legDetails": [STOP | {"orderStatus": None}]}, "orderStatus"),
        (ENTRY | {"legDetails": [STOP | {"price": "high"}]}, "price is not a number"),
        (ENTRY | {"legDetails": [STOP | {"remainingQuantity": 11}]}, "remainingQuantity is more"),
        (ENTRY | {"legDetails": [STOP | {"totalQuatity": -1}]}, "totalQuatity is less"),
        (ENTRY | {"legDetails": [STOP | {"orderId": "../1"}]}, "orderId is not an id"),
        (ENTRY | {"legDetails": [], "legName": "TARGET_LEG"}, "legName is not that of an entry"),
        ({"legDetails": []}, "orderId is missing"),
        ([], "row 0 is not an object"),
    ],
)
def test_a_list_that_does_not_fit_names_the_field(row: Any, names: str) -> None:
    with pytest.raises(BadWire, match=names):
        reports_from_supers([row], INDIA)


def test_an_entry_among_the_legs_is_told_once() -> None:
    assert [report.part for report in listed(STOP | {"legName": "ENTRY_LEG"}, STOP)] == [
        LegName.ENTRY,
        LegName.STOP_LOSS,
    ]


def test_the_list_over_http(at: Any) -> None:
    with Stub(answer(200, [ENTRY | {"legDetails": [STOP, TARGET]}])) as stub:
        known = reports_of(at(stub.url)).super_orders()
    assert [report.part for report in known.value] == [
        LegName.ENTRY,
        LegName.STOP_LOSS,
        LegName.TARGET,
    ]
    assert stub.requests[0].startswith(b"GET /super/orders HTTP/1.1\r\n")
    with Stub(answer(200, [])) as stub:
        assert reports_of(at(stub.url)).super_orders().value == []


# --- the order book


def booked(name: str | None, **different: Any) -> dict[str, Any]:
    """A row of the order book; the broker repeats the correlation id of the entry."""
    return ENTRY | {"legName": name, "price": Decimal(1450)} | different


BOOKED_STOP = booked(
    "STOP_LOSS_LEG",
    transactionType="SELL",
    orderStatus="PENDING",
    orderType="STOP_LOSS",
    price=Decimal("1373.1"),
    triggerPrice=Decimal(1380),
)
BOOKED_TARGET = booked("TARGET_LEG", transactionType="SELL", orderStatus="TRIGGERED")


def book(*rows: dict[str, Any]) -> list[OrderReport]:
    return mapping.reports_from_rows(rows, INDIA, "order book")


@pytest.mark.parametrize("word", [None, "", "NA"])
def test_a_row_of_no_bracket_is_no_part(word: Any) -> None:
    (report,) = book(booked(word))
    assert (report.part, report.whole_id, report.leg) == (None, "", False)
    assert report.correlation_id == "abc123"


def test_a_part_that_nobody_knows_is_a_leg_all_the_same() -> None:
    (report,) = book(booked("THIRD_LEG"))
    assert (report.part, report.leg) == (None, True)


def test_rows_that_share_an_id_are_told_apart() -> None:
    entry, stop, target = book(booked("ENTRY_LEG"), BOOKED_STOP, BOOKED_TARGET)
    assert (entry.broker_order_id, entry.correlation_id) == (ENTRY_ID, "abc123")
    assert stop.broker_order_id == f"{ENTRY_ID}/STOP_LOSS"
    assert target.broker_order_id == f"{ENTRY_ID}/TARGET"
    assert {report.whole_id for report in (entry, stop, target)} == {ENTRY_ID}
    assert (stop.correlation_id, target.correlation_id) == (None, None)
    assert (stop.price, stop.trigger_price) == (None, Decimal(1380))
    assert target.price == Decimal(1450)
    assert target.state is BrokerState.WORKING


def test_an_entry_that_is_not_named_keeps_its_id_beside_its_exits() -> None:
    entry, stop = book(booked("NA"), BOOKED_STOP)
    assert (entry.broker_order_id, entry.part) == (ENTRY_ID, None)
    assert stop.broker_order_id == f"{ENTRY_ID}/STOP_LOSS"


def test_rows_with_ids_of_their_own_keep_them() -> None:
    rows = (
        booked("ENTRY_LEG"),
        BOOKED_STOP | {"orderId": STOP_ID},
        BOOKED_TARGET | {"orderId": TARGET_ID},
    )
    reports = book(*rows)
    assert [report.broker_order_id for report in reports] == [ENTRY_ID, STOP_ID, TARGET_ID]
    assert [report.correlation_id for report in reports] == ["abc123", None, None]
    assert {report.whole_id for report in reports} == {ENTRY_ID}


@pytest.mark.parametrize(
    "others",
    [
        [],
        [booked("ENTRY_LEG", correlationId="NA")],
        [booked("NA")],
        [booked("ENTRY_LEG"), booked("ENTRY_LEG", orderId="7")],
    ],
)
def test_an_exit_whose_entry_is_not_certain_has_none(others: list[dict[str, Any]]) -> None:
    stop = book(*others, BOOKED_STOP | {"orderId": STOP_ID})[-1]
    assert (stop.broker_order_id, stop.whole_id) == (STOP_ID, "")
    by_hand = book(
        booked("ENTRY_LEG", correlationId="NA"),
        BOOKED_STOP | {"orderId": STOP_ID, "correlationId": "NA"},
    )[-1]
    assert by_hand.whole_id == ""


def test_two_brackets_in_one_book_are_not_mixed() -> None:
    other = {"orderId": "7"}
    reports = book(
        booked("ENTRY_LEG"), BOOKED_STOP, booked("ENTRY_LEG") | other, BOOKED_STOP | other
    )
    assert [report.broker_order_id for report in reports] == [
        ENTRY_ID,
        f"{ENTRY_ID}/STOP_LOSS",
        "7",
        "7/STOP_LOSS",
    ]


def test_an_id_too_long_for_a_name_of_its_own_is_refused() -> None:
    long = {"orderId": "1" * 31}
    with pytest.raises(BadWire, match="orderId is longer"):
        book(booked("ENTRY_LEG") | long, BOOKED_STOP | long)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_one_order_asked_for_is_its_entry_and_never_a_leg(order: list[int], at: Any) -> None:
    rows = [booked("ENTRY_LEG"), BOOKED_STOP, BOOKED_TARGET]
    with Stub(answer(200, [rows[place] for place in order])) as stub:
        books = reports_of(at(stub.url))
        for report in (books.order(ENTRY_ID).value, books.order_by_correlation("abc123").value):
            assert report is not None
            assert (report.part, report.state) == (LegName.ENTRY, BrokerState.FILLED)


def test_an_exit_alone_is_no_answer_for_its_entry(at: Any) -> None:
    with Stub(answer(200, [BOOKED_STOP, BOOKED_TARGET])) as stub:
        books = reports_of(at(stub.url))
        with pytest.raises(BadWire, match="orderId names another order"):
            books.order(ENTRY_ID)
        with pytest.raises(BadWire, match="correlationId names another order"):
            books.order_by_correlation("abc123")


def test_an_exit_is_found_by_its_own_name(at: Any) -> None:
    with Stub(answer(200, [booked("ENTRY_LEG"), BOOKED_STOP])) as stub:
        report = reports_of(at(stub.url)).order(f"{ENTRY_ID}/STOP_LOSS").value
    assert report is not None
    assert report.part is LegName.STOP_LOSS
    assert stub.requests[0].startswith(f"GET /orders/{ENTRY_ID} ".encode())


# --- the socket


def frame(**different: Any) -> OrderReport:
    base = {
        "orderNo": ENTRY_ID,
        "status": "Pending",
        "correlationId": "abc123",
        "price": Decimal("1373.1"),
        "triggerPrice": Decimal(1380),
    }
    return mapping.report_from_frame(base | different, INDIA)


def test_an_ordinary_frame_has_a_leg_number_and_is_no_part() -> None:
    for number in (1, 2, 3, "1"):
        report = frame(legNo=number, remarks=" ")
        assert (report.part, report.leg, report.correlation_id) == (None, False, "abc123")
        assert report.price == Decimal("1373.1")


def test_the_entry_of_a_super_order_on_the_socket() -> None:
    for different in ({}, {"algoOrdNo": ENTRY_ID}, {"algoOrdNo": "0"}):
        report = frame(legNo=1, remarks="Super Order", **different)
        assert (report.part, report.whole_id) == (LegName.ENTRY, ENTRY_ID)
        assert (report.correlation_id, report.price) == ("abc123", Decimal("1373.1"))


@pytest.mark.parametrize(
    "entry", [ENTRY_ID, int(ENTRY_ID), Decimal(f"{ENTRY_ID}.0"), f"{ENTRY_ID}.0"]
)
def test_exits_on_the_socket_name_their_entry(entry: Any) -> None:
    stop = frame(orderNo=STOP_ID, legNo=2, algoOrdNo=entry)
    assert (stop.broker_order_id, stop.whole_id) == (STOP_ID, ENTRY_ID)
    assert (stop.part, stop.correlation_id) == (LegName.STOP_LOSS, None)
    assert (stop.price, stop.trigger_price) == (None, Decimal(1380))
    target = frame(orderNo=ENTRY_ID, legNo=3, algoOrdNo=entry, status="Triggered")
    assert (target.broker_order_id, target.whole_id) == (f"{ENTRY_ID}/TARGET", ENTRY_ID)
    assert (target.part, target.price) == (LegName.TARGET, Decimal("1373.1"))
    assert target.state is BrokerState.WORKING


def test_documented_casing_names_the_parts_too() -> None:
    data = {"OrderNo": ENTRY_ID, "Status": "TRADED", "LegNo": 2, "AlgoOrdNo": ENTRY_ID}
    assert mapping.report_from_frame(data, INDIA).broker_order_id == f"{ENTRY_ID}/STOP_LOSS"


@pytest.mark.parametrize("entry", [None, "", "0", 0, "NA", Decimal("1.5"), "not an id"])
def test_an_exit_that_names_no_entry_is_nobodys(entry: Any) -> None:
    with pytest.raises(BadWire, match="algoOrdNo"):
        frame(legNo=2, remarks="Super Order", algoOrdNo=entry)


def test_an_entry_that_names_another_is_a_leg_of_nobody_knows_which() -> None:
    report = frame(legNo=1, algoOrdNo=STOP_ID)
    assert (report.part, report.leg) == (None, True)


def test_a_leg_whose_number_is_not_told_is_no_part() -> None:
    assert frame(remarks="Super Order").part is None
    assert frame(remarks="Super Order", legNo=7).part is None
