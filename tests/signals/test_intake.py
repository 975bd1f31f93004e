"""What the door takes, what it turns away with which words, and what it keeps."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from celery import Celery
from django.db import DatabaseError, connection
from django.db.utils import InternalError, ProgrammingError
from django.test import Client, RequestFactory

from apps.alerts.models import Alert
from apps.orders import queue
from apps.signals import intake
from apps.signals.models import Signal, SignalSource
from apps.signals.views import MOST_BYTES
from tests.signals.conftest import wish
from tradingops.logs import redact

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_good_signal_is_stored_and_rung_for(sender, no_bells):
    answer = sender.send(message_id="m1", side="sell", intent="exit", reason="stop hit")
    signal = Signal.objects.get()
    assert (answer.status_code, answer.json()) == (202, {"id": signal.pk, "status": "received"})
    assert (signal.sender_id, signal.intent, signal.fate) == ("m1", "EXIT", "RECEIVED")
    assert json.loads(signal.body)["reason"] == "stop hit"
    assert signal.wish["side"] == "SELL"
    assert signal.headers["webhook-id"] == "m1"
    assert "signature" not in str(signal.headers).lower()
    assert no_bells == [("signals.act", signal.pk)]


def test_words_in_any_case_and_numbers_as_text_are_read(sender):
    signal = sender.heard(
        side="bUy", type="stop_limit", quantity="5", price=1400.5, trigger_price="1399.95"
    )
    assert signal.wish["quantity"] == 5
    assert (signal.wish["price"], signal.wish["trigger_price"]) == ("1400.5", "1399.95")


def test_what_is_left_out_has_a_safe_meaning(sender):
    signal = sender.heard()
    assert (signal.wish["product"], signal.wish["validity"]) == ("INTRADAY", "DAY")
    assert not signal.test


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no side": ({"side": None}, "side", "missing"),
    "bad side": ({"side": "HOLD"}, "side", "BUY, SELL"),
    "side is a number": ({"side": 1}, "side", "BUY, SELL"),
    "no instrument": ({"instrument": None}, "instrument", "missing"),
    "empty instrument": ({"instrument": " "}, "instrument", "missing"),
    "instrument too long": ({"instrument": "X" * 101}, "instrument", "at most 100"),
    "delayed exchange": ({"instrument": "NSE_DLY:RELIANCE"}, "instrument", "delayed"),
    "delayed exchange, short": ({"instrument": "nse_dl:RELIANCE"}, "instrument", "delayed"),
    "delayed in extra": ({"extra": {"exchange": "NSE_DL"}}, "extra", "delayed"),
    "no quantity": ({"quantity": None}, "quantity", "either"),
    "quantity and lots": ({"lots": 1}, "quantity", "either"),
    "zero": ({"quantity": 0}, "quantity", "whole number"),
    "negative": ({"quantity": -1}, "quantity", "whole number"),
    "a fraction": ({"quantity": 1.5}, "quantity", "whole number"),
    "a fraction as text": ({"quantity": "1.5"}, "quantity", "whole number"),
    "true is no number": ({"quantity": True}, "quantity", "whole number"),
    "other digits": ({"quantity": "٣"}, "quantity", "whole number"),
    "signed text": ({"quantity": "+5"}, "quantity", "whole number"),
    "underscore": ({"quantity": "1_000"}, "quantity", "whole number"),
    "ten digits": ({"quantity": "1234567890"}, "quantity", "whole number"),
    "list": ({"quantity": [1]}, "quantity", "whole number"),
    "price with spaces": ({"price": " 1400"}, "price", "rupees"),
    "price with an exponent": ({"price": "1.4e3"}, "price", "rupees"),
    "five decimals": ({"price": "1400.00001"}, "price", "rupees"),
    "price in words": ({"price": "NaN"}, "price", "rupees"),
    "limit without price": ({"price": None}, "price", "needs a price"),
    "market with price": ({"type": "MARKET"}, "price", "no price"),
    "stop without trigger": ({"type": "STOP_LIMIT"}, "trigger_price", "needs a trigger"),
    "a stop at the market with price": ({"type": "STOP_MARKET"}, "price", "no price"),
    "a stop at the market without trigger": (
        {"type": "STOP_MARKET", "price": None},
        "trigger_price",
        "needs a trigger price",
    ),
    "target without stop": ({"target_price": 1420}, "stop_price", "need it"),
    "exit with a stop": ({"stop_price": 1380, "intent": "EXIT"}, "intent", "only an ENTRY"),
    "ioc with a stop": ({"stop_price": 1380, "validity": "IOC"}, "validity", "must be DAY"),
    "trigger without stop": ({"trigger_price": 1}, "trigger_price", "only a stop"),
    "no intent": ({"intent": None}, "intent", "missing"),
    "a typo": ({"quantiy": 5}, "quantiy", "not a known key"),
    "a secret": ({"secret": "x"}, "secret", "not a known key"),
    "a secret in extra": ({"extra": {"a": {"api_key": "x"}}}, "extra", "looks like a secret"),
    "extra is no object": ({"extra": 5}, "extra", "wrong type"),
    "test mode in words": ({"test_mode": "perhaps"}, "test_mode", "true or false"),
    "test mode as a number": ({"test_mode": 1}, "test_mode", "true or false"),
    "control characters": ({"reason": "a\u0000b"}, "reason", "printable"),
    "half a character": ({"strategy": "\ud800"}, "strategy", "printable"),
    "reason too long": ({"reason": "x" * 201}, "reason", "at most 200"),
    "unknown account": ({"account": "nobody"}, "account", "none that this source may use"),
    "placeholder": ({"price": "{{close}}"}, "price", "{{close"),
    "placeholder in a key": ({"{{ticker}}": 1}, "{{ticker}}", "placeholder"),
    "placeholder in extra": ({"extra": {"a": ["{{time}}"]}}, "extra", "{{time"),
}


@pytest.mark.parametrize("case", WRONG)
def test_every_wrong_field_is_400_and_named(case, sender):
    different, field, text = WRONG[case]
    answer = sender.send(**different)
    assert answer.status_code == 400
    assert text in answer.json()["fields"][field]
    assert not Signal.objects.exists()


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "one JSON object"),
    "not JSON": (b"{]", "one JSON object"),
    "not UTF-8": (b'{"side": "\xff"}', "UTF-8"),
    "UTF-16": (json.dumps(wish()).encode("utf-16"), "UTF-8"),
    "a list": (b"[1]", "one JSON object"),
    "null": (b"null", "one JSON object"),
    "text": (b'"x"', "one JSON object"),
    "two objects": (b"{}{}", "one JSON object"),
    "NaN": (b'{"price": NaN}', "NaN"),
    "minus infinity": (b'{"price": -Infinity}', "-Infinity"),
    "deep": (b"[" * 16000, "nested"),
    "deep objects": (b'{"a":' * 3000, "nested"),
    "too many digits": (b'{"quantity": ' + b"9" * 9000 + b"}", "one JSON object"),
    "an endless exponent": (b'{"price": 1e99999999999999999999}', "out of range"),
    "a raw NUL": (b'{"side": "\x00"}', "one JSON object"),
    "a bare placeholder": (b'{"price": {{close}}}', "{{close"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_every_broken_body_is_400_with_what_would_be_right(case, sender):
    body, text = BROKEN[case]
    answer = sender.send_raw(body)
    assert answer.status_code == 400
    assert text in answer.json()["fields"]["body"]


def test_a_key_that_stands_there_twice_is_refused(sender):
    answer = sender.send_raw(json.dumps(wish()).replace("{", '{"side": "SELL", ', 1).encode())
    assert answer.json()["fields"] == {"side": "stands there twice"}


def test_nesting_below_extra_has_an_end(sender):
    assert sender.send(extra={"a": {"b": {"c": 1}}}).status_code == 202
    assert sender.send(extra={"a": {"b": {"c": {"d": {"e": 1}}}}}).status_code == 400


def test_the_sources_own_secret_never_comes_to_rest_in_a_body(sender):
    answer = sender.send(extra={"note": str(sender.secret)})
    assert "secret" in answer.json()["fields"]["body"]
    assert sender.secret not in answer.content.decode()
    assert not Signal.objects.exists()
    assert not Alert.objects.filter(text__contains=sender.secret).exists()


def test_what_cannot_be_read_is_told_to_the_desk(sender):
    sender.send(quantiy=5)
    assert "quantiy" in Alert.objects.get().text


@pytest.mark.parametrize("size", [MOST_BYTES, MOST_BYTES + 1])
def test_size_has_a_limit(sender, size):
    body = json.dumps(wish(extra={"pad": ""})).encode()
    body = body.replace(b'""', b'"' + b"x" * (size - len(body)) + b'"')
    assert sender.send_raw(body).status_code == (202 if size == MOST_BYTES else 413)


@pytest.mark.parametrize("length", ["abc", "-1", "1e3", "٣", "9" * 5000])
def test_a_strange_length_is_400_and_a_large_one_413(sender, length):
    answer = sender.post(b"{}", {}, CONTENT_LENGTH=length)
    assert answer.status_code == 400
    assert sender.post(b"{}", {}, CONTENT_LENGTH="99999999").status_code == 413


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
def test_only_post_comes_in(sender, method):
    answer = getattr(sender.client, method)(sender.source.path)
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_an_unknown_and_a_disabled_source_look_the_same(sender):
    client = sender.client
    unknown = client.post("/hooks/" + "x" * 43 + "/", b"{}", content_type="application/json")
    SignalSource.objects.update(enabled=False)
    disabled = sender.send()
    assert (unknown.status_code, unknown.content) == (404, disabled.content)
    assert disabled.status_code == 404


@pytest.mark.parametrize("hook_id", ["", "%00", "x" * 5000, "%2e%2e", "%F0%9F%98%80", "a b"])
def test_a_strange_address_is_404(sender, hook_id):
    assert sender.client.post(f"/hooks/{hook_id}/").status_code == 404


def test_the_last_slash_may_be_missing(sender):
    body = json.dumps(wish()).encode()
    answer = sender.client.post(
        sender.source.path.rstrip("/"),
        body,
        content_type="text/plain; charset=utf-8",
        headers=sender.headers(body, message_id="m1"),
    )
    assert answer.status_code == 202


def test_no_session_is_needed_and_none_is_made(sender):
    sender.client = Client(enforce_csrf_checks=True)
    answer = sender.send()
    assert answer.status_code == 202
    assert not answer.cookies


def test_a_repeat_gets_the_first_answer(sender, no_bells):
    first = sender.send(message_id="m1")
    again = sender.send(message_id="m1", at=int(time.time()) + 7)
    assert (again.status_code, again.json()) == (202, first.json() | {"duplicate": True})
    assert (Signal.objects.count(), len(no_bells)) == (1, 1)
    assert not Alert.objects.exists()


def test_an_id_with_another_body_is_not_acted_on_and_told(sender):
    first = sender.send(message_id="m1")
    again = sender.send(message_id="m1", quantity=2)
    assert again.json() == first.json() | {"duplicate": True}
    assert Signal.objects.get().wish["quantity"] == 1
    assert "another body" in Alert.objects.get().text


def test_a_repeat_gets_the_first_answer_also_when_it_could_not_be_taken_any_more(
    sender, live_account
):
    sender.source.others.add(live_account)
    first = sender.send(message_id="m1", account="real-money")
    sender.source.others.clear()
    again = sender.send(message_id="m1", account="real-money")
    assert again.json() == first.json() | {"duplicate": True}


def test_the_plain_form_repeats_by_its_text_or_by_its_event_id(sender):
    body = json.dumps(wish()).encode()
    headers = sender.plain_headers(body)
    assert sender.post(body, headers).json() | {"duplicate": True} == (
        sender.post(body, headers).json()
    )
    named = json.dumps(wish(event_id="e-1")).encode()
    at = int(time.time())
    first = sender.post(named, sender.plain_headers(named, at)).json()
    again = sender.post(named, sender.plain_headers(named, at + 1)).json()
    assert again == first | {"duplicate": True}
    assert Signal.objects.count() == 2


def test_the_same_id_of_two_sources_is_two_signals(sender, source_of, quiet_account):
    other = source_of(quiet_account, "beta-strategy")
    assert sender.send(message_id="m1").json() != other.send(message_id="m1").json()


def test_many_at_once_with_one_id_are_one_signal(sender):
    body = json.dumps(wish()).encode()
    headers = sender.headers(body, message_id="m1")
    answers, gate = [], threading.Barrier(6)

    def post() -> None:
        gate.wait()
        answers.append(sender.post(body, headers).json())
        connection.close()

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer["id"] for answer in answers}) == 1
    assert sum("duplicate" not in answer for answer in answers) == 1
    assert Signal.objects.count() == 1


def test_another_account_needs_leave(sender, make_account):
    beta = make_account("beta", "1000000002")
    assert sender.send(account="beta").status_code == 400
    sender.source.others.add(beta)
    assert sender.heard(account="beta").account == beta
    assert sender.heard(account="paper-one").account == sender.source.account


def test_the_intake_needs_few_queries(sender, django_assert_max_num_queries):
    sender.send()
    with django_assert_max_num_queries(3):
        assert sender.send().status_code == 202


def test_a_signal_is_taken_although_nobody_can_be_rung(quiet_account, source_of, monkeypatch):
    sender = source_of(quiet_account)
    deaf = Celery("deaf", broker="redis+socket:///nowhere/valkey.sock")
    deaf.config_from_object("django.conf:settings", namespace="CELERY")
    deaf.conf.broker_url = "redis+socket:///nowhere/valkey.sock"
    monkeypatch.setattr(queue, "current_app", deaf)
    began = time.monotonic()
    assert sender.send().status_code == 202
    assert time.monotonic() - began < 1
    assert Signal.objects.get().fate == "RECEIVED"


def test_an_alert_that_cannot_be_stored_does_not_change_the_answer(sender, monkeypatch):
    def broken(*_: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(intake, "raise_alert", broken)
    assert sender.send(side="HOLD").status_code == 400
    assert sender.post(b"{}", {}).status_code == 401
    first = sender.send(message_id="m1").json()
    assert sender.send(message_id="m1", quantity=9).json() == first | {"duplicate": True}


def test_a_profile_that_nobody_can_check_is_not_believed(sender):
    SignalSource.objects.update(profile="telepathy")
    assert sender.send().status_code == 401


def test_the_address_of_a_source_is_in_no_log(sender):
    request = RequestFactory().get(sender.source.path)
    line = redact(None, "warning", {"event": f"Unauthorized: {request.path}", "request": request})
    assert sender.source.hook_id not in str(line)
    assert "/hooks/***" in line["event"]


class TestHistory:
    def refused(self, sql: str, match: str) -> None:
        refusal = pytest.raises((InternalError, ProgrammingError), match=match)
        with refusal, connection.cursor() as cursor:
            cursor.execute(sql)

    def test_what_was_heard_never_changes_and_never_goes(self, sender):
        sender.heard()
        for change in ("body = '{}'", "sender_id = 'x'", "dedupe_key = 'x'", "test = true"):
            self.refused(f"UPDATE signals_signal SET {change}", "history")
        self.refused("DELETE FROM signals_signal", "history")

    def test_a_fate_is_written_once(self, sender):
        signal = sender.heard()
        Signal.objects.filter(pk=signal.pk).update(fate="EXPIRED", reason="old")
        self.refused("UPDATE signals_signal SET fate = 'RECEIVED'", "settled")
