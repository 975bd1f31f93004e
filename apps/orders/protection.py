"""The limits that stand in for MARKET orders: arithmetic on prices, no database and no clock.

DhanHQ has turned MARKET orders of its interface into protected limits since March 2026, and a stop
without a limit loses its trigger there (release announcements). So the desk names its own limit: it
is what was reviewed, and it is what is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from apps.brokers.port import Side


@dataclass(frozen=True)
class Band:
    """Where a price may lie today: rupees, on a tick; None where no limit is known."""

    tick: Decimal
    lower: Decimal | None
    upper: Decimal | None

    def holds(self, price: Decimal) -> bool:
        """True for a price inside."""
        above = self.lower is None or price >= self.lower
        return above and (self.upper is None or price <= self.upper)

    def nearest(self, price: Decimal, side: Side) -> Decimal | None:
        """The price on the tick at or beyond this one, brought into the band; None: there is none.

        Beyond is up for a buy and down for a sale: protection is never less than was asked for.
        """
        rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
        found = (price / self.tick).to_integral_value(rounding) * self.tick
        if self.upper is not None:
            found = min(found, (self.upper / self.tick).to_integral_value(ROUND_FLOOR) * self.tick)
        least = self.tick
        if self.lower is not None:
            whole = (self.lower / self.tick).to_integral_value(ROUND_CEILING)
            least = max(least, whole * self.tick)
        found = max(found, least)
        return found if self.holds(found) else None


def beyond(centre: Decimal, percent: Decimal, side: Side, band: Band) -> Decimal | None:
    """The limit of an order that should trade around ``centre``, at the worst so far beyond it.

    At least one tick beyond, unless the band ends there. None when the centre is no price of the
    band: it is of another day, or something is wrong.
    """
    if centre <= 0 or not band.holds(centre):
        return None
    away = max(centre * percent / 100, band.tick)
    limit = band.nearest(centre + away * side.sign, side)
    return None if limit is None or (limit - centre) * side.sign < 0 else limit
