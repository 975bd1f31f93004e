"""A bracket: an entry with a target and a stop-loss, whatever the broker calls that."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.brokers.models import BrokerAccount, Instrument
from apps.brokers.port import STRATEGY, Product, Side
from apps.orders.models.legacy import ImportedRow
from apps.orders.models.orders import MANUAL, PREFIX, Order, Source, trading_day


class Style(models.TextChoices):
    """Where the legs live, and so who cancels the sibling of the one that filled."""

    SUPER = "SUPER", "Super order, kept by the broker"
    NATIVE = "NATIVE", "Bracket or cover order, kept by the broker"
    MANAGED = "MANAGED", "Managed by the desk"


class BracketStatus(models.TextChoices):
    """Where a bracket is. It is over when no leg can trade any more, never before."""

    ENTERING = "ENTERING", "Entry at work"
    HOLDING = "HOLDING", "Entered, exits at work"
    LEAVING = "LEAVING", "An exit fills, or it is being left"
    OVER = "OVER", "Over"
    IMPORTED = "IMPORTED", "Another system's"


class Leg(models.TextChoices):
    """The three parts of a bracket."""

    ENTRY = "ENTRY", "Entry"
    TARGET = "TARGET", "Target"
    STOP_LOSS = "STOP_LOSS", "Stop-loss"


class LegStatus(models.TextChoices):
    """Where a leg is. ``AWAITED``: it is wanted, and nothing of it is at the broker yet."""

    AWAITED = "AWAITED", "Awaited"
    SUBMITTED = "SUBMITTED", "Submitted"
    WORKING = "WORKING", "Working"
    TRIGGERED = "TRIGGERED", "Triggered"
    PARTIALLY_FILLED = "PARTIALLY_FILLED", "Partly filled"
    UNKNOWN = "UNKNOWN", "Unknown"
    FILLED = "FILLED", "Filled"
    CANCELLED = "CANCELLED", "Cancelled"
    REJECTED = "REJECTED", "Rejected"
    EXPIRED = "EXPIRED", "Expired"
    IMPORTED = "IMPORTED", "Another system's"


LEGS_OVER = frozenset(
    {
        LegStatus.FILLED,
        LegStatus.CANCELLED,
        LegStatus.REJECTED,
        LegStatus.EXPIRED,
        LegStatus.IMPORTED,
    }
)

_IMPORTED = Q(status="IMPORTED", origin__isnull=False)
_OURS = ~Q(status="IMPORTED") & Q(origin__isnull=True)


def _words(kind: type[Side] | type[Product]) -> list[tuple[str, str]]:
    return [(word.value, word.value.capitalize()) for word in kind]


class Bracket(models.Model):
    """One entry with its way out. Its legs are rows from the moment it is accepted."""

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="brackets")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=4, choices=_words(Side), help_text="Of the entry.")
    product = models.CharField(max_length=10, choices=_words(Product))
    quantity = models.PositiveIntegerField(help_text="Of the entry, units.")
    style = models.CharField(max_length=10, choices=Style.choices)
    strategy = models.CharField(max_length=80, blank=True)
    entry_price = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, help_text="Rupees; empty: at the market."
    )
    target_price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    stop_price = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, help_text="Rupees at which the stop triggers."
    )
    stop_limit = models.DecimalField(
        max_digits=14,
        decimal_places=4,
        null=True,
        help_text="Limit beyond the trigger, rupees; empty: the desk's protective distance.",
    )
    trailing_jump = models.DecimalField(
        max_digits=14,
        decimal_places=4,
        null=True,
        help_text="Rupees in favour per step of the stop; empty: it does not trail.",
    )
    status = models.CharField(
        max_length=10, choices=BracketStatus.choices, default=BracketStatus.ENTERING
    )
    reason = models.TextField(blank=True)
    source = models.CharField(max_length=10, choices=Source.choices)
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    cause = models.CharField(max_length=300, blank=True)
    request_key = models.CharField(max_length=64, null=True, unique=True)
    parent_broker_id = models.CharField(
        max_length=40, blank=True, help_text="The broker's id of the whole bracket."
    )
    trading_day = models.DateField(default=trading_day)
    created_at = models.DateTimeField(default=timezone.now)
    entered_at = models.DateTimeField(null=True, help_text="When the entry first filled.")
    finished_at = models.DateTimeField(null=True)
    leaving_at = models.DateTimeField(null=True, help_text="Since when it is being left.")
    trail_price = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, help_text="Price that the trailing counts from."
    )
    trail_stop = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, help_text="The stop that belongs to it."
    )
    exposed_since = models.DateTimeField(null=True, help_text="Held without a stop at work.")
    gap_since = models.DateTimeField(null=True, help_text="The price is beyond the stop's limit.")
    waits_since = models.DateTimeField(null=True, help_text="For an order in doubt, or a cancel.")
    odd_since = models.DateTimeField(
        null=True, help_text="Something is due that is the broker's to do."
    )
    looked_at = models.DateTimeField(null=True, help_text="By the guardian.")
    live_seq = models.BigIntegerField(
        default=0,
        editable=False,
        help_text="The account's change number of what pages show of it; the database counts.",
    )
    origin = models.OneToOneField(
        ImportedRow, null=True, on_delete=models.PROTECT, related_name="bracket"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            # A broker's ids are unique per account and day; two brackets of one parent are one.
            models.UniqueConstraint(
                fields=["account", "trading_day", "parent_broker_id"],
                condition=~Q(parent_broker_id=""),
                name="one_bracket_per_parent_and_day",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gt=0), name="bracket_quantity_is_positive"
            ),
            # History of another system can never become work of ours, nor the other way.
            models.CheckConstraint(
                condition=_IMPORTED | _OURS, name="imported_brackets_are_history"
            ),
            # A position with a way to win and none to stop losing is no bracket.
            models.CheckConstraint(
                condition=Q(origin__isnull=False) | Q(stop_price__isnull=False),
                name="a_bracket_has_a_stop",
            ),
            # On the wrong side a stop or target would trade at once.
            models.CheckConstraint(
                condition=Q(origin__isnull=False)
                | Q(side="BUY", target_price__isnull=True)
                | Q(side="BUY", stop_price__lt=F("target_price"))
                | Q(side="SELL", target_price__isnull=True)
                | Q(side="SELL", stop_price__gt=F("target_price")),
                name="stop_and_target_on_either_side",
            ),
            # Once entered, a stop may follow the price past the entry.
            models.CheckConstraint(
                condition=~Q(status="ENTERING")
                | Q(entry_price__isnull=True)
                | Q(side="BUY", stop_price__lt=F("entry_price"))
                | Q(side="SELL", stop_price__gt=F("entry_price")),
                name="the_stop_is_on_the_losing_side",
            ),
            models.CheckConstraint(
                condition=Q(trailing_jump__isnull=True) | Q(trailing_jump__gt=0),
                name="trailing_jump_is_positive",
            ),
        ]
        indexes = [
            models.Index(
                fields=["account"],
                condition=~Q(status__in=["OVER", "IMPORTED"]),
                name="bracket_alive",
            ),
            models.Index(fields=["account", "live_seq"], name="bracket_live"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.instrument.symbol} ({self.get_style_display()})"

    @property
    def over(self) -> bool:
        """True once no leg can trade any more, and of another system's always."""
        return self.status in {BracketStatus.OVER, BracketStatus.IMPORTED}

    @property
    def exit_side(self) -> Side:
        """The side of target and stop."""
        return Side.SELL if self.side == Side.BUY else Side.BUY

    @property
    def name(self) -> str:
        """What its turn, its orders' group and its alerts are called."""
        return f"{PREFIX}{self.pk}"

    @property
    def owner(self) -> str:
        """Whose position it makes, as its orders say."""
        return f"{STRATEGY}{self.strategy}" if self.strategy else MANUAL

    def keep(self, columns: Mapping[str, object]) -> None:
        """Write these columns, here and in the row."""
        for name, value in columns.items():
            setattr(self, name, value)
        if columns:
            self.save(update_fields=list(columns))

    def note(self, actor: str, text: str) -> None:
        """Keep what was done, for ever."""
        BracketNote.objects.create(bracket=self, text=text[:400], actor=actor)


