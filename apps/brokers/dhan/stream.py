"""Listening to DhanHQ's order updates for ever."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from apps.brokers.dhan import frames
from apps.brokers.dhan.feed import FeedSocket, connect
from apps.brokers.dhan.listening import Connection, Ears, Listening, farewell
from apps.brokers.models import BrokerAccount
from apps.brokers.port import OrderReport

FEED = "order feed"


class _OrderConnection(Connection):
    """Frames of one login."""

    def __init__(
        self,
        feed: FeedSocket,
        ears: Ears,
        client_id: str,
        zone: ZoneInfo,
        on_report: Callable[[OrderReport], None],
    ) -> None:
        super().__init__(feed, ears)
        self._client_id = client_id
        self._zone = zone
        self._on_report = on_report

    def take_text(self, payload: bytes) -> None:
        """News of an order, or something odd."""
        news = frames.text_frame(payload, self._client_id, self._zone)
        if isinstance(news, OrderReport):
            self.answered()
            self.ears.take("an order update", lambda: self._on_report(news))
        else:
            self.ears.tell(news.kind, news.text)

    def take_binary(self, payload: bytes) -> None:
        """The broker says why it leaves, or something odd."""
        news = frames.binary_frame(payload)
        if isinstance(news, int):
            raise farewell(news, FEED)
        self.ears.tell(news.kind, news.text)


class DhanOrderStream:
    """The order updates of one account."""

    def __init__(self, account: BrokerAccount) -> None:
        self._account = account
        self._zone = ZoneInfo(account.stamp_zone)

    def __repr__(self) -> str:
        return f"<DhanOrderStream of {self._account}>"

    def run(
        self,
        on_report: Callable[[OrderReport], None],
        on_life: Callable[[], None],
        on_lost: Callable[[str], None],
        on_trouble: Callable[[str], None],
        on_connected: Callable[[], None],
        should_stop: Callable[[], bool],
    ) -> None:
        """Listen until ``should_stop``, reconnecting for ever.

        ``on_life`` is called for a pong to our own ping and for a valid order update, and for
        nothing else; ``on_connected`` right after the login, whose success the broker never
        confirms: read the books then, because nothing is replayed.
        """
        ears = Ears(FEED, self._account.name, on_life, on_lost, on_trouble)
        client_id = self._account.client_id

        def open_connection(feed: FeedSocket, token: str) -> Connection:
            feed.send(frames.login(client_id, token))
            connection = _OrderConnection(feed, ears, client_id, self._zone, on_report)
            on_connected()
            return connection

        url = self._account.feed_url
        Listening(self._account, ears, judges_token=True).for_ever(
            lambda token: connect(url), open_connection, should_stop
        )
