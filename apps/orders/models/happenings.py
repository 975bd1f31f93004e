"""What happened to orders: events, fills, and news that found no order yet."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount, WireCall
from apps.orders.models.orders import Order, trading_day
from apps.risk.models import Decision


class OrderEvent(models.Model):
    """One thing that happened to an order. Append-only; ``applied`` False changed nothing."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="events")
    event = models.CharField(max_length=20)
    origin = models.CharField(max_length=20, help_text="Who told us.")
    dedupe_key = models.CharField(max_length=200, unique=True)
    applied = models.BooleanField()
    before = models.CharField(max_length=20)
    after = models.CharField(max_length=20)
    text = models.TextField(blank=True)
    actor = models.CharField(max_length=150, blank=True)
    facts = models.JSONField(default=dict)
    raw = models.JSONField(null=True)
    wire_call = models.ForeignKey(WireCall, null=True, on_delete=models.PROTECT)
    decision = models.ForeignKey(Decision, null=True, on_delete=models.PROTECT)
    reported_at = models.DateTimeField(null=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.event}: {self.before} → {self.after}"


class Fill(models.Model):
    """One trade at the exchange, once, however often it is reported."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT)
    trading_day = models.DateField()
    segment = models.CharField(max_length=20)
    broker_order_id = models.CharField(max_length=40)
    exchange_trade_id = models.CharField(max_length=60)
    quantity = models.PositiveIntegerField()
    price = models.DecimalField(max_digits=14, decimal_places=4)
    traded_at = models.DateTimeField(null=True)
    recorded_at = models.DateTimeField(default=timezone.now)
    raw = models.JSONField(default=dict)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "account",
                    "trading_day",
                    "segment",
                    "broker_order_id",
                    "exchange_trade_id",
                ],
                name="one_fill_per_trade",
            )
        ]

    def __str__(self) -> str:
        return f"{self.quantity} @ {self.price}"

    @staticmethod
    def price_of(stated: Decimal) -> Decimal:
        """A broker's price in rupees as its column keeps it: whatever counts a trade before it is
        stored must count what is read back later. One that the column cannot hold stays as it is.
        """
        fits = stated.is_finite() and stated.adjusted() < _WHOLE_DIGITS
        return stated.quantize(_SMALLEST, ROUND_HALF_UP) if fits else stated


_WHOLE_DIGITS, _SMALLEST = 10, Decimal("0.0001")


class Unattributed(models.Model):
    """News of an order that is not ours, or not yet known to be. Kept until it finds its order."""

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT)
    trading_day = models.DateField(default=trading_day)
    broker_order_id = models.CharField(max_length=40)
    state_word = models.CharField(max_length=40)
    origin = models.CharField(max_length=20)
    platform = models.CharField(max_length=40, blank=True, help_text="Where it was placed.")
    leg = models.BooleanField(default=False, help_text="Part of a bracket or super order.")
    raw = models.JSONField(default=dict)
    first_seen = models.DateTimeField(default=timezone.now)
    last_seen = models.DateTimeField(default=timezone.now)
    order = models.ForeignKey(Order, null=True, on_delete=models.PROTECT)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "unattributed news"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "trading_day", "broker_order_id"], name="one_row_per_stranger"
            )
        ]

    def __str__(self) -> str:
        return f"{self.broker_order_id} {self.state_word}"
