"""What was imported from another system's files: the files, their rows, and what stayed behind."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount


class LegacyImport(models.Model):
    """One file that was imported: what it was and what came of it. Stays after a rollback."""

    at = models.DateTimeField(default=timezone.now, help_text="When its reading began.")
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    path = models.CharField(max_length=1000, verbose_name="file", help_text="As it was given.")
    sha256 = models.CharField(max_length=64, db_index=True, help_text="Of the file, untouched.")
    beside = models.JSONField(
        default=dict, help_text="SHA-256 of its -wal and -journal, whose changes were read too."
    )
    size = models.BigIntegerField(help_text="Bytes.")
    version = models.CharField(max_length=80, help_text="Of its schema, and how complete.")
    accounts = models.JSONField(default=dict, help_text="Its names of accounts and ours.")
    counts = models.JSONField(
        default=dict, help_text="Per table: read, carried, known already, left out."
    )
    notes = models.JSONField(default=list)
    instruments = models.JSONField(default=list, help_text="Ids of retired rows made for it.")
    seconds = models.FloatField(default=0)
    rolled_back_at = models.DateTimeField(null=True, blank=True)
    rolled_back_by = models.CharField(max_length=150, blank=True)
    # The one transaction in which the database lets this file's rows go.
    rollback_xid = models.BigIntegerField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = "import of another system"
        verbose_name_plural = "imports of other systems"

    def __str__(self) -> str:
        return f"{self.path} at {timezone.localtime(self.at):%Y-%m-%d %H:%M}"

    def total(self, what: str) -> int:
        """Of all tables: ``read``, ``carried``, ``known`` or ``left_out``."""
        tables: dict[str, Any] = self.counts
        return sum(int(table[what]) for table in tables.values())


class ImportedRow(models.Model):
    """One row of such a file as it stood there, secrets starred. Append-only.

    Orders, brackets and legs that came from it name it as their ``origin``.
    """

    brought_by = models.ForeignKey(LegacyImport, on_delete=models.PROTECT, related_name="rows")
    table = models.CharField(max_length=60)
    legacy_id = models.CharField(max_length=100)
    identity = models.CharField(
        max_length=64, help_text="What the row is, in whatever file it is found."
    )
    digest = models.CharField(max_length=64, help_text="What the row said.")
    account = models.ForeignKey(
        BrokerAccount, null=True, on_delete=models.PROTECT, related_name="+"
    )
    correlation_id = models.CharField(max_length=100, blank=True)
    word = models.CharField(max_length=40, blank=True, help_text="Its status, in that system's.")
    outcome = models.CharField(max_length=20, blank=True, help_text="The same in ours.")
    about = models.ForeignKey(
        "orders.Order", null=True, on_delete=models.PROTECT, related_name="imported_rows"
    )
    content = models.JSONField()

    class Meta:
        ordering = ["id"]
        constraints = [
            # However often and under whatever name a file comes, a row comes once.
            models.UniqueConstraint(fields=["identity"], name="imported_once"),
        ]
        indexes = [
            models.Index(fields=["legacy_id"], name="imported_by_id"),
            models.Index(fields=["correlation_id"], name="imported_by_correlation"),
        ]

    def __str__(self) -> str:
        return f"{self.table} {self.legacy_id}"


class LeftOut(models.Model):
    """A row of such a file that was not carried, and why. Append-only."""

    left_by = models.ForeignKey(LegacyImport, on_delete=models.PROTECT, related_name="left_out")
    table = models.CharField(max_length=60)
    legacy_id = models.CharField(max_length=100)
    reason = models.CharField(max_length=300)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.table} {self.legacy_id}: {self.reason}"
