"""The rows of one channel: claimed, tried, settled. A claim that nobody settles runs out.

A channel that fails pauses as a whole, longer each time, so that a storm of alerts does not
become a storm of attempts.
"""

from __future__ import annotations

import datetime as dt
import random

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.utils import timezone

from apps.alerts.models import Channel, Delivery, DeliveryState, Purpose, Severity
from apps.alerts.models.delivery import UNDER_WAY
from apps.alerts.raising import raise_alert, settle_alert
from apps.alerts.trouble import Trouble

BATCH = 500  # a storm is few messages: a chat takes about twenty a minute
DEAD_AFTER = 3  # failures in a row
LONGEST_PAUSE = 300.0  # seconds
SILENT = dt.timedelta(seconds=LONGEST_PAUSE)  # for so long a channel may only put us off
LEASE_SLACK = 7.0  # seconds on top of the longest attempt; more than apprise needs to start


def claim(channel_id: int) -> list[Delivery]:
    """What this channel should say now, marked as being sent: several alerts, or one thing else.

    Empty when nothing is due, or while the channel pauses.
    """
    now = timezone.now()
    due = Delivery.objects.filter(channel=channel_id, state__in=UNDER_WAY, next_try_at__lte=now)
    if not due.exists():
        return []
    with transaction.atomic():
        channel = _locked(channel_id)
        if channel is None or (channel.not_before is not None and channel.not_before > now):
            return []
        due = due.select_related("message__alert")
        _drop(due, now)
        rows = _together(list(due.order_by(_WORST_FIRST, "id")[:BATCH]))
        lease = now + dt.timedelta(seconds=settings.ALERT_SEND_TIMEOUT + LEASE_SLACK)
        Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(
            state=DeliveryState.SENDING, attempts=F("attempts") + 1, next_try_at=lease
        )
    return rows


def delivered(rows: list[Delivery]) -> None:
    """They are out. A channel that was dead is not."""
    now = timezone.now()
    with transaction.atomic():
        _sending(rows).update(state=DeliveryState.DELIVERED, settled_at=now, error="")
        channel = _locked(rows[0].channel_id)
        if channel is None:
            return
        if channel.dead_since is not None:
            settle_alert(channel.own_alert, "it delivers again")
        well = {"failures": 0, "dead_since": None, "not_before": None, "last_error": ""}
        _write(channel, last_delivered_at=now, **well)


def failed(rows: list[Delivery], trouble: Trouble) -> None:
    """They are not out: they wait until the channel's pause is over. A test is not repeated."""
    now = timezone.now()
    with transaction.atomic():
        waiting = _sending(rows)
        tests = waiting.filter(message__purpose=Purpose.TEST)
        tests.update(state=DeliveryState.FAILED, settled_at=now, error=str(trouble))
        waiting.update(state=DeliveryState.WAITING, next_try_at=now, error=str(trouble))
        channel = _locked(rows[0].channel_id)
        if channel is None:
            return
        if trouble.wait is not None:
            _put_off(channel, rows, trouble, now)
            return
        channel.failures += 1
        pause = dt.timedelta(seconds=_pause(channel.failures, permanent=trouble.permanent))
        if trouble.permanent or channel.failures >= DEAD_AFTER:
            _bury(channel, trouble, now)
        _write(
            channel,
            failures=channel.failures,
            dead_since=channel.dead_since,
            not_before=now + pause,
            last_error=str(trouble),
        )


def _put_off(channel: Channel, rows: list[Delivery], trouble: Trouble, now: dt.datetime) -> None:
    """It asks us to wait, which is no failure; but who hears nothing for long must be told."""
    until = now + dt.timedelta(seconds=trouble.wait or 0)
    if until - min(row.message.created_at for row in rows) > SILENT:
        _bury(channel, trouble, now)
    _write(channel, not_before=until, dead_since=channel.dead_since, last_error=str(trouble))


def _drop(due: QuerySet[Delivery], now: dt.datetime) -> None:
    """What somebody has seen meanwhile, and what is too old to be of use.

    A critical alert that is open is never too old: whoever comes back must hear of it.
    """
    seen = due.filter(message__alert__acknowledged_at__isnull=False)
    seen.update(state=DeliveryState.DROPPED, settled_at=now, error="acknowledged before it went")
    late = due.filter(message__expires_at__lte=now)
    late = late.exclude(message__purpose=Purpose.ALERT, message__severity=Severity.CRITICAL)
    late.update(state=DeliveryState.FAILED, settled_at=now)


_WORST_FIRST = Case(
    *(When(message__severity=word, then=Value(-word.rank)) for word in Severity), default=Value(0)
)


def _together(rows: list[Delivery]) -> list[Delivery]:
    alerts = [row for row in rows if row.message.purpose == Purpose.ALERT]
    return alerts or rows[:1]


def _pause(failures: int, *, permanent: bool) -> float:
    """Seconds; with jitter, so that channels of one service do not come back together."""
    pause = LONGEST_PAUSE if permanent else settings.ALERT_FIRST_PAUSE * 2 ** min(failures - 1, 10)
    return min(pause, LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret in it


def _bury(channel: Channel, trouble: Trouble, now: dt.datetime) -> None:
    """Said once, on the desk and on every other channel."""
    if channel.dead_since is None:
        channel.dead_since = now
        text = f"Channel {channel.name} is dead: {trouble}. Alerts do not reach its people."
        raise_alert(channel.own_alert, text, Severity.CRITICAL)


def _sending(rows: list[Delivery]) -> QuerySet[Delivery]:
    return Delivery.objects.filter(pk__in=[row.pk for row in rows], state=DeliveryState.SENDING)


def _locked(channel_id: int) -> Channel | None:
    """Locked without its key, so that new deliveries can be written down meanwhile."""
    rows = Channel.objects.select_for_update(no_key=True)
    return rows.filter(pk=channel_id, enabled=True).first()


def _write(channel: Channel, **columns: object) -> None:
    Channel.objects.filter(pk=channel.pk).update(**columns)
