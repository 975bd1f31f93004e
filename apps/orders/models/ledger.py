"""The position ledger: whose position is what, and what people have booked by hand."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount, Instrument
from apps.brokers.port import Product
from apps.orders.models.orders import trading_day

_PRODUCTS = [(word.value, word.value.capitalize()) for word in Product]


class LedgerPosition(models.Model):
    """One owner's position in one instrument and product, at average cost.

    A sum of fills and opening entries that can be made anew at any time. Rupees; ``cost`` is what
    the open part cost (or, of a short one, brought), never below zero. Entries count as bought or
    sold at their price.
    """

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    product = models.CharField(max_length=10, choices=_PRODUCTS)
    owner = models.CharField(max_length=90)
    net = models.BigIntegerField(default=0, help_text="Units; below zero is short.")
    cost = models.DecimalField(max_digits=28, decimal_places=8, default=Decimal(0))
    realised = models.DecimalField(max_digits=28, decimal_places=8, default=Decimal(0))
    bought = models.BigIntegerField(default=0)
    bought_value = models.DecimalField(max_digits=28, decimal_places=8, default=Decimal(0))
    sold = models.BigIntegerField(default=0)
    sold_value = models.DecimalField(max_digits=28, decimal_places=8, default=Decimal(0))
    last_key = models.JSONField(default=list, help_text="The last fill counted, by its order.")
    last_fill_at = models.DateTimeField(null=True)
    counted_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["account", "instrument", "product", "owner"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "instrument", "product", "owner"], name="one_row_per_owner"
            ),
            models.CheckConstraint(condition=models.Q(cost__gte=0), name="cost_is_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.owner}: {self.net} {self.instrument} {self.product}"

    @property
    def average(self) -> Decimal | None:
        """Rupees per unit of the open part; None while there is none."""
        return self.cost / abs(self.net) if self.net else None


class OpeningEntry(models.Model):
    """A position that no fill here explains, booked by a person. Append-only.

    It counts before every fill of its trading day.
    """

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    product = models.CharField(max_length=10, choices=_PRODUCTS)
    owner = models.CharField(max_length=90)
    quantity = models.IntegerField(help_text="Units; below zero is short.")
    price = models.DecimalField(max_digits=14, decimal_places=4, help_text="Rupees per unit.")
    reason = models.CharField(max_length=300)
    trading_day = models.DateField(default=trading_day)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "opening entries"
        default_permissions = ("view", "add")
        constraints = [
            models.CheckConstraint(condition=~models.Q(quantity=0), name="an_entry_has_a_quantity"),
            models.CheckConstraint(condition=models.Q(price__gt=0), name="an_entry_has_a_price"),
            models.CheckConstraint(condition=~models.Q(reason=""), name="an_entry_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.instrument} at {self.price} for {self.owner}"
