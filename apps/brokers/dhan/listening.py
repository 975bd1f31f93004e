"""Holding a socket of DhanHQ open for ever: one connection after another.

The broker states no heartbeat that we could rely on, so we ping; a connection that answers no
ping in time is dead, however open it looks. Nothing that the other side sends can end the loop.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import structlog
from django.conf import settings
from django.db import Error, close_old_connections
from websocket import ABNF

from apps.brokers import sessions
from apps.brokers.dhan import frames
from apps.brokers.dhan.feed import NETWORK_ERRORS, FeedSocket, Refused
from apps.brokers.models import BrokerAccount
from apps.brokers.sessions import Held
from apps.brokers.storable import without_secrets

log = structlog.get_logger(__name__)
FIRST_PAUSE = 0.5  # seconds
LONGEST_PAUSE = 30.0
TOKEN_PAUSE = 15.0  # a wrong token does not become right by asking often
TOKEN_LOOK = 2.0  # between two looks whether another token is in force
HEALTHY_AFTER = 30.0  # seconds of life after which the pauses start from the beginning
TELL_AGAIN = 60.0  # seconds before the same kind of trouble is told again


class Ended(Exception):
    """This connection is over. ``slow``: the next attempt should wait for a person."""

    slow = False

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class TokenRefused(Ended):
    """The broker does not take the token: expired, wrong, or missing."""

    slow = True


class TooManyConnections(Ended):
    """The account has more connections open than the broker allows."""

    slow = True


class NoAccess(Ended):
    """The account has no plan for this data."""

    slow = True


def farewell(reason: int, what: str) -> Ended:
    """The broker's reason for ending a connection, as the error it is."""
    meaning = frames.REASONS.get(reason, "a reason that is not documented")
    text = f"the broker ends the {what}: {reason}, {meaning}"
    if reason in frames.TOKEN_REASONS:
        return TokenRefused("farewell", text)
    kinds = {805: TooManyConnections, 806: NoAccess}
    return kinds.get(reason, Ended)("farewell", text)


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
class Ears:
    """Whoever listens to us; a listener that fails is recorded and does not stop the loop."""

    what: str
    account: str
    on_life: Callable[[], None]
    on_lost: Callable[[str], None]
    on_trouble: Callable[[str], None]
    told: dict[str, float] = field(default_factory=dict)

    def lost(self, kind: str, text: str) -> None:
        """The connection is over, or there is none."""
        self._tell(self.on_lost, kind, text)

    def tell(self, kind: str, text: str) -> None:
        """Something odd came over it."""
        self._tell(self.on_trouble, kind, text)

    def _tell(self, listen: Callable[[str], None], kind: str, text: str) -> None:
        """Say it once per kind and minute: a broken feed must not flood."""
        now = time.monotonic()
        if now - self.told.get(kind, float("-inf")) < TELL_AGAIN:
            return
        self.told[kind] = now
        log.warning("feed_trouble", feed=self.what, account=self.account, kind=kind, text=text)
        try:
            listen(text)
        except Exception:
            log.exception("feed_trouble_not_told", feed=self.what, account=self.account)

    def take(self, what: str, listen: Callable[[], None]) -> None:
        """Hand something over."""
        try:
            listen()
        except Exception as error:
            log.exception("news_not_taken", feed=self.what, account=self.account)
            self.tell("taking", f"{what} could not be taken: {type(error).__name__}")


class Connection:
    """One open socket, and listening until it ends."""

    def __init__(self, feed: FeedSocket, ears: Ears) -> None:
        self.feed = feed
        self.ears = ears
        self._ping = b""
        self._pinged_at = float("-inf")
        self.first_life: float | None = None

    def listen(self, should_stop: Callable[[], bool]) -> None:
        """Until asked to stop; raises ``Ended`` when the connection is over."""
        while not should_stop():
            self._keep_alive()
            self.between()
            heard = self.feed.turn()
            if heard is not None:
                self._take(*heard)

    def between(self) -> None:
        """What there is to do between two frames."""

    def take_text(self, payload: bytes) -> None:
        """A text frame came."""
        raise NotImplementedError

    def take_binary(self, payload: bytes) -> None:
        """A binary frame came."""
        raise NotImplementedError

    def alive(self) -> None:
        """What came proves that the other side lives."""
        self.first_life = self.first_life or time.monotonic()
        self.ears.on_life()

    def answered(self) -> None:
        """The same, and it answers our ping."""
        self._ping = b""
        self.alive()

    def _keep_alive(self) -> None:
        now = time.monotonic()
        waited = now - self._pinged_at
        if self._ping and waited > settings.FEED_PONG_WITHIN:
            raise Ended("silent", f"the {self.ears.what} has not answered for {waited:.0f} s")
        if not self._ping and waited >= settings.FEED_PING_EVERY:
            self._ping = uuid4().hex.encode()
            self._pinged_at = now
            self.feed.ping(self._ping)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == ABNF.OPCODE_PONG and self._ping and payload == self._ping:
            self.answered()
        elif opcode == ABNF.OPCODE_TEXT:
            self.take_text(payload)
        elif opcode == ABNF.OPCODE_BINARY:
            self.take_binary(payload)
        elif opcode == ABNF.OPCODE_CLOSE:
            code = int.from_bytes(payload[:2], "big") or "no reason"
            raise Ended("closed", f"the broker closed the {self.ears.what} ({code})")


