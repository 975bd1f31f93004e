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
from apps.risk.delivering import DeliveryFacts

ACTIVE, REDUCING, HALTED = "ACTIVE", "REDUCING", "HALTED"
SENT_TYPES = {OrderType.LIMIT, OrderType.STOP_LIMIT}
LEAST_BAND = 20  # ticks: a percentage of a cheap price is no room at all


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
    leavable: bool = False  # not tradable, and still what the position is in


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
    max_quote_age: int = 10
    price_band_percent: Decimal | None = None
    check_margin: bool = False
    refuse_unknown_margin: bool = True
    protection_percent: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything a decision may rest on. None means "not known", and is never read as zero.

    Ages are seconds. ``net_position`` is signed; ``pending`` is what orders of this side that
    work, or ended after the position was read, may still take from it. ``own_filled`` is what the
    order whose terms change had filled before the position was read. ``margin_required`` is what
    the request ties up beyond what its order holds already, ``margin_reserved`` what is promised to
    other orders and not yet taken from ``margin_available``; rupees. ``market`` is the
    instrument's market at the moment of the decision. ``approved_quantity`` is of the whole.
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
    standing: int | None = None  # the same by our own count, explained or confirmed
    standing_pending: int = 0
    owned: int | None = None  # the asking strategy's part of it; None: not a strategy's order
    owned_pending: int = 0
    group_pending: int = 0  # what orders that exclude this one may take already
    own_filled_now: int = 0
    own_quantity: int = 0  # what the order whose terms change may fill already
    changes: str | None = None
    market: Market | None = None
    approved_quantity: int | None = None  # what a second person has approved of this order
    approved_price: Decimal | None = None
    not_ready: tuple[str, ...] | None = None  # what readiness says against entries
    lower_circuit: Decimal | None = None  # as quoted today
    upper_circuit: Decimal | None = None
    margin_required: Decimal | None = None
    margin_age: float | None = None
    margin_available: Decimal | None = None
    margin_reserved: Decimal = Decimal(0)
    simulated_facts: bool = False  # the instruments are from a simulated exchange's file
    holdings_known: bool = True  # False: the position may be in holdings that are not known
    delivery: DeliveryFacts | None = None  # only of a sale of DELIVERY

    @property
    def exiting(self) -> bool:
        """True for an order that only takes an existing position down."""
        return self.request.intent is Intent.EXIT

    @property
    def whole(self) -> int:
        """Units of all that is wanted: a slice is judged as the order that it is a part of."""
        return self.request.whole or self.request.quantity

    @property
    def value(self) -> Decimal | None:
        """Rupees at stake at the worst, of the whole: its units times the worst price."""
        price = self.worst_price
        return None if price is None else price * self.whole

    @property
    def own_value(self) -> Decimal | None:
        """The same of this order alone: what its hold reserves."""
        price = self.worst_price
        return None if price is None else price * self.request.quantity

    @property
    def worst_price(self) -> Decimal | None:
        """The highest price that it may trade at; None when that is not known.

        A buy's limit is that price. A sale's limit is only its floor: it may trade at the last
        price or, when that is not fresh, as high as the day's upper limit.
        """
        price = self.request.price
        if price is None or not price.is_finite():
            return None
        if self.request.side is Side.SELL:
            ceiling = self.fresh_price or self.band[1]
            return None if ceiling is None else max(price, ceiling)
        return price

    @property
    def fresh_price(self) -> Decimal | None:
        """The last price; None when it is older than the limits allow."""
        if self.limits is None or self.last_price_age is None:
            return None
        return self.last_price if self.last_price_age <= self.limits.max_quote_age else None

    @property
    def band(self) -> tuple[Decimal | None, Decimal | None]:
        """Lowest and highest price of the day: as quoted today, else by the instrument file."""
        if self.instrument is None:
            return self.lower_circuit, self.upper_circuit
        lower, upper = self.instrument.lower_limit, self.instrument.upper_limit
        return self.lower_circuit or lower, self.upper_circuit or upper

    def as_json(self) -> dict[str, Any]:
        """The values that the decision saw, for the record."""
        return {
            key: _plain(value)
            for key, value in vars(self).items()
            if key not in {"request", "instrument", "limits", "market", "delivery"}
        } | {
            "market": self.market.as_json() if self.market else None,
            "instrument": _plain_all(self.instrument),
            "limits": _plain_all(self.limits),
            "delivery": _plain_all(self.delivery),
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
    """The instrument is in the master, tradable and not expired.

    What the file lost or a person blocked can still be left. A live entry needs the broker's own
    master: in a simulation's an id may mean another contract, and lots, ticks and price limits
    are made up.
    """

    name = "tradable"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        instrument = snapshot.instrument
        if instrument is None:
            return "the instrument is not in the master"
        may_go = instrument.tradable or (snapshot.exiting and instrument.leavable)
        if not may_go or snapshot.request.segment is Segment.INDEX:
            return "the instrument cannot be traded"
        if instrument.expiry is not None and instrument.expiry < snapshot.today:
            return f"the contract expired on {instrument.expiry:%d %b %Y}"
        if snapshot.simulated_facts and snapshot.environment == "live" and not snapshot.exiting:
            return "the instruments are a simulated exchange's: import the broker's own file"
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
    """Quantity is positive, a lot multiple, within the freeze quantity and the policy.

    The freeze quantity is about one order at the exchange, the policy about all that is wanted.
    """

    name = "quantity and lot"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        instrument, limits, request = snapshot.instrument, snapshot.limits, snapshot.request
        if instrument is None or limits is None:
            return "lot size or limits are not known"
        if request.quantity <= 0:
            return f"quantity {request.quantity} must be above 0"
        lot, whole = instrument.lot_size, snapshot.whole
        odd = next((units for units in (whole, request.quantity) if units % lot), None)
        if odd is not None:
            return f"quantity {odd} is not a multiple of the lot {lot}"
        freeze = instrument.freeze_quantity
        if freeze is not None and request.quantity > freeze:
            return f"quantity {request.quantity} is above the freeze quantity {freeze}"
        if not snapshot.exiting and whole > limits.max_order_quantity:
            return f"quantity {whole} is above the limit {limits.max_order_quantity}"
        return self._disclosed(request)

    @staticmethod
    def _disclosed(request: OrderRequest) -> str | None:
        if request.disclosed_quantity:
            return "disclosed quantity must be 0: no rule of this broker allows one yet"
        return None


class PriceAndTick:
    """Prices are there when the type needs them, and on the tick."""

    name = "price and tick"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        request, instrument = snapshot.request, snapshot.instrument
        if instrument is None:
            return "the tick size is not known"
        if request.order_type not in SENT_TYPES:
            return f"{request.order_type} is never sent as such"
        if request.price is None and request.part and request.trigger_price is not None:
            return self._one("trigger price", request.trigger_price, instrument)  # of a kept stop
        if request.price is None:
            return _why_no_price(snapshot)
        return self._one("price", request.price, instrument) or self._trigger(request, instrument)

    @staticmethod
    def _one(name: str, price: Decimal, instrument: InstrumentFacts) -> str | None:
        if not price.is_finite() or price <= 0:
            return f"{name} {price} must be above 0"
        if price % instrument.tick_size:
            return f"{name} {price} is not on the tick {instrument.tick_size.normalize()}"
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


def _why_no_price(snapshot: Snapshot) -> str:
    """A limit without a price: forgotten by the asker, or not to be had by us."""
    request, last = snapshot.request, snapshot.fresh_price
    if request.asked_type is None:
        return f"{request.order_type} needs a price"
    if request.asked_type is not OrderType.MARKET:
        return f"{request.asked_type} needs a trigger price inside the day's band"
    why = f"no fresh one is known ({_heard(snapshot)})"
    if last is not None:
        why = f"the last one, {_said(last)}, lies outside the day's band {_range(snapshot)}"
    return f"MARKET is sent as a limit around the last price, and {why}"


class PriceBand:
    """Prices lie in the day's band, and near the price that they are measured against.

    A limit is measured against the last price, a stop's limit against its trigger. An exit may ask
    for a better price as far away as the exchange allows, and waits for no quote.
    """

    name = "price band"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        request = snapshot.request
        for name, price in (("price", request.price), ("trigger price", request.trigger_price)):
            if price is not None and price.is_finite():
                outside = self._outside_the_day(name, price, snapshot)
                if outside:
                    return outside
        percent = snapshot.limits.price_band_percent if snapshot.limits else None
        if percent is None or request.price is None or not request.price.is_finite():
            return None
        return self._too_far(request.price, percent, snapshot)

    @staticmethod
    def _outside_the_day(name: str, price: Decimal, snapshot: Snapshot) -> str | None:
        lower, upper = snapshot.band
        if lower is not None and price < lower:
            return f"{name} {price} is below the day's lower limit {_said(lower)}"
        if upper is not None and price > upper:
            return f"{name} {price} is above the day's upper limit {_said(upper)}"
        return None

    @staticmethod
    def _too_far(price: Decimal, percent: Decimal, snapshot: Snapshot) -> str | None:
        request, instrument = snapshot.request, snapshot.instrument
        stop = request.order_type is OrderType.STOP_LIMIT
        centre = request.trigger_price if stop else snapshot.fresh_price
        if centre is None or instrument is None:
            if snapshot.exiting:
                return None
            return f"no fresh price is known to measure {price} against ({_heard(snapshot)})"
        room = max(centre * percent / 100, instrument.tick_size * LEAST_BAND)
        beyond = (price - centre) * request.side.sign  # above 0: worse for us than the centre
        if beyond > room or (beyond < -room and not snapshot.exiting):
            what = "the trigger" if stop else "the last price"
            return (
                f"price {price} is more than {_said(percent)} % away from {what} {_said(centre)}: "
                f"{_said(centre - room)} to {_said(centre + room)} is allowed"
            )
        return None


class TriggerSide:
    """A stop waits: a BUY stop's trigger lies above the last price, a SELL stop's below it."""

    name = "trigger side"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        request, last = snapshot.request, snapshot.fresh_price
        trigger = request.trigger_price
        if request.order_type is not OrderType.STOP_LIMIT or trigger is None:
            return None
        if last is None:
            if snapshot.exiting:
                return None
            return f"no fresh price is known to set the trigger against ({_heard(snapshot)})"
        if trigger.is_finite() and (trigger - last) * request.side.sign > 0:
            return None
        side = "above" if request.side is Side.BUY else "below"
        return f"a {request.side} stop's trigger {trigger} must be {side} the last price {last}"


class KeptExits:
    """The ways out that a broker is to keep lie on the tick, in the day's band, on their sides."""

    name = "exits"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        request, instrument = snapshot.request, snapshot.instrument
        exits = request.exits
        if exits is None:
            return None
        if instrument is None or request.price is None:
            return "exits cannot be measured without tick size and price"
        lower, upper = snapshot.band
        sign = request.side.sign
        for name, level, way in (("stop", exits.stop, -sign), ("target", exits.target, sign)):
            if level is None:
                continue
            if not level.is_finite() or level <= 0 or level % instrument.tick_size:
                return f"{name} {level} is not on the tick {instrument.tick_size.normalize()}"
            if (lower is not None and level < lower) or (upper is not None and level > upper):
                return f"{name} {level} lies outside the day's band {_range(snapshot)}"
            if (level - request.price) * way <= 0:
                side = "above" if way > 0 else "below"
                return f"{name} {level} must be {side} the price {request.price}"
        return None


class AllowedOrderType:
    """The policy allows this order type; a delivery product has no place in derivatives."""

    name = "order type"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        request, limits = snapshot.request, snapshot.limits
        asked = request.asked_type or request.order_type
        if limits is None or asked not in limits.order_types:
            return f"{asked} orders are not allowed by the policy"
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
    """Not more orders at work than the policy allows; UNKNOWN ones of whatever day count."""

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


class Margin:
    """An entry ties up no more than what is free, by the broker's own calculator.

    What is promised to orders that the broker had not counted when it told what is free is taken
    off. A delivery sale brings money in; whether it is covered is another rule's.
    """

    name = "margin"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        limits, required = snapshot.limits, snapshot.margin_required
        if limits is None:
            return "the limits are not known"
        if snapshot.exiting or not limits.check_margin or self._brings_in(snapshot.request):
            return None
        age = snapshot.margin_age
        if required is None or age is None or age > limits.max_data_age:
            if not limits.refuse_unknown_margin:
                return None
            read = "" if age is None else f"; it was last read {age:.0f} s ago"
            return f"the margin is not known: the broker's calculator did not answer{read}"
        if snapshot.margin_available is None:
            return "it is not known how much money is free"
        left = snapshot.margin_available - snapshot.margin_reserved
        if required <= left:
            return None
        return (
            f"margin ₹{required:,.2f} is above ₹{left:,.2f} (free ₹{snapshot.margin_available:,.2f}"
            f" less ₹{snapshot.margin_reserved:,.2f} promised to orders on their way)"
        )

    @staticmethod
    def _brings_in(request: OrderRequest) -> bool:
        return request.side is Side.SELL and request.product in {Product.DELIVERY, Product.MTF}


class ExitCap:
    """An exit never takes more than the position that the broker has shown lately.

    Nor more than the desk's own count of it, which a late read of the broker's cannot move; nor a
    strategy more than its own part. Of DELIVERY the position counts its holding, too; while today's
    holdings are not known the desk's own count alone measures it. Taking less than before is never
    too much.
    """

    name = "exit cap"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        if not snapshot.exiting:
            return None
        if snapshot.changes and snapshot.request.quantity <= snapshot.own_quantity:
            return None
        if snapshot.limits is None or snapshot.net_position is None:
            return "the position is not known"
        if snapshot.position_age is None or snapshot.position_age > snapshot.limits.max_data_age:
            return "the position was not read lately enough"
        if snapshot.standing is None:
            return "the desk's own count of the position is not known"
        measures = [
            (
                "the position by the desk's own count,",
                snapshot.standing,
                snapshot.standing_pending,
                snapshot.own_filled_now,
            )
        ]
        if snapshot.holdings_known:
            shown = (snapshot.net_position, snapshot.pending, snapshot.own_filled)
            measures.insert(0, ("position", *shown))
        if snapshot.owned is not None:
            its = "the strategy's own position"
            measures.append((its, snapshot.owned, snapshot.owned_pending, snapshot.own_filled_now))
        return next(filter(None, (self._over(snapshot, *one) for one in measures)), None)

    @staticmethod
    def _over(snapshot: Snapshot, what: str, net: int, pending: int, filled: int) -> str | None:
        """Why the exit is too much by one measure of the position, or None."""
        others = pending - snapshot.group_pending  # the group takes once what its largest takes
        left = max(-net * snapshot.request.side.sign - others, 0)
        wanted = max(snapshot.request.quantity - filled, snapshot.group_pending)
        if wanted <= left:
            return None
        return (
            f"an exit of {wanted} is more than the {left} left of {what} {net} "
            f"(other orders may take {others})"
        )


class SecondPerson:
    """A large entry needs a second person's yes, which covers these terms and smaller ones.

    Smaller is less of it, or a lower limit of a buy; a sale keeps the price that was approved. The
    slices of an order at the market are priced one after the other: the yes covers prices as far
    from the approved one as the policy protects MARKET orders.
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
        if quantity is None or snapshot.whole > quantity:
            return False
        if request.price == snapshot.approved_price:
            return True
        if request.price is None or snapshot.approved_price is None:
            return False
        worse = (request.price - snapshot.approved_price) * request.side.sign
        if worse <= 0 and request.side is Side.BUY:
            return True
        sliced = request.whole is not None and request.asked_type is OrderType.MARKET
        percent = snapshot.limits.protection_percent if sliced and snapshot.limits else Decimal(0)
        return percent > 0 and abs(worse) <= snapshot.approved_price * percent / 100


def _heard(snapshot: Snapshot) -> str:
    """How old the last price is, against how old it may be."""
    age, limits = snapshot.last_price_age, snapshot.limits
    if age is None or limits is None:
        return "none was heard"
    return f"the last one is {age:.0f} s old, at most {limits.max_quote_age} s is fresh"


def _range(snapshot: Snapshot) -> str:
    return " to ".join("–" if limit is None else _said(limit) for limit in snapshot.band)


def _said(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, dt.date):
        return value.isoformat()
    return round(value, 3) if isinstance(value, float) else value


def _plain_all(
    facts: InstrumentFacts | Limits | DeliveryFacts | None,
) -> dict[str, object] | None:
    return None if facts is None else {key: _plain(value) for key, value in vars(facts).items()}
