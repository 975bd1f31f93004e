"""When the simulated exchange trades, if it is told to keep hours at all.

Continuous trading only, Monday to Friday: the hours of each segment since 3 Aug 2026 for shares
without derivatives (NSE CMTR74466, FAOP74467), and holidays as they are told over the control
API. A window holds its first second and not its last.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, time

HOURS = {
    "NSE_EQ": (time(9, 15), time(15, 30)),
    "BSE_EQ": (time(9, 15), time(15, 30)),
    "NSE_FNO": (time(9, 15), time(15, 40)),
    "BSE_FNO": (time(9, 15), time(15, 40)),
    "NSE_CURRENCY": (time(9), time(17)),
    "BSE_CURRENCY": (time(9), time(17)),
    "MCX_COMM": (time(9), time(23, 30)),
}
FRIDAY = 4


@dataclass(slots=True)
class SessionHours:
    """Off: every market is open at any hour. `at_start` is what a reset goes back to."""

    at_start: bool = False
    on: bool = field(init=False)
    holidays: set[date] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.on = self.at_start

    def reset(self) -> None:
        self.on, self.holidays = self.at_start, set()

    def are_open(self, segment: str, now: datetime) -> bool:
        if not self.on:
            return True
        if now.weekday() > FRIDAY or now.date() in self.holidays:
            return False
        opens, closes = HOURS.get(segment, (time(9, 15), time(15, 30)))
        return opens <= now.time() < closes
