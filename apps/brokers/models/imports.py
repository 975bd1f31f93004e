"""Every reading of a broker's master file, whatever came of it."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.db import models
from django.utils import timezone

from apps.brokers.models.accounts import LOOPBACK, BrokerKind


def is_simulated(source: str) -> bool:
    """Whether the file at this address is a simulated exchange's; a file's name is a person's."""
    return (urlsplit(source).hostname or "") in LOOPBACK


class ImportOutcome(models.TextChoices):
    """Whether a master file changed the instruments."""

    APPLIED = "APPLIED", "Applied"
    REFUSED = "REFUSED", "Refused: nothing changed"


class InstrumentImport(models.Model):
    """One master file: where it came from, what was in it, what it changed. Append-only."""

    at = models.DateTimeField(default=timezone.now, help_text="When its reading began.")
    broker = models.CharField(max_length=20, choices=BrokerKind.choices)
    source = models.CharField(max_length=300, help_text="Address or name of the file.")
    layout = models.CharField(max_length=20, blank=True, help_text="Which of the broker's files.")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the text, unpacked.")
    published_at = models.DateTimeField(
        null=True, help_text="When the file was last written, as its server or the disk says."
    )
    actor = models.CharField(max_length=150, blank=True)
    outcome = models.CharField(max_length=10, choices=ImportOutcome.choices)
    why = models.TextField(blank=True)
    rows = models.PositiveIntegerField(default=0, help_text="In the file, the header aside.")
    added = models.PositiveIntegerField(default=0, verbose_name="new")
    changed = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    gone = models.PositiveIntegerField(default=0, help_text="Not in the file any more.")
    reused = models.PositiveIntegerField(default=0, help_text="Ids that name another contract now.")
    doubtful = models.PositiveIntegerField(default=0, help_text="Skipped: not understood.")
    left_out = models.PositiveIntegerField(
        default=0, help_text="Skipped: no segment to trade them under, or tests of the exchange."
    )
    doubts = models.JSONField(default=list, help_text="The first rows that were not understood.")
    seconds = models.FloatField(default=0)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["broker", "outcome", "-at"], name="import_newest")]

    def __str__(self) -> str:
        return f"{self.source} at {timezone.localtime(self.at):%Y-%m-%d %H:%M}"
