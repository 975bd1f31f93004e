"""What is known of the market in an instrument, with its age; and who wants to know it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.db import models
from django.utils import timezone

from apps.brokers.ages import age_of
from apps.brokers.models.instruments import Instrument
from apps.brokers.port import Known, Level, Market

_MARKETS = [(word.value, word.value.capitalize()) for word in Market]


class Quote(models.Model):
    """The market in one instrument, real or simulated, as last heard. What is stale is unknown."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="quotes")
    market = models.CharField(max_length=10, choices=_MARKETS)
    last_price = models.DecimalField(max_digits=14, decimal_places=4)
    as_of = models.DateTimeField(help_text="When we heard the price.")
    traded_at = models.DateTimeField(null=True, help_text="The exchange's time of the last trade.")
    close = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, help_text="The previous day's."
    )
    open_interest = models.BigIntegerField(null=True)
    bids = models.JSONField(null=True, help_text="Best first: price, units, orders.")
    asks = models.JSONField(null=True, help_text="Best first: price, units, orders.")
    depth_as_of = models.DateTimeField(null=True)
    lower_circuit = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    upper_circuit = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    circuit_as_of = models.DateTimeField(null=True)

    class Meta:
        ordering = ["instrument", "market"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["instrument", "market"], name="one_quote_per_market")
        ]

    def __str__(self) -> str:
        return f"{self.last_price} at {timezone.localtime(self.as_of):%H:%M:%S}"

    @property
    def age(self) -> float | None:
        """Seconds since the price was heard; None when that lies in the future."""
        return age_of(self.as_of)

    def price(self, within: float) -> Known[Decimal] | None:
        """The last price if it is at most ``within`` seconds old, else None: not known."""
        age = self.age
        return None if age is None or age > within else Known(self.last_price, self.as_of)

    def depth(self, within: float) -> Known[tuple[tuple[Level, ...], tuple[Level, ...]]] | None:
        """Bids and asks if they are at most ``within`` seconds old, else None: not known."""
        age = age_of(self.depth_as_of)
        if age is None or age > within or self.depth_as_of is None:
            return None
        return Known((levels(self.bids), levels(self.asks)), self.depth_as_of)

    @property
    def circuits(self) -> tuple[Decimal | None, Decimal | None]:
        """Lowest and highest price of the day as quoted today; None where that is not known."""
        known = is_of_today(self.circuit_as_of)
        return (self.lower_circuit, self.upper_circuit) if known else (None, None)


def is_of_today(as_of: dt.datetime | None) -> bool:
    """True for a time of the present trading day."""
    return as_of is not None and timezone.localdate(as_of) == timezone.localdate()


def levels(rows: list[tuple[str, int, int]] | None) -> tuple[Level, ...]:
    """One side of the depth as it is stored."""
    return tuple(
        Level(price=Decimal(price), quantity=quantity, orders=orders)
        for price, quantity, orders in rows or ()
    )


class QuoteWish(models.Model):
    """Somebody wants an instrument's prices for a while: a page, a review, a program."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    market = models.CharField(max_length=10, choices=_MARKETS)
    until = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["instrument", "market"], name="one_wish_per_market")
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} until {self.until:%H:%M:%S}"
