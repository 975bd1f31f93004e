"""The listening door: shut for a while, it refuses every connection, those of control too."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

AFTER_THE_REPLY = 0.05
"""Seconds: whoever asked for the door to be shut should hear that it will be."""


class Door:
    """Where the server listens. Order update sockets that are open stay open."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._busy: set[Any] = set()
        self._shut_until = 0.0
        self._task: asyncio.Task[None] | None = None

    async def open(self, runner: web.AppRunner) -> int:
        """Listen; returns the port."""
        self._runner = runner
        await self._listen()
        self._port = int(runner.addresses[0][1])
        return self._port

    def watch(self) -> Middleware:
        """Notes which connections are being served, to be put around every handler."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._busy.add(request.protocol)
            try:
                return await handler(request)
            finally:
                self._busy.discard(request.protocol)

        return note

    def refuse(self, seconds: float) -> None:
        """Refuse connections from now on, for so long; idle ones are closed."""
        loop = asyncio.get_running_loop()
        self._shut_until = max(self._shut_until, loop.time() + AFTER_THE_REPLY + seconds)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._stay_shut())

    async def _stay_shut(self) -> None:
        await asyncio.sleep(AFTER_THE_REPLY)
        if self._runner is None or self._site is None or self._runner.server is None:
            return
        await self._site.stop()
        for connection in self._runner.server.connections:
            if connection not in self._busy:  # what is being served is served to its end
                connection.force_close()
        loop = asyncio.get_running_loop()
        while (left := self._shut_until - loop.time()) > 0:
            await asyncio.sleep(left)
        await self._listen()

    async def _listen(self) -> None:
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, self._host, self._port)
        await self._site.start()
