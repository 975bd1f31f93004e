"""The signals that end the house. They are looked at between steps, so no step is cut in half."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from supervisor.spawn import end_with_parent

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STEP = 0.05  # seconds
ECHO = 0.5  # seconds: a group and make itself may both pass one signal on


class Leaving(BaseException):
    """Somebody asked the house to stop."""


class Attention:
    def __init__(self) -> None:
        self._first: float | None = None
        self.hurried = False  # asked twice

    def listen(self) -> None:
        for number in ENDING:
            signal.signal(number, self._hear)
        if "MAKELEVEL" in os.environ:
            end_with_parent(signal.SIGTERM)  # also when make is killed

    def pause(self, seconds: float = STEP) -> None:
        until = time.monotonic() + seconds
        while True:
            if self._first is not None:
                raise Leaving
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, STEP))

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
        elif now - self._first > ECHO:
            self.hurried = True
