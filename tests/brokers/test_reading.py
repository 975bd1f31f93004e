"""The reading door: a value with its age, or a failure of a named kind; never an error as empty."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from apps.brokers.models import FundsReport, PositionsReport, WireCall
from apps.brokers.port import BadWire, ReadFailed, Segment
from apps.brokers.reporting import (
    quotes_of,
    reports_of,
    store_funds,
    store_positions,
    stream_of,
)
from tests.brokers.conftest import CLIENT, TOKEN
from tests.brokers.payloads import payload
from tests.brokers.stub import Stub, answer, drop, hang, unused_port

QUOTE = {"data": {"NSE_EQ": {"1": {"last_price": 5}}}, "status": "success"}
ONE = [(Segment.NSE_EQ, "1")]
UNKNOWN_ID = payload("observed-error-renew-invalid-token") | {"errorMessage": "no such order"}


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.CALL_TIMEOUT = 0.5
    settings.CONNECT_TIMEOUT = 0.5


def test_the_order_book_and_its_journal_row(at: Any) -> None:
    with Stub(answer(200, payload("orders-list.response"))) as stub:
        account = at(stub.url)
        known = reports_of(account).order_book()
    assert [report.broker_order_id for report in known.value] == ["112111182198"]
    call = WireCall.objects.get()
    assert known.as_of == call.created_at
    assert (call.verb, call.what, call.budget) == ("READ", "order book", "READ")
    assert (call.outcome, call.http_status, call.response) == ("ANSWERED", 200, {"rows": 1})
    assert call.answered_at >= call.sent_at >= call.created_at
    assert stub.requests[0].startswith(b"GET /orders HTTP/1.1")


def test_an_empty_book_is_known_to_be_empty(at: Any) -> None:
    with Stub(answer(200, [])) as stub:
        books = reports_of(at(stub.url))
        assert books.order_book().value == []
        assert books.trade_book().value == []
        assert books.positions().value == []
    assert stub.requests[1].startswith(b"GET /trades HTTP/1.1")


@pytest.mark.parametrize(
    "body", [payload("orders-by-id.response"), payload("orders-list.response")]
)
def test_one_order_as_an_object_or_a_list(body: Any, at: Any) -> None:
    with Stub(answer(200, json.loads(json.dumps(body, default=float)))) as stub:
        report = reports_of(at(stub.url)).order("112111182198").value
    assert report is not None
    assert report.correlation_id == "123abc678"


def test_an_order_that_the_broker_does_not_know(at: Any) -> None:
    with Stub(answer(200, payload("observed-live-orders-unknown-id.response"))) as stub:
        assert reports_of(at(stub.url)).order("1").value is None


def test_a_correlation_id_that_is_unknown_or_in_transit(at: Any) -> None:
    with Stub(answer(404, UNKNOWN_ID)) as stub:
        assert reports_of(at(stub.url)).order_by_correlation("abc").value is None
    assert stub.requests[0].startswith(b"GET /orders/external/abc ")
    assert WireCall.objects.get().outcome == "ANSWERED"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, payload("observed-live-forever-all-404.response")),
        (404, b""),
        (404, b"<html>"),
        (404, payload("observed-error-renew-invalid-token")),
        (404, payload("observed-error-quantity-required")),
        (400, UNKNOWN_ID),
        (200, {}),
        (200, b""),
    ],
)
def test_no_other_answer_means_that_there_is_no_such_order(status: int, body: Any, at: Any) -> None:
    with Stub(answer(status, body)) as stub, pytest.raises(ReadFailed):
        reports_of(at(stub.url), retries=False).order_by_correlation("abc")
    assert WireCall.objects.get().outcome == "FAILED"


@pytest.mark.parametrize("ask", ["order", "order_by_correlation"])
def test_an_answer_about_another_order_is_not_believed(ask: str, at: Any) -> None:
    body = payload("orders-by-id.response")
    with Stub(answer(200, body)) as stub, pytest.raises(BadWire, match="another order"):
        getattr(reports_of(at(stub.url)), ask)("somethingelse")


@pytest.mark.parametrize(
    ("status", "body", "kind", "transient"),
    [
        (500, payload("observed-live-holdings-empty.response"), "empty", False),
        (502, b"<html>", "server", True),
        (429, payload("observed-error-429-rate-limit"), "rate", True),
        (429, b"slow down", "rate", True),
        (400, payload("observed-error-429-rate-limit"), "rate", True),
        (400, {"errorCode": "DH-908", "errorMessage": "x"}, "server", True),
        (400, {"errorCode": "DH-909", "errorMessage": "x"}, "server", True),
        (401, payload("portal-error-auth"), "token", False),
        (400, {"errorCode": "DH-901", "errorMessage": "x"}, "token", False),
        (400, payload("observed-error-renew-invalid-token"), "token", False),
        (200, {"status": "failed", "data": {"807": "Access token is expired"}}, "token", False),
        (200, {"status": "failed", "data": {"805": "Too many"}}, "rate", True),
        (400, {"errorCode": "DH-905", "errorMessage": "Invalid IP"}, "address", False),
        (400, {"errorCode": "DH-911", "errorMessage": "x"}, "address", False),
        (400, {"errorCode": "DH-902", "errorMessage": "x"}, "access", False),
        (400, {"errorCode": "DH-903", "errorMessage": "x"}, "access", False),
        (400, payload("observed-error-quantity-required"), "refused", False),
        (404, payload("observed-live-forever-all-404.response"), "refused", False),
        (401, {}, "token", False),
        (401, b"<html>", "token", False),
        (403, {}, "access", False),
        (202, {"some": "thing"}, "refused", False),
        (200, {"not": "a list"}, "schema", False),
        (200, [{"orderId": "1"}], "schema", False),
        (200, b"<html>", "answer", True),
        (307, b"", "answer", True),
    ],
)
def test_a_failed_read_says_what_kind_of_trouble_it_is(
    status: int, body: Any, kind: str, transient: bool, at: Any
) -> None:
    with Stub(answer(status, body)) as stub, pytest.raises(ReadFailed) as caught:
        reports_of(at(stub.url), retries=False).order_book()
    assert (caught.value.kind, caught.value.transient) == (kind, transient)
    call = WireCall.objects.get()
    assert (call.outcome, call.http_status) == ("FAILED", status)
    assert call.text == str(caught.value)


@pytest.mark.parametrize("act", [drop, hang])
def test_silence_is_a_failed_read(act: Any, at: Any) -> None:
    with Stub(act) as stub, pytest.raises(ReadFailed) as caught:
        reports_of(at(stub.url), retries=False).funds()
    assert (caught.value.kind, caught.value.transient) == ("network", True)


def test_nobody_there(at: Any) -> None:
    with pytest.raises(ReadFailed) as caught:
        reports_of(at(f"http://127.0.0.1:{unused_port()}"), retries=False).funds()
    assert caught.value.kind == "network"


def test_a_bad_row_is_named_by_number_and_field_but_not_shown(at: Any) -> None:
    good = {"orderId": "1", "orderStatus": "PENDING"}
    with (
        Stub(answer(200, [good, good | {"quantity": -77}])) as stub,
        pytest.raises(BadWire, match="row 1: quantity") as caught,
    ):
        reports_of(at(stub.url)).order_book()
    assert "77" not in str(caught.value)


def test_what_can_pass_by_itself_is_tried_again_with_a_row_for_each_attempt(at: Any) -> None:
    with Stub(answer(500, {}), drop, answer(200, [])) as stub:
        assert reports_of(at(stub.url)).order_book().value == []
    assert list(WireCall.objects.order_by("id").values_list("outcome", flat=True)) == [
        "FAILED",
        "FAILED",
        "ANSWERED",
    ]


def test_attempts_are_bounded(at: Any) -> None:
    with Stub(answer(500, {})) as stub, pytest.raises(ReadFailed):
        reports_of(at(stub.url)).order_book()
    assert stub.connections == 3


def test_what_needs_a_person_is_not_tried_again(at: Any) -> None:
    with Stub(answer(401, payload("portal-error-auth"))) as stub, pytest.raises(ReadFailed):
        reports_of(at(stub.url)).order_book()
    assert stub.connections == 1


def test_secrets_do_not_get_into_the_failure(at: Any) -> None:
    error = {"errorCode": "DH-905", "errorMessage": f"{TOKEN} of {CLIENT} is odd"}
    with Stub(answer(400, error)) as stub, pytest.raises(ReadFailed) as caught:
        reports_of(at(stub.url)).order_book()
    text = f"{caught.value} {WireCall.objects.get().text}"
    assert TOKEN not in text
    assert CLIENT not in text


def test_reads_over_the_budget_wait_and_then_fail(at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.brokers.slots.PATIENCE", 0.3)
    with Stub(answer(200, QUOTE)) as s:
        books = reports_of(at(s.url))
        books.quotes(lambda: ONE)
        with pytest.raises(ReadFailed) as caught:
            books.quotes(lambda: ONE)
    assert (caught.value.kind, caught.value.transient) == ("budget", True)
    assert s.connections == 1


def test_a_quote_waits_for_its_turn(at: Any) -> None:
    with Stub(answer(200, QUOTE)) as s:
        books = reports_of(at(s.url))
        began = time.monotonic()
        books.quotes(lambda: ONE)
        books.quotes(lambda: ONE)
    assert 2 < time.monotonic() - began < 4


def test_a_read_inside_a_transaction_is_refused(at: Any) -> None:
    with Stub(answer(200, [])) as stub:
        books = reports_of(at(stub.url))
        with pytest.raises(RuntimeError), transaction.atomic():
            books.order_book()
    assert stub.connections == 0


def test_what_is_read_can_be_kept_and_a_failed_read_changes_nothing(at: Any) -> None:
    funds = payload("fundlimit.response")
    positions = payload("positions.response")
    with Stub(
        answer(200, funds), answer(200, positions), answer(401, {"status": "failed"})
    ) as stub:
        account = at(stub.url)
        assert store_funds(account).available == Decimal(98440)
        kept = store_positions(account)
        assert kept.net("NSE_EQ", "11536", "DELIVERY") == 40
        assert kept.rows[0]["buy_average"] == "3345.8"
        for store in (store_funds, store_positions):
            with pytest.raises(ReadFailed):
                store(account)
    assert FundsReport.objects.get().available == Decimal(98440)
    assert PositionsReport.objects.get().as_of == kept.as_of


def test_a_later_read_replaces_the_kept_one(at: Any) -> None:
    funds = payload("fundlimit.response")
    with Stub(answer(200, funds), answer(200, funds | {"availabelBalance": "5"})) as stub:
        account = at(stub.url)
        first = store_funds(account)
        second = store_funds(account)
    assert second.available == 5
    assert second.as_of > first.as_of


def test_nothing_behind_the_reading_door_can_send(at: Any) -> None:
    from apps.brokers.dhan.client import ReadClient
    from apps.brokers.journal import open_call

    with Stub(answer(200, {})) as stub:
        account = at(stub.url)
        for thing in (reports_of(account), stream_of(account), quotes_of(account)):
            assert not {"place", "modify", "cancel", "place_order", "line"} & set(dir(thing))
        client = ReadClient(open_call(account, "READ", "x", budget="READ"))
        with pytest.raises(PermissionError):
            client.cancel_order("1")
        with pytest.raises(PermissionError):
            client.kill_switch("ACTIVATE")
        with pytest.raises(PermissionError):
            client.exit_all_positions()
        with pytest.raises(PermissionError):
            client.place_order("1", "NSE_EQ", "BUY", 1, "LIMIT", "INTRADAY", 1)
    assert stub.connections == 0
