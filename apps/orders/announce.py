"""Tell the live pages that something changed. A lost announcement costs a page two seconds.

Pages notice a gap in the change numbers and ask again, so nothing here waits or retries. One
event loop per process keeps the channel layer's connection open between announcements.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import structlog
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from apps.orders.models import Bracket

GROUP = "desk.orders"
MOMENT = 0.03  # seconds
log = structlog.get_logger(__name__)
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_news: dict[int, int] = {}  # change number by account, since the last announcement
_sending: asyncio.Future[None] | None = None  # kept, or it could be collected half-way


def changed(account_id: int, sequence: int) -> None:
    """Announce soon, without waiting, that an account's change of this number is committed.

    What changes within a moment is announced once: pages read the rows anyway, and the sender of
    an order should not share its processor with an announcement just before the first byte.
    """
    with _lock:
        alone = not _news
        _news[account_id] = max(sequence, _news.get(account_id, 0))
    if alone:
        _running_loop().call_soon_threadsafe(_announce_soon)


def bracket(as_read: Bracket) -> None:
    """Announce a bracket that shows more than when it was read."""
    numbers = Bracket.objects.filter(pk=as_read.pk).values_list("live_seq", flat=True)
    sequence = numbers.first() or 0
    if sequence > as_read.live_seq:
        changed(as_read.account_id, sequence)


def _announce_soon() -> None:
    asyncio.get_running_loop().call_later(MOMENT, _announce)


def _announce() -> None:
    global _sending
    with _lock:
        message = {"type": "orders.changed", "seq": {str(key): seq for key, seq in _news.items()}}
        _news.clear()
    _sending = asyncio.ensure_future(_send(message))


async def _send(message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    try:
        await asyncio.wait_for(layer.group_send(GROUP, message), timeout=2)
    except (OSError, TimeoutError, RedisError) as error:
        log.info("announcement lost", error=type(error).__name__)


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None or not _loop.is_running():
            _loop = asyncio.new_event_loop()
            started = threading.Event()
            _loop.call_soon(started.set)
            threading.Thread(target=_loop.run_forever, name="announce", daemon=True).start()
            started.wait(2)
        return _loop
