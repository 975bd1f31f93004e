"""May this order go? One small class per rule; each sees one snapshot and gives one reason.

A rule returns None for yes, or the reason for no. Missing data is always a no. Nothing here
reads a clock, a database or a network: what a rule may know is in the ``Snapshot``.
Exits skip what would trap a position (a halt, value and count limits, age of funds), never
validation, and are capped to the position that the broker has shown.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from apps.brokers.market import Asked, Market, refusal
from apps.brokers.port import Intent, OrderRequest, OrderType, Product, Segment, Side

ACTIVE, REDUCING, HALTED = "ACTIVE", "REDUCING", "HALTED"


@dataclass(frozen=True, kw_only=True)
class InstrumentFacts:
    """What the master file says of the instrument. Prices in rupees, sizes in units."""

    lot_size: int
    tick_size: Decimal
    freeze_quantity: int | None
    lower_limit: Decimal | None
    upper_limit: Decimal | None
    expiry: dt.date | None
    tradable: bool


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The policy in force."""

    version: int
    max_order_quantity: int
    max_order_value: Decimal
    max_open_orders: int
    max_data_age: int
    order_types: tuple[str, ...]
    approval_above_value: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything a decision may rest on. None means "not known", and is never read as zero.

    Ages are seconds. ``net_position`` is signed; ``pending`` is what orders of this side that
    work, or ended after the position was read, may still take from it. ``own_filled`` is what the
    order whose terms change had filled before the position was read. ``market`` is the
    instrument's market at the moment of the decision.
    """

    request: OrderRequest
    today: dt.date
    account_known: bool
    account_enabled: bool
    environment: str
    live_allowed: bool
    armed: bool
    switch: str | None
    desk_switch: str | None
    instrument: InstrumentFacts | None
    limits: Limits | None
    open_orders: int
    last_price: Decimal | None = None
    last_price_age: float | None = None
    funds_age: float | None = None
    net_position: int | None = None
    position_age: float | None = None
    pending: int = 0
    own_filled: int = 0
    changes: str | None = None
    market: Market | None = None
    approved_quantity: int | None = None  # what a second person has approved of this order
    approved_price: Decimal | None = None
    not_ready: tuple[str, ...] | None = None  # what readiness says against entries

    @property
    def exiting(self) -> bool:
        """True for an order that only takes an existing position down."""
        return self.request.intent is Intent.EXIT

    @property
    def value(self) -> Decimal | None:
        """Rupees at stake at the worst: quantity times the highest price it may trade at.

        A buy's limit is that price. A sale's limit is only its floor: it may trade at the last
        price or, when that is not fresh, as high as the day's upper limit.
        """
        price = self.request.price
        if price is None or not price.is_finite():
            price = self._fresh_price() if self.request.order_type is OrderType.MARKET else None
        elif self.request.side is Side.SELL:
            ceiling = self._fresh_price() or self._upper_limit()
            price = None if ceiling is None else max(price, ceiling)
        return None if price is None else price * self.request.quantity

    def _fresh_price(self) -> Decimal | None:
        return self.last_price if self._price_is_fresh() else None

    def _upper_limit(self) -> Decimal | None:
        return self.instrument.upper_limit if self.instrument else None

    def _price_is_fresh(self) -> bool:
        if self.limits is None or self.last_price_age is None:
            return False
        return self.last_price_age <= self.limits.max_data_age

    def as_json(self) -> dict[str, Any]:
        """The values that the decision saw, for the record."""
        return {
            key: _plain(value)
            for key, value in vars(self).items()
            if key not in {"request", "instrument", "limits", "market"}
        } | {
            "market": self.market.as_json() if self.market else None,
            "instrument": _plain_all(self.instrument),
            "limits": _plain_all(self.limits),
            "value": _plain(self.value),
        }


class Rule(Protocol):
    """One reason an order may not go."""

    name: str

    def refusal(self, snapshot: Snapshot) -> str | None:
        """None to let pass, else the reason in words for the operator."""


class KnownAccount:
    """The account exists; entries need it enabled and, if it is live, armed.

    A live account sends nothing at all while live trading is switched off.
    """

    name = "known account"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        if not snapshot.account_known:
            return "the account is not known to the desk"
        live = snapshot.environment == "live"
        if live and not snapshot.live_allowed:
            return "live trading is switched off (LIVE_TRADING)"
        if snapshot.exiting:
            return None
        if not snapshot.account_enabled:
            return "the account is disabled"
        if live and not snapshot.armed:
            return "the live account is not armed, or its time ran out"
        return None


class TestMode:
    """A test order goes to a paper or sandbox account, and nowhere else."""

    name = "test mode"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        if not snapshot.request.test or snapshot.environment in {"paper", "sandbox"}:
            return None
        return f"a test order can never reach a {snapshot.environment} account"


class Switch:
    """The account's switch and the desk's: entries need ACTIVE, exits only that both exist."""

    name = "switch"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        for where, switch in (("account", snapshot.switch), ("desk", snapshot.desk_switch)):
            if switch not in {ACTIVE, REDUCING, HALTED}:
                return f"the {where} has no risk state: nothing may be sent"
            if switch != ACTIVE and not snapshot.exiting:
                return f"the {where} is {switch}: only exits may go"
        return None


class Ready:
    """Entries need every readiness check of the account to let them; exits never ask.

    Unlike the switch nobody turns this: it is computed and clears itself.
    """

    name = "ready"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        if snapshot.exiting:
            return None
        if snapshot.not_ready is None:
            return "whether the account is ready is not known"
        if snapshot.not_ready:
            return f"the account is not ready: {'; '.join(snapshot.not_ready)}"
        return None


class Tradable:
    """The instrument is in the master, tradable and not expired."""

    name = "tradable"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        instrument = snapshot.instrument
        if instrument is None:
            return "the instrument is not in the master"
        if not instrument.tradable or snapshot.request.segment is Segment.INDEX:
            return "the instrument cannot be traded"
        if instrument.expiry is not None and instrument.expiry < snapshot.today:
            return f"the contract expired on {instrument.expiry:%d %b %Y}"
        return None


class MarketOpen:
    """The market takes this order, or these terms, now; exits follow its known hours too.

    Hours that nobody knows stop entries and never an exit.
    """

    name = "market open"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        request = snapshot.request
        asked = Asked(
            order_type=request.order_type,
            validity=request.validity,
            exiting=snapshot.exiting,
            after_market=request.after_market,
            changing=snapshot.changes is not None,
        )
        return refusal(snapshot.market, asked)


class QuantityAndLot:
    """Quantity is positive, a lot multiple, within the freeze quantity and the policy."""

    name = "quantity and lot"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        instrument, limits, request = snapshot.instrument, snapshot.limits, snapshot.request
        if instrument is None or limits is None:
            return "lot size or limits are not known"
        if request.quantity <= 0:
            return f"quantity {request.quantity} must be above 0"
        if request.quantity % instrument.lot_size:
            return f"quantity {request.quantity} is not a multiple of the lot {instrument.lot_size}"
        freeze = instrument.freeze_quantity
        if freeze is not None and request.quantity > freeze:
            return f"quantity {request.quantity} is above the freeze quantity {freeze}"
        if not snapshot.exiting and request.quantity > limits.max_order_quantity:
            return f"quantity {request.quantity} is above the limit {limits.max_order_quantity}"
        return self._disclosed(request)

    @staticmethod
    def _disclosed(request: OrderRequest) -> str | None:
        if request.disclosed_quantity:
            return "disclosed quantity must be 0: no rule of this broker allows one yet"
        return None


class PriceAndTick:
    """Prices are there when the type needs them, on the tick and inside the day's limits."""

    name = "price and tick"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        request, instrument = snapshot.request, snapshot.instrument
        if instrument is None:
            return "the tick size is not known"
        if request.order_type is OrderType.MARKET:
            return "a MARKET order has no price" if request.price is not None else None
        if request.price is None:
            return f"{request.order_type} needs a price"
        return self._one("price", request.price, instrument) or self._trigger(request, instrument)

    @staticmethod
    def _one(name: str, price: Decimal, instrument: InstrumentFacts) -> str | None:
        if not price.is_finite() or price <= 0:
            return f"{name} {price} must be above 0"
        if price % instrument.tick_size:
            return f"{name} {price} is not on the tick {instrument.tick_size.normalize()}"
        if instrument.lower_limit is not None and price < instrument.lower_limit:
            return f"{name} {price} is below the day's lower limit {instrument.lower_limit}"
        if instrument.upper_limit is not None and price > instrument.upper_limit:
            return f"{name} {price} is above the day's upper limit {instrument.upper_limit}"
        return None

    def _trigger(self, request: OrderRequest, instrument: InstrumentFacts) -> str | None:
        if request.order_type is not OrderType.STOP_LIMIT:
            return "only a stop has a trigger price" if request.trigger_price is not None else None
        if request.trigger_price is None or request.price is None:
            return "STOP_LIMIT needs a trigger price"
        if (request.price - request.trigger_price) * request.side.sign < 0:
            side = "at or above" if request.side is Side.BUY else "at or below"
            return f"the limit of a {request.side} stop must be {side} its trigger"
        return self._one("trigger price", request.trigger_price, instrument)


