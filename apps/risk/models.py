"""Limits, decisions, permits, holds and the switch. History here is never edited or deleted."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount
from apps.brokers.rows import read_row
from apps.risk.rules import SecondPerson

DESK = "desk"


def _all_order_types() -> list[str]:
    return ["LIMIT", "MARKET", "STOP_LIMIT", "STOP_MARKET"]


_PERCENT = [MinValueValidator(Decimal("0.05")), MaxValueValidator(Decimal(50))]


class OutsideTrade(models.TextChoices):
    """What follows an order that was made outside the desk."""

    ALERT = "ALERT", "Alert"
    HALT = "HALT", "Alert and halt the account"


class RiskPolicy(models.Model):
    """One version of an account's limits. Changing a limit writes the next version."""

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="policies")
    version = models.PositiveIntegerField()
    max_order_quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    max_order_value = models.DecimalField(
        max_digits=16, decimal_places=2, help_text="Rupees per order."
    )
    max_open_orders = models.PositiveIntegerField()
    max_data_age = models.PositiveIntegerField(help_text="Seconds funds and positions stay fresh.")
    approval_above_value = models.DecimalField(
        max_digits=16,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="Rupees per entry above which a second person must approve; empty is never.",
    )
    order_types = models.JSONField(default=_all_order_types)
    max_quote_age = models.PositiveIntegerField(
        default=10, help_text="Seconds a last price stays fresh; an older one is not known."
    )
    protection_percent = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=Decimal(1),
        validators=_PERCENT,
        help_text="How far from the last price the limit of a MARKET order is sent.",
    )
    stop_protection_percent = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=Decimal(2),
        validators=_PERCENT,
        help_text="How far beyond its trigger the limit of a STOP_MARKET order is sent.",
    )
    price_band_percent = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal("0.05"))],
        help_text="How far a limit may be from the last price; empty: the day's band alone counts.",
    )
    check_margin = models.BooleanField(
        default=True, help_text="Ask the broker's margin calculator before an entry."
    )
    refuse_unknown_margin = models.BooleanField(
        default=True, help_text="Refuse an entry whose margin the calculator does not tell."
    )
    on_outside_trade = models.CharField(
        max_length=5,
        choices=OutsideTrade.choices,
        default=OutsideTrade.ALERT,
        help_text="What an order that was made outside the desk does besides the alert.",
    )
    reason = models.CharField(max_length=300)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["account", "-version"]
        verbose_name_plural = "risk policies"
        constraints = [
            models.UniqueConstraint(fields=["account", "version"], name="policy_versions_count_up")
        ]

    def __str__(self) -> str:
        return f"{self.account} v{self.version}"

    @classmethod
    def in_force(cls, account: BrokerAccount) -> RiskPolicy | None:
        """The account's newest version."""
        return read_row(cls, "account_id = %s ORDER BY version DESC", [account.pk])


class SwitchState(models.TextChoices):
    """What the switch lets through."""

    ACTIVE = "ACTIVE", "Active"
    REDUCING = "REDUCING", "Reducing: exits only"
    HALTED = "HALTED", "Halted: exits only"


class TradingState(models.Model):
    """The switch of one account, or of the whole desk. Its row is the account's risk lock."""

    scope = models.CharField(max_length=40, unique=True)
    account = models.OneToOneField(
        BrokerAccount, null=True, blank=True, on_delete=models.PROTECT, related_name="risk_state"
    )
    switch = models.CharField(max_length=10, choices=SwitchState.choices)
    reason = models.CharField(max_length=300, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["scope"]

    def __str__(self) -> str:
        return f"{self.scope}: {self.switch}"


class Verdict(models.TextChoices):
    """How an approval ended. Only the first two are a person's decision."""

    APPROVED = "APPROVED", "Approved"
    REFUSED = "REFUSED", "Refused"
    EXPIRED = "EXPIRED", "Expired"
    WITHDRAWN = "WITHDRAWN", "Withdrawn"


_BY_A_PERSON = models.Q(decision__in=["APPROVED", "REFUSED"])


class Approval(models.Model):
    """What one person asked for and another must decide. It ends once and never changes again."""

    kind = models.CharField(max_length=20)
    subject = models.CharField(max_length=60, help_text="What it is about, by its own name.")
    payload = models.JSONField(default=dict)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=300)
    requested_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    decision = models.CharField(max_length=10, choices=Verdict.choices, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    decision_reason = models.CharField(max_length=400, blank=True)
    executed_at = models.DateTimeField(null=True)
    result = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("decide_approval", "Can approve or refuse what others ask for")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(decided_by=None)
                | ~models.Q(decided_by=models.F("requested_by")),
                name="maker_is_not_checker",
            ),
            models.CheckConstraint(
                condition=(_BY_A_PERSON & models.Q(decided_by__isnull=False))
                | (~_BY_A_PERSON & models.Q(decided_by=None)),
                name="people_approve_and_refuse",
            ),
            models.CheckConstraint(
                condition=~models.Q(decision="APPROVED")
                | models.Q(decided_at__lte=models.F("expires_at")),
                name="approved_before_expiry",
            ),
            models.CheckConstraint(
                condition=models.Q(executed_at=None) | models.Q(decision="APPROVED"),
                name="only_what_is_approved_is_done",
            ),
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=models.Q(decision=""),
                name="one_waiting_approval_per_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.subject}"

    @property
    def waiting(self) -> bool:
        """True while somebody may still decide."""
        return self.decision == "" and self.expires_at > timezone.now()


