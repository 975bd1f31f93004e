"""Accounts: cash, working orders, positions, and the margin both tie up."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from simexchange.instruments import Instrument
from simexchange.money import ZERO
from simexchange.orders import Order, Trade

INTRADAY_RATE = Decimal("0.20")
CONTRACT_RATE = Decimal("0.15")
PositionKey = tuple[str, str, str]


def margin(
    instrument: Instrument, product: str, side: str, quantity: int, price: Decimal
) -> Decimal:
    """Rupees tied up by opening `quantity` units at `price`: a plain rule, not SPAN.

    Options bought take the full premium; futures and options sold 15 % of the contract's value
    (strike times quantity for an option); INTRADAY shares 20 %; other shares the full value.
    """
    if instrument.is_option and side == "BUY":
        return quantity * price
    if instrument.is_option:
        return quantity * instrument.strike * CONTRACT_RATE
    if instrument.is_future:
        return quantity * price * CONTRACT_RATE
    return quantity * price * (INTRADAY_RATE if product == "INTRADAY" else 1)


@dataclass(slots=True)
class Position:
    """What one account holds of one instrument in one product. Values in rupees."""

    instrument: Instrument
    product: str
    buy_quantity: int = 0
    sell_quantity: int = 0
    buy_value: Decimal = ZERO
    sell_value: Decimal = ZERO
    net: int = 0
    cost: Decimal = ZERO
    realised: Decimal = ZERO

    def apply(self, side: str, quantity: int, price: Decimal) -> None:
        """Book a fill; the part that closes realises profit against the average cost."""
        signed = quantity if side == "BUY" else -quantity
        if side == "BUY":
            self.buy_quantity += quantity
            self.buy_value += quantity * price
        else:
            self.sell_quantity += quantity
            self.sell_value += quantity * price
        if self.net * signed < 0:
            signed = self._close(signed, price)
        if signed:
            total = abs(self.net) * self.cost + abs(signed) * price
            self.net += signed
            self.cost = total / abs(self.net)

    def _close(self, signed: int, price: Decimal) -> int:
        closing = min(abs(signed), abs(self.net))
        direction = 1 if self.net > 0 else -1
        self.realised += closing * direction * (price - self.cost)
        self.net -= closing * direction
        if not self.net:
            self.cost = ZERO
        return signed + closing * direction

    @property
    def margin(self) -> Decimal:
        side = "BUY" if self.net > 0 else "SELL"
        return margin(self.instrument, self.product, side, abs(self.net), self.cost)

    def unrealised(self, last: Decimal) -> Decimal:
        return self.net * (last - self.cost)


@dataclass(slots=True)
class Account:
    """One client of the broker. `balance` is the opening cash of the day, in rupees."""

    client_id: str
    token: str
    balance: Decimal
    holdings: list[dict[str, Any]] = field(default_factory=list)
    positions: dict[PositionKey, Position] = field(default_factory=dict)
    working: dict[PositionKey, dict[str, Order]] = field(default_factory=dict)
    _blocked: dict[PositionKey, Decimal] = field(default_factory=dict)

    @property
    def realised(self) -> Decimal:
        return sum((p.realised for p in self.positions.values()), ZERO)

    @property
    def utilised(self) -> Decimal:
        """Rupees tied up by positions and by the opening part of working orders."""
        held = sum((p.margin for p in self.positions.values()), ZERO)
        return held + sum(self._blocked.values(), ZERO)

    @property
    def available(self) -> Decimal:
        return self.balance + self.realised - self.utilised

    def clear(self) -> None:
        """Forget every position and working order."""
        self.positions, self.working, self._blocked = {}, {}, {}

    def position(self, instrument: Instrument, product: str) -> Position:
        key = (*instrument.key, product)
        return self.positions.setdefault(key, Position(instrument, product))

    def book_trade(self, trade: Trade, instrument: Instrument) -> None:
        self.position(instrument, trade.product).apply(trade.side, trade.quantity, trade.price)
        self._recount((*trade.key, trade.product), instrument)

    def follow(self, order: Order, instrument: Instrument) -> None:
        """Take notice of an order's new state, and block or free its margin."""
        key = (*order.key, order.product)
        orders = self.working.setdefault(key, {})
        if order.is_working:
            orders[order.order_id] = order
        else:
            orders.pop(order.order_id, None)
        self._recount(key, instrument)

    def shortfall(self, order: Order, instrument: Instrument) -> Decimal:
        """Rupees missing for this order, zero when there is enough."""
        key = (*order.key, order.product)
        others = [o for o in self.working.get(key, {}).values() if o.order_id != order.order_id]
        wanted = self._blocked_by([*others, order], key, instrument)
        return max(wanted - self._blocked.get(key, ZERO) - self.available, ZERO)

    def _recount(self, key: PositionKey, instrument: Instrument) -> None:
        orders = self.working.get(key, {})
        self._blocked[key] = self._blocked_by(orders.values(), key, instrument)

    def _blocked_by(
        self, orders: Iterable[Order], key: PositionKey, instrument: Instrument
    ) -> Decimal:
        """Margin of orders, oldest first; what only closes the position needs none."""
        held = self.positions[key].net if key in self.positions else 0
        closable = {"SELL": max(held, 0), "BUY": max(-held, 0)}
        total = ZERO
        for order in orders:
            closing = min(order.remaining, closable[order.side])
            closable[order.side] -= closing
            opening = order.remaining - closing
            total += margin(instrument, order.product, order.side, opening, order.price)
        return total


def default_accounts() -> list[Account]:
    balance = Decimal(1_000_000)
    return [
        Account("1000000001", "token-1", balance),
        Account("1000000002", "token-2", balance),
    ]
