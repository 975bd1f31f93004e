"""Who has seen an alert. The first to say so stays; the same happening again opens a new one."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone

from apps.alerts.models import Alert

PERMISSION = "alerts.change_alert"


def acknowledge(alerts: QuerySet[Alert], user: User) -> int:
    """Close the open ones among them in this person's name; returns how many there were."""
    unseen = alerts.filter(acknowledged_at=None)
    return unseen.update(acknowledged_at=timezone.now(), acknowledged_by=user)
