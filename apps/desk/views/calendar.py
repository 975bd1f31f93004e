"""The calendar: what happens where on which day, by which source; confirming a year's list."""

from __future__ import annotations

import datetime as dt

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.brokers import calendar_edits, holiday_files
from apps.brokers.calendar import calendar_now
from apps.brokers.calendar_edits import FIRST_YEAR, LAST_YEAR, Editor
from apps.brokers.holiday_files import BadFile
from apps.brokers.models import CalendarStamp, CalendarYear
from apps.brokers.models.calendar import SEGMENTS
from apps.brokers.trading_hours import IST
from apps.desk import market_day
from apps.desk.pages import actor_of, desk_page, show, user_of
from apps.people.typed import row_number

CONFIRM, IMPORT = "brokers.confirm_calendaryear", ("brokers.add_holiday", "brokers.change_holiday")


class ConfirmForm(forms.Form):
    """Which lists of which year, and the word of the person who compared them."""

    year = forms.IntegerField(min_value=FIRST_YEAR, max_value=LAST_YEAR)
    segments = forms.MultipleChoiceField(choices=SEGMENTS)
    stamp = forms.IntegerField(required=False)


class CheckedForm(ConfirmForm):
    """As above, and compared."""

    compared = forms.BooleanField(error_messages={"required": "Say that you have compared it."})


class ImportForm(forms.Form):
    """A holiday list."""

    file = forms.FileField()
    source = forms.CharField(max_length=300, required=False)


@desk_page("brokers.view_holiday")
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Now, the chosen day, and the list of its year."""
    return _show(request)


@desk_page("brokers.view_holiday", CONFIRM)
@require_POST
def confirm(request: HttpRequest) -> HttpResponse:
    """A person confirms lists as this person saw them."""
    form = CheckedForm(request.POST)
    if not form.is_valid():
        return _show(request, form)
    said = form.cleaned_data
    if said["stamp"] != _stamp():
        form.add_error(None, "The calendar has changed since you looked. Look again.")
        return _show(request, form)
    try:
        for row in CalendarYear.objects.filter(year=said["year"], segment__in=said["segments"]):
            calendar_edits.confirm(row, user_of(request))
            messages.success(request, f"{row} is confirmed.")
    except ValidationError as error:
        form.add_error(None, error)
        return _show(request, form)
    return _back(said["year"])


@desk_page("brokers.view_holiday", CONFIRM)
@require_POST
def withdraw(request: HttpRequest) -> HttpResponse:
    """Take confirmations back: entries stop there until somebody confirms again."""
    form = ConfirmForm(request.POST)
    if not form.is_valid():
        return _show(request, form)
    said, editor = form.cleaned_data, _editor(request)
    for row in CalendarYear.objects.filter(year=said["year"], segment__in=said["segments"]):
        if calendar_edits.withdraw(editor, row):
            messages.warning(request, f"{row} is not confirmed any more: entries are refused.")
    return _back(said["year"])


@desk_page("brokers.view_holiday", *IMPORT)
@require_POST
def take_in(request: HttpRequest) -> HttpResponse:
    """Import a list, whole or not at all; every bad line is named."""
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _show(request, form)
    file = form.cleaned_data["file"]
    if file.size > holiday_files.LARGEST:
        form.add_error("file", f"It is larger than {holiday_files.LARGEST} bytes.")
        return _show(request, form)
    try:
        days = holiday_files.read(file.read(), form.cleaned_data["source"])
    except BadFile as error:
        for line in ["Nothing was stored.", *error.lines]:
            form.add_error(None, line)
        return _show(request, form)
    done = holiday_files.store(days, _editor(request))
    messages.success(request, f"Imported: {done}.")
    if done.unconfirmed:
        messages.warning(request, f"To be confirmed again: {', '.join(done.unconfirmed)}.")
    return _back(min(day.date.year for day in days))


def _editor(request: HttpRequest) -> Editor:
    actor = actor_of(request)
    return Editor(actor.name, actor.user)


def _back(year: int) -> HttpResponse:
    return redirect(f"{reverse('desk:calendar')}?year={year}")


def _stamp() -> int | None:
    return CalendarStamp.objects.values_list("value", flat=True).first()


def _show(request: HttpRequest, form: forms.Form | None = None) -> HttpResponse:
    stamp = _stamp()  # read before the rows: a change in between must not be confirmed unseen
    now, calendar = timezone.now(), calendar_now()
    day = _day(request.GET.get("day", ""), now)
    year = _year(request, form, day)
    lists = market_day.lists_of(year)
    return show(
        request,
        "calendar",
        "Calendar",
        form=form,
        now=now,
        markets=market_day.now_in(calendar, now),
        day=day,
        days=market_day.day_in(calendar, day),
        year=year,
        years=(year - 1, year + 1),
        listed=market_day.year_list(year),
        lists=lists,
        waiting=[segment for segment, row in lists if row and not row.confirmed_at],
        confirmed=[segment for segment, row in lists if row and row.confirmed_at],
        stamp=stamp,
        columns=holiday_files.COLUMNS,
        may_confirm=request.user.has_perm(CONFIRM),
        may_import=request.user.has_perms(IMPORT),
    )


def _day(text: str, now: dt.datetime) -> dt.date:
    today = now.astimezone(IST).date()
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return today
    return day if FIRST_YEAR <= day.year <= LAST_YEAR else today


def _year(request: HttpRequest, form: forms.Form | None, day: dt.date) -> int:
    """The year that was asked for: by the address, or by the form that came back."""
    asked = (form.data.get("year") if form else None) or request.GET.get("year", "")
    year = row_number(asked)
    return day.year if year is None or not FIRST_YEAR <= year <= LAST_YEAR else year
