"""Changes of terms of working orders."""

from __future__ import annotations

from dataclasses import replace

from django.db import models
from django.utils import timezone

from apps.brokers.models import WireCall
from apps.brokers.port import BracketKind, Exits, LegName, ModifyRequest, OrderType, Validity
from apps.orders.models.orders import Order
from apps.risk.models import Decision


class Change(models.TextChoices):
    """Where a change of terms is."""

    DENIED = "DENIED"
    APPROVED = "APPROVED"
    SENDING = "SENDING"
    ACCEPTED = "ACCEPTED", "Accepted, not yet read back"
    UNKNOWN = "UNKNOWN"
    APPLIED = "APPLIED"
    REFUSED = "REFUSED"
    LAPSED = "LAPSED"


UNDER_WAY = (Change.APPROVED, Change.SENDING, Change.ACCEPTED, Change.UNKNOWN)


class Modification(models.Model):
    """New terms asked for a working order; at most one under way per order."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="modifications")
    quantity = models.IntegerField(help_text="New total, units.")
    price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    trigger_price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    exit_stop = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, help_text="Of what the broker keeps, rupees."
    )
    exit_target = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    status = models.CharField(max_length=10, choices=Change.choices)
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT)
    wire_call = models.ForeignKey(WireCall, null=True, on_delete=models.PROTECT)
    reason = models.TextField(blank=True)
    actor = models.CharField(max_length=150)
    cause = models.CharField(max_length=300, blank=True)
    not_before = models.DateTimeField(null=True)
    claimed_at = models.DateTimeField(null=True)
    requested_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order"],
                condition=models.Q(status__in=[word.value for word in UNDER_WAY]),
                name="one_change_under_way",
            )
        ]

    def __str__(self) -> str:
        kept = f", stop {self.exit_stop}, target {self.exit_target}" if self.exit_stop else ""
        return f"{self.quantity} @ {self.price}{kept}"

    def request(self) -> ModifyRequest:
        """The change as the gate sends it."""
        order = self.order
        return ModifyRequest(
            account=order.account.name,
            correlation_id=order.correlation_id,
            broker_order_id=order.broker_order_id,
            quantity=self.quantity,
            order_type=OrderType(order.order_type),
            price=self.price,
            trigger_price=self.trigger_price,
            validity=Validity(order.validity),
            disclosed_quantity=order.disclosed_quantity,
            part=order.address,
            exits=self._exits(),
        )

    def _exits(self) -> Exits | None:
        """As they are to be: of an entry where they are, of a stop how it trails."""
        order = self.order
        if order.exits is not None and self.exit_stop is not None:
            return replace(order.exits, stop=self.exit_stop, target=self.exit_target)
        if order.leg == LegName.STOP_LOSS and self.trigger_price is not None:
            kind, jump = BracketKind(order.kept), order.exit_jump
            return Exits(kind=kind, stop=self.trigger_price, trailing_jump=jump)
        return None
