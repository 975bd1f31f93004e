"""The last funds and positions read of an account."""

from __future__ import annotations

from django.db import models

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
