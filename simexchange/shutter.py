"""A feed that is cut for a while: connections go down at once, and new ones are not taken."""

import asyncio

from aiohttp import web


class Shutter:
    """Open until it is shut; opens again by itself."""

    def __init__(self) -> None:
        self._until = 0.0

    def shut(self, seconds: float) -> None:
        self._until = max(self._until, asyncio.get_running_loop().time() + seconds)

    @property
    def is_shut(self) -> bool:
        return asyncio.get_running_loop().time() < self._until


def abort(transport: asyncio.Transport | None) -> web.Response:
    """Take a connection down without a word; the response goes nowhere."""
    if transport is not None:
        transport.abort()
    return web.Response()
