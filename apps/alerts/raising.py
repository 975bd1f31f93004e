"""Raise an alert, or close it; write a sign of life. All that the house needs of alerts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import structlog
from django.db import connection
from django.utils import timezone

from apps.alerts.models import Alert, Heartbeat, Severity

log = structlog.get_logger(__name__)

_UPSERT = """
    INSERT INTO alerts_alert
        (key, severity, text, first_raised, last_raised, times, acknowledged_reason)
    VALUES (%s, %s, %s, %s, %s, 1, '')
    ON CONFLICT (key) WHERE acknowledged_at IS NULL
    DO UPDATE SET times = alerts_alert.times + 1, last_raised = EXCLUDED.last_raised,
                  text = EXCLUDED.text, severity = CASE
                      WHEN alerts_alert.severity = ANY(%s::text[]) THEN EXCLUDED.severity
                      ELSE alerts_alert.severity END
"""


def raise_alert(key: str, text: str, severity: Severity = Severity.WARNING) -> None:
    """Record that a person must look; the same open key counts up and never gets milder.

    One statement, no network: ``deliver_alerts`` reads the row once the caller has committed.
    """
    now = timezone.now()
    milder = [word.value for word in severity.and_milder]
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT, [key[:200], severity.value, text, now, now, milder])
    log.warning("alert", alert_key=key, severity=severity.value, text=text)


STEADY = dt.timedelta(seconds=90)  # without a repeat; longer than any trouble is kept back


def settle_alert(
    key: str | Collection[str], why: str, steady: dt.timedelta = dt.timedelta(0)
) -> None:
    """Close an open alert whose cause is gone, or several; nobody's name is put to it. None open:
    nothing.

    ``steady``: only when it was not raised for so long, or what comes and goes would be news
    each time.
    """
    now = timezone.now()
    keys = [key] if isinstance(key, str) else key
    mine = Alert.objects.filter(key__in=[one[:200] for one in keys], acknowledged_at=None)
    mine.filter(last_raised__lte=now - steady).update(
        acknowledged_at=now, acknowledged_reason=why[:300]
    )


def sign_of_life(name: str, detail: str = "") -> None:
    """Write that ``name`` is alive now."""
    beat = Heartbeat(name=name, at=timezone.now(), detail=detail[:200])
    Heartbeat.objects.bulk_create(
        [beat], update_conflicts=True, unique_fields=["name"], update_fields=["at", "detail"]
    )


def seconds_since(name: str) -> float | None:
    """Seconds since the last sign of life of ``name``; None if there never was one."""
    heartbeat = Heartbeat.objects.filter(name=name).first()
    return heartbeat.age if heartbeat else None
