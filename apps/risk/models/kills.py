"""The kill switch: what was asked, how far it is on each account, and the evidence."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount


class KillRun(models.Model):
    """One use of the kill switch, on one account or all of them."""

    scope = models.CharField(max_length=40, help_text="An account's name, or desk.")
    flatten = models.BooleanField(help_text="Close every position as well.")
    drill = models.BooleanField(default=False, help_text="On simulated accounts alone.")
    reason = models.CharField(max_length=300)
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    started_at = models.DateTimeField(default=timezone.now)
    deadline_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"#{self.pk} on {self.scope}"

    @property
    def rows(self) -> models.QuerySet[KillAccount]:
        """Its accounts, also those that a later use has taken over since."""
        begun = KillNote.objects.filter(facts__run=self.pk)
        its = models.Q(run=self) | models.Q(pk__in=begun.values("on"))
        return KillAccount.objects.filter(its).select_related("account", "run")

    @property
    def at_work(self) -> int:
        """Accounts that are not locked yet."""
        done = {KillStage.LOCKED, KillStage.CLEARING, KillStage.CLEARED}
        return sum(row.stage not in done for row in self.rows)


class KillStage(models.TextChoices):
    """How far it is on an account."""

    STOPPING = "STOPPING", "Cancelling and closing"
    PROVING = "PROVING", "Proving by the broker's reads"
    SWITCHING = "SWITCHING", "Turning the broker's own switch"
    LOCKED = "LOCKED", "Locked until a second person clears it"
    CLEARING = "CLEARING", "Cleared; turning the broker's own switch back"
    CLEARED = "CLEARED", "Cleared"


class KillAccount(models.Model):
    """One account of a run."""

    run = models.ForeignKey(KillRun, on_delete=models.PROTECT, related_name="accounts")
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="kills")
    flatten = models.BooleanField()
    stage = models.CharField(
        max_length=10, choices=KillStage.choices, default=KillStage.STOPPING.value
    )
    note = models.CharField(max_length=400, blank=True)
    orders_left = models.PositiveIntegerField(null=True)
    positions_left = models.PositiveIntegerField(null=True)
    proofs = models.JSONField(default=list)
    broker_switch = models.BooleanField(default=False, help_text="We turned the broker's own on.")
    tries = models.PositiveIntegerField(default=0, help_text="Of the broker's own switch.")
    waits_since = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)
    proved_at = models.DateTimeField(null=True)
    locked_at = models.DateTimeField(null=True)
    cleared_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["account__name"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["account"],
                condition=~models.Q(stage="CLEARED"),
                name="one_kill_at_a_time_per_account",
            ),
            models.CheckConstraint(
                condition=models.Q(stage__in=KillStage.values), name="stages_of_a_kill"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account.name}: {self.get_stage_display()}"

    @property
    def stopped_after(self) -> str:
        """Seconds from the halt until nothing worked and nothing was held."""
        return _seconds(self.run, self.stopped_at)

    @property
    def proved_after(self) -> str:
        """Seconds from the halt until two reads had proved it."""
        return _seconds(self.run, self.proved_at)


def _seconds(run: KillRun, at: dt.datetime | None) -> str:
    return "–" if at is None else f"{(at - run.started_at).total_seconds():.1f}"


class KillNote(models.Model):
    """What happened on an account of a run, in order; never changed."""

    on = models.ForeignKey(KillAccount, on_delete=models.PROTECT, related_name="notes")
    at = models.DateTimeField(default=timezone.now)
    text = models.CharField(max_length=400)
    facts = models.JSONField(default=dict)

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.text
