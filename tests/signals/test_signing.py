"""Who is believed: published vectors, every wrong header, rotation, windows, constant time."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.signals import signing
from apps.signals.models import Signal, SignalSource
from apps.signals.signing import Untrusted, authenticate, new_secret, sign, sign_plainly
from apps.signals.sources import RotatedMeanwhile, rotate
from tests.signals.conftest import wish

VECTORS = json.loads((Path(__file__).parent / "payloads" / "signed-vectors.json").read_text())
BODY = json.dumps(wish()).encode()
WINDOW = dt.timedelta(seconds=300)


def test_the_published_vector_of_standard_webhooks_is_believed():
    vector = VECTORS["standard_webhooks"]
    at = dt.datetime.fromtimestamp(int(vector["headers"]["webhook-timestamp"]), dt.UTC)
    body = vector["body"].encode()
    proof = authenticate(vector["headers"], body, [vector["secret"]], at, WINDOW)
    assert (proof.sender_id, proof.sent_at) == (vector["headers"]["webhook-id"], at)
    assert (
        sign(vector["secret"], proof.sender_id, int(at.timestamp()), body)
        == (vector["headers"]["webhook-signature"])
    )


def test_the_plain_form_signs_time_and_body_with_the_text_of_the_secret():
    vector = VECTORS["stripe_style"]
    stamp, digest = vector["headers"]["Stripe-Signature"].removeprefix("t=").split(",v1=")
    assert sign_plainly(vector["secret"], int(stamp), vector["body"].encode()) == digest


@pytest.mark.parametrize("name", ["github", "shopify_style"])
def test_a_signature_over_the_body_alone_is_not_believed(name):
    vector = VECTORS[name]
    digest = hmac.new(vector["secret"].encode(), vector["body"].encode(), hashlib.sha256)
    with pytest.raises(Untrusted):
        authenticate(
            vector["headers"] | {"x-signature": digest.hexdigest()},
            vector["body"].encode(),
            [vector["secret"]],
            timezone.now(),
            WINDOW,
        )


def wrong_headers() -> dict[str, dict[str, str]]:
    """Every header set that must not be believed, by what is wrong; S marks the good signature."""
    now = str(int(time.time()))
    good = {"webhook-id": "m1", "webhook-timestamp": now, "webhook-signature": "S"}
    return {
        "nothing": {},
        "no signature": {"webhook-id": "m1", "webhook-timestamp": now},
        "empty signature": good | {"webhook-signature": ""},
        "garbage": good | {"webhook-signature": "garbage"},
        "bad base64": good | {"webhook-signature": "v1,%%%="},
        "another version": good | {"webhook-signature": "v2,S"},
        "non-ascii": good | {"webhook-signature": "v1,ü€"},
        "no id": {"webhook-timestamp": now, "webhook-signature": "S"},
        "empty id": good | {"webhook-id": ""},
        "id with a space": good | {"webhook-id": "m 1"},
        "id too long": good | {"webhook-id": "m" * 191},
        "no timestamp": {"webhook-id": "m1", "webhook-signature": "S"},
        "timestamp in words": good | {"webhook-timestamp": "now"},
        "timestamp with a fraction": good | {"webhook-timestamp": f"{now}.5"},
        "timestamp in other digits": good | {"webhook-timestamp": "١٢٣٤٥٦٧٨٩٠"},
        "negative timestamp": good | {"webhook-timestamp": f"-{now}"},
        "huge timestamp": good | {"webhook-timestamp": "9" * 400},
        "other id": good | {"webhook-id": "m2"},
        "plain without time": {"x-signature": "P"},
        "plain with garbage": {"x-signature": "zz", "x-timestamp": now},
        "plain with a wrong digest": {"x-signature": "0" * 64, "x-timestamp": now},
        "plain over the body alone": {"x-signature": "B", "x-timestamp": now},
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("case", wrong_headers())
def test_every_wrong_header_is_401_and_nothing_is_stored(case, sender):
    stamp = int(time.time())
    marks = {
        "S": sign(sender.secret, "m1", stamp, BODY),
        "v2,S": sign(sender.secret, "m1", stamp, BODY).replace("v1,", "v2,"),
        "P": sign_plainly(sender.secret, stamp, BODY),
        "B": hmac.new(sender.secret.encode(), BODY, hashlib.sha256).hexdigest(),
    }
    headers = {name: marks.get(value, value) for name, value in wrong_headers()[case].items()}
    answer = sender.post(BODY, headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "not authenticated"})
    assert not Signal.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestAtTheDoor:
    def test_a_changed_byte_is_not_believed(self, sender):
        headers = sender.headers(BODY, message_id="m1")
        assert sender.post(BODY + b" ", headers).status_code == 401
        assert sender.post(BODY, headers).status_code == 202

    def test_the_desk_hears_of_requests_that_are_not_believed(self, sender):
        for _ in range(3):
            sender.post(BODY, {})
        alert = Alert.objects.get(key__startswith="signals:alpha-strategy")
        assert (alert.times, "no signature" in alert.text) == (3, True)

    @pytest.mark.parametrize("spelling", ["{}", "sha256={}", "upper"])
    def test_the_plain_form_is_believed(self, sender, spelling):
        headers = sender.plain_headers(BODY)
        digest = headers["X-Signature"]
        headers["X-Signature"] = digest.upper() if spelling == "upper" else spelling.format(digest)
        assert sender.post(BODY, headers).status_code == 202

    def test_one_fitting_signature_of_several_is_enough(self, sender):
        headers = sender.headers(BODY, message_id="m1")
        good = headers["webhook-signature"]
        headers["webhook-signature"] = f"v1a,xyz v1,AAAA {good}"
        assert sender.post(BODY, headers).status_code == 202

    @pytest.mark.parametrize(("away", "status"), [(290, 202), (-290, 202), (310, 401), (-310, 401)])
    @pytest.mark.parametrize("form", ["standard", "plain"])
    def test_the_window_holds_both_ways(self, sender, away, status, form):
        at = int(time.time()) + away
        headers = (
            sender.plain_headers(BODY, at)
            if form == "plain"
            else sender.headers(BODY, message_id="m1", at=at)
        )
        assert sender.post(BODY, headers).status_code == status

    def test_both_secrets_count_while_a_rotation_is_under_way_and_one_afterwards(self, sender):
        old, source = sender.secret, sender.source
        new = rotate(source.pk, dt.timedelta(hours=1), source.rotated_at)
        for secret in (old, new):
            sender.secret = secret
            assert sender.send().status_code == 202
        SignalSource.objects.update(previous_valid_until=timezone.now() - dt.timedelta(seconds=1))
        assert sender.send().status_code == 202
        sender.secret = old
        assert sender.send().status_code == 401

    def test_the_same_rotation_asked_twice_rotates_once(self, sender):
        source = sender.source
        rotate(source.pk, dt.timedelta(hours=1), source.rotated_at)
        with pytest.raises(RotatedMeanwhile):
            rotate(source.pk, dt.timedelta(hours=1), source.rotated_at)
        assert sender.send().status_code == 202

    def test_secrets_are_encrypted_at_rest(self, sender):
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SELECT secret FROM signals_signalsource")
            stored = cursor.fetchone()[0]
        assert sender.secret not in stored
        assert SignalSource.objects.get().secret == sender.secret

    @pytest.mark.parametrize("form", ["standard", "plain"])
    def test_signatures_are_compared_in_constant_time(self, sender, form, monkeypatch):
        compared: list[Any] = []
        compare = hmac.compare_digest

        def spy(one: Any, other: Any) -> bool:
            compared.append((one, other))
            return compare(one, other)

        monkeypatch.setattr(signing.hmac, "compare_digest", spy)
        headers = (
            sender.plain_headers(BODY) if form == "plain" else sender.headers(BODY, message_id="m1")
        )
        assert sender.post(BODY, headers).status_code == 202
        assert len(compared) == 1
        headers |= {"X-Signature": "0" * 64} if form == "plain" else {"webhook-signature": "v1,A"}
        assert sender.post(BODY, headers).status_code == 401
        assert len(compared) == 2

    def test_the_signature_is_checked_before_the_body_is_read(self, sender, monkeypatch):
        from apps.signals import intake

        monkeypatch.setattr(intake, "read", lambda raw: pytest.fail("parsed before believed"))
        assert sender.post(b"{]", {}).status_code == 401


def test_every_secret_is_new_and_long():
    assert new_secret() != new_secret()
    assert len(new_secret().removeprefix("whsec_")) >= 43
