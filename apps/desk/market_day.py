"""What the calendar page shows: every segment now, one day phase by phase, a year's list."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from apps.brokers.market import Market, Phase
from apps.brokers.models import CalendarYear, Holiday
from apps.brokers.models.calendar import SEGMENTS
from apps.brokers.session_rules import Subject
from apps.brokers.trading_hours import ANYTHING, Calendar, Plan

WITH_DERIVATIVES = Subject(derivatives=True)
_TONES = {
    Phase.OPEN: "good",
    Phase.PRE_OPEN: "work",
    Phase.CLOSING_AUCTION: "work",
    Phase.UNKNOWN: "alarm",
}


@dataclass(frozen=True)
class Now:
    """One segment at this moment."""

    market: Market

    @property
    def tone(self) -> str:
        """The phase as a colour class."""
        return _TONES.get(self.market.phase, "quiet")


@dataclass(frozen=True)
class Day:
    """One segment, or its shares with derivatives, on one day.

    Unless ``confirmed``, the plan is what would be if the year's list is right.
    """

    segment: str
    about: str
    plan: Plan
    confirmed: bool


@dataclass(frozen=True)
class Listed:
    """One special day of a year with all segments that it is the same for."""

    day: Holiday
    segments: list[str]


def now_in(calendar: Calendar, now: dt.datetime) -> list[Now]:
    """Every segment."""
    return [Now(calendar.market(segment, now, ANYTHING)) for segment, _ in SEGMENTS]


def day_in(calendar: Calendar, date: dt.date) -> list[Day]:
    """Every segment; shares with derivatives apart where their day is another one."""
    all_lists = frozenset((segment, date.year) for segment, _ in SEGMENTS)
    supposed = replace(calendar, years=all_lists)
    days = []
    for segment, _ in SEGMENTS:
        confirmed = (segment, date.year) in calendar.years
        plan = supposed.plan(segment, date)
        days.append(Day(segment, "", plan, confirmed))
        if (other := supposed.plan(segment, date, WITH_DERIVATIVES)) != plan:
            days.append(Day(segment, "shares with derivatives", other, confirmed))
    return days


def year_list(year: int) -> list[Listed]:
    """The year's special days; the same day of several segments is one line."""
    days = list(Holiday.objects.filter(date__year=year).select_related("confirmed_by"))
    days.sort(key=lambda day: (day.date, _same(day), day.segment))
    return [_listed(group) for _, group in groupby(days, key=lambda day: (day.date, _same(day)))]


def _same(day: Holiday) -> tuple[str, ...]:
    parts = (day.kind, day.name, day.opens, day.closes, day.hours, day.source, day.confirmed_by)
    return tuple(str(part) for part in parts)


def _listed(group: Iterable[Holiday]) -> Listed:
    days = list(group)
    return Listed(days[0], [day.segment for day in days])


def lists_of(year: int) -> list[tuple[str, CalendarYear | None]]:
    """Every segment with its list of that year, if there is one."""
    known = {row.segment: row for row in _years(year)}
    return [(segment, known.get(segment)) for segment, _ in SEGMENTS]


def _years(year: int) -> Iterable[CalendarYear]:
    return CalendarYear.objects.filter(year=year).select_related("confirmed_by")
