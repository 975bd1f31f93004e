"""Listen to the prices that the desk needs, for ever, and keep the newest of each.

The thread at the socket never waits for the database. A second one reads what is needed, and
writes all that came since the last time in one statement, a few times a second.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog
from django.conf import settings
from django.db import DataError, Error, IntegrityError, close_old_connections, connection

from apps.alerts.raising import STEADY, raise_alert, settle_alert, sign_of_life
from apps.brokers import quotes, reporting
from apps.brokers.models import BrokerAccount, Instrument
from apps.brokers.port import Market, QuoteNews, Segment, Watched
from apps.brokers.quotes import Picture
from apps.orders.needs import needed

log = structlog.get_logger(__name__)
LOOK_EVERY = 1.0  # seconds between looks at what is needed
LINGER = 60.0  # seconds that prices are still listened to after nobody needs them
SIGN_EVERY = 1.0  # seconds between signs of life
Key = tuple[Segment, str]


def listen(account: BrokerAccount, should_stop: Callable[[], bool]) -> None:
    """Run the account's market feed until ``should_stop``."""
    stream = reporting.quotes_of(account)
    keeper = Keeper(account, stream.oddities)
    keeping = threading.Thread(target=keeper.run, args=[should_stop], name="keeper", daemon=True)
    keeping.start()
    stream.run(
        wanted=keeper.wanted,
        on_news=keeper.hear,
        on_life=keeper.alive,
        on_lost=keeper.lost,
        on_trouble=keeper.trouble,
        should_stop=lambda: should_stop() or not keeping.is_alive(),
    )
    keeping.join(5)


class Keeper:
    """What was heard and is not written yet; what is wanted; whether the feed lives."""

    def __init__(self, account: BrokerAccount, oddities: Callable[[], Mapping[str, int]]) -> None:
        self._account = account
        self._name = f"quotes:{account.name}"
        self._market: Market = account.market
        self._oddities = oddities
        self._lock = threading.Lock()
        self._wanted: dict[Key, Instrument] = {}
        self._wanted_until: dict[Key, float] = {}
        self._pictures: dict[Key, Picture] = {}
        self._news: set[Key] = set()
        self._losses: list[str] = []
        self._troubles: list[str] = []
        self._lives = False
        self._looked_at = float("-inf")
        self._signed_at = float("-inf")

    # --- the thread at the socket -----------------------------------------------------------------

    def wanted(self) -> list[Watched]:
        """What to ask the broker for."""
        with self._lock:
            return [
                Watched(segment=segment, security_id=number, tick=quotes.tick_of(instrument))
                for (segment, number), instrument in self._wanted.items()
            ]

    def hear(self, told: Sequence[QuoteNews], heard_at: dt.datetime) -> None:
        """Take news in; several of one instrument become one row."""
        with self._lock:
            for news in told:
                key = (news.segment, news.security_id)
                instrument = self._wanted.get(key)
                if instrument is None:
                    continue
                empty = Picture(instrument_id=instrument.pk, market=self._market)
                self._pictures[key] = self._pictures.get(key, empty).after(news, heard_at)
                self._news.add(key)

    def alive(self) -> None:
        """The feed lives; the other thread writes it down."""
        self._lives = True

    def lost(self, text: str) -> None:
        """Nothing is heard; the other thread tells people."""
        with self._lock:
            self._losses.append(text)

    def trouble(self, text: str) -> None:
        """Something odd was heard; the other thread tells people."""
        with self._lock:
            self._troubles.append(text)

    # --- the thread at the database ---------------------------------------------------------------

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Write and look until asked to stop; the last news is written too."""
        try:
            while not should_stop():
                self._quietly(self._turn)
                time.sleep(settings.QUOTE_FLUSH_EVERY)
            self._quietly(self.flush)
        finally:
            connection.close()

    def _turn(self) -> None:
        self.flush()
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            self.look()
        if self._lives and now - self._signed_at >= SIGN_EVERY:
            self._lives, self._signed_at = False, now
            sign_of_life(self._name, self._detail())
            settle_alert(self._name, "it is heard again", STEADY)
        self._tell()

    def flush(self) -> int:
        """Write what came since the last time; how many rows that were."""
        with self._lock:
            keys, self._news = self._news, set()
            pictures = [self._pictures[key] for key in keys if key in self._pictures]
        try:
            return quotes.keep(pictures)
        except (DataError, IntegrityError):
            log.exception("prices cannot be stored", account=self._account.name)
            self.trouble(f"{len(pictures)} prices could not be stored")
            return 0
        except Error:
            with self._lock:
                self._news |= keys
            raise

    def look(self) -> None:
        """Read what is needed now. What nobody needs any more is left after a while."""
        now = time.monotonic()
        current = {_key(instrument): instrument for instrument in needed(self._market)}
        with self._lock:
            self._wanted_until |= dict.fromkeys(current, now + LINGER)
            late = {key for key, until in self._wanted_until.items() if until <= now}
            for key in late:
                self._wanted_until.pop(key)
                self._pictures.pop(key, None)
            self._wanted = current | {
                key: row for key, row in self._wanted.items() if key not in {*late, *current}
            }

    def _detail(self) -> str:
        odd = ", ".join(f"{kind} {times}" for kind, times in sorted(self._oddities().items()))
        return f"{len(self._wanted)} instruments" + (f"; odd: {odd}" if odd else "")

    def _tell(self) -> None:
        with self._lock:
            losses, self._losses = self._losses, []
            troubles, self._troubles = self._troubles, []
        for key, texts in ((self._name, losses), (f"{self._name}:odd", troubles)):
            for text in _each_once(texts):
                raise_alert(key, f"prices by {self._account.name}: {text}")

    def _quietly(self, work: Callable[[], object]) -> None:
        """The stream outlives the database: what cannot be written now is written later."""
        try:
            work()
        except Error as error:
            log.warning("prices wait for the database", error=type(error).__name__)
            close_old_connections()


def _each_once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _key(instrument: Instrument) -> Key:
    return Segment(instrument.segment), instrument.security_id
