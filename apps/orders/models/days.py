"""What a trading day came to: one row per account, written once after its markets closed."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount


class DayReport(models.Model):
    """Orders, fills and profit of one account on one day, by owner. Append-only.

    ``data`` holds plain values; rupees are text. What is not known is null, never 0.
    """

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="day_reports")
    trading_day = models.DateField()
    made_at = models.DateTimeField(default=timezone.now)
    data = models.JSONField()

    class Meta:
        ordering = ["-trading_day", "account"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["account", "trading_day"], name="one_report_a_day")
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.trading_day:%d %b %Y}"
