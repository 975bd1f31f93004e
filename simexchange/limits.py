"""Requests per account and class, over sliding windows.

Figures: DhanHQ v2 documentation, introduction, rate limit table.
"""

from collections import deque
from collections.abc import Callable

Window = tuple[float, int]
"""So many seconds, so many requests in them."""

WINDOWS: dict[str, tuple[Window, ...]] = {
    "order": ((1, 10), (60, 250), (3600, 1000), (86400, 7000)),
    "read": ((1, 20),),
    "quote": ((1, 1),),
}


class RateLimits:
    """Counts the requests that got through; a refused one is not counted.

    Without `longer` only the shortest window of each class limits: for tests that make more calls
    than an hour allows, and still must keep to the seconds.
    """

    def __init__(self, now: Callable[[], float], on: bool = True) -> None:
        self.on = on
        self.longer = True
        self.refused = 0
        self._now = now
        self._passed: dict[tuple[str, str], deque[float]] = {}

    def admit(self, client_id: str, kind: str) -> bool:
        """Count one request, or say that it is one too many."""
        if not self.on:
            return True
        windows = WINDOWS[kind] if self.longer else WINDOWS[kind][:1]
        most_kept = WINDOWS[kind][-1][1]
        passed = self._passed.setdefault((client_id, kind), deque(maxlen=most_kept))
        now = self._now()
        for seconds, most in windows:
            if len(passed) >= most and passed[-most] > now - seconds:
                self.refused += 1
                return False
        passed.append(now)
        return True

    def clear(self) -> None:
        self._passed.clear()
        self.refused = 0
