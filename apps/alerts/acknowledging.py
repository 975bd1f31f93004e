"""Acknowledge alerts: somebody has seen them, so nobody else is woken."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.utils import timezone

from apps.alerts.models import Alert

PERMISSION = "alerts.change_alert"


def acknowledge(alerts: Iterable[int], user: User, reason: str = "") -> int:
    """Close these alerts in this person's name; returns how many. The first one to do so stays."""
    return Alert.objects.filter(pk__in=list(alerts), acknowledged_at=None).update(
        acknowledged_at=timezone.now(), acknowledged_by=user, acknowledged_reason=reason[:300]
    )
