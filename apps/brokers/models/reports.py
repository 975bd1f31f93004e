"""The last funds, positions and holdings read of an account."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import models
from django.utils import timezone

from apps.brokers.models.accounts import BrokerAccount


class FundsReport(models.Model):
    """The last funds read of an account. A failed read changes nothing here."""

    account = models.OneToOneField(BrokerAccount, on_delete=models.CASCADE, related_name="funds")
    as_of = models.DateTimeField()
    available = models.DecimalField(max_digits=18, decimal_places=2)
    utilised = models.DecimalField(max_digits=18, decimal_places=2)
    opening = models.DecimalField(max_digits=18, decimal_places=2)
    collateral = models.DecimalField(max_digits=18, decimal_places=2)
    mark = models.BigIntegerField(default=0, help_text="The moment before the read began.")

    def __str__(self) -> str:
        return f"{self.available} at {self.as_of:%H:%M:%S}"


class PositionsReport(models.Model):
    """The last position read of an account: one list, replaced as a whole."""

    account = models.OneToOneField(
        BrokerAccount, on_delete=models.CASCADE, related_name="positions"
    )
    as_of = models.DateTimeField()
    mark = models.BigIntegerField(help_text="The moment before the read began.")
    rows = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{len(self.rows)} positions at {self.as_of:%H:%M:%S}"

    def net(self, segment: str, security_id: str, product: str) -> int:
        """Net units in one instrument and product at the time of the read; < 0 is short."""
        return sum(
            int(row["net_quantity"])
            for row in self.rows
            if (row["segment"], row["security_id"], row["product"])
            == (segment, security_id, product)
        )


class HoldingsReport(models.Model):
    """Delivered shares of an account, and what may leave the depository: each as last read.

    Nothing is known of what has no time. A failed read changes nothing here.
    """

    account = models.OneToOneField(BrokerAccount, on_delete=models.CASCADE, related_name="holdings")
    as_of = models.DateTimeField(null=True)
    mark = models.BigIntegerField(default=0, help_text="The moment before the read began.")
    rows = models.JSONField(default=list, help_text="One list, replaced as a whole.")
    ddpi = models.BooleanField(null=True, help_text="The broker may deliver at all times.")
    ddpi_as_of = models.DateTimeField(null=True)
    approved = models.JSONField(default=dict, help_text="Units by ISIN, approved by eDIS.")
    approved_as_of = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True, help_text="When they were last due, read or not.")

    def __str__(self) -> str:
        return f"{len(self.rows)} holdings of {self.account_id}"

    @property
    def todays(self) -> bool:
        """Whether the list was read today: a share moves in and out of it over night."""
        return _is_of_today(self.as_of)

    @property
    def approval_is_todays(self) -> bool:
        """Whether the inquiry was made today: an approval is for its day."""
        return _is_of_today(self.approved_as_of)

    def row(self, segment: str, security_id: str) -> dict[str, Any] | None:
        """The holding of one instrument; None when there is none in the list."""
        key = (segment, security_id)
        return next((row for row in self.rows if (row["segment"], row["security_id"]) == key), None)


def _is_of_today(at: dt.datetime | None) -> bool:
    return at is not None and timezone.localdate(at) == timezone.localdate()
