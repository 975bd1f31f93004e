"""When a market is open, what it takes then, and when it opens next. Rules in, answers out.

Pure: no clock, no database, no Django. Times of day are Indian; a window holds its first second
and not its last. What is not known is a phase of its own, never "open" and never "closed".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from zoneinfo import ZoneInfo

from apps.brokers.market import EVERY_TYPE, Market, Phase
from apps.brokers.session_rules import MIDNIGHT, DayKind, Session, SpecialDay, Subject

IST = ZoneInfo("Asia/Kolkata")
HORIZON = 45  # days ahead in which the next opening is looked for
CONTRADICTION = "the rules contradict each other"
ANYTHING = Subject()


@dataclass(frozen=True, kw_only=True)
class Window:
    """One phase of one day."""

    phase: Phase
    start: dt.datetime
    end: dt.datetime
    order_types: frozenset[str]
    ioc: bool
    may_close_from: dt.datetime | None = None
    note: str = ""
    source: str = ""

    @property
    def types(self) -> list[str]:
        """The types of order that it takes, in one order."""
        return sorted(self.order_types)

    def holds(self, at: dt.datetime) -> bool:
        """The first second is in, the last is not."""
        return self.start <= at < self.end


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one day holds. ``unknown`` says why nobody can tell, ``closed`` why there is nothing."""

    date: dt.date
    windows: tuple[Window, ...] = ()
    unknown: str = ""
    closed: str = ""


@dataclass(frozen=True)
class Calendar:
    """All rules, all special days, and the years whose holiday lists a person has confirmed."""

    sessions: tuple[Session, ...]
    days: tuple[SpecialDay, ...]
    years: frozenset[tuple[str, int]]
    _by_segment: dict[str, list[Session]] = field(default_factory=dict, init=False, compare=False)
    _by_day: dict[tuple[str, dt.date], SpecialDay] = field(
        default_factory=dict, init=False, compare=False
    )

    def __post_init__(self) -> None:
        for session in self.sessions:
            self._by_segment.setdefault(session.segment, []).append(session)
        self._by_day.update({(day.segment, day.date): day for day in self.days})

    def plan(self, segment: str, date: dt.date, subject: Subject = ANYTHING) -> Plan:
        """What happens on one day."""
        if (segment, date.year) not in self.years:
            return Plan(date=date, unknown=f"the holidays of {date.year} are not confirmed")
        special = self._by_day.get((segment, date))
        if special is not None and special.kind is DayKind.SPECIAL:
            return _special(special)
        if special is not None and special.kind is DayKind.CLOSED:
            return Plan(date=date, closed=f"holiday: {special.name}")
        return self._regular(segment, date, subject, special)

    def _regular(
        self, segment: str, date: dt.date, subject: Subject, special: SpecialDay | None
    ) -> Plan:
        dated = [rule for rule in self._by_segment.get(segment, []) if rule.in_force(date)]
        if not dated:
            return Plan(date=date, unknown=f"no rule says its hours on {date:%d %b %Y}")
        today = [rule for rule in dated if date.isoweekday() in rule.weekdays]
        windows = _clipped([_window(rule, date) for rule in _chosen(today, subject)], special)
        windows.sort(key=lambda window: (window.start, window.end))
        if clash := _clash(windows):
            return Plan(date=date, unknown=clash)
        if windows:
            return Plan(date=date, windows=tuple(windows))
        return Plan(date=date, closed=special.name if special else f"{date:%A}")

    def market(self, segment: str, now: dt.datetime, subject: Subject) -> Market:
        """The market of the subject at this moment."""
        if subject.derivatives is not None or not self._splits(segment):
            return self._market(segment, now, subject)
        with_, without = (
            self._market(segment, now, Subject(subject.name, derivatives))
            for derivatives in (True, False)
        )
        if with_.takes_like(without):
            return with_
        why = "it is not known whether this share has derivatives, and those that have keep "
        return Market(
            segment=segment,
            phase=Phase.UNKNOWN,
            why=f"{why}other hours now",
            next_open=with_.next_open,
        )

    def _splits(self, segment: str) -> bool:
        return any(rule.with_derivatives for rule in self._by_segment.get(segment, []))

    def _market(self, segment: str, now: dt.datetime, subject: Subject) -> Market:
        plan = self.plan(segment, now.astimezone(IST).date(), subject)
        here = [window for window in plan.windows if window.holds(now)]
        regular = next((w for w in here if w.phase is not Phase.AFTER_MARKET), None)
        after = next((w for w in here if w.phase is Phase.AFTER_MARKET), None)
        phase, why = _phase(plan, regular)
        opening, not_known = (None, "")
        if phase is not Phase.OPEN:
            opening, not_known = self.next_opening(segment, now, subject)
        return Market(
            segment=segment,
            phase=phase,
            why=why,
            order_types=regular.order_types if regular else frozenset(),
            ioc=regular is not None and regular.ioc,
            unsure=_may_have_closed(regular, now),
            closes_at=regular.end if regular else None,
            after_market=after.order_types if after else None,
            after_market_until=after.end if after else None,
            next_open=opening,
            next_open_unknown=not_known,
        )

    def next_opening(
        self, segment: str, after: dt.datetime, subject: Subject
    ) -> tuple[dt.datetime | None, str]:
        """The next moment after ``after`` at which continuous trading begins, or why not known."""
        first = after.astimezone(IST).date()
        for days in range(HORIZON):
            plan = self.plan(segment, first + dt.timedelta(days=days), subject)
            if plan.unknown:
                return None, plan.unknown
            for window in plan.windows:
                if window.phase is Phase.OPEN and window.start > after:
                    return window.start, ""
        return None, f"there is none within {HORIZON} days"


