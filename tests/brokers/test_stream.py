"""Listening to order updates: nothing that the other side does ends it, floods it or fakes life."""

from __future__ import annotations

import json
import struct
import time
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from apps.brokers.dhan import feed, listening
from apps.brokers.dhan.listening import Pauses
from apps.brokers.dhan.stream import DhanOrderStream
from apps.brokers.models import AccessToken
from apps.brokers.port import BrokerState, OrderReport
from tests.brokers.conftest import CLIENT, TOKEN
from tests.brokers.feed_stub import FeedStub, Listener, SilentFeed, stay, until
from tests.brokers.payloads import payload
from tests.brokers.stub import Stub, answer, say

ALERT = payload("observed-ws-order-update-traded-api")
ALERT["Data"]["clientId"] = CLIENT


def text(body: Any) -> str:
    return json.dumps(body, default=float)


def says(*frames: str | bytes) -> Any:
    """Send these frames, then stay."""

    def script(peer: ServerConnection) -> None:
        for frame in frames:
            peer.send(frame)
        stay(peer)

    return script


def farewell(reason: int) -> bytes:
    return struct.pack("<BhBih", 50, 10, 0, 0, reason)


@pytest.fixture(autouse=True)
def _quick(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CONNECT_TIMEOUT = 1.0
    settings.FEED_PING_EVERY = 0.3
    settings.FEED_PONG_WITHIN = 0.6
    monkeypatch.setattr(feed, "TURN", 0.1)
    monkeypatch.setattr(listening, "FIRST_PAUSE", 0.05)


@pytest.fixture
def listen(at: Any) -> Any:
    def make(url: str, **fields: Any) -> Listener:
        account = at("http://127.0.0.1:9", feed_url=url)
        return Listener(DhanOrderStream(account), **fields)

    return make


def test_the_login_is_the_first_frame_and_exactly_as_documented(listen: Any) -> None:
    with FeedStub(stay) as stub, listen(stub.url) as heard:
        until(lambda: heard.connected)
        until(lambda: stub.logins)
    expected = payload("ws-order-update-login-self")
    expected["LoginReq"] |= {"ClientId": CLIENT, "Token": TOKEN}
    assert json.loads(stub.logins[0]) == expected
    assert stub.logins[0] == json.dumps(expected)


def test_an_update_is_reported_and_is_life(listen: Any) -> None:
    with FeedStub(says(text(ALERT))) as stub, listen(stub.url) as heard:
        until(lambda: heard.reports)
    (report,) = heard.reports
    assert (report.state, report.filled_quantity) == (BrokerState.FILLED, 75)
    assert heard.lives
    assert not heard.troubles


def test_answered_pings_are_life(listen: Any) -> None:
    with FeedStub(stay) as stub, listen(stub.url) as heard:
        until(lambda: len(heard.lives) >= 3)
    assert len(stub.opened) == 1
    assert not heard.troubles


def test_a_server_that_answers_no_ping_is_left(listen: Any) -> None:
    with SilentFeed() as silent, listen(silent.url) as heard:
        until(lambda: len(heard.connected) >= 2)
    assert not heard.lives
    assert any("not answered" in loss for loss in heard.losses)


def test_a_frame_that_never_ends_does_not_hide_that_the_server_is_silent(listen: Any) -> None:
    with SilentFeed(drip=True) as dripping, listen(dripping.url) as heard:
        until(lambda: len(heard.connected) >= 2)
    assert any("not answered" in loss for loss in heard.losses)


def test_stopping_is_quick_in_the_middle_of_a_frame(listen: Any, settings: Any) -> None:
    settings.FEED_PONG_WITHIN = 60
    with SilentFeed(drip=True) as dripping, listen(dripping.url) as heard:
        until(lambda: heard.connected)
        assert heard.stop() < 1


NOISE = {
    "garbage": "}{",
    "a list": "[1]",
    "a number": "7",
    "NaN": '{"Type": "order_alert", "Data": NaN}',
    "another type": text({"Type": "error", "Data": {"message": "no"}}),
    "no type": "{}",
    "no data": text({"Type": "order_alert"}),
    "data of another shape": text({"Type": "order_alert", "Data": [1]}),
    "no order number": text({"Type": "order_alert", "Data": {"status": "Traded"}}),
    "another client": text({"Type": "order_alert", "Data": ALERT["Data"] | {"clientId": "9"}}),
    "bytes": b"\x01\x02",
    "empty bytes": b"",
    "an unasked pong": b"",
}


@pytest.mark.parametrize("case", NOISE)
def test_noise_is_neither_life_nor_the_end(case: str, listen: Any, settings: Any) -> None:
    settings.FEED_PING_EVERY = 60  # the first ping is answered; nothing after it may count

    def script(peer: ServerConnection) -> None:
        time.sleep(0.15)
        if case == "an unasked pong":
            peer.pong(b"unasked")
        for _ in range(5):
            peer.send(NOISE[case])
        stay(peer)

    with FeedStub(script) as stub, listen(stub.url) as heard:
        until(lambda: heard.troubles)
        time.sleep(0.25)
    assert len(heard.lives) == 1
    assert not heard.reports
    assert len(stub.opened) == 1
    assert len(heard.troubles) == 1


def test_good_updates_are_still_heard_after_noise(listen: Any) -> None:
    noise = [frame for frame in NOISE.values() if frame]
    with FeedStub(says(*noise, text(ALERT))) as stub, listen(stub.url) as heard:
        until(lambda: heard.reports)
    assert len(stub.opened) == 1


@pytest.mark.parametrize("reason", [807, 808, 809])
def test_a_refused_token_is_told_and_not_tried_in_a_storm(reason: int, listen: Any) -> None:
    def script(peer: ServerConnection) -> None:
        peer.send(farewell(reason))
        peer.close()

    with FeedStub(script) as stub, listen(stub.url) as heard:
        until(lambda: heard.losses)
        time.sleep(0.6)
        assert heard.stop() < 1
    assert len(stub.opened) == 1
    assert str(reason) in heard.losses[0]
    assert TOKEN not in " ".join(heard.losses)


def test_the_connection_comes_back_after_a_close(listen: Any) -> None:
    def close(peer: ServerConnection) -> None:
        peer.close()

    with FeedStub(close, close, says(text(ALERT))) as stub, listen(stub.url) as heard:
        until(lambda: heard.reports)
    assert len(stub.opened) == 3
    assert len(heard.connected) == 3
    assert sum("closed" in loss for loss in heard.losses) == 1


def test_a_new_token_is_used_at_the_next_login(at: Any) -> None:
    account = None

    def renew(peer: ServerConnection) -> None:
        AccessToken.put_in_force(account, "the-new-token")
        peer.close()

    with FeedStub(renew, stay) as stub:
        account = at("http://127.0.0.1:9", feed_url=stub.url)
        with Listener(DhanOrderStream(account)):
            until(lambda: len(stub.logins) == 2)
    assert json.loads(stub.logins[1])["LoginReq"]["Token"] == "the-new-token"


def test_without_a_token_nothing_is_sent(listen: Any) -> None:
    with FeedStub(stay) as stub:
        listener = listen(stub.url)
        AccessToken.objects.update(retired_at="2026-01-01T00:00Z")
        with listener as heard:
            until(lambda: heard.losses)
    assert not stub.opened
    assert "no access token" in heard.losses[0]


@pytest.mark.parametrize(
    "act",
    [
        answer(401, {}),
        answer(429, {}),
        answer(200, {}),
        answer(502, b"<html>"),
        answer(302, headers="Location: ws://127.0.0.1:1/\r\n"),
        say(b"SSH-2.0\r\n"),
        say(b""),
    ],
)
def test_a_wrong_handshake_is_trouble_and_shows_no_token(act: Any, listen: Any) -> None:
    with Stub(act) as stub, listen(stub.url.replace("http", "ws")) as heard:
        until(lambda: heard.losses)
        assert heard.stop() < 1
    assert not heard.connected
    assert TOKEN not in " ".join(heard.losses)
    assert TOKEN.encode() not in b"".join(stub.requests)


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1:9",
        "ws://no-such-host.invalid",
        "wss://127.0.0.1:1",
        "ws://",
        "nonsense",
    ],
)
def test_an_address_where_nobody_is(url: str, listen: Any) -> None:
    with listen(url) as heard:
        until(lambda: heard.losses)
        assert heard.stop() < 1
    assert not heard.lives


