"""Whatever comes, the door answers with one of its own words and never breaks."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time

import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.signals import reading, signing
from apps.signals.models import Signal
from apps.signals.reading import read
from apps.signals.signing import Untrusted, authenticate
from apps.signals.wish import BadSignal, Wish
from tests.signals.conftest import GOOD

pytestmark = pytest.mark.django_db(transaction=True)
WINDOW = dt.timedelta(seconds=300)
ANSWERS = {200, 202, 400, 401, 404, 405, 413}
quick = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
plain = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), max_size=60)
NAMES = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-signature",
    "x-timestamp",
    "content-type",
    "user-agent",
    "content-encoding",
    "expect",
]
values = st.one_of(plain, st.just(str(int(time.time()))), st.just("v1,AAAA"), st.just("0" * 64))
headers = st.dictionaries(st.sampled_from(NAMES), values, max_size=6).filter(
    lambda found: ";" not in found.get("content-type", "")
)
json_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["BUY", "limit", "{{x}}", "1400", "NSE_DL:X", "\x00", "\ud800"])
)
json_values = st.recursive(
    json_leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
keys = st.sampled_from([*Wish.model_fields, "self", "fields", "", "\ud800", "__class__"])


@quick
@given(body=st.binary(max_size=400), found=headers)
def test_any_bytes_and_headers(sender, body, found):
    assert sender.post(body, found).status_code in ANSWERS


@quick
@given(body=st.binary(max_size=400) | json_values.map(lambda v: json.dumps(v).encode()))
def test_any_body_that_is_correctly_signed(sender, body):
    assert sender.send_raw(body).status_code in {202, 400}


@quick
@given(changes=st.dictionaries(keys, json_values, max_size=5))
def test_any_change_of_a_good_body(sender, changes):
    answer = sender.send_raw(json.dumps(GOOD | changes).encode())
    assert answer.status_code in {202, 400}
    if answer.status_code == 400:
        assert answer.json()["fields"]


@quick
@given(message_id=plain, stamp=plain | st.integers().map(str), signature=plain, body=st.binary())
def test_any_signature_is_believed_or_refused(message_id, stamp, signature, body):
    secret = signing.new_secret()
    for found in (
        {
            "webhook-id": message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": signature,
        },
        {"x-timestamp": stamp, "x-signature": signature},
    ):
        with pytest.raises(Untrusted):
            authenticate(found, body, [secret], timezone.now(), WINDOW)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace")))
def test_reading_gives_a_wish_or_a_refusal(raw):
    refusals: list[BadSignal] = []
    try:
        read(raw)
    except BadSignal as error:
        refusals.append(error)
    assert all(error.fields for error in refusals)


@given(st.builds(dict, **dict.fromkeys(Wish.model_fields, json_leaves)))
def test_what_is_read_can_be_stored_and_read_back(values):
    raw = json.dumps(GOOD | {key: value for key, value in values.items() if value is not None})
    try:
        wish = reading.read(raw.encode())
    except BadSignal:
        return
    stored = json.loads(json.dumps(wish.as_json()))
    assert Wish.model_validate(stored).as_json() == stored


@pytest.fixture(scope="module")
def at_the_door():
    """The web process as its server calls it; answers with the status."""
    from tradingops.asgi import PagesAndSignals

    application = PagesAndSignals()

    async def ask(path, headers=(), query=b"", bodies=(b"{}",), method="POST"):
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": [(b"host", b"localhost"), *headers],
        }
        line = ApplicationCommunicator(application, scope)
        for number, body in enumerate(bodies, 1):
            more = number < len(bodies)
            await line.send_input({"type": "http.request", "body": body, "more_body": more})
        answer = await line.receive_output(5)
        await line.wait(5)
        return int(answer["status"])

    yield lambda *args, **named: asyncio.run(ask(*args, **named))
    application._threads.submit(lambda: connection.close()).result()


@pytest.mark.parametrize(
    "content_type",
    [
        b"text/plain; x*=bogus'en'abc",
        b"multipart/form-data; boundary=x",
        b"application/json; charset=klingon",
        b"application/x-www-form-urlencoded",
        b"\xff\xfe",
        b";;;===",
    ],
)
@pytest.mark.parametrize("query", [b"", b"\xff", b"a=%00"])
def test_any_content_type_and_query_at_the_real_door(content_type, query, sender, at_the_door):
    told = at_the_door(sender.source.path, [(b"content-type", content_type)], query)
    assert told in {400, 401}


def test_a_signed_signal_in_pieces_at_the_real_door(sender, at_the_door):
    body = json.dumps(GOOD).encode()
    signed = sender.headers(body, message_id="m1")
    headers = [(name.encode(), value.encode()) for name, value in signed.items()]
    assert at_the_door(sender.source.path, headers, bodies=(body[:5], body[5:], b"")) == 202
    assert at_the_door(sender.source.path, headers, bodies=(body,)) == 202
    assert Signal.objects.count() == 1


def test_what_is_no_signal_at_the_real_door(sender, at_the_door):
    assert at_the_door(sender.source.path, method="GET") == 405
    assert at_the_door("/hooks/nobody/") == 404
    assert at_the_door(sender.source.path, bodies=(b"x" * 20_000,)) == 413


def test_a_connection_that_died_costs_no_signal_at_the_real_door(sender, at_the_door):
    at_the_door("/hooks/" + "x" * 43 + "/")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    body = json.dumps(GOOD).encode()
    signed = sender.headers(body, message_id="m2")
    headers = [(name.encode(), value.encode()) for name, value in signed.items()]
    assert at_the_door(sender.source.path, headers, bodies=(body,)) == 202
    assert Signal.objects.count() == 1
