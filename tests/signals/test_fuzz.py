"""Whatever comes, the door answers with one of its own words and never breaks."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time

import pytest
from asgiref.testing import ApplicationCommunicator
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.signals import reading, signing
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
def test_any_content_type_and_query_at_the_real_door(content_type, query, sender):
    from tradingops.asgi import application

    async def ask() -> int:
        scope = {
            "type": "http",
            "method": "POST",
            "path": sender.source.path,
            "raw_path": sender.source.path.encode(),
            "query_string": query,
            "headers": [(b"host", b"localhost"), (b"content-type", content_type)],
        }
        line = ApplicationCommunicator(application, scope)
        await line.send_input({"type": "http.request", "body": b"{}"})
        answer = await line.receive_output(5)
        await line.wait(5)
        return int(answer["status"])

    assert asyncio.run(ask()) in {400, 401}
