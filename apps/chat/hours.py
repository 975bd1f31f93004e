"""The hours in which the desk's accounts trade on one day: what reports keep to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

from apps.brokers.calendar import calendar_now, traded_segments
from apps.brokers.market import Phase
from apps.brokers.models import BrokerAccount, CalendarKind
from apps.brokers.session_rules import Subject
from apps.brokers.trading_hours import IST, Calendar

LAST_MINUTE = dt.time(23, 59)  # of a day: what is told later would tell of the next one
_TRADING = {Phase.OPEN, Phase.CLOSING_AUCTION}
_SATURDAY = 5


@dataclass(frozen=True)
class Span:
    """From the first trade of a day to the last; without a segment the fixed hours."""

    opens: dt.datetime
    closes: dt.datetime
    segment: str = ""

    def holds(self, at: dt.datetime) -> bool:
        """The first second is in, the last is not."""
        return self.opens <= at < self.closes


def spans_of(now: dt.datetime) -> tuple[Span, ...]:
    """The spans of this Indian day where enabled accounts trade, by their closes; once a minute.

    Accounts that are always open, and segments whose hours nobody knows, have the fixed ones
    (``REPORT_HOURS``, on weekdays).
    """
    return _spans_at(now.astimezone(IST).replace(second=0, microsecond=0))


@lru_cache(maxsize=1)
def _spans_at(minute: dt.datetime) -> tuple[Span, ...]:
    date, calendar = minute.date(), calendar_now()
    accounts = BrokerAccount.objects.filter(enabled=True)
    found = {span for account in accounts for span in _of(account, calendar, date)}
    return tuple(sorted(found, key=lambda span: (span.closes, span.segment)))


def _of(account: BrokerAccount, calendar: Calendar, date: dt.date) -> Iterator[Span]:
    if account.calendar == CalendarKind.ALWAYS_OPEN:
        yield from _fixed(date)
        return
    for segment in traded_segments(account):
        yield from _in(segment, calendar, date)


def _in(segment: str, calendar: Calendar, date: dt.date) -> Iterator[Span]:
    """Shares with derivatives may trade on after the others: both count."""
    subjects = (Subject(derivatives=False), Subject(derivatives=True))
    plans = [calendar.plan(segment, date, subject) for subject in subjects]
    if any(plan.unknown for plan in plans):
        yield from _fixed(date)
        return
    trading = [w for plan in plans for w in plan.windows if w.phase in _TRADING]
    if trading:
        opens = min(window.start for window in trading)
        yield Span(opens, _within(date, max(window.end for window in trading)), segment)


def _fixed(date: dt.date) -> Iterator[Span]:
    if date.weekday() < _SATURDAY:
        opens, closes = (dt.datetime.combine(date, time, IST) for time in settings.REPORT_HOURS)
        yield Span(opens, closes)


def _within(date: dt.date, closes: dt.datetime) -> dt.datetime:
    return min(closes, dt.datetime.combine(date, LAST_MINUTE, IST))