class Listening:
    """The loop of one account's socket.

    ``judges_token``: a refusal here says that the token lets nobody trade any more.
    """

    def __init__(self, account: BrokerAccount, ears: Ears, *, judges_token: bool) -> None:
        self._account = account
        self._ears = ears
        self._judges_token = judges_token
        self._pauses = Pauses()
        self._used: int | None = None  # the token of the last connection

    def for_ever(
        self,
        connect: Callable[[str], FeedSocket],
        open_connection: Callable[[FeedSocket, str], Connection],
        should_stop: Callable[[], bool],
    ) -> None:
        """Until ``should_stop``: connect with the token of the moment, listen, and come back."""
        while not should_stop():
            slow = self._one_connection(connect, open_connection, should_stop)
            pause = self._pauses.next(slow=slow)
            if slow:
                self._wait_for_another_token(pause, should_stop)
            else:
                _sleep(pause, should_stop)

    def _one_connection(
        self,
        connect: Callable[[str], FeedSocket],
        open_connection: Callable[[FeedSocket, str], Connection],
        should_stop: Callable[[], bool],
    ) -> bool:
        """True when the next attempt should wait for a person."""
        ears, what = self._ears, self._ears.what
        feed = connection = held = None
        token = ""
        try:
            held = self._held()
            token = str(held.value)
            feed = connect(token)
            connection = open_connection(feed, token)
            connection.listen(should_stop)
        except Ended as end:
            if isinstance(end, TokenRefused) and not self._refused(held, str(end)):
                log.info("feed ended with its token", feed=what, account=self._account.name)
                return False
            ears.lost(end.kind, str(end))
            return end.slow
        except Refused as refusal:
            ears.lost(f"http {refusal.status}", f"the {what} {refusal}")
            return refusal.status in {401, 403, 429}
        except NETWORK_ERRORS as error:
            trouble = _network_trouble(error, what, connected=connection is not None)
            secrets = (token, self._account.client_id)
            ears.lost(type(error).__name__, without_secrets(trouble, secrets))
        except Exception as error:
            log.exception("feed_broken", feed=what, account=self._account.name)
            ears.lost("broken", f"the {what} broke: {type(error).__name__}")
        finally:
            self._leave(feed, connection)
        return False

    def _held(self) -> Held:
        close_old_connections()
        held = sessions.held(self._account)
        if held is None:
            raise TokenRefused("token", f"there is no access token for the {self._ears.what}")
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
            if self._judges_token:
                return sessions.refused(self._account, used.token_id, text)
            held = sessions.held(self._account)
        except Error as error:
            log.warning("session not written", error=type(error).__name__)
            close_old_connections()
            return True
        return held is not None and held.token_id == used.token_id and not held.changing

    def _leave(self, feed: FeedSocket | None, connection: Connection | None) -> None:
        if feed is not None:
            feed.leave()
        lived_since = connection.first_life if connection else None
        if lived_since is not None and time.monotonic() - lived_since >= HEALTHY_AFTER:
            self._pauses.healthy()


def _network_trouble(error: BaseException, what: str, *, connected: bool) -> str:
    trouble = "was cut off" if connected else "cannot be reached"
    words = str(error).splitlines()[0][:200] if str(error) else ""
    return f"the {what} {trouble}: {type(error).__name__}: {words}"


def _sleep(seconds: float, should_stop: Callable[[], bool]) -> None:
    ends = time.monotonic() + seconds
    while not should_stop() and (left := ends - time.monotonic()) > 0:
        time.sleep(min(0.25, left))
