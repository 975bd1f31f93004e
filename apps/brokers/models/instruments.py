"""What can be traded."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.db import models

from apps.brokers.port import Segment


def _choices(words: type[Segment]) -> list[tuple[str, str]]:
    return [(word.value, word.value) for word in words]


class Closed(models.TextChoices):
    """Why the master keeps an instrument from trading. Empty: it does not."""

    INDEX = "INDEX", "an index is not traded"
    UNITS = "UNITS", "the master does not say what one lot holds"
    EXPIRED = "EXPIRED", "the contract is over"
    GONE = "GONE", "it is not in the broker's file any more"
    REUSED = "REUSED", "its security id names another contract now"
    IMPORTED = "IMPORTED", "it is known from another system's orders alone"


class CurrentInstruments(models.Manager["Instrument"]):
    """Instruments under the ids that name them today."""

    def get_queryset(self) -> models.QuerySet[Instrument]:
        """Without those whose id names another contract now."""
        return super().get_queryset().filter(retired_at__isnull=True)


class Instrument(models.Model):
    """Something that can be traded. The lot belongs to the contract, not to its index.

    A broker gives the id of a contract that is over to another one. The old row is then retired:
    it keeps what it was, for the orders that point at it, and a new row takes the id.
    """

    segment = models.CharField(max_length=20, choices=_choices(Segment))
    security_id = models.CharField(max_length=30)
    symbol = models.CharField(
        max_length=80, help_text="RELIANCE, HFCL-BE, NIFTY-29DEC2026-24500-CE, GOLD-04DEC2026-FUT."
    )
    name = models.CharField(max_length=160, blank=True)
    series = models.CharField(max_length=10, blank=True, help_text="Of a share: EQ, BE, A …")
    kind = models.CharField(max_length=20, help_text="EQUITY, FUTIDX, OPTIDX …")
    isin = models.CharField(max_length=20, blank=True)
    lot_size = models.PositiveIntegerField(help_text="Units per lot.")
    tick_size = models.DecimalField(max_digits=12, decimal_places=4, help_text="Rupees.")
    freeze_quantity = models.PositiveIntegerField(
        null=True, blank=True, help_text="Largest quantity of one order; empty: none stated."
    )
    lower_limit = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    upper_limit = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    limits_on = models.DateField(
        null=True, blank=True, help_text="The one day of these price limits; empty: any day."
    )
    underlying = models.CharField(max_length=60, blank=True)
    expiry = models.DateField(null=True, blank=True)
    strike = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    option_type = models.CharField(max_length=2, blank=True)
    closed = models.CharField(
        max_length=10,
        choices=Closed.choices,
        blank=True,
        help_text="Why the master keeps it from trading.",
    )
    bracket_orders = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The broker keeps a stop with a target in it, as a product of its own.",
    )
    cover_orders = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The broker keeps a stop without a target in it, as a product of its own.",
    )
    blocked = models.BooleanField(
        default=False, help_text="A person keeps it from trading, whatever the master says."
    )
    tradable = models.BooleanField(default=True, help_text="Neither closed nor blocked.")
    retired_at = models.DateTimeField(null=True, blank=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = CurrentInstruments()
    every = models.Manager["Instrument"]()

    class Meta:
        ordering = ["segment", "symbol"]
        indexes = [
            models.Index(fields=["segment", "symbol"], name="instrument_by_symbol"),
            # What people type: an underlying, perhaps only its beginning, then strike and type.
            models.Index(
                fields=["underlying", "strike", "option_type", "expiry"],
                opclasses=["varchar_pattern_ops", "numeric_ops", "varchar_ops", "date_ops"],
                name="instrument_by_contract",
            ),
            models.Index(fields=["isin"], condition=~models.Q(isin=""), name="instrument_by_isin"),
            # Shares and indices are searched by any part of their name; contracts are not.
            models.Index(
                fields=["name"],
                condition=models.Q(expiry__isnull=True),
                name="instrument_without_expiry",
            ),
            models.Index(  # does this share have derivatives?
                fields=["segment", "underlying", "expiry"],
                condition=models.Q(expiry__isnull=False),
                name="instrument_derivatives",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["segment", "security_id"],
                condition=models.Q(retired_at__isnull=True),
                name="instrument_is_segment_and_id",
            ),
            models.CheckConstraint(condition=models.Q(lot_size__gt=0), name="lot_is_positive"),
            models.CheckConstraint(condition=models.Q(tick_size__gt=0), name="tick_is_positive"),
            models.CheckConstraint(
                condition=models.Q(tradable=False)
                | models.Q(closed="", blocked=False, retired_at__isnull=True),
                name="tradable_is_neither_closed_nor_blocked",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.segment}:{self.symbol}"

    @property
    def exact_name(self) -> str:
        """The text that ``find_instrument`` takes for this one and no other."""
        return f"{self.segment}:{self.security_id}:{self.symbol}"

    @staticmethod
    def living(today: dt.date) -> models.Q:
        """What can be traded today, contracts on their last day included."""
        return models.Q(tradable=True) & (
            models.Q(expiry__isnull=True) | models.Q(expiry__gte=today)
        )

    @staticmethod
    def leavable_today(today: dt.date) -> models.Q:
        """What a position can still be left in: the file lost it, or a person blocked it.

        Not what is over, nor what has no sure meaning: another id, or an unknown lot.
        """
        return models.Q(closed__in=["", Closed.GONE], retired_at=None) & (
            models.Q(expiry__isnull=True) | models.Q(expiry__gte=today)
        )

    @property
    def leavable(self) -> bool:
        """The same for this one, its expiry aside."""
        return self.closed in {"", Closed.GONE} and self.retired_at is None

    @property
    def why_not(self) -> str:
        """Why it cannot be traded, in words; empty when it can."""
        if self.closed:
            return Closed(self.closed).label
        return "blocked by a person" if self.blocked else ""

    def block(self, yes: bool) -> None:
        """Keep it from trading, or do not any more. Writes nothing else that may be out of date."""
        open_again = models.When(closed="", retired_at__isnull=True, then=not yes)
        Instrument.every.filter(pk=self.pk).update(
            blocked=yes, tradable=models.Case(open_again, default=False)
        )

    def limits(self, today: dt.date) -> tuple[Decimal | None, Decimal | None]:
        """Lower and upper price limit of today, rupees; None where not known.

        A limit of another day is not known: it would refuse an exit at today's price.
        """
        if self.limits_on not in {None, today}:
            return None, None
        return self.lower_limit, self.upper_limit
