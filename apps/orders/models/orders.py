"""An order, and the account's change number that pages follow."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import models
from django.db.models import F, Func
from django.db.models.expressions import Combinable
from django.utils import timezone

from apps.brokers.models import BrokerAccount, Instrument
from apps.brokers.port import (
    STRATEGY,
    BracketKind,
    Exits,
    Intent,
    LegAddress,
    LegName,
    OrderRequest,
    OrderType,
    Product,
    Segment,
    Side,
    Validity,
)
from apps.orders.models.legacy import ImportedRow
from apps.orders.states import AT_BROKER, TERMINAL, Status


def _choices(words: type) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ").capitalize()) for word in words]  # type: ignore[attr-defined]


def new_correlation_id() -> str:
    """20 lower-case hex characters: within every broker's length and alphabet."""
    return secrets.token_hex(10)


def trading_day(at: dt.datetime | None = None) -> dt.date:
    """The exchange's calendar day, on which broker order ids and books are unique."""
    return timezone.localtime(at, ZoneInfo(settings.TRADING_ZONE)).date()


class Source(models.TextChoices):
    """Through which door an order came in."""

    ADMIN = "ADMIN", "Admin"
    COMMAND = "COMMAND", "Command"
    DEMO = "DEMO", "Demo trader"
    SYSTEM = "SYSTEM", "System"
    SIGNAL = "SIGNAL", "Signal"
    FLATTEN = "FLATTEN", "Flatten"
    EXTERNAL = "EXTERNAL", "Outside the desk"
    LEGACY = "LEGACY", "Another system"


MANUAL, OUTSIDE = "manual", "external"  # owners that are no strategy
PREFIX = "bracket:"  # of the request keys of a bracket's orders: ``bracket:ID:PART:number``


def number_in_key() -> Func:
    """The id, as text, of the bracket that an order is a part of: the second part of its key."""
    words = "split_part(%(expressions)s, ':', 2)"
    return Func(F("request_key"), template=words, output_field=models.CharField())


class OrderQuerySet(models.QuerySet["Order"]):
    """Questions asked of the orders."""

    def of_brackets(self, numbers: Sequence[str | Combinable] | None = None) -> OrderQuerySet:
        """Parts of brackets; of those with these ids, as text, or of all."""
        parts = self.filter(request_key__startswith=PREFIX)
        if numbers is None:
            return parts
        return parts.annotate(number=number_in_key()).filter(number__in=numbers)

    def working(self) -> OrderQuerySet:
        """Orders that the broker has and that may still trade."""
        return self.filter(status__in=AT_BROKER)

    def alive(self) -> OrderQuerySet:
        """Orders that are not over."""
        return self.exclude(status__in=TERMINAL)


_Orders = models.Manager.from_queryset(OrderQuerySet)


class OwnOrders(_Orders["Order"]):
    """Orders of this desk; what was imported is history that no question of today may meet."""

    def get_queryset(self) -> OrderQuerySet:
        """Without those of another system."""
        return OrderQuerySet(self.model, using=self._db).filter(origin=None)


