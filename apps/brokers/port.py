"""What a broker is, in our words.

Nothing here knows Django, a network library or any broker's vocabulary. A broker's own words
are translated by the adapter in its folder (``apps/brokers/dhan``) and nowhere else.
Prices are rupees as Decimal, quantities are whole units (not lots), times are aware.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
STRATEGY = "strategy:"  # begins the name of an owner that is a strategy


class Side(StrEnum):
    """Which way an order trades."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: the direction in which a fill moves the position."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """How an order is priced. The two MARKET types are asked for, and sent as protected limits."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP_LIMIT = "STOP_LIMIT"
    STOP_MARKET = "STOP_MARKET"


class Product(StrEnum):
    """Under which product the position is kept."""

    INTRADAY = "INTRADAY"
    DELIVERY = "DELIVERY"
    MARGIN = "MARGIN"
    MTF = "MTF"


class Validity(StrEnum):
    """How long an order works."""

    DAY = "DAY"
    IOC = "IOC"


class Segment(StrEnum):
    """An exchange and its market; a security id is unique only together with it."""

    NSE_EQ = "NSE_EQ"
    NSE_FNO = "NSE_FNO"
    NSE_CURRENCY = "NSE_CURRENCY"
    BSE_EQ = "BSE_EQ"
    BSE_FNO = "BSE_FNO"
    BSE_CURRENCY = "BSE_CURRENCY"
    MCX_COMM = "MCX_COMM"
    INDEX = "INDEX"


class Market(StrEnum):
    """Whose prices these are. A simulation's prices say nothing of the real market."""

    REAL = "REAL"
    SIMULATED = "SIMULATED"


class Intent(StrEnum):
    """Why an order is wanted: what it does to the exposure of its owner."""

    ENTRY = "ENTRY"
    EXIT = "EXIT"
    ADJUST = "ADJUST"


class BracketKind(StrEnum):
    """The brackets that a broker keeps itself: one order of its own kind, or a product."""

    SUPER = "SUPER"
    NATIVE = "NATIVE"


class LegName(StrEnum):
    """The parts of a bracket."""

    ENTRY = "ENTRY"
    TARGET = "TARGET"
    STOP_LOSS = "STOP_LOSS"


class BrokerState(StrEnum):
    """What a broker says of an order, in a closed vocabulary.

    ``UNRECOGNISED`` is a word that the adapter has never met: it is kept raw and changes nothing.
    """

    IN_TRANSIT = "IN_TRANSIT"
    WORKING = "WORKING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNRECOGNISED = "UNRECOGNISED"


# An order that stands alone does not name them.
_OF_SOME = frozenset({"whole", "whole_id", "exits", "part"})


@dataclass(frozen=True, kw_only=True)
class Exits:
    """The ways out that a broker is to keep for an entry, rupees.

    ``stop`` is the price at which it triggers. ``trailing_jump``: the stop follows the price in
    such steps; None: it stays. SUPER needs a target; NATIVE without one is a cover order.
    """

    kind: BracketKind
    stop: Decimal
    target: Decimal | None = None
    trailing_jump: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class LegAddress:
    """A part of a bracket that the broker keeps. ``whole_id``: the broker's id of its entry."""

    kind: BracketKind
    whole_id: str
    leg: LegName


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """Everything that decides what one order does, as the gate reviewed it.

    ``order_type`` is what is sent: LIMIT, or STOP_LIMIT with a ``trigger_price``. ``asked_type`` is
    set where a MARKET type was asked for; ``price`` is then ours, or None where none could be had.
    A ``test`` order can never reach a live account. ``instrument`` is the desk's row of the
    contract that is meant: a broker may give its security id to another one. An ``after_market``
    order waits for the next opening. ``owner`` is whose position it makes or takes down. Orders of
    one ``group`` exclude each other, as a target and a stop do: at most one of them fills.
    Of an order that is sent in slices, ``whole`` is the quantity of all of them together (units)
    and ``whole_id`` the name of the whole.
    """

    account: str
    correlation_id: str
    segment: Segment
    security_id: str
    side: Side
    quantity: int
    order_type: OrderType
    price: Decimal | None
    trigger_price: Decimal | None
    product: Product
    validity: Validity
    disclosed_quantity: int = 0
    intent: Intent = Intent.ENTRY
    test: bool = False
    instrument: int | None = None
    after_market: bool = False
    asked_type: OrderType | None = None
    owner: str = ""
    group: str = ""
    whole: int | None = None
    whole_id: str = ""
    exits: Exits | None = None
    part: LegAddress | None = None

    def as_json(self) -> dict[str, Any]:
        """The request as plain values; equal requests give equal dictionaries."""
        return _plainly(self)


