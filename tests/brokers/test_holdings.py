"""Holdings and what may leave the depository: read, kept, and never guessed."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers import holdings
from apps.brokers.dhan import mapping
from apps.brokers.models import CalendarKind, HoldingsReport, Instrument, WireCall
from apps.brokers.port import BadWire, ReadFailed, Segment
from apps.brokers.reporting import reports_of
from tests.brokers.payloads import payload
from tests.brokers.stub import Stub, answer

EMPTY = payload("observed-live-holdings-empty.response")
ROW = payload("holdings.response")[0]
EDIS = payload("edis-inquire.response")
PROFILE = payload("profile.response")


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.CALL_TIMEOUT = 0.5
    settings.CONNECT_TIMEOUT = 0.5


def test_holdings_as_they_are_documented(at: Any) -> None:
    with Stub(answer(200, [ROW])) as stub:
        (held,) = reports_of(at(stub.url)).holdings().value
    assert stub.requests[0].startswith(b"GET /holdings HTTP/1.1")
    assert (held.isin, held.segment, held.security_id) == ("INE001A01036", None, "1330")
    assert (held.total, held.available, held.t1, held.collateral) == (1000, 1000, 0, 0)
    assert held.average == Decimal(2655)


def test_no_holdings_is_an_empty_list_that_is_known(at: Any) -> None:
    with Stub(answer(500, EMPTY)) as stub:
        known = reports_of(at(stub.url)).holdings()
    assert known.value == []
    assert WireCall.objects.get().outcome == "ANSWERED"
    assert stub.connections == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, EMPTY | {"errorCode": "DH-908"}),
        (500, {}),
        (500, b"<html>"),
        (200, {}),
        (200, [{}]),
        (200, [ROW | {"exchange": "LSE"}]),
        (200, [ROW | {"availableQty": None}]),
        (200, [ROW | {"totalQty": -1}]),
        (404, []),
    ],
)
def test_any_other_answer_is_a_failed_read(status: int, body: Any, at: Any) -> None:
    with Stub(answer(status, body)) as stub, pytest.raises(ReadFailed):
        reports_of(at(stub.url), retries=False).holdings()


@pytest.mark.parametrize("field", ["isin", "totalQty", "availableQty", "t1Qty", "avgCostPrice"])
def test_a_holding_without_its_numbers_is_refused_by_name(field: str) -> None:
    with pytest.raises(BadWire, match=f"{field} is missing"):
        mapping.holding_from_row({k: v for k, v in ROW.items() if k != field})


@pytest.mark.parametrize(
    ("word", "known"),
    [("Active", True), ("Deactive", False), ("", None), (None, None), ("Perhaps", None)],
)
def test_whether_ddpi_is_active(word: Any, known: bool | None) -> None:
    assert mapping.profile_from_body(PROFILE | {"ddpi": word}).ddpi is known


def test_a_profile_that_does_not_say() -> None:
    body = {key: value for key, value in PROFILE.items() if key != "ddpi"}
    assert mapping.profile_from_body(body).ddpi is None


@pytest.mark.parametrize("body", [EDIS, [EDIS]])
def test_what_edis_has_approved(body: Any, at: Any) -> None:
    with Stub(answer(200, body)) as stub:
        assert reports_of(at(stub.url)).approved_deliveries().value == {"INE00IN01015": 4}
    assert stub.requests[0].startswith(b"GET /edis/inquire/ALL HTTP/1.1")


def test_a_quantity_under_a_status_that_we_do_not_know_is_neither_approved_nor_missing() -> None:
    assert mapping.approved_from_rows([EDIS | {"status": "PENDING"}]) == {}
    assert mapping.approved_from_rows([EDIS | {"status": "PENDING", "aprvdQty": 0}]) == {
        "INE00IN01015": 0
    }


def test_what_is_read_is_kept_and_a_failed_read_changes_nothing(at: Any) -> None:
    with Stub(answer(200, [ROW]), answer(500, b"")) as stub:
        account = at(stub.url)
        kept = holdings.store_holdings(account)
        with pytest.raises(ReadFailed):
            holdings.store_holdings(account, retries=False)
    now = HoldingsReport.objects.get()
    assert (now.rows, now.as_of, now.mark) == (kept.rows, kept.as_of, kept.mark)
    assert now.rows[0]["average"] == "2655.0"
    assert (now.ddpi, now.ddpi_as_of, now.approved_as_of) == (None, None, None)


def test_the_three_are_read_at_most_once_while_they_are_fresh(at: Any) -> None:
    answers = answer(200, [ROW]), answer(200, PROFILE), answer(200, [EDIS])
    with Stub(*answers) as stub:
        account = at(stub.url)
        holdings.refresh(account)
        holdings.refresh(account)
    assert [call.what for call in WireCall.objects.order_by("id")] == [
        "holdings", "profile", "eDIS inquiry",
    ]  # fmt: skip
    kept = HoldingsReport.objects.get()
    assert (len(kept.rows), kept.ddpi, kept.approved) == (1, True, {"INE00IN01015": 4})
    assert kept.todays


def test_what_cannot_be_read_is_asked_for_once_a_minute(at: Any) -> None:
    with Stub(*[answer(500, b"")] * 6) as stub:
        account = at(stub.url)
        holdings.refresh_if_due(account)
        holdings.refresh_if_due(account)
        assert WireCall.objects.count() == 3
        HoldingsReport.objects.update(asked_at=timezone.now() - holdings.GOOD_FOR)
        holdings.refresh_if_due(account)
        assert WireCall.objects.count() == 6


def test_all_three_are_read_again_when_a_minute_is_over(at: Any) -> None:
    answers = [answer(200, [ROW]), answer(200, PROFILE), answer(200, [EDIS])]
    with Stub(*answers, *answers) as stub:
        account = at(stub.url)
        holdings.refresh_if_due(account)
        earlier = timezone.now() - holdings.GOOD_FOR
        moments = ("as_of", "ddpi_as_of", "approved_as_of")
        young = dict.fromkeys(moments, earlier + dt.timedelta(seconds=1))
        HoldingsReport.objects.update(asked_at=earlier, **young)
        holdings.refresh_if_due(account)
    assert WireCall.objects.count() == 6


def test_one_that_fails_does_not_keep_the_others(at: Any) -> None:
    with Stub(answer(500, b""), answer(200, PROFILE), answer(200, [EDIS])) as stub:
        account = at(stub.url)
        holdings.refresh(account)
    kept = HoldingsReport.objects.get()
    assert (kept.as_of, kept.ddpi) == (None, True)
    assert not kept.todays


def test_a_word_that_we_do_not_know_raises_an_alert(at: Any) -> None:
    strange = answer(200, [ROW | {"exchange": "LSE"}])
    with Stub(strange, answer(200, PROFILE), answer(200, [EDIS])) as stub:
        holdings.refresh(at(stub.url))
    assert "exchange is a word that we do not know" in Alert.objects.get().text


@pytest.mark.parametrize("segments", [["NSE_EQ"], ["BSE_EQ"], ["NSE_EQ", "BSE_EQ"], []])
def test_a_holding_is_counted_where_its_share_is_traded(segments: list[str], at: Any) -> None:
    for segment in segments:
        Instrument.objects.create(
            segment=segment, security_id="1330", symbol="HDFC", isin="INE001A01036",
            kind="EQUITY", lot_size=1, tick_size=Decimal("0.05"),
        )  # fmt: skip
    with Stub(answer(200, [ROW])) as stub:
        kept = holdings.store_holdings(at(stub.url))
    assert kept.rows[0]["segment"] == (segments[0] if segments else "")


def test_the_exchange_of_a_row_wins(at: Any) -> None:
    with Stub(answer(200, [ROW | {"exchange": "BSE"}])) as stub:
        kept = holdings.store_holdings(at(stub.url))
    assert kept.row(Segment.BSE_EQ, "1330")["total"] == 1000


def test_the_most_that_was_shown_today_is_kept_with_what_is_there_now(at: Any) -> None:
    with Stub(answer(200, [ROW]), answer(200, [ROW | {"totalQty": 7}]), answer(500, EMPTY)) as stub:
        account = at(stub.url)
        account.calendar = CalendarKind.ALWAYS_OPEN  # at any hour of the day
        shown = [holdings.store_holdings(account).rows[0] for _ in range(3)]
    assert [(row["total"], row["most"]) for row in shown] == [(1000, 1000), (7, 1000), (0, 1000)]
    assert shown[2]["available"] == 0


def test_the_most_of_yesterday_is_forgotten(at: Any) -> None:
    with Stub(answer(200, [ROW]), answer(200, [ROW | {"totalQty": 7}])) as stub:
        account = at(stub.url)
        first = holdings.store_holdings(account)
        HoldingsReport.objects.update(as_of=first.as_of - dt.timedelta(days=1))
        later = holdings.store_holdings(account)
    assert later.rows[0]["most"] == 7
