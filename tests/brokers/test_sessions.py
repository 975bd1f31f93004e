"""What replies say of a session: tokens, addresses, clocks; and how little that costs."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers import sessions
from apps.brokers.accounts import put_token
from apps.brokers.dhan.stream import DhanOrderStream
from apps.brokers.dhan.trading import DhanTrading
from apps.brokers.models import BrokerSession, Verb, WireCall
from apps.brokers.port import NotSent, ReadFailed, Refused
from apps.brokers.reporting import reports_of
from tests.brokers.asking import session_of
from tests.brokers.feed_stub import FeedStub, Listener, until
from tests.brokers.payloads import payload
from tests.brokers.stub import Stub, answer
from tests.brokers.test_stream import farewell, stay

pytestmark = pytest.mark.django_db(transaction=True)
BAD_TOKEN = payload("alerts-error-901")
TAKEN = {"orderId": "112111182198", "orderStatus": "TRANSIT"}


def date(**away: float) -> str:
    at = dt.datetime.now(dt.UTC) + dt.timedelta(**away)
    return f"Date: {format_datetime(at, usegmt=True)}\r\n"


def read(account: Any) -> None:
    reports_of(account, retries=False).order_book()


def place(account: Any, new_call: Any, order_request: Any) -> Any:
    return DhanTrading(new_call(account)).place(order_request())


# --- tokens ---------------------------------------------------------------------------------


def test_a_token_once_refused_sends_nothing_more(at, new_call, order_request):
    with Stub(answer(401, BAD_TOKEN)) as stub:
        account = at(stub.url)
        outcomes = [place(account, new_call, order_request) for _ in range(5)]
    assert all(isinstance(outcome, NotSent) and outcome.about_session for outcome in outcomes)
    assert stub.connections == 1
    assert Alert.objects.get().times == 1


def test_another_token_sends_again_at_once(at, new_call, order_request):
    with Stub(answer(401, BAD_TOKEN), answer(200, TAKEN)) as stub:
        account = at(stub.url)
        place(account, new_call, order_request)
        put_token(account, "another-token")
        outcome = place(account, new_call, order_request)
        assert not isinstance(outcome, NotSent)
        assert not sessions.is_refused(account)
    assert b"another-token" in stub.requests[1]


def test_a_refused_token_rests_after_the_second_refusal(at):
    with Stub(answer(401, BAD_TOKEN)) as stub:
        account = at(stub.url)
        for _ in range(6):
            with pytest.raises(ReadFailed) as caught:
                read(account)
            assert caught.value.kind == "token"
        assert stub.connections == 2
        BrokerSession.objects.update(refused_last=timezone.now() - dt.timedelta(seconds=16))
        with pytest.raises(ReadFailed):
            read(account)
    assert stub.connections == 3


def test_a_late_refusal_of_a_retired_token_is_no_news(at):
    with Stub(answer(200, [])) as stub:
        account = at(stub.url)
        old = account.token()
        put_token(account, "another-token")
        assert sessions.refused(account, old.pk, "no") is False
        read(account)
    assert not Alert.objects.exists()


def test_silence_and_broken_answers_say_nothing_of_the_token(at):
    with Stub(answer(200, b"<html>"), answer(500, {}), answer(502, b"x")) as stub:
        account = at(stub.url)
        for _ in range(3):
            with pytest.raises(ReadFailed):
                read(account)
    session = session_of(account) if BrokerSession.objects.exists() else None
    assert session is None or (session.accepted_at is None and session.refused_at is None)


def test_the_feed_tells_of_a_refused_token_too(at):
    def refuse(peer: Any) -> None:
        peer.send(farewell(807))
        peer.close()

    with FeedStub(refuse) as stub:
        account = at("http://127.0.0.1:9", feed_url=stub.url)
        with Listener(DhanOrderStream(account)) as heard:
            until(lambda: heard.losses)
    assert sessions.is_refused(account)
    assert Alert.objects.get().key == f"session:{account.name}"


def test_the_feed_comes_back_with_a_new_token_without_waiting_out_its_pause(at, monkeypatch):
    monkeypatch.setattr("apps.brokers.dhan.listening.TOKEN_LOOK", 0.1)

    def refuse(peer: Any) -> None:
        peer.send(farewell(807))
        peer.close()

    with FeedStub(refuse, stay) as stub:
        account = at("http://127.0.0.1:9", feed_url=stub.url)
        with Listener(DhanOrderStream(account)) as heard:
            until(lambda: heard.losses)
            put_token(account, "another-token")
            until(lambda: len(stub.logins) == 2)
    assert "another-token" in stub.logins[1]


def test_a_feed_that_ends_because_its_token_is_replaced_is_no_trouble(at, monkeypatch):
    account: Any = None

    def replace(peer: Any) -> None:
        put_token(account, "another-token")
        peer.send(farewell(807))
        peer.close()

    with FeedStub(replace, stay) as stub:
        account = at("http://127.0.0.1:9", feed_url=stub.url)
        with Listener(DhanOrderStream(account)) as heard:
            until(lambda: len(stub.logins) == 2)
    assert not heard.troubles
    assert not Alert.objects.exists()


# --- the address ----------------------------------------------------------------------------

WRONG_ADDRESS = {
    "errorType": "Input_Exception",
    "errorCode": "DH-905",
    "errorMessage": "Invalid IP",
}


def test_a_wrong_address_is_told_once_and_forgotten_by_an_order_that_is_taken(
    at, new_call, order_request
):
    acts = [answer(400, WRONG_ADDRESS), answer(400, WRONG_ADDRESS), answer(200, TAKEN)]
    with Stub(*acts) as stub:
        account = at(stub.url)
        assert place(account, new_call, order_request) == Refused("DH-905", "Invalid IP")
        place(account, new_call, order_request)
        (alert,) = Alert.objects.all()
        assert (alert.key, alert.times, alert.severity) == (
            f"address:{account.name}",
            1,
            "CRITICAL",
        )
        assert session_of(account).address_refused_at is not None
        call = new_call(account)
        call.verb = Verb.CANCEL  # a read proves nothing: reads are answered from anywhere
        DhanTrading(call).cancel("112111182198")
    assert session_of(account).address_refused_at is None


# --- the clock ------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 90, -90, 7200])
def test_the_brokers_clock_is_measured_on_every_answer(at, seconds):
    with Stub(answer(200, [], headers=date(seconds=seconds))) as stub:
        account = at(stub.url)
        read(account)
    session = session_of(account)
    assert session.clock_offset == pytest.approx(seconds, abs=2)
    assert timezone.now() - session.clock_at < dt.timedelta(seconds=10)


@pytest.mark.parametrize("header", ["", "Date: yesterday\r\n", "Date: \r\n"])
def test_an_answer_without_a_readable_date_measures_nothing(at, header):
    with Stub(answer(200, [], headers=header)) as stub:
        account = at(stub.url)
        read(account)
    assert session_of(account).clock_offset is None


def test_an_error_measures_the_clock_as_well(at):
    with Stub(answer(500, {}, headers=date(seconds=60))) as stub:
        account = at(stub.url)
        with pytest.raises(ReadFailed):
            read(account)
    assert session_of(account).clock_offset == pytest.approx(60, abs=2)


def test_what_has_not_changed_is_not_written_again(at, django_assert_num_queries):
    with Stub(*[answer(200, [], headers=date()) for _ in range(10)]) as stub:
        account = at(stub.url)
        read(account)
        at_first = session_of(account).clock_at
        with django_assert_num_queries(7):  # slot: 4, token: 1, close: 1 …
            read(account)
    assert session_of(account).clock_at == at_first


def test_a_clock_that_jumps_is_written_at_once(at):
    acts = [answer(200, [], headers=date()), answer(200, [], headers=date(seconds=30))]
    with Stub(*acts) as stub:
        account = at(stub.url)
        read(account)
        read(account)
    assert session_of(account).clock_offset == pytest.approx(30, abs=2)


def test_a_database_that_is_away_does_not_cost_an_answer(at, monkeypatch):
    def broken(*_: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(sessions, "_note", broken)
    with Stub(answer(200, [])) as stub:
        account = at(stub.url)
        read(account)
    assert connection.is_usable()
    assert WireCall.objects.get().outcome == "ANSWERED"


def test_an_error_code_that_nobody_has_seen_is_told(at):
    body = {"errorType": "X", "errorCode": "DH-777", "errorMessage": "new words"}
    with Stub(answer(400, body)) as stub:
        account = at(stub.url)
        for _ in range(2):
            with pytest.raises(ReadFailed):
                read(account)
    alert = Alert.objects.get()
    assert (alert.key, alert.times) == ("code:dhan:DH-777", 2)
