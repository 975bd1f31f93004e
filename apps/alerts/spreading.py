"""Which alert is said on which channel, and when again.

Nothing here writes to an alert's row, so no transaction that raises one ever waits for this.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.alerts.models import Alert, Channel, Delivery, Message, Purpose, Severity

KEPT_FOR = dt.timedelta(hours=6)  # an alert that nobody could be told of for so long is old
AGAIN_AFTER = dt.timedelta(minutes=5)  # for the same alert with other words; doubles each time
MOST_DOUBLINGS = 10
BATCH = 500
ROUTINE_KEPT_FOR = dt.timedelta(days=30)

# An alert is due when nothing was said of it, when it became worse, when its words have changed
# and it was quiet for long enough, or when nobody acknowledged a critical one in time.
_DUE = """
    WITH told AS (
        SELECT %(now)s::timestamptz AS now, %(ranks)s::text[] AS ranks,
               %(again)s::interval AS again, %(doublings)s::int AS doublings
    )
    SELECT alert.id, sent.times,
           CASE WHEN escalates THEN next.number ELSE COALESCE(last.step, 0) END
    FROM alerts_alert alert CROSS JOIN told
    LEFT JOIN LATERAL (
        SELECT step, severity, text, created_at FROM alerts_message
        WHERE alert_id = alert.id ORDER BY id DESC LIMIT 1
    ) last ON TRUE
    LEFT JOIN LATERAL (
        SELECT count(*) AS times,
               min(created_at) FILTER (WHERE step = last.step AND severity = 'CRITICAL') AS since
        FROM alerts_message WHERE alert_id = alert.id
    ) sent ON TRUE
    LEFT JOIN LATERAL (
        SELECT number, minutes FROM alerts_escalationstep
        WHERE number > last.step ORDER BY number LIMIT 1
    ) next ON TRUE
    CROSS JOIN LATERAL (
        SELECT alert.severity = 'CRITICAL'
               AND sent.since + next.minutes * interval '1 minute' <= told.now AS escalates,
               last.created_at + told.again * power(2, least(sent.times - 1, told.doublings))
               <= told.now AS was_quiet
    ) turn
    WHERE alert.acknowledged_at IS NULL AND (
        last.step IS NULL
        OR escalates
        OR alert.text <> last.text AND was_quiet
        OR array_position(told.ranks, alert.severity::text)
           > array_position(told.ranks, last.severity::text)
    )
    ORDER BY array_position(told.ranks, alert.severity::text) DESC, alert.id
    LIMIT %(batch)s::int
"""


def spread() -> int:
    """Write a message for every alert that is due; returns how many."""
    due = _due()
    alerts = Alert.objects.in_bulk([alert_id for alert_id, _, _ in due])
    for alert_id, times, step in due:
        _say(alerts[alert_id], times, step)
    return len(due)


def _due() -> list[tuple[int, int, int]]:
    with connection.cursor() as cursor:
        values: dict[str, Any] = {
            "now": timezone.now(),
            "ranks": list(Severity.values),
            "again": AGAIN_AFTER,
            "doublings": MOST_DOUBLINGS,
            "batch": BATCH,
        }
        cursor.execute(_DUE, values)
        return list(cursor.fetchall())


def _say(alert: Alert, times: int, step: int) -> None:
    severity = Severity(alert.severity)
    message = Message(
        purpose=Purpose.ALERT,
        slot=f"alert:{alert.pk}:{times + 1}",
        alert=alert,
        step=step,
        severity=severity,
        text=alert.text,
        expires_at=timezone.now() + KEPT_FOR,
    )
    listening = Channel.objects.filter(
        enabled=True, step__lte=step, min_severity__in=severity.and_milder
    )
    post(message, [row for row in listening if row.own_alert != alert.key])


def post(message: Message, channels: Iterable[Channel]) -> bool:
    """Store a message with one delivery per channel. False when its slot is taken: it is said."""
    try:
        with transaction.atomic():
            message.save(force_insert=True)
            Delivery.objects.bulk_create(
                Delivery(message=message, channel=channel) for channel in channels
            )
    except IntegrityError:
        return False
    return True


def forget_routine() -> int:
    """Drop old routine messages; what was said of alerts stays."""
    old = Message.objects.exclude(purpose=Purpose.ALERT).filter(
        created_at__lte=timezone.now() - ROUTINE_KEPT_FOR
    )
    return old.delete()[0]
