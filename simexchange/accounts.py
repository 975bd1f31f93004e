"""Accounts: cash, working orders, positions, and the margin both tie up."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import chain

from simexchange.access import Access
from simexchange.guards import Guards
from simexchange.holdings import Delivery, Holding
from simexchange.instruments import Instrument, Key
from simexchange.money import ZERO
from simexchange.orders import NATIVE, Order, Ticket, Trade

INTRADAY_RATE = Decimal("0.20")
INTRADAY = {"INTRADAY", *NATIVE}
CONTRACT_RATE = Decimal("0.15")
PositionKey = tuple[str, str, str]


def margin(
    instrument: Instrument, product: str, side: str, quantity: int, price: Decimal
) -> Decimal:
    """Rupees tied up by opening `quantity` units at `price`: a plain rule, not SPAN.

    Options bought take the full premium; futures and options sold 15 % of the contract's value
    (strike times quantity for an option); shares within the day 20 %; other shares the full value.
    """
    if instrument.is_option and side == "BUY":
        return quantity * price
    if instrument.is_option:
        return quantity * instrument.strike * CONTRACT_RATE
    if instrument.is_future:
        return quantity * price * CONTRACT_RATE
    return quantity * price * (INTRADAY_RATE if product in INTRADAY else 1)


@dataclass(slots=True)
class Position:
    """What one account holds of one instrument in one product. Values in rupees.

    Bought and sold count the day alone; `carried` units came from the day before. `covered`
    units lie in the depository: sold, they are delivered at the end of the day, and not owed.
    """

    instrument: Instrument
    product: str
    buy_quantity: int = 0
    sell_quantity: int = 0
    buy_value: Decimal = ZERO
    sell_value: Decimal = ZERO
    net: int = 0
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    carried: int = 0
    carried_cost: Decimal = ZERO
    covered: int = 0

    def turn_day(self) -> Decimal:
        """Carry what is held into a new day; returns the profit realised on the old one.

        What was sold out of the depository is delivered, and its price comes in with the profit.
        """
        realised, self.realised = self.realised + self.delivered * self.cost, ZERO
        self.net += self.delivered
        self.cost = self.cost if self.net else ZERO
        self.buy_quantity = self.sell_quantity = 0
        self.buy_value = self.sell_value = ZERO
        self.carried, self.carried_cost = self.net, self.cost
        return realised

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

    def closing_ticket(self) -> Ticket:
        """The market order that would close it."""
        return Ticket(
            side="SELL" if self.open > 0 else "BUY",
            segment=self.instrument.segment,
            security_id=self.instrument.security_id,
            product=self.product,
            order_type="MARKET",
            validity="DAY",
            quantity=abs(self.open),
        )

    @property
    def delivered(self) -> int:
        """Units sold today that come out of the depository."""
        return min(max(-self.net, 0), self.covered)

    @property
    def open(self) -> int:
        """Units still to be closed: a share sold out of the depository is not."""
        return self.net + self.delivered

    @property
    def margin(self) -> Decimal:
        side = "BUY" if self.open > 0 else "SELL"
        return margin(self.instrument, self.product, side, abs(self.open), self.cost)

    def unrealised(self, last: Decimal) -> Decimal:
        return self.net * (last - self.cost)


@dataclass(slots=True)
class Demand:
    """The working orders of one instrument and product, and what each would tie up alone."""

    instrument: Instrument
    orders: dict[str, Order] = field(default_factory=dict)
    _margins: dict[str, Decimal] = field(default_factory=dict)
    _total: Decimal = ZERO

    def follow(self, order: Order) -> None:
        """Take notice of an order's new state."""
        self._total -= self._margins.pop(order.order_id, ZERO)
        if order.is_working and not order.watched:
            self._put(order)
            self._margins[order.order_id] = self._margin(order, order.remaining)
            self._total += self._margins[order.order_id]
        else:
            self.orders.pop(order.order_id, None)

    def _put(self, order: Order) -> None:
        """In the order of their ids: an exit of a super order works long after it was made."""
        newest = next(reversed(self.orders), "")
        self.orders[order.order_id] = order
        if order.order_id < newest:
            self.orders = dict(sorted(self.orders.items()))

    def blocked(self, held: int) -> Decimal:
        """Rupees tied up, while `held` units are held."""
        return self._total - self._relief(self.orders.values(), held)

    def blocked_with(self, wanted: Order, held: int) -> Decimal:
        """The same, if this order were there too, or were there as changed."""
        others = (o for o in self.orders.values() if o.order_id != wanted.order_id)
        alone = self._margin(wanted, wanted.remaining)
        total = self._total - self._margins.get(wanted.order_id, ZERO) + alone
        return total - self._relief(chain(others, (wanted,)), held)

    def _relief(self, orders: Iterable[Order], held: int) -> Decimal:
        """Margin not needed, because the older orders only close what is held."""
        side, left, relief = ("SELL" if held > 0 else "BUY"), abs(held), ZERO
        if not left:
            return relief
        for order in orders:
            if order.side == side and left:
                closing = min(order.remaining, left)
                left -= closing
                relief += self._margin(order, closing)
        return relief

    def _margin(self, order: Order, quantity: int) -> Decimal:
        return margin(self.instrument, order.product, order.side, quantity, order.price)