class Order(models.Model):
    """One order. ``status`` is written by ``lifecycle`` alone.

    An order with an ``origin`` was another system's: it was stored as it is and never changes.
    """

    correlation_id = models.CharField(max_length=25, unique=True, default=new_correlation_id)
    request_key = models.CharField(max_length=64, null=True, unique=True)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="orders")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="orders")
    side = models.CharField(max_length=4, choices=_choices(Side))
    quantity = models.IntegerField(help_text="Units, not lots.")
    # The desk sends the two LIMIT types; orders made outside it, or long ago, have others too.
    order_type = models.CharField(
        max_length=11, choices=_choices(OrderType), help_text="What is sent."
    )
    asked_type = models.CharField(
        max_length=11,
        choices=_choices(OrderType),
        blank=True,
        default="",
        help_text="What was asked for, where another type is sent.",
    )
    price = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    trigger_price = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    product = models.CharField(max_length=10, choices=_choices(Product))
    validity = models.CharField(max_length=3, choices=_choices(Validity), default=Validity.DAY)
    disclosed_quantity = models.IntegerField(default=0)
    intent = models.CharField(max_length=8, choices=_choices(Intent), default=Intent.ENTRY)
    test = models.BooleanField(default=False, help_text="Never reaches a live account.")
    after_market = models.BooleanField(default=False, help_text="Waits for the next opening.")
    strategy = models.CharField(max_length=80, blank=True)
    source = models.CharField(max_length=10, choices=Source.choices)
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT
    )
    cause = models.CharField(max_length=300, blank=True)
    group = models.CharField(
        max_length=40, blank=True, default="", help_text="At most one order of a group may fill."
    )
    kept = models.CharField(
        max_length=6,
        choices=_choices(BracketKind),
        blank=True,
        default="",
        help_text="The broker's own bracket that it is a part of; empty: an order by itself.",
    )
    leg = models.CharField(max_length=10, choices=_choices(LegName), blank=True, default="")
    leg_of = models.CharField(
        max_length=40,
        blank=True,
        default="",
        help_text="The broker's id of the entry, of a target or stop that the broker keeps.",
    )
    exit_stop = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, blank=True, help_text="Kept for an entry."
    )
    exit_target = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    exit_jump = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    replaces = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT)
    parent = models.ForeignKey(
        "orders.Slicing",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="slices",
        db_index=False,  # its constraint has one, of slices alone
    )
    slice_number = models.PositiveSmallIntegerField(null=True, blank=True)
    slice_of = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="How many slices there were to be when it was placed."
    )
    origin = models.OneToOneField(
        ImportedRow, null=True, blank=True, on_delete=models.PROTECT, related_name="order"
    )

    status = models.CharField(max_length=20, choices=_choices(Status), default=Status.NEW)
    reason = models.TextField(blank=True)
    filled_quantity = models.IntegerField(default=0)
    average_price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    broker_order_id = models.CharField(max_length=40, blank=True)
    exchange_order_id = models.CharField(max_length=40, blank=True)
    trading_day = models.DateField(default=trading_day)
    terms_as_of = models.DateTimeField(null=True, help_text="The broker's stamp of the terms.")
    terms_written_at = models.DateTimeField(null=True)
    news_at = models.DateTimeField(null=True)
    live_seq = models.BigIntegerField(default=0)

    claim_id = models.UUIDField(null=True)
    not_before = models.DateTimeField(null=True)
    decide_by = models.DateTimeField(null=True, help_text="The decision's end.")
    attempts = models.PositiveIntegerField(default=0)
    looks = models.PositiveIntegerField(default=0)
    absences = models.PositiveIntegerField(default=0, help_text="Proofs of absence so far.")
    next_look_at = models.DateTimeField(null=True)
    cancel_wanted_at = models.DateTimeField(null=True)
    next_cancel_at = models.DateTimeField(null=True)
    cancel_attempts = models.PositiveIntegerField(default=0)

    created_at = models.DateTimeField(default=timezone.now)
    approved_at = models.DateTimeField(null=True)
    claimed_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = OwnOrders()
    every = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # History of another system can never become work of ours, nor the other way.
            models.CheckConstraint(
                condition=models.Q(status="IMPORTED", source="LEGACY", origin__isnull=False)
                | ~models.Q(status="IMPORTED")
                & ~models.Q(source="LEGACY")
                & models.Q(origin__isnull=True),
                name="imported_orders_are_history",
            ),
            models.UniqueConstraint(
                fields=["account", "trading_day", "broker_order_id"],
                condition=~models.Q(broker_order_id="") & models.Q(origin__isnull=True),
                name="broker_id_is_unique_per_day",
            ),
            # What is history here may be in the broker's book of today as well.
            models.UniqueConstraint(
                fields=["account", "trading_day", "broker_order_id"],
                condition=~models.Q(broker_order_id="") & models.Q(origin__isnull=False),
                name="imported_broker_id_is_unique_per_day",
            ),
            models.CheckConstraint(
                condition=models.Q(filled_quantity__gte=0), name="filled_is_not_negative"
            ),
            models.UniqueConstraint(
                fields=["parent", "slice_number"],
                condition=models.Q(parent__isnull=False),
                name="a_slice_is_placed_once",
            ),
            models.CheckConstraint(
                condition=models.Q(parent=None, slice_number=None, slice_of=None)
                | models.Q(parent__isnull=False, slice_number__gte=1, slice_of__gte=1),
                name="a_slice_has_a_whole_and_a_number",
            ),
            models.CheckConstraint(
                condition=models.Q(kept="", leg="", leg_of="", exit_stop=None)
                | models.Q(leg="ENTRY", leg_of="", exit_stop__isnull=False) & ~models.Q(kept="")
                | models.Q(leg__in=["TARGET", "STOP_LOSS"])
                & ~models.Q(kept="")
                & ~models.Q(leg_of=""),
                name="a_kept_leg_has_its_address",
            ),
            models.CheckConstraint(
                condition=~models.Q(source=Source.EXTERNAL.value)
                | ~models.Q(
                    status__in=["AWAITING_APPROVAL", "APPROVED", "SENDING", "DENIED", "LAPSED"]
                ),
                name="what_came_from_outside_is_never_sent",
            ),
        ]
        indexes = [
            models.Index(
                fields=["account", "trading_day"],
                condition=~models.Q(kept=""),
                name="order_kept",
            ),
            models.Index(fields=["account", "live_seq"], name="order_live"),
            models.Index(
                fields=["account", "status"],
                condition=~models.Q(status__in=sorted(TERMINAL)),
                name="order_alive",
            ),
            models.Index(fields=["account", "trading_day"], name="order_day"),
            models.Index(
                number_in_key(),
                condition=models.Q(request_key__startswith=PREFIX),
                name="order_bracket",
            ),
        ]
        permissions = [
            ("place_order", "Can place orders"),
            ("cancel_order", "Can cancel orders"),
            ("modify_order", "Can modify orders"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.instrument.symbol} ({self.correlation_id})"

    @property
    def over(self) -> bool:
        """True once nothing more is expected of the order."""
        return self.status in TERMINAL

    @property
    def owner(self) -> str:
        """Whose position its fills make: a strategy's, a person's, or somebody's outside."""
        if self.strategy:
            return f"{STRATEGY}{self.strategy}"
        return OUTSIDE if self.source == Source.EXTERNAL else MANUAL

    @property
    def from_outside(self) -> bool:
        """True when it was made at the broker and not here: the desk may only cancel it."""
        return self.source == Source.EXTERNAL

    @property
    def bracket_number(self) -> int | None:
        """The id of the bracket that it is a part of; None for any other order."""
        key = self.request_key or ""
        number = key.removeprefix(PREFIX).split(":")[0] if key.startswith(PREFIX) else ""
        return int(number) if number.isdecimal() else None

    @property
    def bracket_part(self) -> str:
        """Which part of its bracket it is, in words; empty for any other order."""
        if self.bracket_number is None or self.request_key is None:
            return ""
        return self.request_key.split(":")[2].lower().replace("_", "-")

    @property
    def kept_exit(self) -> bool:
        """True for a target or stop that the broker keeps in step with its entry."""
        return bool(self.leg_of)

    @property
    def address(self) -> LegAddress | None:
        """How the broker is told which part of its bracket is meant; None for any other order."""
        if not self.kept:
            return None
        return LegAddress(
            kind=BracketKind(self.kept),
            whole_id=self.leg_of or self.broker_order_id,
            leg=LegName(self.leg),
        )

    @property
    def exits(self) -> Exits | None:
        """The ways out that the broker is to keep for it; None for anything but such an entry."""
        if self.exit_stop is None:
            return None
        return Exits(
            kind=BracketKind(self.kept),
            stop=self.exit_stop,
            target=self.exit_target,
            trailing_jump=self.exit_jump,
        )

    @property
    def can_cancel(self) -> bool:
        """True while a cancel can still do something."""
        return not self.over and self.cancel_wanted_at is None

    @property
    def can_modify(self) -> bool:
        """True while the broker has the desk's own order and nobody wants it gone."""
        return self.status in AT_BROKER and self.cancel_wanted_at is None and not self.from_outside

    @property
    def may_have_left_a_position(self) -> bool:
        """True once something filled that was not itself a way out."""
        ours = self.origin_id is None
        return ours and self.filled_quantity > 0 and self.intent != Intent.EXIT

    @property
    def terms_in_words(self) -> str:
        """Quantity and prices as one text, equal exactly when they are."""
        price = "market" if self.price is None else f"{self.price:.4f}"
        trigger = "" if self.trigger_price is None else f", trigger {self.trigger_price:.4f}"
        return f"{self.quantity} at {price}{trigger}"

    @property
    def in_words(self) -> str:
        """Side, quantity, symbol and price: what an approval is about."""
        price = "without a price" if self.price is None else f"at {self.price.normalize():f}"
        return f"{self.side} {self.quantity} {self.instrument.symbol} {price}"

    @property
    def open_quantity(self) -> int:
        """Units that may still fill."""
        return 0 if self.over else max(self.quantity - self.filled_quantity, 0)

    @property
    def type_words(self) -> str:
        """The type as people say it: what was asked for, and what is sent for it."""
        if not self.asked_type:
            return self.get_order_type_display()
        return f"{self.get_asked_type_display()}, sent as {self.get_order_type_display().lower()}"

    def request(self) -> OrderRequest:
        """The order as the gate reviews and sends it."""
        return OrderRequest(
            account=self.account.name,
            correlation_id=self.correlation_id,
            segment=Segment(self.instrument.segment),
            security_id=self.instrument.security_id,
            side=Side(self.side),
            quantity=self.quantity,
            order_type=OrderType(self.order_type),
            price=self.price,
            trigger_price=self.trigger_price,
            product=Product(self.product),
            validity=Validity(self.validity),
            disclosed_quantity=self.disclosed_quantity,
            intent=Intent(self.intent),
            test=self.test,
            instrument=self.instrument_id,
            after_market=self.after_market,
            asked_type=OrderType(self.asked_type) if self.asked_type else None,
            owner=self.owner,
            group=self.group,
            exits=self.exits,
            part=self.address if self.kept_exit else None,
            **self._of_the_whole(),
        )

    def _of_the_whole(self) -> dict[str, Any]:
        """What a slice's request says of all that is wanted; an order of its own asks nothing."""
        if self.slice_number is None or self.parent is None:
            return {}
        return {"whole": self.parent.total, "whole_id": self.parent.public_id}


class DeskSequence(models.Model):
    """The last change number of an account: counts up by one per committed change."""

    account = models.OneToOneField(BrokerAccount, on_delete=models.PROTECT)
    value = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.value)
