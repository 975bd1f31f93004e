"""Tell people in time that a calendar is missing: today's year, and from December on the next."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from apps.alerts.models import Alert, Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers.calendar import calendar_now, tradable_segments
from apps.brokers.conditions import NEXT_YEAR_FROM
from apps.brokers.models import BrokerAccount, CalendarKind
from apps.brokers.trading_hours import IST

QUIET = dt.timedelta(hours=12)  # after somebody has seen it
STEADY = dt.timedelta(minutes=15)  # without an order that met it: one share's hours may be unknown


def watch(now: dt.datetime | None = None) -> None:
    """Look at the segments in which accounts trade by the exchange's hours."""
    if not BrokerAccount.objects.filter(enabled=True, calendar=CalendarKind.EXCHANGE).exists():
        return
    now = now or timezone.now()
    today = now.astimezone(IST).date()
    calendar = calendar_now()
    for segment in tradable_segments():
        if why := calendar.plan(segment, today).unknown:
            tell_unknown(segment, why, now)
        else:
            settle_alert(f"calendar:{segment}", "today's hours are known", STEADY)
        if (segment, today.year) in calendar.years:
            settle_alert(f"calendar:{segment}:{today.year}", "the year is confirmed")
        ahead = today.month >= NEXT_YEAR_FROM
        if ahead and (segment, today.year + 1) not in calendar.years:
            tell_missing_year(segment, today.year + 1, now)
        elif ahead:
            settle_alert(f"calendar:{segment}:{today.year + 1}", "the year is confirmed")


def tell_unknown(segment: str, why: str, now: dt.datetime) -> None:
    """Entries are being refused there. One open alert, however many orders meet it."""
    text = f"{segment}: {why}. Entries are refused until it is known."
    _tell(f"calendar:{segment}", text, Severity.CRITICAL, now)


def tell_missing_year(segment: str, year: int, now: dt.datetime) -> None:
    """There is time, but it ends on New Year's Day."""
    text = (
        f"{segment}: the holidays of {year} are not confirmed. From 1 Jan {year} entries would be "
        "refused: import the exchange's list and confirm it."
    )
    _tell(f"calendar:{segment}:{year}", text, Severity.WARNING, now)


def _tell(key: str, text: str, severity: Severity, now: dt.datetime) -> None:
    """Not again while somebody has just acknowledged it."""
    seen = Alert.objects.filter(key=key, acknowledged_at__gt=now - QUIET)
    if not seen.exclude(acknowledged_by=None).exists():
        raise_alert(key, text, severity)
