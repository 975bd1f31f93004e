"""What an account has of one instrument and product: its position, and of DELIVERY its holding.

What was bought earlier and delivered is in the broker's holdings and not in its positions (DhanHQ
documentation, portfolio page); today's trades in it are positions, below zero when more was sold.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.brokers import holdings
from apps.brokers.models import BrokerAccount, HoldingsReport, PositionsReport
from apps.brokers.port import Product

Key = tuple[str, str, str]  # segment, security id, product
Read = PositionsReport | HoldingsReport


@dataclass(frozen=True)
class Shown:
    """Both reads together. ``holdings`` is None while today's are not known."""

    positions: PositionsReport
    holdings: HoldingsReport | None

    def net(self, key: Key) -> int | None:
        """Net units of a position and its holding; None when its holding is not known."""
        return min((units for units, _ in self.measures(key)), default=None)

    def measures(self, key: Key) -> list[tuple[int, Read]]:
        """The same by every way to count it, each with the read that began first; the least is
        meant. Nothing when its holding is not known.
        """
        net = self.positions.net(*key)
        if key[2] != Product.DELIVERY:
            return [(net, self.positions)]
        if self.holdings is None:
            return []
        row = self.holdings.row(*key[:2])
        if row is None:
            return [(net, self.positions)]
        counted, seen = together(net, row["total"], row["most"])
        return [(counted, self.positions), (seen, self.older(key[2]))]

    @property
    def reads(self) -> list[Read]:
        """Both, or the positions alone where holdings do not count."""
        return [self.positions, *([self.holdings] if self.holdings else [])]

    def keys(self) -> set[Key]:
        """Of every position and holding that the reads show."""
        rows = self.positions.rows
        found = {(row["segment"], row["security_id"], row["product"]) for row in rows}
        for row in self.holdings.rows if self.holdings else []:
            if row["segment"]:
                found.add((row["segment"], row["security_id"], Product.DELIVERY.value))
        return found

    def older(self, product: str) -> Read:
        """The read that began first: what happened since may be missing in the other one, too."""
        if product != Product.DELIVERY or self.holdings is None:
            return self.positions
        return self.holdings if self.holdings.mark < self.positions.mark else self.positions


def together(net: int, holding: int, most: int) -> tuple[int, int]:
    """Units of a position and its holding: counted from the most that it showed today, and as both
    are shown now. The lesser is right whether a sale leaves the holdings at once or over night.

    A broker sells delivery only out of what is there: neither is below zero.
    """
    return max(most + net, 0), max(holding + max(net, 0), 0)


def shown(account: BrokerAccount, positions: PositionsReport) -> Shown:
    """The positions as they were read, and what is kept of today's holdings."""
    kept = holdings.of(account)
    return Shown(positions, kept if kept is not None and kept.todays else None)


def shown_for(product: str, account: BrokerAccount, positions: PositionsReport) -> Shown:
    """The same; holdings are looked up only where they count."""
    if product != Product.DELIVERY:
        return Shown(positions, None)
    return shown(account, positions)
