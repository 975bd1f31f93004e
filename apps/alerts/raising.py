"""Raise an alert; write a sign of life. All that the rest of the house needs of alerts."""

from __future__ import annotations

import structlog
from django.db import connection
from django.utils import timezone

from apps.alerts.models import Heartbeat, Severity

log = structlog.get_logger(__name__)

_UPSERT = """
    INSERT INTO alerts_alert (key, severity, text, first_raised, last_raised, times)
    VALUES (%s, %s, %s, %s, %s, 1)
    ON CONFLICT (key) WHERE acknowledged_at IS NULL
    DO UPDATE SET times = alerts_alert.times + 1, last_raised = EXCLUDED.last_raised,
                  severity = EXCLUDED.severity, text = EXCLUDED.text
"""


def raise_alert(key: str, text: str, severity: Severity = Severity.WARNING) -> None:
    """Record that a person must look; the same open key counts up. One statement, no network."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT, [key[:200], severity.value, text, now, now])
    log.warning("alert", alert_key=key, severity=severity.value, text=text)


def sign_of_life(name: str, detail: str = "") -> None:
    """Write that ``name`` is alive now."""
    Heartbeat.objects.update_or_create(
        name=name, defaults={"at": timezone.now(), "detail": detail[:200]}
    )


def seconds_since(name: str) -> float | None:
    """Seconds since the last sign of life of ``name``; None if there never was one."""
    heartbeat = Heartbeat.objects.filter(name=name).first()
    return heartbeat.age if heartbeat else None
