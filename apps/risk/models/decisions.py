"""What the gate decided, and the right to send that follows from a yes."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount
from apps.risk.rules import SecondPerson


class Decision(models.Model):
    """What the gate decided of one order or modification, with all it saw and every refusal."""

    correlation_id = models.CharField(max_length=25, db_index=True)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="decisions")
    action = models.CharField(max_length=10, choices=[("PLACE", "Place"), ("MODIFY", "Modify")])
    allowed = models.BooleanField()
    request = models.JSONField()
    inputs = models.JSONField()
    refusals = models.JSONField(default=list)
    decided_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{'yes' if self.allowed else 'no'} to {self.action} {self.correlation_id}"

    @property
    def reasons(self) -> str:
        """All refusals in one line."""
        return "; ".join(f"{row['rule']}: {row['reason']}" for row in self.refusals)

    @property
    def lacks_only_approval(self) -> bool:
        """True when everything is right but for a second person's yes."""
        return [row["rule"] for row in self.refusals] == [SecondPerson.name]


class Permit(models.Model):
    """The right to send once. The database lets one journal row spend it, and only of its order."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="permits")
    correlation_id = models.CharField(max_length=25)
    issued_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["id", "correlation_id"], name="permit_of_one_order")
        ]

    def __str__(self) -> str:
        return str(self.id)