@dataclass(frozen=True, kw_only=True)
class ModifyRequest:
    """New terms of a working order; ``quantity`` is the new total, not what is still open.

    ``part``: it is part of a bracket that the broker keeps. Of its entry ``exits`` are all ways
    out as they are to be, of its stop they say how it trails, which no change may leave out.
    """

    account: str
    correlation_id: str
    broker_order_id: str
    quantity: int
    order_type: OrderType
    price: Decimal | None
    trigger_price: Decimal | None
    validity: Validity
    disclosed_quantity: int = 0
    part: LegAddress | None = None
    exits: Exits | None = None

    def as_json(self) -> dict[str, Any]:
        """The request as plain values; equal requests give equal dictionaries."""
        return _plainly(self)


def _plainly(request: OrderRequest | ModifyRequest) -> dict[str, Any]:
    said = {key: _plain(value) for key, value in vars(request).items()}
    return {key: value for key, value in said.items() if value or key not in _OF_SOME}


def _plain(value: object) -> object:
    if isinstance(value, Exits | LegAddress):
        return {key: _plain(inner) for key, inner in vars(value).items()}
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value


# --- what became of a call that may change something at the broker --------------------------


@dataclass(frozen=True)
class Accepted:
    """The broker took the request and named the order. Not yet a word from the exchange."""

    broker_order_id: str
    state: BrokerState = BrokerState.IN_TRANSIT


@dataclass(frozen=True)
class Refused:
    """The broker answered, and the answer is no."""

    code: str
    text: str


@dataclass(frozen=True)
class NotSent:
    """The request provably placed nothing: it never left, or it was turned away at the door.

    ``about_session``: the token was not let in. It may go once there is another token.
    """

    why: str
    about_session: bool = False


@dataclass(frozen=True)
class Unknown:
    """Anything may have happened. Only a look at the broker's books can end this."""

    why: str


Outcome = Accepted | Refused | NotSent | Unknown


def is_address(broker_order_id: str) -> bool:
    """True for the name of a leg that has, as far as is told, no id of its own."""
    return "/" in broker_order_id


# --- what a broker's books say --------------------------------------------------------------


@dataclass(frozen=True)
class Known(Generic[T]):
    """A value read from the broker; ``as_of`` is when the read *began*."""

    value: T
    as_of: dt.datetime


class ReadFailed(Exception):
    """A read brought no usable answer; nothing may be concluded from it.

    ``transient`` says whether asking again can help (network, 5xx, 429) or a person must act
    (credentials, expired token, wrong address). ``kind`` is one lower-case word for pages.
    """

    def __init__(self, text: str, *, transient: bool, kind: str = "unavailable") -> None:
        super().__init__(text)
        self.transient = transient
        self.kind = kind


class BadWire(ReadFailed):
    """A reply that does not fit its schema; the text names the field and never its value."""

    def __init__(self, text: str) -> None:
        super().__init__(text, transient=False, kind="schema")


@dataclass(frozen=True, kw_only=True)
class OrderReport:
    """What one message of the broker says of one order. ``None`` means "no news", never zero.

    ``platform`` is where it was placed, in the broker's word. ``placed_at`` is when the broker took
    it. ``leg``: it is part of a bracket, cover or super order; ``part`` and ``whole_id`` (its
    entry's id) where the broker tells. Target and stop have ids that are unique in the day: one
    that the broker shows under its entry's id, or under none, is named ``ENTRY/TARGET`` or
    ``ENTRY/STOP_LOSS``. ``entry_correlation_id``: our id of its entry, where a leg bears that.
    ``exits``: of an entry, where the broker says that its ways out are.
    """

    broker_order_id: str
    state: BrokerState
    state_word: str
    correlation_id: str | None = None
    exchange_order_id: str | None = None
    segment: Segment | None = None
    security_id: str | None = None
    side: Side | None = None
    product: Product | None = None
    order_type: OrderType | None = None
    quantity: int | None = None
    filled_quantity: int | None = None
    average_price: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    reason: str = ""
    reported_at: dt.datetime | None = None
    placed_at: dt.datetime | None = None
    validity: Validity | None = None
    platform: str = ""
    leg: bool = False
    part: LegName | None = None
    whole_id: str = ""
    entry_correlation_id: str | None = None
    exits: Exits | None = None
    after_market: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fill:
    """One trade at the exchange, from the broker's trade book."""

    broker_order_id: str
    exchange_trade_id: str
    segment: Segment
    security_id: str
    side: Side
    product: Product
    quantity: int
    price: Decimal
    traded_at: dt.datetime | None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Position:
    """Net position of the day in one instrument and product; ``net_quantity`` < 0 is short."""

    segment: Segment
    security_id: str
    product: Product
    net_quantity: int
    buy_quantity: int
    sell_quantity: int
    buy_average: Decimal
    sell_average: Decimal
    realised: Decimal
    unrealised: Decimal


