"""Every word said to a broker and heard from it."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.brokers.models.accounts import BrokerAccount


class Verb(models.TextChoices):
    """What was asked of the broker."""

    PLACE = "PLACE"
    MODIFY = "MODIFY"
    CANCEL = "CANCEL"
    READ = "READ"
    TOKEN = "TOKEN"  # noqa: S105 - a word
    CONTROL = "CONTROL"  # the account as a whole, such as the broker's own kill switch


class CallOutcome(models.TextChoices):
    """How a call ended. Empty while nobody knows."""

    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    NOT_SENT = "NOT_SENT"
    UNKNOWN = "UNKNOWN"
    ANSWERED = "ANSWERED"
    FAILED = "FAILED"


class WireCall(models.Model):
    """One request to a broker: written before it leaves, completed once, never changed after.

    ``correlation_id`` is the order's own id (a foreign key in the database, like ``permit``).
    """

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="wire_calls")
    verb = models.CharField(max_length=10, choices=Verb.choices)
    what = models.CharField(max_length=40, help_text="The endpoint in our words.")
    budget = models.CharField(max_length=10, help_text="Rate class at the broker.")
    correlation_id = models.CharField(max_length=25, null=True, blank=True, db_index=True)
    permit = models.UUIDField(null=True, blank=True, unique=True)
    endpoint = models.CharField(max_length=200)
    request = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    send_by = models.DateTimeField(help_text="Not one byte leaves after this.")
    boot_id = models.CharField(max_length=40, help_text="Which boot of which machine wrote this.")
    boot_at = models.FloatField(help_text="Seconds since that boot: no clock change moves it.")
    sent_at = models.DateTimeField(null=True, help_text="Just before the first byte could leave.")
    answered_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=CallOutcome.choices, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True)
    broker_order_id = models.CharField(max_length=40, blank=True)
    text = models.TextField(blank=True, help_text="The refusal, or why the outcome is unknown.")
    response = models.JSONField(null=True)
    # Set only by the process that wrote the row, and never read back: the right to transmit.
    boot_deadline: float | None = None

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["account", "budget", "created_at"], name="wirecall_budget"),
            models.Index(
                fields=["account", "created_at"],
                condition=models.Q(outcome=""),
                name="wirecall_open",
            ),
            models.Index(
                fields=["account", "-id"],
                condition=models.Q(what="margin"),
                name="wirecall_of_margin",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["correlation_id"],
                condition=models.Q(verb="PLACE") & ~models.Q(outcome="NOT_SENT"),
                name="one_order_one_place",
            ),
            models.CheckConstraint(
                condition=~models.Q(verb__in=["PLACE", "MODIFY"]) | models.Q(permit__isnull=False),
                name="placing_needs_a_permit",
            ),
            models.CheckConstraint(
                condition=models.Q(verb__in=Verb.values)
                & models.Q(outcome__in=["", *CallOutcome.values]),
                name="words_of_the_journal",
            ),
            models.CheckConstraint(
                condition=models.Q(verb__in=["READ", "TOKEN", "CONTROL"])
                | models.Q(correlation_id__isnull=False),
                name="sending_is_about_an_order",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.what} #{self.pk}"

    def may_leave_until(self, boot_deadline: float) -> None:
        """Give this object the right to leave once; nothing that is read from a row has it."""
        self.boot_deadline = boot_deadline

    def use_up(self) -> float:
        """Take the right, for good: until when on the boot clock. Raises ``LookupError``."""
        if self.boot_deadline is None:
            raise LookupError(f"journal row {self.pk} may not leave from here, or has left")
        deadline, self.boot_deadline = self.boot_deadline, None
        return deadline

    @property
    def duration(self) -> dt.timedelta | None:
        """From the first byte out to the answer."""
        if self.sent_at is None or self.answered_at is None:
            return None
        return self.answered_at - self.sent_at

    def effect_is_over(self, at: dt.datetime, boot_id: str, boot_at: float) -> bool:
        """True when whatever this call did must have shown in the broker's books by then.

        Judged by the boot clock of the same boot, which no change of the time of day can move,
        and by the time of day as well.
        """
        wait = settings.SEND_WITHIN + settings.CALL_TIMEOUT + settings.SETTLE_TIME
        long_ago = at > self.created_at + dt.timedelta(seconds=wait)
        if boot_id != self.boot_id:
            return long_ago
        return long_ago and boot_at > self.boot_at + wait
