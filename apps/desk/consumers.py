"""The live order page's socket.

An announcement only says "look": what is sent always comes from the rows, by change number. So a
lost, doubled or early announcement changes nothing, and without Redis the pulse alone, every two
seconds, keeps a page right. Subscribe first, then read, then apply.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from apps.desk import feeding
from apps.desk.blotter import Filters, Seen
from apps.desk.rights import Rights
from apps.orders.announce import GROUP

log = structlog.get_logger(__name__)

FORBIDDEN = 4403
TRY_LATER = 1013
BROKEN = 1011
BATCH = 0.1  # seconds in which announcements are gathered
PULSE = 2.0  # seconds between pulses
RECHECK = 15  # pulses between readings of the person's rights
NO_LAYER = ""


class LiveOrders(AsyncJsonWebsocketConsumer):
    """One open page: what it shows, what it has seen, and who looks at it."""

    channel_layer_alias = NO_LAYER  # a broken layer must not break the socket: see _listen

    async def connect(self) -> None:
        """Let in who may see orders; the rows wait for the page's hello."""
        self.filters = Filters()
        self.seen: Seen | None = None
        self.rights = self.drawn_by = Rights()
        self.rung = asyncio.Event()
        self.turn = asyncio.Lock()
        self.tasks: list[asyncio.Task[None]] = []
        await self.accept()
        if await self._allowed():
            work = (self._listen(), self._answer_rings(), self._pulse())
            self.tasks = [asyncio.create_task(each) for each in work]
            for task in self.tasks:
                task.add_done_callback(self._ended)

    async def disconnect(self, code: int) -> None:
        """Stop listening."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A loop that broke ends the socket, and the page comes back with a new one."""
        if task.cancelled() or task.exception() is None:
            return
        log.error("live page broke", exc_info=task.exception())
        self.tasks.append(asyncio.create_task(self.close(code=BROKEN)))

    async def receive_json(self, content: Any, **_: Any) -> None:  # noqa: ANN401
        """``hello`` and ``catch_up``: what the page has seen and wants; ``here``: a person acts."""
        if isinstance(content, dict) and content.get("type") == "here":
            await database_sync_to_async(feeding.touch)(self.scope)
            return
        if not isinstance(content, dict) or content.get("type") not in {"hello", "catch_up"}:
            return
        if not await self._allowed():
            return
        async with self.turn:  # an answer under way would put its own ``seen`` over this one
            if isinstance(content.get("filters"), dict):
                self.filters = Filters.parse(content["filters"])
            self.seen = feeding.parse_seen(content.get("seen"))
            if content.get("snapshot"):
                self.seen = None
            if content["type"] == "hello":
                self.drawn_by = self.rights
        await self._guarded(self._beat)

    async def _catch_up(self) -> None:
        async with self.turn:
            known = self.seen is not None and self.drawn_by == self.rights
            if not known or not await self._send_changes():
                await self._send_snapshot()

    async def _send_snapshot(self) -> None:
        its = self.rights
        sheet = await database_sync_to_async(feeding.snapshot)(self.filters, its)
        self.seen, self.drawn_by = dict(sheet["seq"]), its
        await self.send_json(sheet)

    async def _send_changes(self) -> bool:
        """Send what changed since ``seen``; False when the page had better be read anew."""
        batch = await database_sync_to_async(feeding.news)(
            self.filters, self.seen or {}, self.rights
        )
        if batch is None:
            return False
        for message in batch.messages:
            await self.send_json(message)
        self.seen = batch.seen
        return True

    async def _answer_rings(self) -> None:
        """Gather announcements for a moment, then send what the rows say."""
        while True:
            await self.rung.wait()
            await asyncio.sleep(BATCH)
            self.rung.clear()
            if self.seen is not None:
                await self._guarded(self._catch_up)

    async def _pulse(self) -> None:
        """Heal what announcements lost, and prove that the page is live."""
        for beat in range(1, 10**9):
            await asyncio.sleep(PULSE)
            if beat % RECHECK == 0 and not await self._allowed():
                return
            if self.seen is not None:
                await self._guarded(self._beat)

    async def _beat(self) -> None:
        await self._catch_up()
        pulse = await database_sync_to_async(feeding.pulse)()
        await self.send_json(pulse | {"seq": self.seen})

    async def _guarded(self, step: Any) -> None:  # noqa: ANN401
        """Without the database there is no pulse: the page sees that it is stale, and stays."""
        try:
            await step()
        except DatabaseError as error:
            log.warning("live page not fed", error=type(error).__name__)

    async def _allowed(self) -> bool:
        """Read the person's rights again; close the socket when they are gone."""
        try:
            now: Rights = await database_sync_to_async(feeding.rights_of)(self.scope)
        except DatabaseError:
            await self.close(code=TRY_LATER)
            return False
        self.rights = now
        if not now.may_view:
            await self.close(code=FORBIDDEN)
        return now.may_view

    async def _listen(self) -> None:
        """Hear announcements; when the layer breaks, try again for ever."""
        while True:
            with contextlib.suppress(OSError, RedisError):
                await self._hear()
            await asyncio.sleep(PULSE)

    async def _hear(self) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
        try:
            self.rung.set()
            while True:
                await layer.receive(channel)
                self.rung.set()
        finally:
            with contextlib.suppress(OSError, RedisError):
                await layer.group_discard(GROUP, channel)