@dataclass(slots=True)
class Account:
    """One client of the broker. `balance` is the cash it began with, in rupees."""

    client_id: str
    token: str
    balance: Decimal
    holdings: dict[Key, Holding] = field(default_factory=dict)
    positions: dict[PositionKey, Position] = field(default_factory=dict)
    demands: dict[PositionKey, Demand] = field(default_factory=dict)
    settled: Decimal = ZERO
    access: Access = field(default_factory=Access)
    guards: Guards = field(default_factory=Guards)
    delivery: Delivery = field(default_factory=Delivery)
    first_token: str = ""

    def __post_init__(self) -> None:
        self.first_token = self.first_token or self.token

    @property
    def day_start(self) -> Decimal:
        """Cash at the start of the day, with the profit of all days before."""
        return self.balance + self.settled

    @property
    def realised(self) -> Decimal:
        return sum((p.realised for p in self.positions.values()), ZERO)

    @property
    def utilised(self) -> Decimal:
        """Rupees tied up by positions and by the opening part of working orders."""
        held = sum((p.margin for p in self.positions.values()), ZERO)
        asked = (demand.blocked(self._held(key)) for key, demand in self.demands.items())
        return held + sum(asked, ZERO)

    @property
    def available(self) -> Decimal:
        return self.day_start + self.realised - self.utilised

    def clear(self) -> None:
        """Forget every position and working order, and what was set or approved for the day."""
        self.positions, self.demands, self.settled = {}, {}, ZERO
        self.guards, self.delivery = Guards(), self.delivery.as_at_start()
        self.holdings = {k: h for k, h in self.holdings.items() if h.since == date.min}
        for holding in self.holdings.values():
            holding.delivered = 0

    def let_in_as_at_first(self) -> None:
        """The token that it began with, and nothing in the way."""
        self.token, self.access = self.first_token, Access()

    def turn_day(self, closing: date) -> None:
        """Settle the profit of the day that closes, deliver, and leave closed positions behind."""
        for key, position in self.positions.items():
            holding = self._holding(key)
            if holding is None or holding.since > closing:
                position.covered = 0
            else:
                holding.delivered += position.delivered
        self.settled += sum((p.turn_day() for p in self.positions.values()), ZERO)
        self.positions = {key: p for key, p in self.positions.items() if p.net}
        self.cover()

    def cover(self) -> None:
        """Let the positions know of the holdings."""
        for key, position in self.positions.items():
            holding = self._holding(key)
            position.covered = holding.quantity if holding else 0

    def book_trade(self, trade: Trade, instrument: Instrument) -> None:
        key = (*trade.key, trade.product)
        if key not in self.positions:
            self.positions[key] = Position(instrument, trade.product)
            self.cover()
        position = self.positions[key]
        position.apply(trade.side, trade.quantity, trade.price)

    def follow(self, order: Order, instrument: Instrument) -> None:
        """Take notice of an order's new state, and block or free its margin."""
        self._demand(order, instrument).follow(order)

    def shortfall(self, order: Order, instrument: Instrument) -> Decimal:
        """Rupees missing for this order, zero when there is enough."""
        held, demand = self._held((*order.key, order.product)), self._demand(order, instrument)
        more = demand.blocked_with(order, held) - demand.blocked(held)
        return max(more - self.available, ZERO)

    def _demand(self, order: Order, instrument: Instrument) -> Demand:
        key = (*order.key, order.product)
        return self.demands.setdefault(key, Demand(instrument))

    def _held(self, key: PositionKey) -> int:
        """Units that can be sold without opening anything; below zero, bought."""
        holding = self._holding(key)
        net = self.positions[key].net if key in self.positions else 0
        return net + (holding.quantity if holding else 0)

    def _holding(self, key: PositionKey) -> Holding | None:
        segment, security_id, product = key
        return self.holdings.get((segment, security_id)) if product == "CNC" else None

    def sold_today(self, holding: Holding) -> int:
        """Units of a holding whose sale has traded today."""
        position = self.positions.get((*holding.key, "CNC"))
        return position.delivered if position else 0

    def taken_from_holding(self, order: Order) -> int:
        """Units out of the depository that this CNC sale brings all sales of the share to."""
        key = (*order.key, order.product)
        net = self.positions[key].net if key in self.positions else 0
        others = self.demands[key].orders.values() if key in self.demands else ()
        asked = sum(
            o.remaining for o in others if o.side == "SELL" and o.order_id != order.order_id
        )
        return order.remaining + asked - net


def default_accounts() -> list[Account]:
    balance = Decimal(1_000_000)
    return [
        Account("1000000001", "token-1", balance),
        Account("1000000002", "token-2", balance),
    ]
