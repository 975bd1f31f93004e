"""The words of the calendar: dated rules, special days, and what they are about. Pure data."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from apps.brokers.market import Phase

NEW_YORK = ZoneInfo("America/New_York")
MIDNIGHT = dt.time(0)
MONDAY_TO_FRIDAY = frozenset({1, 2, 3, 4, 5})


class DayKind(StrEnum):
    """What is special about a day."""

    CLOSED = "CLOSED"
    MORNING_CLOSED = "MORNING_CLOSED"
    EVENING_CLOSED = "EVENING_CLOSED"
    SPECIAL = "SPECIAL"


class Daylight(StrEnum):
    """Which half of the year a rule is for: daylight saving in New York in force, or not."""

    ANY = ""
    SUMMER = "SUMMER"
    WINTER = "WINTER"


@dataclass(frozen=True, kw_only=True)
class Session:
    """One dated rule: on these weekdays, between these dates, this phase at these hours.

    ``closes`` 00:00 is the end of the day. Of the rules of one phase the most specific ones
    count: those that name the subject, else those for shares with derivatives, else the rest.
    """

    segment: str
    phase: Phase
    opens: dt.time
    closes: dt.time
    valid_from: dt.date
    valid_to: dt.date | None = None
    weekdays: frozenset[int] = MONDAY_TO_FRIDAY  # 1 is Monday
    daylight: Daylight = Daylight.ANY
    with_derivatives: bool = False
    names: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    order_types: frozenset[str] = frozenset()
    ioc: bool = False
    may_close_from: dt.time | None = None  # the exchange ends the phase at random after this
    note: str = ""
    source: str = ""

    def in_force(self, day: dt.date) -> bool:
        """True on the dates of the rule, whatever the weekday."""
        if day < self.valid_from or (self.valid_to is not None and day > self.valid_to):
            return False
        return self.daylight is Daylight.ANY or self.daylight is daylight_of(day)

    def is_about(self, subject: Subject) -> bool:
        """True for what the rule speaks of."""
        if subject.name in self.left_out:
            return False
        if self.names:
            return subject.name in self.names
        return subject.derivatives is True or not self.with_derivatives

    @property
    def rank(self) -> int:
        """How specific the rule is."""
        return 2 if self.names else int(self.with_derivatives)


@dataclass(frozen=True)
class Hours:
    """One phase of a special session."""

    phase: Phase
    opens: dt.time
    closes: dt.time


@dataclass(frozen=True, kw_only=True)
class SpecialDay:
    """A holiday, half a holiday, or a session with hours of its own (none: not announced)."""

    segment: str
    date: dt.date
    kind: DayKind
    name: str
    opens: dt.time | None = None  # MORNING_CLOSED: from when there is trading
    closes: dt.time | None = None  # EVENING_CLOSED: until when there is trading
    hours: tuple[Hours, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Subject:
    """What is to be traded: a share by its symbol, a contract by its underlying.

    ``derivatives`` says whether a share has any; None is "not known".
    """

    name: str = ""
    derivatives: bool | None = False


@lru_cache(maxsize=1024)
def daylight_of(day: dt.date) -> Daylight:
    """Whether New York keeps daylight saving at noon of this day."""
    noon = dt.datetime.combine(day, dt.time(12), NEW_YORK)
    return Daylight.SUMMER if noon.dst() else Daylight.WINTER


_HOURS = re.compile(r"([A-Z_]+) (\d\d:\d\d)-(\d\d:\d\d)", re.ASCII)


def read_hours(text: str) -> tuple[Hours, ...]:
    """``PRE_OPEN 13:30-13:45, OPEN 13:45-14:45`` as hours. Raises ``ValueError`` with the part."""
    return tuple(_read_one(part) for part in re.split(r"[,;]", text) if part.strip())


def _read_one(part: str) -> Hours:
    text = " ".join(part.split())
    found = _HOURS.fullmatch(text)
    phases = [phase.value for phase in Phase if phase not in {Phase.CLOSED, Phase.UNKNOWN}]
    if found is None or found.group(1) not in phases:
        raise ValueError(f"“{text}” is not PHASE HH:MM-HH:MM, as in OPEN 13:45-14:45")
    try:
        opens, closes = (dt.time.fromisoformat(time) for time in found.groups()[1:])
    except ValueError:
        raise ValueError(f"“{text}” has a time that does not exist") from None
    if closes != MIDNIGHT and opens >= closes:
        raise ValueError(f"“{text}” ends before it begins")
    return Hours(Phase(found.group(1)), opens, closes)


def written(hours: Iterable[Hours]) -> str:
    """Hours as ``read_hours`` reads them."""
    return ", ".join(f"{one.phase} {one.opens:%H:%M}-{one.closes:%H:%M}" for one in hours)
