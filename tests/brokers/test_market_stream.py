"""The market feed, at a stub that misbehaves: what is heard, what is life, what ends it."""

from __future__ import annotations

import datetime as dt
import json
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone
from websockets.sync.server import ServerConnection

from apps.brokers import sessions
from apps.brokers.accounts import put_token
from apps.brokers.dhan import feed, listening, market
from apps.brokers.dhan.listening import (
    Ended,
    NoAccess,
    TokenRefused,
    TooManyConnections,
    farewell,
)
from apps.brokers.dhan.market import DhanQuoteStream
from apps.brokers.models import BrokerAccount
from apps.brokers.port import QuoteNews, Segment, Watched
from tests.brokers.conftest import CLIENT, TOKEN
from tests.brokers.feed_stub import FeedStub, Script, SilentFeed, stay, until
from tests.brokers.payloads import payload
from tests.brokers.stub import Stub, answer

HDFC = Watched(segment=Segment.NSE_EQ, security_id="1333", tick=Decimal("0.05"))
FUTURE = Watched(segment=Segment.NSE_FNO, security_id="49081", tick=Decimal("0.05"))
NIFTY = Watched(segment=Segment.INDEX, security_id="13", tick=Decimal("0.01"))


def published(name: str) -> bytes:
    return bytes.fromhex(payload(f"constructed-feed-{name}")["hex"])


def ticker(price: float = 1500.5, wall: int = 1700000000, number: int = 1333) -> bytes:
    return struct.pack("<BhBifi", 2, 16, 1, number, price, wall)


def leave(reason: int) -> bytes:
    return struct.pack("<BhBih", 50, 10, 0, 0, reason)


class MarketStub(FeedStub):
    """The same for prices, whose login is in the address; keeps the addresses."""

    def __init__(self, *scripts: Script) -> None:
        self.addresses: list[str] = []
        super().__init__(*scripts)

    def greet(self, peer: ServerConnection) -> None:
        self.addresses.append(peer.request.path)


@dataclass
class Hearer:
    """Runs a stream in a thread and keeps what it calls back."""

    stream: DhanQuoteStream
    wanted: Callable[[], list[Watched]] = lambda: [HDFC, FUTURE, NIFTY]
    news: list[QuoteNews] = field(default_factory=list)
    heard_at: list[dt.datetime] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    lives: list[float] = field(default_factory=list)
    on_news: Callable[..., None] | None = None
    stopping: bool = False

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _take(self, news: Sequence[QuoteNews], at: dt.datetime) -> None:
        self.heard_at.append(at)
        self.news += news

    def _run(self) -> None:
        from django.db import connection

        try:
            self.stream.run(
                lambda: self.wanted(),
                self.on_news or self._take,
                lambda: self.lives.append(time.monotonic()),
                self.losses.append,
                self.troubles.append,
                lambda: self.stopping,
            )
        finally:
            connection.close()


def says(*frames: bytes | str) -> Script:
    """Wait for the first subscription, send these frames, then stay."""

    def script(peer: ServerConnection) -> None:
        peer.recv(timeout=5)
        peer.recv(timeout=5)
        for frame in frames:
            peer.send(frame)
        stay(peer)

    return script


