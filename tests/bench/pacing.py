"""Three ways to load the desk: one at a time, at a steady pace, and several at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

Ask = Callable[[int], None]
Finished = Callable[[int], None]
"""Wait until the asked thing is over."""


@dataclass
class Load:
    """When each numbered ask was made, in seconds since the epoch, and how long all took."""

    asked: dict[int, float]
    seconds: float


def several_at_once(numbers: Iterable[int], clients: int, ask: Ask, finished: Finished) -> Load:
    """``clients`` in a closed loop: each asks, waits for the end, asks the next."""
    asked: dict[int, float] = {}
    left, lock = iter(numbers), threading.Lock()

    def client() -> None:
        while (number := _next(left, lock)) is not None:
            asked[number] = time.time()
            ask(number)
            finished(number)

    began = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(client) for _ in range(clients)]:
            done.result()
    return Load(asked, time.monotonic() - began)


def at_a_pace(numbers: Iterable[int], per_second: float, ask: Ask, finished: Finished) -> Load:
    """One ask every so often, whatever became of the one before."""
    asked: dict[int, float] = {}
    began = time.monotonic()
    for place, number in enumerate(numbers):
        time.sleep(max(0.0, began + place / per_second - time.monotonic()))
        asked[number] = time.time()
        ask(number)
    for number in asked:
        finished(number)
    return Load(asked, time.monotonic() - began)


def _next(left: Iterable[int], lock: threading.Lock) -> int | None:
    with lock:
        return next(iter(left), None)
