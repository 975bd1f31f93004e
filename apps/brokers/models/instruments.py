"""What can be traded."""

from __future__ import annotations

from django.db import models

from apps.brokers.port import Segment


def _choices(words: type[Segment]) -> list[tuple[str, str]]:
    return [(word.value, word.value) for word in words]


class Instrument(models.Model):
    """Something that can be traded. The lot belongs to the contract, not to its index."""

    segment = models.CharField(max_length=20, choices=_choices(Segment))
    security_id = models.CharField(max_length=30)
    symbol = models.CharField(max_length=80, db_index=True)
    name = models.CharField(max_length=160, blank=True)
    kind = models.CharField(max_length=20, help_text="EQUITY, FUTIDX, OPTIDX …")
    isin = models.CharField(max_length=20, blank=True)
    lot_size = models.PositiveIntegerField(help_text="Units per lot.")
    tick_size = models.DecimalField(max_digits=12, decimal_places=4, help_text="Rupees.")
    freeze_quantity = models.PositiveIntegerField(
        null=True, blank=True, help_text="Largest quantity of one order; empty: none stated."
    )
    lower_limit = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    upper_limit = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    underlying = models.CharField(max_length=60, blank=True)
    expiry = models.DateField(null=True, blank=True)
    strike = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    option_type = models.CharField(max_length=2, blank=True)
    tradable = models.BooleanField(default=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["segment", "symbol"]
        constraints = [
            models.UniqueConstraint(
                fields=["segment", "security_id"], name="instrument_is_segment_and_id"
            ),
            models.CheckConstraint(condition=models.Q(lot_size__gt=0), name="lot_is_positive"),
            models.CheckConstraint(condition=models.Q(tick_size__gt=0), name="tick_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.segment}:{self.symbol}"
