"""When markets trade: dated rules, special days, confirmed years, and their history."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from apps.brokers.market import EVERY_TYPE, Phase
from apps.brokers.port import Segment
from apps.brokers.session_rules import (
    MIDNIGHT,
    DayKind,
    Daylight,
    Hours,
    Session,
    SpecialDay,
    read_hours,
    written,
)
from apps.brokers.trading_hours import contradictions

SEGMENTS = [(word.value, word.value) for word in Segment if word is not Segment.INDEX]
PHASES = [
    (word.value, word.value.replace("_", " ").capitalize())
    for word in Phase
    if word not in {Phase.CLOSED, Phase.UNKNOWN}
]
SOURCE_HELP = "The circular, or the page, that says so."


class AppliesTo(models.TextChoices):
    """What of a segment a rule is about."""

    EVERYTHING = "EVERYTHING", "Everything in the segment"
    WITH_DERIVATIVES = "WITH_DERIVATIVES", "Shares that have derivatives"
    NAMED = "NAMED", "The names below"


def _names(text: str) -> frozenset[str]:
    return frozenset(name for part in text.split(",") if (name := part.strip()))


class SessionRule(models.Model):
    """On these weekdays, between these dates, this phase at these hours (Indian time).

    Of the rules of one phase the most specific ones count. Two phases at one moment are refused:
    here for all that a share may be about, and by the database for rules about the same.
    """

    segment = models.CharField(max_length=20, choices=SEGMENTS)
    applies_to = models.CharField(
        max_length=20, choices=AppliesTo.choices, default=AppliesTo.EVERYTHING
    )
    names = models.CharField(
        max_length=200, blank=True, help_text="Symbols or underlyings, with commas between."
    )
    left_out = models.CharField(
        max_length=200, blank=True, help_text="Symbols for which this rule does not count."
    )
    phase = models.CharField(max_length=20, choices=PHASES)
    weekdays = models.CharField(
        max_length=7,
        default="12345",
        validators=[RegexValidator(r"^(?=.)1?2?3?4?5?6?7?$", "digits 1 (Monday) to 7, in order")],
    )
    opens = models.TimeField(help_text="The first second is in.")
    closes = models.TimeField(help_text="The last second is out; 00:00 is the end of the day.")
    may_close_from = models.TimeField(
        null=True, blank=True, help_text="From when on the exchange may end the phase at random."
    )
    daylight = models.CharField(
        max_length=10,
        blank=True,
        choices=[
            (Daylight.ANY.value, "All year"),
            (Daylight.SUMMER.value, "While New York keeps daylight saving"),
            (Daylight.WINTER.value, "While New York keeps standard time"),
        ],
    )
    order_types = models.JSONField(
        default=list, blank=True, help_text="What may be placed and changed; none: no orders."
    )
    ioc = models.BooleanField("IOC", default=False, help_text="Orders of validity IOC are taken.")
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True, help_text="The last day; empty: until now.")
    note = models.CharField(max_length=120, blank=True)
    source = models.CharField(max_length=300, help_text=SOURCE_HELP)

    class Meta:
        ordering = ["segment", "valid_from", "applies_to", "opens"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(opens__lt=models.F("closes")) | models.Q(closes=MIDNIGHT),
                name="session_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=models.Q(valid_to=None) | models.Q(valid_to__gte=models.F("valid_from")),
                name="session_rule_ends_after_it_begins",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.segment} {self.phase} {self.opens:%H:%M}-{self.closes:%H:%M}"

    def clean(self) -> None:
        """Name the field that is wrong; refuse a rule that contradicts the others."""
        if self.opens and self.closes and self.closes != MIDNIGHT and self.opens >= self.closes:
            raise ValidationError({"closes": "Must be after it opens (00:00: end of the day)."})
        if self.valid_to and self.valid_from and self.valid_to < self.valid_from:
            raise ValidationError({"valid_to": "Must not be before the first day."})
        named = self.applies_to == AppliesTo.NAMED
        if named != bool(_names(self.names)):
            text = "Write who is meant." if named else "Only a rule for names has names."
            raise ValidationError({"names": text})
        if not set(self.order_types) <= EVERY_TYPE:
            raise ValidationError({"order_types": f"Of {', '.join(sorted(EVERY_TYPE))} only."})
        self._refuse_contradiction()

    def _refuse_contradiction(self) -> None:
        needed = ("segment", "phase", "opens", "closes", "valid_from")
        if not all(getattr(self, name) for name in needed):
            return
        others = SessionRule.objects.filter(segment=self.segment).exclude(pk=self.pk)
        sessions = [self.as_session(), *(rule.as_session() for rule in others)]
        if (clash := next(contradictions(sessions), None)) is not None:
            raise ValidationError(f"Another rule says something else. {clash}.")

    def as_session(self) -> Session:
        """The rule for the calendar's arithmetic."""
        return Session(
            segment=self.segment,
            phase=Phase(self.phase),
            opens=self.opens,
            closes=self.closes,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            weekdays=frozenset(int(digit) for digit in self.weekdays),
            daylight=Daylight(self.daylight),
            with_derivatives=self.applies_to == AppliesTo.WITH_DERIVATIVES,
            names=_names(self.names),
            left_out=_names(self.left_out),
            order_types=frozenset(self.order_types),
            ioc=self.ioc,
            may_close_from=self.may_close_from,
            note=self.note,
            source=self.source,
        )


