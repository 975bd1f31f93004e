"""Live pages without browsers, in a process of their own: what each has seen, and when.

Run as ``python -m tests.bench.watchers ADDRESS COOKIE PAGES``. Prints ``ready`` when every page
has its rows, listens until a line arrives, then prints one JSON list: per page its steps
``[time, account, number seen]``, and how often it had to ask again.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect


@dataclass
class Page:
    """One open page: applies what it hears, as the browser's module does."""

    seen: dict[int, int] = field(default_factory=dict)
    steps: list[tuple[float, int, int]] = field(default_factory=list)
    gaps: int = 0
    snapshots: int = 0
    messages: int = 0

    def take(self, message: dict[str, Any]) -> bool:
        """Apply one message; True when something is missing before it."""
        self.messages += 1
        kind = message["type"]
        if kind == "row":
            if message["after"] > self.seen.get(message["account"], 0):
                self.gaps += 1
                return True
            self._reach(message["account"], message["seq"])
        elif kind in {"snapshot", "upto"}:
            self.snapshots += kind == "snapshot"
            for account, number in message["seq"].items():
                self._reach(int(account), number)
        return False

    def _reach(self, account: int, number: int) -> None:
        if number > self.seen.get(account, 0):
            self.seen[account] = number
            self.steps.append((time.time(), account, number))


async def watch(page: Page, address: str, cookie: str, there: asyncio.Event) -> None:
    origin = f"http://{urlsplit(address).netloc}"
    async with connect(
        address, additional_headers={"Cookie": cookie}, origin=origin, max_size=None
    ) as line:
        await _hello(line, page)
        async for text in line:
            message = json.loads(text)
            if page.take(message):
                await _hello(line, page)
            if message["type"] == "snapshot":
                there.set()


async def _hello(line: ClientConnection, page: Page) -> None:
    seen = page.seen or None
    kind = "catch_up" if seen else "hello"
    await line.send(json.dumps({"type": kind, "seen": seen, "filters": {}}))


async def main(address: str, cookie: str, count: int) -> None:
    pages = [Page() for _ in range(count)]
    arrived = [asyncio.Event() for _ in pages]
    tasks = [
        asyncio.create_task(watch(page, address, cookie, there))
        for page, there in zip(pages, arrived, strict=True)
    ]
    await asyncio.wait_for(asyncio.gather(*(there.wait() for there in arrived)), 60)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    broken = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    print(json.dumps({"broken": broken, "pages": [vars(page) for page in pages]}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
