"""What is said at set times. Each time is a slot that is said once, whoever gets there first.

It runs with the delivery of alerts, so that "not well" is said when the workers are dead too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

from django.conf import settings
from django.utils import timezone

from apps.alerts.models import Channel, Message, Purpose
from apps.alerts.spreading import post
from apps.chat import reports

DAY_END_WORTH = dt.timedelta(hours=12)
_SATURDAY = 5


def post_due() -> None:
    """Say what this minute asks for. Cheap when nothing is due."""
    now = timezone.localtime()
    for channel in Channel.objects.filter(enabled=True, heartbeat_minutes__isnull=False):
        _heartbeat(channel, now)
    listening = list(Channel.objects.filter(enabled=True, reports=True))
    if listening and now.weekday() < _SATURDAY:
        _report(listening, now)
        _day_end(listening, now)


def _heartbeat(channel: Channel, now: dt.datetime) -> None:
    every = dt.timedelta(minutes=channel.heartbeat_minutes or 1)
    number = int(now.timestamp() // every.total_seconds())
    slot = f"heartbeat:{channel.pk}:{int(every.total_seconds())}:{number}"
    _say(Purpose.HEARTBEAT, slot, reports.heartbeat, [channel], now + every)


def _report(listening: list[Channel], now: dt.datetime) -> None:
    """Every so many minutes from the open on, the first one an interval after it."""
    opens, closes = settings.REPORT_HOURS
    every = dt.timedelta(minutes=settings.STRATEGY_REPORT_MINUTES)
    if not every or not opens <= now.time() < closes:
        return
    number = (now - _at(now, opens)) // every
    if number:
        slot = f"report:{now:%Y-%m-%d}:{every}:{number}"
        _say(Purpose.REPORT, slot, reports.strategies, listening, now + every)


def _day_end(listening: list[Channel], now: dt.datetime) -> None:
    if now.time() >= settings.REPORT_HOURS[1]:
        slot = f"day-end:{now:%Y-%m-%d}"
        _say(Purpose.REPORT, slot, reports.day_end, listening, now + DAY_END_WORTH)


def _at(day: dt.datetime, time: dt.time) -> dt.datetime:
    return day.replace(hour=time.hour, minute=time.minute, second=0, microsecond=0)


def _say(
    purpose: Purpose,
    slot: str,
    compose: Callable[[], str],
    channels: Iterable[Channel],
    until: dt.datetime,
) -> None:
    if not Message.objects.filter(slot=slot).exists():
        post(Message(purpose=purpose, slot=slot, text=compose(), expires_at=until), channels)