class Holiday(models.Model):
    """A day of one segment on which the rules do not count, or not all day."""

    segment = models.CharField(max_length=20, choices=SEGMENTS)
    date = models.DateField()
    kind = models.CharField(
        max_length=20,
        default=DayKind.CLOSED,
        choices=[
            (DayKind.CLOSED.value, "Closed all day"),
            (DayKind.MORNING_CLOSED.value, "Morning closed"),
            (DayKind.EVENING_CLOSED.value, "Evening closed"),
            (DayKind.SPECIAL.value, "Special session"),
        ],
    )
    name = models.CharField(max_length=80)
    opens = models.TimeField(
        null=True, blank=True, help_text="Morning closed: from when there is trading."
    )
    closes = models.TimeField(
        null=True, blank=True, help_text="Evening closed: until when there is trading."
    )
    hours = models.CharField(
        max_length=200,
        blank=True,
        help_text="Special session: PRE_OPEN 13:30-13:45, OPEN 13:45-14:45. "
        "Empty: not announced, so nothing is sent.",
    )
    source = models.CharField(max_length=300, help_text=SOURCE_HELP)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
    )
    confirmed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["date", "segment"]
        constraints = [
            models.UniqueConstraint(fields=["segment", "date"], name="one_special_day_per_date"),
            models.CheckConstraint(
                condition=(models.Q(kind="MORNING_CLOSED") & models.Q(opens__isnull=False))
                | (~models.Q(kind="MORNING_CLOSED") & models.Q(opens=None)),
                name="closed_morning_says_when_it_opens",
            ),
            models.CheckConstraint(
                condition=(models.Q(kind="EVENING_CLOSED") & models.Q(closes__isnull=False))
                | (~models.Q(kind="EVENING_CLOSED") & models.Q(closes=None)),
                name="closed_evening_says_when_it_closes",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="SPECIAL") | models.Q(hours=""),
                name="only_special_sessions_have_hours",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.segment} {self.date:%d %b %Y}: {self.name}"

    def clean(self) -> None:
        """Name the field that is wrong; write the hours in one form."""
        for field, kind in (("opens", "MORNING_CLOSED"), ("closes", "EVENING_CLOSED")):
            if (getattr(self, field) is not None) != (self.kind == kind):
                text = "Say the time." if self.kind == kind else "Not for this kind of day."
                raise ValidationError({field: text})
        if self.hours and self.kind != DayKind.SPECIAL:
            raise ValidationError({"hours": "Only a special session has hours."})
        try:
            self.hours = written(self._hours())
        except ValueError as error:
            raise ValidationError({"hours": f"{error}."}) from None

    def _hours(self) -> tuple[Hours, ...]:
        return read_hours(self.hours)

    def as_day(self) -> SpecialDay:
        """The day for the calendar's arithmetic."""
        return SpecialDay(
            segment=self.segment,
            date=self.date,
            kind=DayKind(self.kind),
            name=self.name,
            opens=self.opens,
            closes=self.closes,
            hours=self._hours(),
            source=self.source,
        )


class CalendarYear(models.Model):
    """The holiday list of one segment and year. Until a person confirms it, entries are refused."""

    segment = models.CharField(max_length=20, choices=SEGMENTS)
    year = models.PositiveSmallIntegerField()
    source = models.CharField(max_length=300, blank=True, help_text=SOURCE_HELP)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-year", "segment"]
        constraints = [
            models.UniqueConstraint(fields=["segment", "year"], name="one_list_per_year"),
            models.CheckConstraint(
                condition=models.Q(confirmed_by=None, confirmed_at=None)
                | models.Q(confirmed_by__isnull=False, confirmed_at__isnull=False),
                name="a_person_confirms_a_year",
            ),
        ]
        permissions = [("confirm_calendaryear", "Can confirm a year's holiday list")]

    def __str__(self) -> str:
        return f"{self.segment} {self.year}"


class CalendarChange(models.Model):
    """One change of the calendar: who, what, before, after. History: never edited or deleted."""

    what = models.CharField(max_length=20)
    subject = models.CharField(max_length=120)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.what} {self.subject}"


class CalendarStamp(models.Model):
    """A number that the database changes with every change of the calendar. One row."""

    value = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.value)
