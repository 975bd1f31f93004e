"""The calendar in the admin: rules and special days are edited here, and every edit is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from apps.alerts.history import HistoryAdmin
from apps.brokers import calendar_edits
from apps.brokers.calendar_edits import Editor
from apps.brokers.models import CalendarChange, CalendarYear, Holiday, SessionRule
from apps.brokers.models.calendar import SEGMENTS
from apps.brokers.port import OrderType

if TYPE_CHECKING:
    _RuleForm = forms.ModelForm[SessionRule]
    _HolidayForm = forms.ModelForm[Holiday]
else:
    _RuleForm = _HolidayForm = forms.ModelForm

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _editor(request: HttpRequest) -> Editor:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return Editor(request.user.get_username(), request.user)


class _KeptAdmin(ModelAdmin):  # type: ignore[misc]
    """Every save and deletion leaves a row of history."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ANN401
        """Store it in this person's name."""
        calendar_edits.store(_editor(request), obj)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:  # noqa: ANN401
        """Remove it in this person's name."""
        calendar_edits.remove(_editor(request), obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Remove each of them."""
        for row in queryset:
            calendar_edits.remove(_editor(request), row)


class SessionRuleForm(_RuleForm):
    """A rule, with boxes for weekdays and order types."""

    weekdays = forms.MultipleChoiceField(
        choices=[(str(number), name) for number, name in enumerate(_WEEKDAYS, 1)],
        widget=forms.CheckboxSelectMultiple,
        initial=list("12345"),
    )
    order_types = forms.MultipleChoiceField(
        choices=[(word.value, word.value) for word in OrderType],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="What may be placed and changed in this phase; none: no orders.",
    )

    class Meta:
        model = SessionRule
        exclude = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.initial["weekdays"] = list(self.instance.weekdays)

    def clean_weekdays(self) -> str:
        """The chosen days as digits."""
        return "".join(sorted(self.cleaned_data["weekdays"]))


@admin.register(SessionRule)
class SessionRuleAdmin(_KeptAdmin):
    """Hours with dates and sources. Other hours are a new rule, and an end of the old one."""

    form = SessionRuleForm
    list_display = (
        "segment",
        "phase",
        "applies_to",
        "opens",
        "closes",
        "weekdays",
        "daylight",
        "valid_from",
        "valid_to",
        "source",
    )
    list_filter = ("segment", "phase", "applies_to")
    search_fields = ("source", "note", "names")
    fieldsets = (
        (None, {"fields": ("segment", "phase", "applies_to", "names", "left_out")}),
        ("When", {"fields": ("weekdays", "daylight", "opens", "closes", "may_close_from")}),
        ("Orders", {"fields": ("order_types", "ioc")}),
        ("From, until, why", {"fields": ("valid_from", "valid_to", "note", "source")}),
    )


class HolidayForm(_HolidayForm):
    """A special day; a new one may be declared for several segments at once."""

    segments = forms.MultipleChoiceField(choices=SEGMENTS, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = Holiday
        fields = ("date", "kind", "name", "opens", "closes", "hours", "source")

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            del self.fields["segments"]

    def clean(self) -> dict[str, Any]:
        """Each of the segments has one special day per date."""
        cleaned = super().clean() or self.cleaned_data
        own = [self.instance.segment] if self.instance.pk else []
        segments, date = cleaned.get("segments", own), cleaned.get("date")
        if not segments or date is None:
            return cleaned
        taken = Holiday.objects.filter(segment__in=segments, date=date).exclude(pk=self.instance.pk)
        if names := ", ".join(taken.values_list("segment", flat=True)):
            self.add_error("date", f"This day is there already for {names}: change it instead.")
        self.instance.segment = segments[0]
        return cleaned


@admin.register(Holiday)
class HolidayAdmin(_KeptAdmin):
    """Holidays, half holidays, special sessions. They count from the moment they are saved."""

    form = HolidayForm
    list_display = (
        "date",
        "segment",
        "kind",
        "name",
        "hours",
        "source",
        "confirmed_by",
        "confirmed_at",
    )
    list_filter = ("segment", "kind")
    list_select_related = ("confirmed_by",)
    search_fields = ("name", "source")
    date_hierarchy = "date"
    ordering = ("-date", "segment")
    readonly_fields = ("segment", "confirmed_by", "confirmed_at")

    def get_fields(self, request: HttpRequest, obj: Holiday | None = None) -> list[str]:
        """A new day asks for its segments; one that is there keeps its own."""
        fields = ["date", "kind", "name", "opens", "closes", "hours", "source"]
        if obj is None:
            return ["segments", *fields]
        return ["segment", *fields, "confirmed_by", "confirmed_at"]

    def save_model(
        self, request: HttpRequest, obj: Holiday, form: HolidayForm, change: bool
    ) -> None:
        """One row for each segment."""
        editor, segments = _editor(request), form.cleaned_data.get("segments", [])
        for segment in segments[1:]:
            columns = {name: getattr(obj, name) for name in HolidayForm.Meta.fields}
            calendar_edits.store(editor, Holiday(segment=segment, **columns))
        calendar_edits.store(editor, obj)


@admin.register(CalendarYear)
class CalendarYearAdmin(HistoryAdmin):
    """The lists and who confirmed them; confirming is done beside the list, on the calendar."""

    list_display = ("year", "segment", "source", "confirmed_by", "confirmed_at")
    list_filter = ("year", "segment")
    list_select_related = ("confirmed_by",)
    ordering = ("-year",)

    def change_view(
        self, request: HttpRequest, object_id: str, *_: object, **__: object
    ) -> HttpResponseRedirect:
        """The calendar of that year."""
        row = CalendarYear.objects.filter(pk=object_id).first()
        year = f"?year={row.year}" if row else ""
        return HttpResponseRedirect(f"{reverse('desk:calendar')}{year}")


@admin.register(CalendarChange)
class CalendarChangeAdmin(HistoryAdmin):
    """Who changed what of the calendar."""

    list_display = ("at", "what", "subject", "before", "after", "actor")
    list_filter = ("what", "user")
    search_fields = ("subject", "actor")
