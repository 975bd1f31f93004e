"""The book of holds: what every order may still do."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount


class Hold(models.Model):
    """What one order may still do to the account, from its approval until it is over.

    ``claim_id`` is the sender that has the order now; the gate sends for nobody else.
    """

    correlation_id = models.CharField(max_length=25, unique=True)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="holds")
    segment = models.CharField(max_length=20)
    security_id = models.CharField(max_length=30)
    product = models.CharField(max_length=10)
    side = models.CharField(max_length=4)
    intent = models.CharField(max_length=8)
    owner = models.CharField(max_length=90, default="", blank=True)
    group = models.CharField(
        max_length=40, default="", blank=True, help_text="At most one order of a group may fill."
    )
    quantity = models.IntegerField(help_text="Total quantity of the order, units.")
    filled = models.IntegerField(default=0)
    value = models.DecimalField(max_digits=18, decimal_places=2, null=True)
    margin = models.DecimalField(
        max_digits=18, decimal_places=2, null=True, help_text="Rupees that the order ties up."
    )
    claim_id = models.UUIDField(null=True)
    change_claim = models.UUIDField(null=True, help_text="The sender of the change under way.")
    taken_at = models.DateTimeField(default=timezone.now)
    released_at = models.DateTimeField(null=True)
    filled_mark = models.BigIntegerField(default=0, help_text="When it last filled, as a moment.")
    filled_at = models.DateTimeField(null=True, help_text="When we heard of its last fill.")
    fills_known = models.BooleanField(
        default=True, help_text="False once it ended and no book has told yet what it filled."
    )
    reached_mark = models.BigIntegerField(
        null=True, help_text="When the exchange first showed it, as a moment."
    )
    released_mark = models.BigIntegerField(null=True, help_text="When it ended, as a moment.")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["account"], condition=models.Q(released_at=None), name="hold_open"
            ),
            models.Index(
                fields=["account", "security_id", "released_mark"], name="hold_of_position"
            ),
            models.Index(
                fields=["account", "released_mark"],
                condition=models.Q(margin__isnull=False),
                name="hold_of_margin",
            ),
            models.Index(
                fields=["account"], condition=models.Q(fills_known=False), name="hold_of_unknown"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} for {self.correlation_id}"


_POSITION = ["account", "segment", "security_id", "product"]


class OwnedPosition(models.Model):
    """What the orders of one owner have filled in one instrument and product, net units.

    Counted from the holds in the transaction that raises their fills, so it is never behind them.
    """

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="owned")
    segment = models.CharField(max_length=20)
    security_id = models.CharField(max_length=30)
    product = models.CharField(max_length=10)
    owner = models.CharField(max_length=90)
    net = models.IntegerField(default=0, help_text="Units, below zero is short.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=[*_POSITION, "owner"], name="one_count_per_owner")
        ]

    def __str__(self) -> str:
        return f"{self.net} of {self.security_id} for {self.owner}"


class Footing(models.Model):
    """How many units of the broker's net position no order known to the desk explains.

    Reads of the positions must say so that lie as far apart as a broker may lag behind, and one
    after a clean read of the order book that was asked for when that time was over.
    """

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="footings")
    segment = models.CharField(max_length=20)
    security_id = models.CharField(max_length=30)
    product = models.CharField(max_length=10)
    foreign = models.IntegerField(default=0, help_text="Units; confirmed.")
    suspected = models.IntegerField(
        default=0,
        help_text="Units of orders that nobody can attribute yet: they only make an exit smaller.",
    )
    candidate = models.IntegerField(null=True, help_text="Units that the last read left over.")
    candidate_mark = models.BigIntegerField(default=0, help_text="The moment of that read.")
    candidate_at = models.DateTimeField(null=True, help_text="When that read began.")
    books_asked = models.BooleanField(
        default=False, help_text="The order book was asked for once a broker had had its time."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=_POSITION, name="one_footing_per_position")]

    def __str__(self) -> str:
        return f"{self.foreign} of {self.security_id} from elsewhere"