class StateChange(models.Model):
    """One turn of a switch: who, why, from what to what. Relaxing names the approval."""

    scope = models.CharField(max_length=40)
    before = models.CharField(max_length=10)
    after = models.CharField(max_length=10)
    reason = models.CharField(max_length=300)
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT
    )
    approval = models.OneToOneField(Approval, null=True, blank=True, on_delete=models.PROTECT)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.scope}: {self.before} → {self.after}"


class Decision(models.Model):
    """What the gate decided of one order or modification, with all it saw and every refusal."""

    correlation_id = models.CharField(max_length=25, db_index=True)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="decisions")
    action = models.CharField(max_length=10, choices=[("PLACE", "Place"), ("MODIFY", "Modify")])
    allowed = models.BooleanField()
    request = models.JSONField()
    inputs = models.JSONField()
    refusals = models.JSONField(default=list)
    decided_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{'yes' if self.allowed else 'no'} to {self.action} {self.correlation_id}"

    @property
    def reasons(self) -> str:
        """All refusals in one line."""
        return "; ".join(f"{row['rule']}: {row['reason']}" for row in self.refusals)

    @property
    def lacks_only_approval(self) -> bool:
        """True when everything is right but for a second person's yes."""
        return [row["rule"] for row in self.refusals] == [SecondPerson.name]


class Permit(models.Model):
    """The right to send once. The database lets one journal row spend it, and only of its order."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="permits")
    correlation_id = models.CharField(max_length=25)
    issued_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["id", "correlation_id"], name="permit_of_one_order")
        ]

    def __str__(self) -> str:
        return str(self.id)


class HoldQuerySet(models.QuerySet["Hold"]):
    """Questions asked of the book of holds."""

    def open(self) -> HoldQuerySet:
        """Holds of orders that may still trade."""
        return self.filter(released_at=None)


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
    reached_mark = models.BigIntegerField(
        null=True, help_text="When the exchange first showed it, as a moment."
    )
    released_mark = models.BigIntegerField(null=True, help_text="When it ended, as a moment.")

    objects = HoldQuerySet.as_manager()

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
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} for {self.correlation_id}"


def policy_defaults() -> dict[str, Any]:
    """The first policy of a new account, from the settings."""
    return {
        "max_order_quantity": settings.RISK_MAX_ORDER_QUANTITY,
        "max_order_value": settings.RISK_MAX_ORDER_VALUE,
        "max_open_orders": settings.RISK_MAX_OPEN_ORDERS,
        "max_data_age": settings.RISK_MAX_DATA_AGE,
        "approval_above_value": settings.RISK_APPROVAL_ABOVE_VALUE or None,
        "max_quote_age": settings.RISK_MAX_QUOTE_AGE,
        "protection_percent": settings.RISK_PROTECTION_PERCENT,
        "stop_protection_percent": settings.RISK_STOP_PROTECTION_PERCENT,
        "price_band_percent": settings.RISK_PRICE_BAND_PERCENT or None,
        "check_margin": settings.RISK_CHECK_MARGIN,
        "on_outside_trade": settings.RISK_ON_OUTSIDE_TRADE,
        "reason": "defaults of a new account",
        "created_by": "system",
    }