class AllowedOrderType:
    """The policy allows this order type; a delivery product has no place in derivatives."""

    name = "order type"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        request, limits = snapshot.request, snapshot.limits
        if limits is None or request.order_type not in limits.order_types:
            return f"{request.order_type} orders are not allowed by the policy"
        derivative = request.segment not in {Segment.NSE_EQ, Segment.BSE_EQ}
        if derivative and request.product in {Product.DELIVERY, Product.MTF}:
            return f"{request.product} exists only in cash equity"
        return None


class OrderValue:
    """The value of one entry stays within the policy; an unknown value is a no."""

    name = "value limit"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        if snapshot.limits is None:
            return "the limits are not known"
        if snapshot.value is None:
            return None if snapshot.exiting else "the value is unknown: there is no fresh price"
        if not snapshot.exiting and snapshot.value > snapshot.limits.max_order_value:
            return f"value ₹{snapshot.value:,.2f} is above ₹{snapshot.limits.max_order_value:,.2f}"
        return None


class OpenOrders:
    """Not more orders at work than the policy allows; UNKNOWN ones count."""

    name = "open orders"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        if snapshot.limits is None:
            return "the limits are not known"
        if snapshot.exiting or snapshot.open_orders < snapshot.limits.max_open_orders:
            return None
        return f"{snapshot.open_orders} orders are open, the limit is reached"


