"""One thread that cuts off whatever outlives its time."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger(__name__)


@dataclass(order=True)
class Watched:
    """One piece of work and its deadline. ``over`` is set by the worker when it is done."""

    at: float  # of time.monotonic()
    cut: Callable[[], None] = field(compare=False)
    over: bool = field(default=False, compare=False)


class Deadlines:
    """Calls ``cut`` of whatever is not over in time; starts its thread with the first watch.

    What is over is forgotten when its time has come, so that being done costs one assignment. The
    thread is woken only for a deadline that comes before the one it sleeps for.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Watched] = []
        self._running = False

    def watch(self, seconds: float, cut: Callable[[], None]) -> Watched:
        """Cut in so many seconds, unless it is over by then."""
        watched = Watched(time.monotonic() + seconds, cut)
        with self._changed:
            heapq.heappush(self._waiting, watched)
            if not self._running:
                threading.Thread(target=self._run, name="deadlines", daemon=True).start()
                self._running = True
            elif self._waiting[0] is watched:
                self._changed.notify()
        return watched

    def _run(self) -> None:
        while True:
            watched = self._next()
            if watched.over:
                continue
            try:
                watched.cut()
            except Exception:
                log.exception("a call could not be cut off")

    def _next(self) -> Watched:
        """The next one whose time has come."""
        with self._changed:
            while True:
                first = self._waiting[0] if self._waiting else None
                left = None if first is None else first.at - time.monotonic()
                if left is not None and left <= 0:
                    return heapq.heappop(self._waiting)
                self._changed.wait(left)
