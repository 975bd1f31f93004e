"""Changing the calendar: every change in one transaction with a row that says who, and what."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.brokers.models import CalendarChange, CalendarYear, Holiday, SessionRule

Row = SessionRule | Holiday | CalendarYear
FIRST_YEAR, LAST_YEAR = 2000, 2100


@dataclass(frozen=True)
class Editor:
    """Who changes the calendar: a person, or a command in nobody's name."""

    name: str
    user: User | None = None


def facts_of(row: Row) -> dict[str, Any]:
    """The columns of a row as plain values."""
    return {
        field.name: _plain(field.value_from_object(row))
        for field in row._meta.concrete_fields
        if field.name != "id"
    }


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def record(editor: Editor, row: Row, before: dict[str, Any], after: dict[str, Any]) -> None:
    """One row of history with what differs; none when nothing does."""
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    if not changed:
        return
    CalendarChange.objects.create(
        what=str(row._meta.verbose_name),
        subject=str(row)[:120],
        before={name: before[name] for name in before if name in changed},
        after={name: after[name] for name in after if name in changed},
        actor=editor.name[:150],
        user=editor.user,
    )


@transaction.atomic
def store(editor: Editor, row: Row) -> None:
    """Save a new or changed row, and write down what changed. The row must be clean."""
    stored = type(row)._default_manager.filter(pk=row.pk).first() if row.pk else None
    if isinstance(row, Holiday):
        _vouch(editor, row)
        open_year(editor, row.segment, row.date.year, row.source)
    row.save()
    record(editor, row, facts_of(stored) if stored else {}, facts_of(row))


@transaction.atomic
def remove(editor: Editor, row: Row) -> None:
    """Delete a row, and write down what it said."""
    record(editor, row, facts_of(row), {})
    row.delete()


def _vouch(editor: Editor, holiday: Holiday) -> None:
    """What a person writes, this person has confirmed; what a program writes, nobody has."""
    holiday.confirmed_by = editor.user
    holiday.confirmed_at = timezone.now() if editor.user else None


def open_year(editor: Editor, segment: str, year: int, source: str) -> CalendarYear:
    """The list of that year, begun if it is not there. It waits for confirmation."""
    row, new = CalendarYear.objects.get_or_create(
        segment=segment, year=year, defaults={"source": source}
    )
    if new:
        record(editor, row, {}, facts_of(row))
    return row


@transaction.atomic
def confirm(year: CalendarYear, person: User) -> None:
    """A person says that the list is whole and right. Raises ``ValidationError``."""
    locked = CalendarYear.objects.select_for_update().get(pk=year.pk)
    days = Holiday.objects.filter(segment=locked.segment, date__year=locked.year)
    if not days.exclude(kind="SPECIAL").exists():
        raise ValidationError(f"The list of {locked} is empty: write or import its holidays first.")
    now, before = timezone.now(), facts_of(locked)
    days.filter(confirmed_at=None).update(confirmed_by=person, confirmed_at=now)
    locked.confirmed_by, locked.confirmed_at = person, now
    locked.save()
    record(Editor(person.get_username(), person), locked, before, facts_of(locked))


@transaction.atomic
def withdraw(editor: Editor, year: CalendarYear) -> bool:
    """Take a confirmation back: entries stop. False when there was none."""
    locked = CalendarYear.objects.select_for_update().get(pk=year.pk)
    if locked.confirmed_at is None:
        return False
    before = facts_of(locked)
    locked.confirmed_by = locked.confirmed_at = None
    locked.save()
    record(editor, locked, before, facts_of(locked))
    return True
