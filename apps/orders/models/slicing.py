"""A quantity above the freeze quantity: the whole that its slices, each an order, belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount, Instrument
from apps.brokers.port import Intent, OrderType, Product, Side, Validity
from apps.orders.models.orders import Order, Source, _choices, new_correlation_id, trading_day

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class Progress(models.TextChoices):
    """Where the whole is. The last three are ends: nothing more of it is placed."""

    PLACING = "PLACING", "Placing"
    PLACED = "PLACED", "All placed"
    STOPPED = "STOPPED", "Stopped"
    DONE = "DONE", "Done"
    DROPPED = "DROPPED", "Rest dropped"
    REFUSED = "REFUSED", "Refused"


ENDS = (Progress.DONE, Progress.DROPPED, Progress.REFUSED)


class Slicing(models.Model):
    """The whole of an order that is sent in slices. Written by ``apps.orders.wholes`` alone.

    ``plan`` are the quantities of the slices, those placed first. Its terms never change.
    """

    public_id = models.CharField(max_length=25, unique=True, default=new_correlation_id)
    request_key = models.CharField(max_length=64, null=True, unique=True)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=4, choices=_choices(Side))
    total = models.IntegerField(help_text="Units of the whole, not lots.")
    order_type = models.CharField(
        max_length=11, choices=_choices(OrderType), help_text="What was asked for."
    )
    price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    trigger_price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    product = models.CharField(max_length=10, choices=_choices(Product))
    validity = models.CharField(max_length=3, choices=_choices(Validity))
    disclosed_quantity = models.IntegerField(default=0)
    intent = models.CharField(max_length=8, choices=_choices(Intent))
    test = models.BooleanField(default=False)
    after_market = models.BooleanField(default=False)
    strategy = models.CharField(max_length=80, blank=True)
    replaces = models.ForeignKey(Order, null=True, on_delete=models.PROTECT, related_name="+")
    source = models.CharField(max_length=10, choices=Source.choices)
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    cause = models.CharField(max_length=300, blank=True)
    trading_day = models.DateField(default=trading_day)

    plan = models.JSONField(help_text="Units of each slice, in their order.")
    dropped = models.IntegerField(default=0, help_text="Units that were given up.")
    status = models.CharField(max_length=8, choices=Progress.choices, default=Progress.PLACING)
    reason = models.TextField(blank=True)
    stops = models.PositiveIntegerField(default=0, help_text="How often it has stopped.")
    cancel_wanted_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    moved_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    if TYPE_CHECKING:
        slices: RelatedManager[Order]
        events: RelatedManager[SlicingEvent]

    class Meta:
        ordering = ["-id"]
        verbose_name = "sliced order"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(dropped__gte=0, dropped__lte=models.F("total")),
                name="no_more_is_dropped_than_was_wanted",
            )
        ]
        indexes = [
            models.Index(
                fields=["status"],
                condition=~models.Q(status__in=sorted(ENDS)),
                name="slicing_open",
            ),
            models.Index(fields=["trading_day"], name="slicing_day"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.total} {self.instrument.symbol} ({self.public_id})"

    @property
    def over(self) -> bool:
        """True once nothing more of it is placed; slices may still be at work."""
        return self.status in ENDS

    @property
    def exiting(self) -> bool:
        """True when its slices only take a position down."""
        return self.intent == Intent.EXIT

    @property
    def in_words(self) -> str:
        """Side, quantity, symbol and price: what an approval or an alert is about."""
        price = "" if self.price is None else f" at {self.price.normalize():f}"
        return f"{self.side} {self.total} {self.instrument.symbol}{price}"


class SlicingEvent(models.Model):
    """One thing that happened to a whole, with what was left of it. Append-only."""

    slicing = models.ForeignKey(Slicing, on_delete=models.PROTECT, related_name="events")
    event = models.CharField(max_length=12)
    before = models.CharField(max_length=8)
    after = models.CharField(max_length=8)
    text = models.TextField(blank=True)
    actor = models.CharField(max_length=150, blank=True)
    left = models.IntegerField(help_text="Units neither filled, nor at work, nor given up.")
    plan = models.JSONField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.event}: {self.before} → {self.after}"
