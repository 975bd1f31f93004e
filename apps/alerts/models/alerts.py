"""Alerts: what a person must know. Heartbeats: signs of life whose absence a person must know."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class Severity(models.TextChoices):
    """How soon somebody must look."""

    INFO = "INFO", "Information"
    WARNING = "WARNING", "Warning"
    CRITICAL = "CRITICAL", "Critical"

    @property
    def rank(self) -> int:
        """0, 1, 2: the higher, the sooner."""
        return list(Severity).index(self)

    @property
    def and_milder(self) -> list[Severity]:
        """This one and all below it."""
        return [word for word in Severity if word.rank <= self.rank]


# The colours of the desk's style sheet.
SEVERITY_TONES = {Severity.INFO: "quiet", Severity.WARNING: "wait", Severity.CRITICAL: "alarm"}


class Alert(models.Model):
    """One thing a person must know. Repeats of the same key count up instead of piling up."""

    key = models.CharField(max_length=200, help_text="What it is about; repeats share the key.")
    severity = models.CharField(max_length=10, choices=Severity.choices)
    text = models.TextField()
    first_raised = models.DateTimeField(default=timezone.now)
    last_raised = models.DateTimeField(default=timezone.now)
    times = models.PositiveIntegerField(default=1)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT
    )
    acknowledged_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-last_raised"]
        constraints = [
            models.UniqueConstraint(
                fields=["key"],
                condition=models.Q(acknowledged_at__isnull=True),
                name="one_open_alert_per_key",
            )
        ]

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"

    @property
    def open(self) -> bool:
        """True while nobody has acknowledged it and it has not settled itself."""
        return self.acknowledged_at is None


class Heartbeat(models.Model):
    """The last sign of life of one process or loop."""

    name = models.CharField(max_length=80, primary_key=True)
    at = models.DateTimeField()
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def age(self) -> float:
        """Seconds since the last sign of life."""
        return (timezone.now() - self.at).total_seconds()
