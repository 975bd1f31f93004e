"""Whatever JSON a broker sends, mapping it succeeds or names a field; nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from apps.brokers.dhan import frames, mapping
from apps.brokers.dhan.errors import complaint_in
from apps.brokers.dhan.schemas import (
    ApprovedRow,
    HoldingRow,
    OrderFrame,
    OrderRow,
    PositionRow,
    SuperLegRow,
    SuperRow,
    TradeRow,
)
from apps.brokers.dhan.supers import reports_from_supers
from apps.brokers.dhan.trading import outcome_of
from apps.brokers.port import (
    Accepted,
    BadWire,
    BrokerState,
    LegName,
    NotSent,
    OrderReport,
    Refused,
    Unknown,
)
from apps.brokers.storable import redacted, storable
from apps.brokers.wire import Reply

INDIA = ZoneInfo("Asia/Kolkata")
KEYS = sorted(
    {
        field.alias or name
        for model in (
            OrderRow,
            OrderFrame,
            PositionRow,
            TradeRow,
            HoldingRow,
            ApprovedRow,
            SuperRow,
            SuperLegRow,
        )
        for name, field in model.model_fields.items()
    }
    | {"totalQuatity", "filledQty", "filled_qty", "errorCode", "errorMessage", "data", "clientId"}
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.text(max_size=20)
    | st.sampled_from(["PENDING", "BUY", "NSE_EQ", "CNC", "LIMIT", "0001-01-01 00:00:00", "1e9"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), JSON, max_size=12)


@given(OBJECTS | JSON)
def test_mapping_raises_nothing_but_bad_wire(value: Any) -> None:
    for read in (
        lambda: mapping.report_from_row(value, INDIA),
        lambda: mapping.report_from_frame(value, INDIA),
        lambda: mapping.reports_from_rows([value, value], INDIA, "book"),
        lambda: reports_from_supers([value], INDIA),
        lambda: mapping.fill_from_row(value, INDIA),
        lambda: mapping.position_from_row(value),
        lambda: mapping.holding_from_row(value),
        lambda: mapping.approved_from_rows([value]),
        lambda: mapping.funds_from_body(value),
        lambda: mapping.profile_from_body(value),
    ):
        with suppress(BadWire):
            read()


@given(OBJECTS)
def test_what_is_kept_of_a_row_is_plain_json(value: dict[str, Any]) -> None:
    value |= {"orderId": "1", "orderStatus": "PENDING"}
    with suppress(BadWire):
        report = mapping.report_from_row(value, INDIA)
        text = json.dumps(dict(report.raw), allow_nan=False)
        assert "\\u0000" not in text
        text.encode()


@given(OBJECTS, st.integers(100, 599))
def test_every_reply_is_one_of_four_outcomes(body: dict[str, Any], status: int) -> None:
    outcome = outcome_of(Reply(status, body))
    assert isinstance(outcome, Accepted | Refused | NotSent | Unknown)
    if isinstance(outcome, Accepted):
        assert 200 <= status < 300
        assert outcome.broker_order_id == body["orderId"]
    if status >= 500:
        assert isinstance(outcome, Unknown)


@given(JSON)
def test_complaints_are_found_in_anything(body: Any) -> None:
    complaint_in(body)
    complaint_in({"status": "failed", "data": body})


@given(st.binary(max_size=64), st.binary(max_size=32))
def test_frames_of_garbage_are_oddities(text: bytes, binary: bytes) -> None:
    assert not isinstance(frames.text_frame(text, "1", INDIA), OrderReport)
    frames.binary_frame(binary)


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.decimals(0, 10**6, places=2),
    st.sampled_from(["Pending", "TRADED", "Part-traded", "Odd"]),
)
def test_both_casings_and_numbers_as_text_give_the_same_report(
    quantity: int, filled: int, price: Decimal, status: str
) -> None:
    wire = {
        "orderNo": "351260318338501",
        "status": status,
        "quantity": quantity,
        "tradedQty": filled,
        "price": price,
        "avgTradedPrice": price,
        "exchange": "NSE",
        "segment": "D",
        "txnType": "S",
    }
    documented = {key[0].upper() + key[1:]: value for key, value in wire.items()}
    as_text = {key: str(value) for key, value in wire.items()}
    reports = [
        vars(mapping.report_from_frame(data, INDIA)) | {"raw": None}
        for data in (wire, documented, as_text)
    ]
    assert reports[0] == reports[1] == reports[2]


@given(JSON, st.text(min_size=8, max_size=20, alphabet="abcXYZ019"))
def test_no_secret_survives_redaction(body: Any, secret: str) -> None:
    kept = json.dumps(redacted({"said": f"<{secret}>", "accessToken": "x", "more": body}, [secret]))
    assert f"<{secret}>" not in kept
    assert '"accessToken": "***"' in kept or '"cut"' in kept
    json.dumps(storable(body), allow_nan=False)


IDS = st.sampled_from(["1", "2", "3"])
WORDS = st.sampled_from(["PENDING", "TRIGGERED", "PART_TRADED", "TRADED", "CANCELLED", "CLOSED"])
UNITS = st.none() | st.integers(0, 20)
LEG_ROWS = st.fixed_dictionaries(
    {"legName": st.sampled_from(["TARGET_LEG", "STOP_LOSS_LEG"]), "orderStatus": WORDS},
    optional={
        "orderId": IDS | st.none(),
        "correlationId": st.just("abc"),
        "totalQuatity": UNITS,
        "quantity": UNITS,
        "remainingQuantity": UNITS,
        "triggeredQuantity": UNITS,
        "price": st.decimals(1, 100, places=2),
        "triggerPrice": st.decimals(0, 100, places=2),
        "exchangeOrderId": st.sampled_from(["0", "12", "NA"]),
    },
)
SUPER_ROWS = st.fixed_dictionaries(
    {
        "orderId": IDS,
        "orderStatus": WORDS,
        "correlationId": st.just("abc"),
        "quantity": UNITS,
        "filledQty": UNITS,
        "legDetails": st.lists(LEG_ROWS, max_size=2, unique_by=lambda row: row["legName"]),
    }
)


@given(st.lists(SUPER_ROWS, max_size=3, unique_by=lambda row: row["orderId"]))
def test_no_leg_of_a_super_order_can_be_taken_for_another_order(rows: list[Any]) -> None:
    with suppress(BadWire):
        reports = reports_from_supers(rows, INDIA)
        entries = {one.broker_order_id for one in reports if one.part is LegName.ENTRY}
        for one in (one for one in reports if one.part is not LegName.ENTRY):
            assert one.whole_id in entries
            assert one.broker_order_id != one.whole_id
            assert one.correlation_id is None
            assert one.part is not LegName.STOP_LOSS or one.price is None
            if one.filled_quantity is not None:
                assert one.quantity is not None
                assert 0 <= one.filled_quantity <= one.quantity
                assert (one.state is BrokerState.FILLED) is (one.filled_quantity == one.quantity)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "orderId": IDS,
                "orderStatus": WORDS,
                "correlationId": st.just("abc"),
                "legName": st.sampled_from(["NA", "ENTRY_LEG", "TARGET_LEG", "STOP_LOSS_LEG"]),
            }
        ),
        max_size=6,
        unique_by=lambda row: (row["orderId"], row["legName"]),
    )
)
def test_every_part_in_a_book_has_an_id_of_its_own(rows: list[Any]) -> None:
    reports = mapping.reports_from_rows(rows, INDIA, "book")
    exits = [one for one in reports if one.part in {LegName.TARGET, LegName.STOP_LOSS}]
    others = {one.broker_order_id for one in reports if one not in exits}
    names = [one.broker_order_id for one in exits]
    assert len(set(names)) == len(names)
    assert not others & set(names)
    assert all(one.correlation_id is None for one in exits)


@given(IDS, IDS | st.none(), st.integers(0, 4), st.sampled_from(["Super Order", " ", "NR"]))
def test_every_exit_on_the_socket_has_an_id_of_its_own(
    order: str, entry: str | None, number: int, remarks: str
) -> None:
    data = {"orderNo": order, "status": "Pending", "legNo": number, "remarks": remarks}
    with suppress(BadWire):
        report = mapping.report_from_frame(data | {"algoOrdNo": entry, "correlationId": "a"}, INDIA)
        is_exit = report.part in {LegName.TARGET, LegName.STOP_LOSS}
        assert (report.correlation_id is None) is is_exit
        assert not is_exit or report.broker_order_id != report.whole_id == entry
