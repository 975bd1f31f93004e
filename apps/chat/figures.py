"""What each strategy did today, from orders and trades alone; what they cannot prove is unknown."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Count, DecimalField, F, Q, Sum

from apps.brokers.port import Product, Segment, Side
from apps.orders.models import Fill, Order, trading_day
from apps.orders.states import TERMINAL, Status

# Where one unit at one rupee is one rupee. Contracts of the others have multipliers of their own.
RUPEE_PER_UNIT = {Segment.NSE_EQ, Segment.NSE_FNO, Segment.BSE_EQ, Segment.BSE_FNO}
Row = dict[str, Any]
_MONEY = DecimalField(max_digits=24, decimal_places=4)


@dataclass
class Held:
    """Today's trades of one strategy in one instrument and product. Units and rupees."""

    symbol: str
    segment: str
    product: str
    bought: int = 0
    paid: Decimal = Decimal(0)
    sold: int = 0
    got: Decimal = Decimal(0)

    @property
    def net(self) -> int:
        """Units; < 0 is short."""
        return self.bought - self.sold

    @property
    def provable(self) -> bool:
        """True when nothing can have been held since before today, and units are rupees."""
        return self.product == Product.INTRADAY and self.segment in RUPEE_PER_UNIT

    @property
    def realised(self) -> Decimal:
        """On the units both bought and sold, at the day's average prices, before charges."""
        closed = min(self.bought, self.sold)
        if not closed:
            return Decimal(0)
        return closed * (self.got / self.sold - self.paid / self.bought)


@dataclass
class Strategy:
    """The day of one strategy on one account."""

    account: str
    name: str
    orders: int
    rejected: int
    working: int
    unknown: int
    filled: int
    trades: int = 0
    traded: int = 0
    held: list[Held] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """False while fills are known whose trades are not."""
        return self.filled == self.traded and not self.unknown

    @property
    def realised(self) -> Decimal | None:
        """Rupees before charges; None when it cannot be known."""
        if not self.complete or not all(row.provable for row in self.held):
            return None
        return sum((row.realised for row in self.held), Decimal(0))


def of_today() -> list[Strategy]:
    """Every account and strategy with an order today, by name."""
    found = {(row["account__name"], row["strategy"]): _strategy(row) for row in _orders()}
    for row in _trades():
        strategy = found.get((row["account__name"], row["order__strategy"]))
        if strategy is not None:
            _add(strategy, row)
    return [found[key] for key in sorted(found)]


def _orders() -> list[Row]:
    over = sorted(TERMINAL)
    rows = (
        Order.objects.filter(trading_day=trading_day())
        .values("account__name", "strategy")
        .annotate(
            orders=Count("pk"),
            rejected=Count("pk", filter=Q(status__in=[Status.REJECTED, Status.DENIED])),
            working=Count("pk", filter=~Q(status__in=[*over, Status.UNKNOWN])),
            unknown=Count("pk", filter=Q(status=Status.UNKNOWN)),
            filled=Sum("filled_quantity"),
        )
        .order_by()
    )
    return [dict(row) for row in rows]


def _trades() -> list[Row]:
    rows = (
        Fill.objects.filter(order__trading_day=trading_day())
        .values(
            "account__name",
            "order__strategy",
            "order__instrument__symbol",
            "order__instrument__segment",
            "order__product",
            "order__side",
        )
        .annotate(
            trades=Count("pk"),
            units=Sum("quantity"),
            value=Sum(F("quantity") * F("price"), output_field=_MONEY),
        )
        .order_by("order__instrument__symbol", "order__product")
    )
    return [dict(row) for row in rows]


def _strategy(row: Row) -> Strategy:
    counted = ("orders", "rejected", "working", "unknown", "filled")
    return Strategy(row["account__name"], row["strategy"], **{name: row[name] for name in counted})


def _add(strategy: Strategy, row: Row) -> None:
    strategy.trades += row["trades"]
    strategy.traded += row["units"]
    held = _held(strategy, row)
    if row["order__side"] == Side.BUY:
        held.bought += row["units"]
        held.paid += row["value"]
    else:
        held.sold += row["units"]
        held.got += row["value"]


def _held(strategy: Strategy, row: Row) -> Held:
    new = Held(
        row["order__instrument__symbol"], row["order__instrument__segment"], row["order__product"]
    )
    for held in strategy.held:
        if (held.symbol, held.segment, held.product) == (new.symbol, new.segment, new.product):
            return held
    strategy.held.append(new)
    return new