def at(date: dt.date, time: dt.time, *, ends: bool = False) -> dt.datetime:
    """A time of day in India; 00:00 as an end is the end of that day."""
    moment = dt.datetime.combine(date, time, IST)
    return moment + dt.timedelta(days=1) if ends and time == MIDNIGHT else moment


def _phase(plan: Plan, regular: Window | None) -> tuple[Phase, str]:
    if plan.unknown:
        return Phase.UNKNOWN, plan.unknown
    if regular is not None:
        return regular.phase, regular.note
    return Phase.CLOSED, plan.closed or "outside its hours"


def _may_have_closed(window: Window | None, now: dt.datetime) -> bool:
    return window is not None and window.may_close_from is not None and now >= window.may_close_from


def _chosen(rules: list[Session], subject: Subject) -> list[Session]:
    """Of the rules about the subject, the most specific ones of each phase."""
    about = [rule for rule in rules if rule.is_about(subject)]
    best: dict[Phase, int] = {}
    for rule in about:
        best[rule.phase] = max(rule.rank, best.get(rule.phase, 0))
    return [rule for rule in about if rule.rank == best[rule.phase]]


def _window(rule: Session, date: dt.date) -> Window:
    return Window(
        phase=rule.phase,
        start=at(date, rule.opens),
        end=at(date, rule.closes, ends=True),
        order_types=rule.order_types,
        ioc=rule.ioc,
        may_close_from=None if rule.may_close_from is None else at(date, rule.may_close_from),
        note=rule.note,
        source=rule.source,
    )


def _clipped(windows: list[Window], special: SpecialDay | None) -> list[Window]:
    """What half a holiday leaves of a day."""
    if special is None:
        return windows
    start = at(special.date, special.opens or MIDNIGHT)
    end = at(special.date, special.closes or MIDNIGHT, ends=True)
    return [
        replace(w, start=max(w.start, start), end=min(w.end, end))
        for w in windows
        if w.start < end and w.end > start
    ]


def _special(day: SpecialDay) -> Plan:
    """Continuous trading takes every order; what the other phases take is not known."""
    if not day.hours:
        return Plan(date=day.date, unknown=f"the hours of {day.name} are not announced")
    windows = [
        Window(
            phase=hours.phase,
            start=at(day.date, hours.opens),
            end=at(day.date, hours.closes, ends=True),
            order_types=EVERY_TYPE if hours.phase is Phase.OPEN else frozenset(),
            ioc=hours.phase is Phase.OPEN,
            note=day.name,
            source=day.source,
        )
        for hours in day.hours
    ]
    windows.sort(key=lambda window: window.start)
    return Plan(date=day.date, windows=tuple(windows), unknown=_clash(windows))


def _clash(windows: list[Window]) -> str:
    """Two phases at one moment. After-market orders are taken beside the other phases."""
    for after_market in (False, True):
        same = [w for w in windows if (w.phase is Phase.AFTER_MARKET) is after_market]
        for one, other in pairwise(same):
            if other.start < one.end:
                return f"{CONTRADICTION} at {other.start:%H:%M} ({one.phase} and {other.phase})"
    return ""


def contradictions(sessions: Iterable[Session]) -> Iterator[str]:
    """Days on which rules of one segment give two phases at one moment."""
    rules = tuple(sessions)
    names = frozenset[str]().union(*(rule.names | rule.left_out for rule in rules))
    subjects = [Subject(name, flag) for name in ("", *sorted(names)) for flag in (False, True)]
    for segment in sorted({rule.segment for rule in rules}):
        mine = tuple(rule for rule in rules if rule.segment == segment)
        for date in _days_to_try(mine):
            calendar = Calendar(mine, (), frozenset({(segment, date.year)}))
            for subject in subjects:
                text = calendar.plan(segment, date, subject).unknown
                if text.startswith(CONTRADICTION):
                    yield f"{date:%d %b %Y}: {text}"
                    break


def _days_to_try(rules: tuple[Session, ...]) -> list[dt.date]:
    """A week after each date at which something changes, in both halves of the year."""
    turns = {rule.valid_from for rule in rules}
    turns |= {rule.valid_to + dt.timedelta(days=1) for rule in rules if rule.valid_to}
    halves = {turn + dt.timedelta(days=months * 30) for turn in turns for months in (0, 6)}
    return sorted({day + dt.timedelta(days=n) for day in halves for n in range(7)})
