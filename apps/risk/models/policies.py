"""The limits of an account, a row for each version."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from apps.brokers.models import BrokerAccount
from apps.brokers.rows import read_row


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
