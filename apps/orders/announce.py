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

GROUP = "desk.orders"
log = structlog.get_logger(__name__)
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def changed(account_id: int, order_id: int, sequence: int) -> None:
    """Announce one committed change of an order, without waiting."""
    message = {
        "type": "order.changed",
        "account": account_id,
        "order": order_id,
        "seq": sequence,
    }
    asyncio.run_coroutine_threadsafe(_send(message), _running_loop())


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
