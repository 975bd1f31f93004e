"""Shares that lie in the depository, and what has been approved for delivery."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from simexchange.instruments import Key


@dataclass(slots=True)
class Holding:
    """Units of one share. `begun` came in, `delivered` went out on the days before today.

    `since`: the day it was put there; sales of earlier days never took from it.
    """

    key: Key
    begun: int
    cost: Decimal
    since: date = date.min
    delivered: int = 0

    @property
    def quantity(self) -> int:
        """Units at the start of the day."""
        return self.begun - self.delivered


@dataclass(slots=True)
class Delivery:
    """Whether shares may leave: by a standing authority (DDPI), or as approved for one day."""

    ddpi: bool = False
    at_start: bool = False
    day: date = date.min
    approved: dict[str, int] = field(default_factory=dict)
    """Units by ISIN, of that day alone."""

    def as_at_start(self) -> "Delivery":
        return Delivery(self.at_start, self.at_start)

    def approve(self, isin: str, units: int, today: date) -> None:
        if self.day != today:
            self.day, self.approved = today, {}
        self.approved[isin] = units

    def approved_on(self, isin: str, today: date) -> int:
        return self.approved.get(isin, 0) if self.day == today else 0


def holdings_from(rows: list[dict[str, Any]]) -> dict[Key, Holding]:
    """From `{"segment", "securityId", "quantity", "avgCostPrice", "since"?}`."""
    found = {}
    for row in rows:
        key = row["segment"], row["securityId"]
        since = date.fromisoformat(row.get("since", "0001-01-01"))
        found[key] = Holding(key, int(row["quantity"]), Decimal(row["avgCostPrice"]), since)
    return found


def holdings_entry(holdings: dict[Key, Holding]) -> list[dict[str, Any]]:
    """What was delivered is not told: the trades tell it again."""
    return [
        {
            "segment": each.key[0],
            "securityId": each.key[1],
            "quantity": each.begun,
            "avgCostPrice": each.cost,
            "since": each.since.isoformat(),
        }
        for each in holdings.values()
    ]


def delivery_entry(delivery: Delivery) -> dict[str, Any]:
    return {
        "ddpi": delivery.ddpi,
        "at_start": delivery.at_start,
        "day": delivery.day.isoformat(),
        "approved": delivery.approved,
    }


def delivery_from(entry: dict[str, Any]) -> Delivery:
    if not entry:
        return Delivery()
    day = date.fromisoformat(entry["day"])
    return Delivery(entry["ddpi"], entry["at_start"], day, dict(entry["approved"]))
