"""What is said at set times. Each time is a slot that is said once, whoever gets there first.

It runs with the delivery of alerts, so that "not well" is said when the workers are dead too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from functools import partial

from django.conf import settings
from django.utils import timezone

from apps.alerts.models import Channel, Message, Purpose
from apps.alerts.spreading import post
from apps.chat import reports
from apps.chat.hours import Span, spans_of

DAY_END_WORTH = dt.timedelta(hours=12)


def post_due() -> None:
    """Say what this minute asks for. Cheap when nothing is due."""
    now = timezone.localtime()
    for channel in Channel.objects.filter(enabled=True, heartbeat_minutes__isnull=False):
        _heartbeat(channel, now)
    listening = list(Channel.objects.filter(enabled=True, reports=True))
    if listening and (spans := spans_of(now)):
        _report(listening, spans, now)
        _day_end(listening, spans, now)


def _heartbeat(channel: Channel, now: dt.datetime) -> None:
    every = dt.timedelta(minutes=channel.heartbeat_minutes or 1)
    number = int(now.timestamp() // every.total_seconds())
    slot = f"heartbeat:{channel.pk}:{int(every.total_seconds())}:{number}"
    _say(Purpose.HEARTBEAT, slot, reports.heartbeat, [channel], now + every)


def _report(listening: list[Channel], spans: tuple[Span, ...], now: dt.datetime) -> None:
    """Every so many minutes from the first opening on, the first one an interval after it."""
    every = dt.timedelta(minutes=settings.STRATEGY_REPORT_MINUTES)
    if not every or not any(span.holds(now) for span in spans):
        return
    number = (now - min(span.opens for span in spans)) // every
    if number:
        slot = f"report:{now:%Y-%m-%d}:{every}:{number}"
        _say(Purpose.REPORT, slot, reports.strategies, listening, now + every)


def _day_end(listening: list[Channel], spans: tuple[Span, ...], now: dt.datetime) -> None:
    """One for each time at which something closes; of those that were missed the last."""
    closed = [span for span in spans if span.closes <= now]
    if closed:
        slot = f"day-end:{closed[-1].closes:%Y-%m-%d:%H%M}"
        names = [span.segment for span in closed if span.segment]
        compose = partial(reports.day_end, names)
        _say(Purpose.REPORT, slot, compose, listening, now + DAY_END_WORTH)


def _say(
    purpose: Purpose,
    slot: str,
    compose: Callable[[], str],
    channels: Iterable[Channel],
    until: dt.datetime,
) -> None:
    if not Message.objects.filter(slot=slot).exists():
        post(Message(purpose=purpose, slot=slot, text=compose(), expires_at=until), channels)