@pytest.fixture(autouse=True)
def _quick(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CONNECT_TIMEOUT = 1.0
    settings.FEED_PING_EVERY = 0.3
    settings.FEED_PONG_WITHIN = 1.0
    monkeypatch.setattr(feed, "TURN", 0.1)
    monkeypatch.setattr(market, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(listening, "FIRST_PAUSE", 0.05)


@pytest.fixture
def hear(at: Any) -> Any:
    def make(url: str, **fields: Any) -> Hearer:
        account = at("http://127.0.0.1:9", market_feed_url=url)
        return Hearer(DhanQuoteStream(account), **fields)

    return make


# ---- asking


def test_the_login_is_in_the_address_as_documented(hear: Any) -> None:
    with MarketStub(stay) as stub, hear(stub.url):
        until(lambda: stub.addresses)
    query = parse_qs(urlsplit(stub.addresses[0]).query)
    assert query == {
        "version": ["2"],
        "token": [TOKEN],
        "clientId": [CLIENT],
        "authType": ["2"],
    }


def test_it_asks_for_what_is_wanted_and_leaves_what_is_not(hear: Any) -> None:
    asked: list[Any] = []

    def note(peer: ServerConnection) -> None:
        for text in peer:
            asked.append(json.loads(text))

    with MarketStub(note) as stub, hear(stub.url) as hearer:
        until(lambda: len(asked) == 2)
        hearer.wanted = lambda: [FUTURE]
        until(lambda: len(asked) == 4)
    rows = {(row["RequestCode"], row["InstrumentCount"]): row["InstrumentList"] for row in asked}
    assert rows[15, 1] == [{"ExchangeSegment": "IDX_I", "SecurityId": "13"}]
    assert len(rows[21, 2]) == 2
    assert rows[16, 1] == [{"ExchangeSegment": "IDX_I", "SecurityId": "13"}]
    assert rows[22, 1] == [{"ExchangeSegment": "NSE_EQ", "SecurityId": "1333"}]


def test_no_more_than_five_thousand_are_asked_for_and_people_are_told(hear: Any) -> None:
    asked: list[int] = []

    def note(peer: ServerConnection) -> None:
        for text in peer:
            asked.append(json.loads(text)["InstrumentCount"])

    many = [
        Watched(segment=Segment.NSE_FNO, security_id=str(n), tick=Decimal("0.05"))
        for n in range(5001)
    ]
    with MarketStub(note) as stub, hear(stub.url, wanted=lambda: many) as hearer:
        until(lambda: len(asked) == 50)
        until(lambda: hearer.troubles)
        time.sleep(0.3)
    assert set(asked) == {100}
    assert len(asked) == 50
    assert [t for t in hearer.troubles if "5000" in t] == hearer.troubles


# ---- hearing


def test_every_packet_that_brings_news_is_heard(hear: Any) -> None:
    frames = [published(name) for name in ("ticker", "full", "oi", "prev-close")]
    before = timezone.now()
    with MarketStub(says(b"".join(frames))) as stub, hear(stub.url) as hearer:
        until(lambda: len(hearer.news) == 4)
    assert [news.security_id for news in hearer.news] == ["1333", "49081", "49081", "13"]
    assert before < hearer.heard_at[0] < timezone.now()
    assert not hearer.troubles
    assert hearer.lives


def test_the_market_status_is_life_and_no_news(hear: Any, settings: Any) -> None:
    settings.FEED_PING_EVERY = 60
    status = struct.pack("<BhBi", 7, 8, 1, 0)
    with MarketStub(says(status)) as stub, hear(stub.url) as hearer:
        until(lambda: len(hearer.lives) >= 2)  # one pong, one packet
    assert not hearer.news


def test_a_listener_that_breaks_is_told_of_and_does_not_end_it(hear: Any) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no room")

    with MarketStub(says(ticker(), ticker())) as stub, hear(stub.url, on_news=broken) as hearer:
        until(lambda: hearer.troubles)
    assert len(stub.opened) == 1
    assert "RuntimeError" in hearer.troubles[0]


NOISE = {
    "an unknown code": struct.pack("<BhBi", 99, 12, 1, 1333) + b"\1" * 4,
    "an index packet without a layout": struct.pack("<BhBi", 1, 12, 0, 13) + b"\1" * 4,
    "padding": b"\0" * 12,
    "text": "hello",
    "a stranger": ticker(number=7),
    "a price off its tick": ticker(1500.51),
    "no number": ticker(float("nan")),
    "a trade in the future": ticker(wall=2**31 - 1),
}


@pytest.mark.parametrize("case", NOISE)
def test_noise_is_counted_told_once_and_neither_news_nor_life(
    case: str, hear: Any, settings: Any
) -> None:
    settings.FEED_PING_EVERY = 60  # the first ping is answered; nothing after it may count
    noise = NOISE[case]
    with MarketStub(says(noise, noise, noise)) as stub, hear(stub.url) as hearer:
        until(lambda: sum(hearer.stream.oddities().values()) == 3)
        time.sleep(0.2)
    assert len(hearer.lives) == 1
    assert not hearer.news
    assert len(stub.opened) == 1
    assert len(hearer.troubles) == 1
    assert TOKEN not in hearer.troubles[0]


def test_good_packets_are_heard_between_noise(hear: Any) -> None:
    with MarketStub(says(*NOISE.values(), ticker())) as stub, hear(stub.url) as hearer:
        until(lambda: hearer.news)
    assert len(stub.opened) == 1


def test_the_same_oddity_is_told_once_however_many_connections(hear: Any) -> None:
    def odd_then_close(peer: ServerConnection) -> None:
        peer.recv(timeout=5)
        peer.send(NOISE["an unknown code"])
        time.sleep(0.2)

    with MarketStub(odd_then_close) as stub, hear(stub.url) as hearer:
        until(lambda: len(stub.opened) >= 3)
        until(lambda: hearer.stream.oddities()["code 99"] >= 2)
    assert sum("of 99" in trouble for trouble in hearer.troubles) == 1


GARBLED = {
    "a length of seven": struct.pack("<BhBi", 2, 7, 1, 1333) + b"\1" * 8,
    "cut off": ticker()[:-5],
    "a wrong size": struct.pack("<BhBi", 2, 17, 1, 1333) + b"\1" * 9,
}


@pytest.mark.parametrize("case", GARBLED)
def test_a_garbled_frame_ends_the_connection_and_it_comes_back(case: str, hear: Any) -> None:
    spoilt = ticker(1500.5) + GARBLED[case]
    with MarketStub(says(spoilt), says(ticker(1501.0))) as stub, hear(stub.url) as hearer:
        until(lambda: len(hearer.news) == 2)
    assert [news.last_price for news in hearer.news] == [Decimal("1500.5"), Decimal(1501)]
    assert len(stub.opened) == 2
    assert hearer.stream.oddities()["garbled"] == 1


def test_an_older_trade_is_refused_even_on_the_next_connection(hear: Any) -> None:
    def close_after(peer: ServerConnection) -> None:
        says_now = [ticker(1500, wall=1700000100), ticker(1400, wall=1700000099)]
        peer.recv(timeout=5)
        for frame in says_now:
            peer.send(frame)
        time.sleep(0.2)

    again = says(ticker(1300, wall=1700000000), ticker(1501, wall=1700000100))
    with MarketStub(close_after, again) as stub, hear(stub.url) as hearer:
        until(lambda: len(hearer.news) == 2)
    assert [news.last_price for news in hearer.news] == [1500, 1501]
    assert hearer.stream.oddities()["old"] == 2


# ---- life and death


def test_answered_pings_are_life(hear: Any) -> None:
    with MarketStub(stay) as stub, hear(stub.url) as hearer:
        until(lambda: len(hearer.lives) >= 3)
    assert len(stub.opened) == 1


@pytest.mark.parametrize("drip", [False, True])
def test_a_server_that_answers_no_ping_is_left(hear: Any, drip: bool) -> None:
    with SilentFeed(drip=drip) as silent, hear(silent.url) as hearer:
        until(lambda: any("not answered" in loss for loss in hearer.losses))
    assert not hearer.lives


def test_packets_do_not_hide_that_pings_go_unanswered(hear: Any, settings: Any) -> None:
    """An answer queues behind the packets: one that does not come means old prices."""
    settings.FEED_PONG_WITHIN = 0.4

    def flood(peer: ServerConnection) -> None:
        peer.recv(timeout=5)
        peer.protocol.receive_data = lambda data: None  # deaf: it reads, and answers nothing
        for step in range(100):
            peer.send(ticker(1500 + step * 0.05))
            time.sleep(0.02)

    with MarketStub(flood) as stub, hear(stub.url) as hearer:
        until(lambda: any("not answered" in loss for loss in hearer.losses))
        until(lambda: len(stub.opened) >= 2)
    assert hearer.news


def test_after_a_sleep_of_ours_what_waits_is_not_believed(
    hear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process stood still with a price in its buffer: the price is of unknown age."""
    monkeypatch.setattr(market, "LONGEST_STALL", 0.5)
    slept: list[bool] = []
    heard: list[bool] = []

    def asleep() -> list[Watched]:
        if not slept and heard:
            slept.append(True)
            time.sleep(0.8)
        return [HDFC]

    def script(peer: ServerConnection) -> None:
        peer.recv(timeout=5)
        peer.send(ticker(1500))
        time.sleep(0.3)
        heard.append(True)
        until(lambda: slept)
        peer.send(ticker(1400))
        stay(peer)

    with MarketStub(script, stay) as stub, hear(stub.url, wanted=asleep) as hearer:
        until(lambda: len(stub.opened) == 2)
    assert [news.last_price for news in hearer.news] == [1500]
    assert any("slept" in loss for loss in hearer.losses)


@pytest.mark.parametrize("reason", [805, 806, 807, 808, 809])
def test_a_reason_to_leave_is_told_and_not_tried_in_a_storm(reason: int, hear: Any) -> None:
    def script(peer: ServerConnection) -> None:
        peer.send(leave(reason))
        peer.close()

    with MarketStub(script) as stub, hear(stub.url) as hearer:
        until(lambda: hearer.losses)
        time.sleep(0.5)
    assert len(stub.opened) == 1
    assert str(reason) in hearer.losses[0]
    assert TOKEN not in " ".join(hearer.losses)


def test_a_refused_token_is_no_verdict_on_the_session_and_another_is_tried_soon(
    hear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "TOKEN_LOOK", 0.1)

    def refuse(peer: ServerConnection) -> None:
        peer.send(leave(807))
        peer.close()

    with MarketStub(refuse, stay) as stub, hear(stub.url) as hearer:
        account = BrokerAccount.objects.get()
        until(lambda: hearer.losses)
        assert not sessions.is_refused(account)
        put_token(account, "another-token")
        until(lambda: len(stub.addresses) == 2)
    assert "another-token" in stub.addresses[1]


def test_an_end_because_the_token_is_replaced_is_no_trouble(hear: Any) -> None:
    def replace(peer: ServerConnection) -> None:
        put_token(BrokerAccount.objects.get(), "another-token")
        peer.send(leave(807))
        peer.close()

    with MarketStub(replace, stay) as stub, hear(stub.url) as hearer:
        until(lambda: len(stub.addresses) == 2)
    assert not hearer.troubles


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (805, TooManyConnections),
        (806, NoAccess),
        (807, TokenRefused),
        (808, TokenRefused),
        (809, TokenRefused),
        (4711, Ended),
    ],
)
def test_reasons_are_typed(reason: int, kind: type[Ended]) -> None:
    ended = farewell(reason, "market feed")
    assert type(ended) is kind
    assert ended.slow == (kind is not Ended)


def test_it_comes_back_after_every_close(hear: Any) -> None:
    def close(peer: ServerConnection) -> None:
        peer.close()

    with MarketStub(close, close, says(ticker())) as stub, hear(stub.url) as hearer:
        until(lambda: hearer.news)
    assert len(stub.opened) == 3


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_handshake_that_is_refused_is_told_without_the_token(status: int, hear: Any) -> None:
    with Stub(answer(status, {})) as stub, hear(stub.url.replace("http", "ws")) as hearer:
        until(lambda: hearer.losses)
    assert f"HTTP {status}" in hearer.losses[0]
    assert TOKEN not in " ".join(hearer.losses)


def test_nobody_there_is_told_without_the_token(hear: Any) -> None:
    with hear("ws://127.0.0.1:9") as hearer:
        until(lambda: hearer.losses)
    assert "cannot be reached" in hearer.losses[0]
    assert TOKEN not in hearer.losses[0]