@dataclass(frozen=True, kw_only=True)
class Holding:
    """Units of one share that were delivered on an earlier day; ``average`` is its cost, rupees.

    ``total`` counts what is bought and on its way (``t1``) and what is pledged (``collateral``);
    ``available`` can be sold. ``segment`` is None where the holding belongs to no one exchange.
    """

    isin: str
    segment: Segment | None
    security_id: str
    symbol: str
    total: int
    available: int
    t1: int
    collateral: int
    average: Decimal


@dataclass(frozen=True, kw_only=True)
class Funds:
    """Money in the account, rupees. ``available`` includes pledged collateral on DhanHQ."""

    available: Decimal
    utilised: Decimal
    opening: Decimal
    collateral: Decimal


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Whom the token belongs to and until when it lives (None: the broker does not say).

    ``ddpi``: the broker may take sold shares out of the depository at all times (DDPI).
    """

    client_id: str
    token_valid_until: dt.datetime | None
    segments: tuple[str, ...]
    ddpi: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Address:
    """From where orders are taken. None and empty: the broker does not say.

    ``detected`` is our own address as the broker sees it.
    """

    detected: str
    registered: tuple[str, ...]
    orders_allowed: bool | None


# --- how a new token is asked for -----------------------------------------------------------


@dataclass(frozen=True)
class Minted:
    """A new token; whichever counted before no longer does. Its text does not show itself."""

    value: str = field(repr=False)
    client_id: str | None
    expires_at: dt.datetime | None


@dataclass(frozen=True)
class ConsentGiven:
    """The broker lets a person log in at its own page, whose address this is."""

    page: str


class Denial(StrEnum):
    """Why no token was given."""

    TOO_SOON = "TOO_SOON"  # asking again later can help
    CODE = "CODE"  # the one-time code: the next one can help
    TOKEN = "TOKEN"  # noqa: S105 - the token that was to be renewed no longer counts
    KIND = "KIND"  # this kind of token is never renewed
    OTHER = "OTHER"  # a person must change something


@dataclass(frozen=True)
class Denied:
    """The broker answered, and gave no token."""

    reason: Denial
    text: str


Minting = Minted | Denied | NotSent | Unknown
Consenting = ConsentGiven | Denied | NotSent | Unknown


class Tokens(Protocol):
    """The token door of one broker, bound to one journal row: it can place and read nothing."""

    def renew(self, token: str) -> Minting:
        """Exchange this token for a new one."""

    def log_in(self, pin: str, code: str) -> Minting:
        """A new token for PIN and one-time code."""

    def ask_consent(self, app_id: str, app_secret: str) -> Consenting:
        """Begin a login in the browser."""

    def use_consent(self, app_id: str, app_secret: str, token_id: str) -> Minting:
        """Complete it with the id that the broker sent the browser back with."""


# --- what a broker lists --------------------------------------------------------------------


class Doubt(ValueError):
    """A row of a master file that is not understood; ``column`` has the broker's own name.

    ``key`` is whose row it is, segment and security id, when that much can be read.
    """

    def __init__(self, column: str, text: str, key: tuple[str, str] | None = None) -> None:
        super().__init__(text)
        self.column = column
        self.key = key


class Listing(NamedTuple):
    """One instrument as a master file states it. None: it does not say, so what is known stays.

    Prices and tick in rupees, sizes in units. Both price limits are stated, or neither.
    ``closed`` is one of the reasons of ``Closed``, or empty. ``bracket_orders``, ``cover_orders``:
    the broker keeps a stop with a target, or a stop alone, under a product of its own.
    """

    segment: Segment
    security_id: str
    symbol: str
    name: str
    series: str
    kind: str
    isin: str | None
    lot_size: int
    tick_size: Decimal
    freeze_quantity: int | None
    lower_limit: Decimal | None
    upper_limit: Decimal | None
    underlying: str
    expiry: dt.date | None
    strike: Decimal | None
    option_type: str
    closed: str
    bracket_orders: bool | None
    cover_orders: bool | None


class Layout(Protocol):
    """One of a broker's kinds of master file."""

    @property
    def name(self) -> str:
        """One of the master's ``layouts``."""

    def understand(self, fields: Sequence[str]) -> Listing | None:
        """One row; None for one that is left out on purpose. Raises ``Doubt``."""