def test_a_listener_that_fails_is_recorded_and_the_next_update_heard(
    listen: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[OrderReport] = []

    def fail_once(report: OrderReport) -> None:
        seen.append(report)
        if len(seen) == 1:
            raise LookupError("the database is away")

    script = says(text(ALERT), text(ALERT))
    with FeedStub(script) as stub, listen(stub.url, on_report=fail_once) as heard:
        until(lambda: len(seen) == 2)
    assert any("LookupError" in trouble for trouble in heard.troubles)
    assert len(stub.opened) == 1


def test_a_frame_that_is_too_large_ends_the_connection(
    listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_FRAME", 1000)
    with FeedStub(says("x" * 5000), stay) as stub, listen(stub.url) as heard:
        until(lambda: len(stub.opened) == 2)
    assert any("larger" in loss for loss in heard.losses)


def test_a_message_of_endless_fragments_ends_the_connection(
    listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_FRAME", 1000)

    def fragments(peer: ServerConnection) -> None:
        peer.send("x" * 100 for _ in range(100))
        stay(peer)

    with FeedStub(fragments, stay) as stub, listen(stub.url) as heard:
        until(lambda: len(stub.opened) == 2)
    assert any("larger" in loss for loss in heard.losses)


def test_stopping_is_quick_while_listening(listen: Any) -> None:
    with FeedStub(stay) as stub, listen(stub.url) as heard:
        until(lambda: heard.lives)
        assert heard.stop() < 1


def test_pauses_grow_with_jitter_and_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "FIRST_PAUSE", 0.5)
    pauses = Pauses()
    waits = [pauses.next() for _ in range(12)]
    assert 0.5 <= waits[0] <= 1
    assert all(0.5 <= wait <= 30 for wait in waits)
    assert all(wait >= 15 for wait in waits[6:])
    assert 15 <= pauses.next(slow=True) <= 30
    pauses.healthy()
    assert pauses.next() <= 1
