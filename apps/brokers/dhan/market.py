"""Listening to DhanHQ's market feed for ever, on one account's token.

The token is part of the address (market feed page), so no text may carry the address. A price is
dated when we hear it. That is honest only while nothing waits long to be read: our ping's answer
queues behind the packets and must come in time whatever else comes, and a sleep of our own ends
the connection.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from urllib.parse import urlencode

from django.utils import timezone

from apps.brokers.dhan import packets
from apps.brokers.dhan.feed import FeedSocket, connect
from apps.brokers.dhan.listening import Connection, Ears, Ended, Listening, farewell
from apps.brokers.dhan.packets import FAREWELL, STATUS, Garbled, Packet
from apps.brokers.journal import boot_clock
from apps.brokers.models import BrokerAccount
from apps.brokers.port import BadWire, QuoteNews, Segment, Watched

FEED = "market feed"
LOOK_EVERY = 1.0  # seconds between looks at what is wanted
LONGEST_STALL = 3.0  # seconds that we may have slept before what waits to be read is too old
CLOCKS_DIFFER = dt.timedelta(seconds=60)  # by which the exchange's clock may be ahead of ours
Key = tuple[Segment, str]
OnNews = Callable[[Sequence[QuoteNews], dt.datetime], None]


class _Memory:
    """What outlives a connection: the newest trade of each instrument, and what was odd."""

    def __init__(self) -> None:
        self.odd: Counter[str] = Counter()
        self._traded: dict[Key, dt.datetime] = {}

    def goes_back(self, news: QuoteNews) -> bool:
        """True when the exchange's time of the last trade is older than one heard before."""
        at, key = news.traded_at, (news.segment, news.security_id)
        if at is None:
            return False
        if at < self._traded.get(key, at):
            return True
        self._traded[key] = at
        return False


class _MarketConnection(Connection):
    """One connection: what it has asked for, and the packets that come."""

    def __init__(
        self,
        feed: FeedSocket,
        ears: Ears,
        wanted: Callable[[], Sequence[Watched]],
        on_news: OnNews,
        memory: _Memory,
    ) -> None:
        super().__init__(feed, ears)
        self._wanted = wanted
        self._on_news = on_news
        self._memory = memory
        self._asked: dict[Key, int] = {}  # what we asked for, and how
        self._ticks: dict[Key, Decimal] = {}  # also of what was wanted before: stragglers come
        self._look_at = float("-inf")
        self._awake_at = boot_clock()

    def between(self) -> None:
        """Now and then ask for what is wanted and leave what is not."""
        self._notice_sleep()
        self._awake_at = boot_clock()
        if time.monotonic() - self._look_at >= LOOK_EVERY:
            self._look_at = time.monotonic()
            self._ask()

    def _notice_sleep(self) -> None:
        slept = boot_clock() - self._awake_at
        if slept > LONGEST_STALL:
            text = f"we slept for {slept:.0f} s: what waits to be read is of unknown age"
            raise Ended("stall", text)

    def take_text(self, payload: bytes) -> None:
        """The market feed speaks in bytes."""
        self._note("text", "the market feed sent text, which means nothing to us")

    def take_binary(self, payload: bytes) -> None:
        """Every packet of a frame; one that cannot be cut out ends the connection."""
        self._notice_sleep()
        heard_at = timezone.now()
        news: list[QuoteNews] = []
        try:
            for packet in packets.packets_in(payload):
                found = self._read(packet)
                if found is not None:
                    news.append(found)
        except Garbled as error:
            self._memory.odd["garbled"] += 1
            raise Ended("garbled", f"a frame of the market feed is garbled: {error}") from None
        finally:
            if news:
                self.ears.take("a price", lambda: self._on_news(news, heard_at))

    def _read(self, packet: Packet) -> QuoteNews | None:
        """News of an instrument; None when the packet brings none."""
        if packet.code == FAREWELL:
            raise farewell(packet.reason, FEED)
        if not packet.known:
            self._note(f"code {packet.code}", f"the market feed sends packets of {packet.code}")
            return None
        if packet.code == STATUS:
            self.alive()
            return None
        segment, security_id = packet.key
        tick = None if segment is None else self._ticks.get((segment, security_id))
        if segment is None or tick is None:
            self._note("stranger", "the market feed tells of an instrument that nobody asked for")
            return None
        return self._believed(packet, tick)

    def _believed(self, packet: Packet, tick: Decimal) -> QuoteNews | None:
        """The packet's news, unless its prices or its time cannot be."""
        try:
            news = packets.news_of(packet, tick)
        except BadWire as error:
            self._note("price", f"{packet.key[0]} {packet.key[1]}: {error}; refused")
            return None
        if news.traded_at is not None and news.traded_at > timezone.now() + CLOCKS_DIFFER:
            self._note("future", f"{packet.key[0]} {packet.key[1]}: traded in the future; refused")
            return None
        if self._memory.goes_back(news):
            self._note("old", f"{packet.key[0]} {packet.key[1]}: an older trade came; refused")
            return None
        self.alive()
        return news

    def _note(self, kind: str, text: str) -> None:
        """Count it; people are told of the first of a kind."""
        self._memory.odd[kind] += 1
        if self._memory.odd[kind] == 1:
            self.ears.tell(kind, text)

    def _ask(self) -> None:
        all_wanted = self._wanted()
        if len(all_wanted) > packets.MOST_INSTRUMENTS:
            self._note("full", f"more than {packets.MOST_INSTRUMENTS} prices are wanted: too many")
        wanted = {(w.segment, w.security_id): w for w in all_wanted[: packets.MOST_INSTRUMENTS]}
        gone = {key: code for key, code in self._asked.items() if key not in wanted}
        self._say({key: packets.UNSUBSCRIBE[code] for key, code in gone.items()})
        new = {key: packets.request_code(w) for key, w in wanted.items() if key not in self._asked}
        self._ticks |= {key: w.tick for key, w in wanted.items()}
        self._say(new)
        self._asked = {key: code for key, code in self._asked.items() if key in wanted} | new

    def _say(self, requests: Mapping[Key, int]) -> None:
        for code in sorted(set(requests.values())):
            keys = [key for key, its in requests.items() if its == code]
            for text in packets.requests(code, keys):
                self.feed.send(text)


class DhanQuoteStream:
    """The market feed on one account's token."""

    def __init__(self, account: BrokerAccount) -> None:
        self._account = account
        self._memory = _Memory()

    def __repr__(self) -> str:
        return f"<DhanQuoteStream of {self._account}>"

    def oddities(self) -> Mapping[str, int]:
        """How often something came that means nothing to us, by kind."""
        return dict(self._memory.odd)

    def run(
        self,
        wanted: Callable[[], Sequence[Watched]],
        on_news: OnNews,
        on_life: Callable[[], None],
        on_lost: Callable[[str], None],
        on_trouble: Callable[[str], None],
        should_stop: Callable[[], bool],
    ) -> None:
        """Listen until ``should_stop``, reconnecting for ever.

        ``on_life`` is called for a pong to our own ping and for a packet that we could read, and
        for nothing else. ``wanted`` is asked every second.
        """
        ears = Ears(FEED, self._account.name, on_life, on_lost, on_trouble)
        Listening(self._account, ears, judges_token=False).for_ever(
            lambda token: connect(self._address(token)),
            lambda feed, token: _MarketConnection(feed, ears, wanted, on_news, self._memory),
            should_stop,
        )

    def _address(self, token: str) -> str:
        words = {"version": 2, "token": token, "clientId": self._account.client_id, "authType": 2}
        return f"{self._account.market_feed_url.rstrip('/')}?{urlencode(words)}"