class BracketNote(models.Model):
    """What people and the guardian did to a bracket, in order; never changed."""

    bracket = models.ForeignKey(Bracket, on_delete=models.PROTECT, related_name="notes")
    at = models.DateTimeField(default=timezone.now)
    text = models.CharField(max_length=400)
    actor = models.CharField(max_length=150)

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.text


class BracketLeg(models.Model):
    """Entry, target or stop. ``order`` is empty while, or where, the leg is no order of ours."""

    bracket = models.ForeignKey(Bracket, on_delete=models.PROTECT, related_name="legs")
    account = models.ForeignKey(
        BrokerAccount, on_delete=models.PROTECT, help_text="The bracket's, for the leg's id."
    )
    leg = models.CharField(max_length=10, choices=Leg.choices)
    order = models.ForeignKey(Order, null=True, on_delete=models.PROTECT, related_name="legs")
    leg_order_id = models.CharField(
        max_length=40, blank=True, help_text="The broker's id of this leg; empty: not named yet."
    )
    trading_day = models.DateField(default=trading_day, help_text="On which the id is unique.")
    quantity = models.PositiveIntegerField(help_text="Units.")
    price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    trigger_price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    status = models.CharField(max_length=20, choices=LegStatus.choices, default=LegStatus.AWAITED)
    reason = models.TextField(blank=True)
    filled_quantity = models.PositiveIntegerField(default=0)
    average_price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    created_at = models.DateTimeField(default=timezone.now)
    named_at = models.DateTimeField(null=True, help_text="When the broker's id became known.")
    news_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    origin = models.OneToOneField(
        ImportedRow, null=True, on_delete=models.PROTECT, related_name="leg"
    )

    class Meta:
        ordering = ["bracket", "id"]
        constraints = [
            # A replaced stop is the same leg with another order.
            models.UniqueConstraint(fields=["bracket", "leg"], name="three_legs_at_most"),
            # Some brokers give all legs the entry's id, so the leg is part of the key.
            models.UniqueConstraint(
                fields=["account", "trading_day", "leg", "leg_order_id"],
                condition=~Q(leg_order_id=""),
                name="leg_id_is_unique_per_day_and_leg",
            ),
            # One order that worked two legs would be filled twice in the books of the brackets.
            models.UniqueConstraint(
                fields=["order"], condition=Q(order__isnull=False), name="one_leg_per_order"
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="leg_quantity_is_positive"),
            models.CheckConstraint(condition=_IMPORTED | _OURS, name="imported_legs_are_history"),
        ]
        indexes = [
            models.Index(
                fields=["bracket"],
                condition=Q(status="UNKNOWN", order__isnull=True),
                name="leg_unknown",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_leg_display()} {self.quantity}"

    @property
    def over(self) -> bool:
        """True once the leg cannot trade any more."""
        return self.status in LEGS_OVER

    @property
    def open_quantity(self) -> int:
        """Units that may still fill."""
        return 0 if self.over else max(self.quantity - self.filled_quantity, 0)
