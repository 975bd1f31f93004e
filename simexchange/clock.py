"""Time as the exchange sees it: Indian Standard Time, and movable for tests."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

IST = timezone(timedelta(hours=5, minutes=30), "IST")

Clock = Callable[[], datetime]
Later = Callable[[float, Callable[[], None]], object]
"""Run a function after so many seconds: the event loop's `call_later`, or a test's own."""


class ShiftedClock:
    """The wall clock in IST, moved by a number of seconds."""

    def __init__(self) -> None:
        self.shift_seconds = 0.0

    def __call__(self) -> datetime:
        return datetime.now(IST) + timedelta(seconds=self.shift_seconds)


def stamp(moment: datetime | None) -> str:
    """An IST time on the wire; "never" is the year one (recorded from live order rows)."""
    if moment is None:
        return "0001-01-01 00:00:00"
    return moment.isoformat(" ", "seconds")[:19]