class AgeOfData:
    """Entries need funds that were read lately."""

    name = "age of data"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        if snapshot.exiting:
            return None
        if snapshot.limits is None:
            return "the limits are not known"
        if snapshot.funds_age is None:
            return "the account's funds have never been read"
        if snapshot.funds_age > snapshot.limits.max_data_age:
            return (
                f"the account's funds were read {snapshot.funds_age:.0f} s ago; "
                f"the limit is {snapshot.limits.max_data_age} s"
            )
        return None


class ExitCap:
    """An exit never takes more than the position that the broker has shown lately."""

    name = "exit cap"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        if not snapshot.exiting:
            return None
        if snapshot.limits is None or snapshot.net_position is None:
            return "the position is not known"
        if snapshot.position_age is None or snapshot.position_age > snapshot.limits.max_data_age:
            return "the position was not read lately enough"
        available = -snapshot.net_position * snapshot.request.side.sign - snapshot.pending
        wanted = snapshot.request.quantity - snapshot.own_filled
        if wanted > max(available, 0):
            return (
                f"an exit of {wanted} is more than the {max(available, 0)} left of position "
                f"{snapshot.net_position} (other orders may take {snapshot.pending})"
            )
        return None


class SecondPerson:
    """A large entry needs a second person's yes, which covers these terms and smaller ones.

    Smaller is less of it, or a lower limit of a buy; a sale keeps the price that was approved.
    """

    name = "second person"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        if snapshot.exiting or snapshot.limits is None:
            return None
        limit = snapshot.limits.approval_above_value
        if limit is None or self._covered(snapshot):
            return None
        if snapshot.value is None:
            return "the value is unknown: there is no fresh price"
        if snapshot.value > limit:
            return (
                f"value ₹{snapshot.value:,.2f} is above ₹{limit:,.2f}: somebody else must approve"
            )
        return None

    @staticmethod
    def _covered(snapshot: Snapshot) -> bool:
        request, quantity = snapshot.request, snapshot.approved_quantity
        if quantity is None or request.quantity > quantity:
            return False
        if request.price == snapshot.approved_price:
            return True
        if request.price is None or snapshot.approved_price is None:
            return False
        return request.side is Side.BUY and request.price < snapshot.approved_price


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, dt.date):
        return value.isoformat()
    return round(value, 3) if isinstance(value, float) else value


def _plain_all(facts: InstrumentFacts | Limits | None) -> dict[str, object] | None:
    return None if facts is None else {key: _plain(value) for key, value in vars(facts).items()}