class Master(Protocol):
    """A broker's master files: where they are and how they are read."""

    @property
    def layouts(self) -> Sequence[str]:
        """The names of its files, the one that says most first."""

    def address(self, layout: str) -> str:
        """Where the broker publishes this one of its files."""

    def layout_of(self, header: Sequence[str]) -> Layout:
        """How to read a file with this header. Raises ``Doubt`` naming what is missing."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """One price of one side of the depth: rupees, units, and the number of orders there."""

    price: Decimal
    quantity: int
    orders: int


@dataclass(frozen=True, kw_only=True)
class QuoteNews:
    """What one message says of one instrument's market. ``None`` means "no news", never zero.

    Prices in rupees, best level first; ``traded_at`` is the exchange's time of the last trade.
    """

    segment: Segment
    security_id: str
    last_price: Decimal | None = None
    traded_at: dt.datetime | None = None
    close: Decimal | None = None
    open_interest: int | None = None
    bids: tuple[Level, ...] | None = None
    asks: tuple[Level, ...] | None = None
    lower_circuit: Decimal | None = None
    upper_circuit: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Watched:
    """An instrument whose prices are wanted, with the tick that they lie on (rupees)."""

    segment: Segment
    security_id: str
    tick: Decimal


@dataclass(frozen=True, kw_only=True)
class Margin:
    """What orders would tie up, and what is free, rupees; None: the broker does not say."""

    required: Decimal
    available: Decimal | None
    raw: Mapping[str, Any] = field(default_factory=dict)


class Trading(Protocol):
    """The sending door of one broker. Every method needs its own committed journal row."""

    def place(self, request: OrderRequest) -> Outcome:
        """Place one order."""

    def modify(self, request: ModifyRequest) -> Outcome:
        """Change the terms of a working order."""

    def cancel(self, broker_order_id: str, part: LegAddress | None = None) -> Outcome:
        """Ask for an order to be cancelled, or a part of a bracket that the broker keeps."""

    def kill_switch(self, *, on: bool) -> Outcome:
        """Turn the broker's own kill switch of the account."""


class Reporting(Protocol):
    """The reading door of one broker: it cannot send. Every method raises ``ReadFailed``."""

    def order_book(self) -> Known[list[OrderReport]]:
        """All orders of the trading day."""

    def super_orders(self) -> Known[list[OrderReport]]:
        """Entry, target and stop of every super order of the day, each as a report of its own.

        A target or stop that waits for its entry has no quantity of its own yet: None.
        """

    def order(self, broker_order_id: str) -> Known[OrderReport | None]:
        """One order of the day by the broker's id; None when the broker knows none."""

    def order_by_correlation(self, correlation_id: str) -> Known[OrderReport | None]:
        """One order of the day by our id. None is no proof of absence (orders in transit)."""

    def trade_book(self) -> Known[list[Fill]]:
        """All trades of the day."""

    def positions(self) -> Known[list[Position]]:
        """The day's net positions, closed ones included."""

    def holdings(self) -> Known[list[Holding]]:
        """Shares that were delivered on earlier days; an empty list is known to be empty."""

    def approved_deliveries(self) -> Known[dict[str, int]]:
        """Units by ISIN that may leave the depository today (eDIS). A missing one is not known."""

    def funds(self) -> Known[Funds]:
        """Money available."""

    def profile(self) -> Known[Profile]:
        """Who we are to the broker."""

    def kill_switch(self) -> Known[bool]:
        """Whether the broker's own kill switch of the account is on."""

    def address(self) -> Known[Address]:
        """From where the broker takes orders, and where it sees us."""

    def quotes(self, wanted: Callable[[], Sequence[tuple[Segment, str]]]) -> Known[list[QuoteNews]]:
        """Quotes of many instruments in one call; those that the broker lacks are missing.

        ``wanted`` is asked when the call's turn has come, so that late wishes travel with it.
        """

    def margin(self, requests: Sequence[OrderRequest]) -> Known[Margin]:
        """What these orders would tie up together, by the broker's own calculator."""


class OrderStream(Protocol):
    """The broker's order-update socket of one account."""

    def run(
        self,
        on_report: Callable[[OrderReport], None],
        on_life: Callable[[], None],
        on_lost: Callable[[str], None],
        on_trouble: Callable[[str], None],
        on_connected: Callable[[], None],
        should_stop: Callable[[], bool],
    ) -> None:
        """Listen until ``should_stop``; reconnect for ever. ``on_life`` only on proof of life.

        ``on_lost`` says why nothing is heard now, which the next life ends; ``on_trouble`` what
        was heard and means nothing to us, which nothing ends.
        """


class QuoteStream(Protocol):
    """The broker's socket of prices, on one account's token."""

    def run(
        self,
        wanted: Callable[[], Sequence[Watched]],
        on_news: Callable[[Sequence[QuoteNews], dt.datetime], None],
        on_life: Callable[[], None],
        on_lost: Callable[[str], None],
        on_trouble: Callable[[str], None],
        should_stop: Callable[[], bool],
    ) -> None:
        """Listen until ``should_stop``; reconnect for ever; the rest as in ``OrderStream``."""

    def oddities(self) -> Mapping[str, int]:
        """How often the broker sent what means nothing to us, by kind."""
