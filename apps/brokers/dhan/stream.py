"""Listening to DhanHQ's order updates for ever: one connection after another.

The broker states no heartbeat, so we ping; a connection that answers no ping in time is dead,
however open it looks. Nothing that the other side sends can end the loop.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import Error, close_old_connections
from websocket import ABNF

from apps.brokers import sessions
from apps.brokers.dhan import frames
from apps.brokers.dhan.feed import NETWORK_ERRORS, FeedSocket, Refused, connect
from apps.brokers.models import BrokerAccount
from apps.brokers.port import OrderReport
from apps.brokers.sessions import Held

log = structlog.get_logger(__name__)
FIRST_PAUSE = 0.5  # seconds
LONGEST_PAUSE = 30.0
TOKEN_PAUSE = 15.0  # a wrong token does not become right by asking often
TOKEN_LOOK = 2.0  # between two looks whether another token is in force
HEALTHY_AFTER = 30.0  # seconds of life after which the pauses start from the beginning
TELL_AGAIN = 60.0  # seconds before the same kind of trouble is told again


class _Ended(Exception):
    """This connection is over."""

    def __init__(self, kind: str, text: str, *, slow: bool = False) -> None:
        super().__init__(text)
        self.kind = kind
        self.slow = slow


class Pauses:
    """Exponential pauses with jitter, 0.5 to 30 seconds."""

    def __init__(self) -> None:
        self._failures = 0

    def healthy(self) -> None:
        """Start from the beginning."""
        self._failures = 0

    def next(self, *, slow: bool = False) -> float:
        """Seconds until the next attempt."""
        ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures + 1, 10))
        self._failures += 1
        least = TOKEN_PAUSE if slow else FIRST_PAUSE
        ceiling = LONGEST_PAUSE if slow else ceiling
        return random.uniform(max(least, ceiling / 2), ceiling)  # noqa: S311 - only spreads load


@dataclass
class _Ears:
    """Whoever listens to us; a listener that fails is recorded and does not stop the loop."""

    on_report: Callable[[OrderReport], None]
    on_life: Callable[[], None]
    on_trouble: Callable[[str], None]
    account: str
    told: dict[str, float] = field(default_factory=dict)

    def report(self, report: OrderReport) -> None:
        try:
            self.on_report(report)
        except Exception as error:
            log.exception("order_report_not_taken", account=self.account)
            self.tell("taking", f"an order update could not be taken: {type(error).__name__}")

    def tell(self, kind: str, text: str) -> None:
        """Say it once per kind and minute: a broken feed must not flood."""
        now = time.monotonic()
        if now - self.told.get(kind, float("-inf")) < TELL_AGAIN:
            return
        self.told[kind] = now
        log.warning("order_feed_trouble", account=self.account, kind=kind, text=text)
        try:
            self.on_trouble(text)
        except Exception:
            log.exception("order_feed_trouble_not_told", account=self.account)


class _Connection:
    """One login, and listening until it ends."""

    def __init__(self, feed: FeedSocket, client_id: str, zone: ZoneInfo, ears: _Ears) -> None:
        self._feed = feed
        self._client_id = client_id
        self._zone = zone
        self._ears = ears
        self._ping = b""
        self._pinged_at = float("-inf")
        self.first_life: float | None = None

    def listen(self, should_stop: Callable[[], bool]) -> None:
        """Until asked to stop; raises ``_Ended`` when the connection is over."""
        while not should_stop():
            self._keep_alive()
            heard = self._feed.turn()
            if heard is not None:
                self._take(*heard)

    def _keep_alive(self) -> None:
        now = time.monotonic()
        waited = now - self._pinged_at
        if self._ping and waited > settings.FEED_PONG_WITHIN:
            raise _Ended("silent", f"the order feed has not answered for {waited:.0f} s")
        if not self._ping and waited >= settings.FEED_PING_EVERY:
            self._ping = uuid4().hex.encode()
            self._pinged_at = now
            self._feed.ping(self._ping)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == ABNF.OPCODE_PONG and self._ping and payload == self._ping:
            self._alive()
        elif opcode == ABNF.OPCODE_TEXT:
            self._take_text(payload)
        elif opcode == ABNF.OPCODE_BINARY:
            self._take_binary(payload)
        elif opcode == ABNF.OPCODE_CLOSE:
            code = int.from_bytes(payload[:2], "big") or "no reason"
            raise _Ended("closed", f"the broker closed the order feed ({code})")

    def _take_text(self, payload: bytes) -> None:
        news = frames.text_frame(payload, self._client_id, self._zone)
        if isinstance(news, OrderReport):
            self._alive()
            self._ears.report(news)
        else:
            self._ears.tell(news.kind, news.text)

    def _take_binary(self, payload: bytes) -> None:
        news = frames.binary_frame(payload)
        if isinstance(news, frames.Farewell):
            raise _Ended("farewell", news.text, slow=news.about_token)
        self._ears.tell(news.kind, news.text)

    def _alive(self) -> None:
        self._ping = b""
        self.first_life = self.first_life or time.monotonic()
        self._ears.on_life()


class DhanOrderStream:
    """The order updates of one account."""

    def __init__(self, account: BrokerAccount) -> None:
        self._account = account
        self._zone = ZoneInfo(account.stamp_zone)
        self._pauses = Pauses()
        self._used: int | None = None  # the token of the last connection

    def __repr__(self) -> str:
        return f"<DhanOrderStream of {self._account}>"

    def run(
        self,
        on_report: Callable[[OrderReport], None],
        on_life: Callable[[], None],
        on_trouble: Callable[[str], None],
        on_connected: Callable[[], None],
        should_stop: Callable[[], bool],
    ) -> None:
        """Listen until ``should_stop``, reconnecting for ever.

        ``on_life`` is called for a pong to our own ping and for a valid order update, and for
        nothing else; ``on_connected`` right after the login, whose success the broker never
        confirms: read the books then, because nothing is replayed.
        """
        ears = _Ears(on_report, on_life, on_trouble, self._account.name)
        while not should_stop():
            slow = self._one_connection(ears, on_connected, should_stop)
            pause = self._pauses.next(slow=slow)
            if slow:
                self._wait_for_another_token(pause, should_stop)
            else:
                _sleep(pause, should_stop)

    def _one_connection(
        self, ears: _Ears, on_connected: Callable[[], None], should_stop: Callable[[], bool]
    ) -> bool:
        """Connect, log in and listen; True when the next attempt should wait for a person."""
        feed = connection = held = None
        try:
            held = self._held()
            feed = connect(self._account.feed_url)
            feed.send(frames.login(self._account.client_id, str(held.value)))
            connection = _Connection(feed, self._account.client_id, self._zone, ears)
            on_connected()
            connection.listen(should_stop)
        except _Ended as end:
            if end.slow and not self._refused(held, str(end)):
                log.info("order feed ended with its token", account=self._account.name)
                return False
            ears.tell(end.kind, str(end))
            return end.slow
        except Refused as refusal:
            ears.tell(f"http {refusal.status}", str(refusal))
            return refusal.status in {401, 403, 429}
        except NETWORK_ERRORS as error:
            ears.tell(
                type(error).__name__, _network_trouble(error, connected=connection is not None)
            )
        except Exception as error:
            log.exception("order_feed_broken", account=self._account.name)
            ears.tell("broken", f"the order feed broke: {type(error).__name__}")
        finally:
            self._leave(feed, connection)
        return False

    def _held(self) -> Held:
        close_old_connections()
        held = sessions.held(self._account)
        if held is None:
            raise _Ended("token", "there is no access token for the order feed", slow=True)
        self._used = held.token_id
        return held

    def _wait_for_another_token(self, pause: float, should_stop: Callable[[], bool]) -> None:
        """The whole pause, unless a token that was not tried yet comes into force."""
        ends = time.monotonic() + pause
        while not should_stop() and (left := ends - time.monotonic()) > 0:
            _sleep(min(TOKEN_LOOK, left), should_stop)
            try:
                held = sessions.held(self._account)
            except Error:
                close_old_connections()
                continue
            if held is not None and held.token_id != self._used:
                return

    def _refused(self, used: Held | None, text: str) -> bool:
        """True when the token in force is refused; one that is being replaced is no news."""
        if used is None:
            return True
        try:
            return sessions.refused(self._account, used.token_id, text)
        except Error as error:
            log.warning("session not written", error=type(error).__name__)
            close_old_connections()
            return True

    def _leave(self, feed: FeedSocket | None, connection: _Connection | None) -> None:
        if feed is not None:
            feed.leave()
        lived_since = connection.first_life if connection else None
        if lived_since is not None and time.monotonic() - lived_since >= HEALTHY_AFTER:
            self._pauses.healthy()


def _network_trouble(error: BaseException, *, connected: bool) -> str:
    what = "the order feed was cut off" if connected else "the order feed cannot be reached"
    return (
        f"{what}: {type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
    )


def _sleep(seconds: float, should_stop: Callable[[], bool]) -> None:
    ends = time.monotonic() + seconds
    while not should_stop() and (left := ends - time.monotonic()) > 0:
        time.sleep(min(0.25, left))
