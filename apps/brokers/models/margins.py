"""What orders would tie up, by the broker's own calculator."""

from __future__ import annotations

from django.db import models

from apps.brokers.models.accounts import BrokerAccount


class MarginEstimate(models.Model):
    """The calculator's last answer for one set of terms. A failed read changes nothing here."""

    account = models.ForeignKey(BrokerAccount, on_delete=models.CASCADE, related_name="margins")
    terms = models.CharField(max_length=40, help_text="A digest of the terms that were asked.")
    asked = models.JSONField(help_text="The terms in words.")
    required = models.DecimalField(max_digits=18, decimal_places=2)
    available = models.DecimalField(max_digits=18, decimal_places=2, null=True)
    raw = models.JSONField(default=dict, help_text="The calculator's answer.")
    as_of = models.DateTimeField(help_text="When the read began.")
    mark = models.BigIntegerField(help_text="The moment before the read began.")

    class Meta:
        ordering = ["-as_of"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["account", "terms"], name="one_estimate_per_terms")
        ]
        indexes = [models.Index(fields=["as_of"], name="estimate_age")]

    def __str__(self) -> str:
        return f"{self.required} needed"
