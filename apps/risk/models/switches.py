"""The switches, and every turn of one."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount
from apps.risk.models.approvals import Approval

DESK = "desk"


class SwitchState(models.TextChoices):
    """What the switch lets through."""

    ACTIVE = "ACTIVE", "Active"
    REDUCING = "REDUCING", "Reducing: exits only"
    HALTED = "HALTED", "Halted: exits only"


class TradingState(models.Model):
    """The switch of one account, or of the whole desk. Its row is the account's risk lock."""

    scope = models.CharField(max_length=40, unique=True)
    account = models.OneToOneField(
        BrokerAccount, null=True, blank=True, on_delete=models.PROTECT, related_name="risk_state"
    )
    switch = models.CharField(max_length=10, choices=SwitchState.choices)
    reason = models.CharField(max_length=300, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["scope"]

    def __str__(self) -> str:
        return f"{self.scope}: {self.switch}"


class StateChange(models.Model):
    """One turn of a switch: who, why, from what to what. Relaxing names the approval."""

    scope = models.CharField(max_length=40)
    before = models.CharField(max_length=10)
    after = models.CharField(max_length=10)
    reason = models.CharField(max_length=300)
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT
    )
    approval = models.OneToOneField(Approval, null=True, blank=True, on_delete=models.PROTECT)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.scope}: {self.before} → {self.after}"
