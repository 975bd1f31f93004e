"""Holiday lists from files, CSV or JSON: read strictly, stored whole or not at all."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.brokers import calendar_edits
from apps.brokers.calendar_edits import Editor
from apps.brokers.models import CalendarYear, Holiday
from apps.brokers.models.calendar import SEGMENTS
from apps.brokers.session_rules import DayKind

COLUMNS = ("segments", "date", "kind", "name", "opens", "closes", "hours", "source")
NEEDED = ("segments", "date", "name")
LARGEST = 1_000_000  # bytes
_SEGMENTS = {name for name, _ in SEGMENTS}
_DATES = ("%Y-%m-%d", "%d-%b-%Y")


class BadFile(Exception):
    """The file cannot be taken; every bad line with what would be right."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass
class Imported:
    """What an import did, in rows; ``unconfirmed`` are years that need confirmation again."""

    added: int = 0
    changed: int = 0
    same: int = 0
    unconfirmed: list[str] = field(default_factory=list)
    years: list[CalendarYear] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.added} added, {self.changed} changed, {self.same} as they were"


def read(content: bytes, source: str = "") -> list[Holiday]:
    """The days in the file, one per segment, unsaved. Raises ``BadFile``.

    ``source`` is that of lines which name none.
    """
    if len(content) > LARGEST:
        raise BadFile([f"the file is larger than {LARGEST} bytes"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile(["the file must be UTF-8"]) from None
    lines = _json_lines(text) if text.lstrip().startswith(("[", "{")) else _csv_lines(text)
    problems: list[str] = []
    days: dict[tuple[str, dt.date], Holiday] = {}
    for where, values in lines:
        try:
            found = _days(values, source)
        except ValidationError as error:
            problems += [f"{where}: {field}: {' '.join(said)}" for field, said in _by_field(error)]
            continue
        for day in found:
            if (day.segment, day.date) in days:
                problems.append(f"{where}: date: {day.segment} {day.date} stands there twice")
            days[day.segment, day.date] = day
    if problems or not days:
        raise BadFile(problems or ["the file holds no holiday"])
    return list(days.values())


def _csv_lines(text: str) -> list[tuple[str, dict[str, Any]]]:
    """One record a line: a quote that is left open would swallow the days after it."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[tuple[str, dict[str, Any]]] = []
    names: list[str] = []
    while (values := _next_record(rows)) is not None:
        where = f"line {rows.line_num}"
        if not names:
            names = [name.strip().lower() for name in values]
            _check_columns(names)
        elif len(values) > len(names):
            raise BadFile([f"{where}: has more values than the header has columns"])
        elif any(values):
            lines.append((where, dict(zip(names, values, strict=False))))
    if not names:
        _check_columns(names)
    return lines


def _next_record(rows: Any) -> list[str] | None:  # noqa: ANN401 - csv's reader has no public type
    line = rows.line_num + 1
    try:
        values: list[str] | None = next(rows, None)
    except csv.Error as error:
        end = "a quote is opened here and not closed" if rows.line_num > line else "broken quoting"
        raise BadFile([f"line {line}: {end} ({error})"]) from None
    if values is not None and rows.line_num != line:
        raise BadFile([f"line {line}: a quote is opened here and not closed"])
    return values


def _json_lines(text: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        rows = json.loads(text, object_pairs_hook=_once_each)
    except RecursionError:
        raise BadFile(["the file is nested too deeply; a JSON list of objects is needed"]) from None
    except ValueError as error:
        raise BadFile([f"the file is not JSON: {error}"]) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadFile(["a JSON list of objects is needed"])
    for row in rows:
        _check_columns(list(row))
    return [(f"entry {number}", row) for number, row in enumerate(rows, 1)]


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadFile([f"{twice} stands there twice in one entry"])
    return values


def _check_columns(names: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in NEEDED if name not in names]
    if unknown or missing or len(set(names)) < len(names):
        wrong = [f"unknown column {name!r}" for name in unknown]
        wrong += [f"the column {name!r} is missing" for name in missing]
        raise BadFile([*(wrong or ["a column stands there twice"]), f"known: {', '.join(COLUMNS)}"])


def _days(values: dict[str, Any], source: str) -> list[Holiday]:
    """One line as a day of each of its segments. Raises ``ValidationError`` by field."""
    said = {name: _text(name, values.get(name)) for name in COLUMNS if name != "segments"}
    problems: dict[str, list[str]] = {}

    def got(read: Callable[[], Any]) -> Any:  # noqa: ANN401 - what ``read`` gives
        try:
            return read()
        except ValidationError as error:
            problems.update(error.message_dict)
            return None

    segments = got(lambda: _segments(values.get("segments")))
    columns: dict[str, Any] = {
        "date": got(lambda: _date(said["date"])),
        "kind": (said["kind"] or DayKind.CLOSED).upper().replace(" ", "_"),
        "name": said["name"],
        "opens": got(lambda: _time("opens", said["opens"])),
        "closes": got(lambda: _time("closes", said["closes"])),
        "hours": said["hours"].upper(),
        "source": said["source"] or source,
    }
    if problems:
        raise ValidationError(problems)
    days = [Holiday(segment=segment, **columns) for segment in segments]
    for day in days:
        day.clean_fields()
        day.clean()
    return days


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValidationError({name: "Must be text."})
    if not value.strip().isprintable():
        raise ValidationError({name: "Must be plain text on one line."})
    return value.strip()


def _segments(value: object) -> list[str]:
    words = value.replace("|", " ").replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise ValidationError({"segments": f"Name one or more of {', '.join(sorted(_SEGMENTS))}."})
    unknown = [word for word in words if word not in _SEGMENTS]
    if unknown:
        text = f"{unknown[0]!r} is not one of {', '.join(sorted(_SEGMENTS))}."
        raise ValidationError({"segments": text})
    return list(dict.fromkeys(words))


def _date(text: str) -> dt.date:
    for form in _DATES:
        try:
            date = dt.datetime.strptime(text, form).date()  # noqa: DTZ007 - a day, not a moment
        except ValueError:
            continue
        if calendar_edits.FIRST_YEAR <= date.year <= calendar_edits.LAST_YEAR:
            return date
    raise ValidationError({"date": f"{text!r} is no date; write 2027-01-26 or 26-Jan-2027."})


def _time(name: str, text: str) -> dt.time | None:
    if not text:
        return None
    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of day
    except ValueError:
        raise ValidationError({name: f"{text!r} is no time; write 17:00."}) from None


def _by_field(error: ValidationError) -> Iterator[tuple[str, list[str]]]:
    yield from error.message_dict.items()


@transaction.atomic
def store(days: list[Holiday], editor: Editor) -> Imported:
    """Add and change what the list says; what it does not name stays. The same list twice is one.

    Days that only close a market keep the confirmation of their year. Whatever opens one, or
    changes what was known, takes it away: a person must look again.
    """
    done = Imported()
    stored = {
        (day.segment, day.date): day
        for day in Holiday.objects.select_for_update().filter(
            date__in={day.date for day in days}, segment__in={day.segment for day in days}
        )
    }
    for day in sorted(days, key=lambda day: (day.date, day.segment)):
        known = stored.get((day.segment, day.date))
        if known is not None and _says(known) == _says(day):
            done.same += 1
            continue
        done.added += known is None
        done.changed += known is not None
        _store_one(day, known, editor, done)
    names = {(day.segment, day.date.year) for day in days}
    rows = CalendarYear.objects.filter(year__in={year for _, year in names})
    done.years = [row for row in rows if (row.segment, row.year) in names]
    return done


def _store_one(day: Holiday, known: Holiday | None, editor: Editor, done: Imported) -> None:
    day.pk = known.pk if known is not None else None
    day._state.adding = known is None
    calendar_edits.store(editor, day)
    if _only_closes(day, known):
        return
    year = CalendarYear.objects.get(segment=day.segment, year=day.date.year)
    if calendar_edits.withdraw(editor, year):
        done.unconfirmed.append(str(year))


def _says(day: Holiday) -> tuple[object, ...]:
    return day.kind, day.name, day.opens, day.closes, day.hours, day.source


def _only_closes(day: Holiday, known: Holiday | None) -> bool:
    """True when the day takes trading hours away and gives none."""
    if day.kind == DayKind.CLOSED:
        return True
    return known is None and day.kind != DayKind.SPECIAL
