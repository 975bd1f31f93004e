"""The calendar of the first migration, for tests: as pure data, and as rows after a flush."""

from __future__ import annotations

import datetime as dt
from importlib import import_module

from apps.brokers.session_rules import Subject
from apps.brokers.trading_hours import IST, Calendar

facts = import_module("apps.brokers.migrations.0007_calendar_facts")

SHARE = Subject("SMALLCAP", derivatives=False)
FNO_SHARE = Subject("RELIANCE", derivatives=True)
ALL_SEGMENTS = (*facts.EXCHANGES, *facts.CURRENCY, *facts.MCX)


def ist(text: str) -> dt.datetime:
    """``2026-11-23 09:15`` in India."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=IST)


def first_calendar(*years: int) -> Calendar:
    """What the migration writes, with these years confirmed for every segment."""
    from apps.brokers.models import Holiday, SessionRule

    days = []
    for holiday in facts.holidays(Holiday):
        holiday.date = dt.date.fromisoformat(holiday.date)
        days.append(holiday.as_day())
    return Calendar(
        sessions=tuple(rule.as_session() for rule in facts.rules(SessionRule)),
        days=tuple(days),
        years=frozenset((segment, year) for segment in ALL_SEGMENTS for year in years),
    )


def seed_rows(user, *years: int) -> None:
    """The rows of the migration again, with these years confirmed by this person."""
    from django.apps import apps
    from django.utils import timezone

    from apps.brokers.models import CalendarYear, Holiday, SessionRule

    for model in (SessionRule, Holiday, CalendarYear):
        model.objects.all().delete()
    facts.seed(apps, None)
    for segment in ALL_SEGMENTS:
        for year in years:
            CalendarYear.objects.update_or_create(
                segment=segment,
                year=year,
                defaults={"confirmed_by": user, "confirmed_at": timezone.now()},
            )
