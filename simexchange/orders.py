"""What an account asks for, and what became of it."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from simexchange.instruments import Key
from simexchange.money import ZERO


class Status(StrEnum):
    """Order states in the spelling of the order book (DhanHQ v2 documentation, annexure).

    TRIGGERED and CLOSED are told of super orders and their legs; no order is ever in them.
    """

    TRANSIT = "TRANSIT"
    PENDING = "PENDING"
    PART_TRADED = "PART_TRADED"
    TRADED = "TRADED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    TRIGGERED = "TRIGGERED"
    CLOSED = "CLOSED"


WORKING = frozenset({Status.PENDING, Status.PART_TRADED})
OPEN = WORKING | {Status.TRANSIT}
HEALTHY = "CONFIRMED"
API = "P"
BRACKET, COVER = "BO", "CO"
NATIVE = frozenset({BRACKET, COVER})
ENTRY, STOP, TARGET = "ENTRY_LEG", "STOP_LOSS_LEG", "TARGET_LEG"


@dataclass(frozen=True, slots=True)
class Ticket:
    """An order as it was asked for, checked for form only. Prices in rupees, sizes in units."""

    side: str
    segment: str
    security_id: str
    product: str
    order_type: str
    validity: str
    quantity: int
    price: Decimal = ZERO
    trigger: Decimal = ZERO
    disclosed: int = 0
    after_market: bool = False
    correlation_id: str = ""
    profit_by: Decimal = ZERO
    loss_by: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class ByHand:
    """How somebody trades at the broker itself: on which platform, and under what name.

    `name` stands where a correlation id would be; None: one that the broker makes up, as for an
    order of the API without one. With `fill` it trades in full, whatever the market says.
    """

    source: str = "W"
    name: str | None = "NA"
    fill: bool = False

    def name_of(self, order: "Order") -> str:
        own = own_name(order.client_id, order.created)
        return own if self.name is None else self.name


@dataclass(frozen=True, slots=True)
class Change:
    """A modification; `quantity` is the new total, not what is left (DhanHQ v2 releases)."""

    order_type: str
    validity: str
    quantity: int | None = None
    price: Decimal | None = None
    trigger: Decimal | None = None
    disclosed: int | None = None


@dataclass(slots=True, eq=False)
class Order:
    """One order of one account. `sequence` is its time priority, `request` what brought it.

    `received` moves with each modification, `created` does not; `reached` is None until the
    exchange has it, and moves with each answer of the exchange. A `held` order is an after-market
    one that waits for its market to open; `day` is the trading day it belongs to. `source` is the
    platform it came from: P is the API, W the broker's own page (order update page, recorded).
    Of a super order `leg` says which part this is, and `parent` of an exit is its entry; a
    `watched` exit waits at the broker for its price. `shown` is an id shown instead of its own.
    `profit_by` and `loss_by`, of a bracket order, are how far off its exits are, in rupees.
    """

    order_id: str
    client_id: str
    correlation_id: str
    side: str
    segment: str
    security_id: str
    product: str
    order_type: str
    validity: str
    quantity: int
    price: Decimal
    trigger: Decimal
    disclosed: int
    after_market: bool
    created: datetime
    received: datetime
    updated: datetime
    sequence: int = 0
    request: int = 0
    status: Status = Status.TRANSIT
    reached: datetime | None = None
    exchange_order_id: str = "0"
    filled: int = 0
    value: Decimal = ZERO
    last_traded: Decimal = ZERO
    reason: str = HEALTHY
    triggered: bool = False
    modifications: int = 0
    held: bool = False
    source: str = API
    leg: str = ""
    parent: str = ""
    watched: bool = False
    shown: str = ""
    profit_by: Decimal = ZERO
    loss_by: Decimal = ZERO

    @classmethod
    def from_ticket(
        cls, ticket: Ticket, order_id: str, client_id: str, now: datetime, source: str = API
    ) -> "Order":
        """A new order; without a correlation id the broker makes one up (live recordings).

        Orders of the broker's own page have none: `NA` stands in its place (live recordings).
        """
        made_up = own_name(client_id, now) if source == API else "NA"
        return cls(
            order_id=order_id,
            client_id=client_id,
            correlation_id=ticket.correlation_id or made_up,
            side=ticket.side,
            segment=ticket.segment,
            security_id=ticket.security_id,
            product=ticket.product,
            order_type=ticket.order_type,
            validity=ticket.validity,
            quantity=ticket.quantity,
            price=ticket.price,
            trigger=ticket.trigger,
            disclosed=ticket.disclosed,
            after_market=ticket.after_market,
            created=now,
            received=now,
            updated=now,
            source=source,
            profit_by=ticket.profit_by,
            loss_by=ticket.loss_by,
        )

    @classmethod
    def exit_of(cls, entry: "Order", leg: str, order_id: str, now: datetime) -> "Order":
        """The other side of what an entry has filled, waiting for its price."""
        return cls(
            order_id=order_id,
            client_id=entry.client_id,
            correlation_id=entry.correlation_id,
            side="SELL" if entry.is_buy else "BUY",
            segment=entry.segment,
            security_id=entry.security_id,
            product=entry.product,
            order_type="STOP_LOSS" if leg == STOP else "LIMIT",
            validity="DAY",
            quantity=entry.filled,
            price=ZERO,
            trigger=ZERO,
            disclosed=0,
            after_market=False,
            created=now,
            received=now,
            updated=now,
            request=entry.request,
            status=Status.PENDING,
            source=entry.source,
            leg=leg,
            parent=entry.order_id,
            watched=True,
        )

    @property
    def key(self) -> Key:
        return self.segment, self.security_id

    @property
    def shown_id(self) -> str:
        return self.shown or self.order_id

    @property
    def day(self) -> date:
        moment = self.reached if self.after_market and self.reached else self.created
        return moment.date()

    def shows_on(self, day: date) -> bool:
        """Whether the order book of that day has it: its own day, or any day it waited on."""
        waited = self.held or (self.after_market and self.updated.date() == day)
        return waited or day in {self.day, self.created.date()}

    @property
    def is_buy(self) -> bool:
        return self.side == "BUY"

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled

    @property
    def average(self) -> Decimal:
        return self.value / self.filled if self.filled else ZERO

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_working(self) -> bool:
        return self.status in WORKING

    @property
    def waits_for_trigger(self) -> bool:
        return self.order_type == "STOP_LOSS" and not self.triggered

    def accepts(self, price: Decimal) -> bool:
        """Whether a fill at this price is no worse than the limit."""
        return price <= self.price if self.is_buy else price >= self.price

    def with_change(self, change: Change) -> "Order":
        """A copy as it would stand after a modification."""
        return replace(
            self,
            order_type=change.order_type,
            validity=change.validity,
            quantity=self.quantity if change.quantity is None else change.quantity,
            price=self.price if change.price is None else change.price,
            trigger=self.trigger if change.trigger is None else change.trigger,
            disclosed=self.disclosed if change.disclosed is None else change.disclosed,
            modifications=self.modifications + 1,
        )

    def adopt(self, wanted: "Order") -> None:
        """Take over what a modification may change from a changed copy."""
        for name in ("order_type", "validity", "quantity", "price", "trigger", "disclosed"):
            setattr(self, name, getattr(wanted, name))
        self.modifications, self.sequence = wanted.modifications, wanted.sequence

    def take(self, quantity: int, price: Decimal) -> None:
        """Book a fill of `quantity` units at `price` rupees."""
        if not 0 < quantity <= self.remaining:
            raise ValueError(f"cannot fill {quantity} of the {self.remaining} left")
        self.filled += quantity
        self.value += quantity * price
        self.last_traded = price
        self.status = Status.PART_TRADED if self.remaining else Status.TRADED


def own_name(client_id: str, now: datetime) -> str:
    """What the broker puts in place of a correlation id (live recordings)."""
    return f"{client_id}-{int(now.timestamp() * 1000)}"


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill of one order, at `price` rupees."""

    trade_id: str
    order_id: str
    client_id: str
    side: str
    segment: str
    security_id: str
    product: str
    quantity: int
    price: Decimal
    at: datetime

    @property
    def key(self) -> Key:
        return self.segment, self.security_id


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """A copy of an order at the moment it changed; `word` is the status on the socket."""

    order: Order
    word: str
    last_price: Decimal = field(default=ZERO)
