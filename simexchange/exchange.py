"""The heart: takes orders, lets them arrive, changes and cancels them.

Everything here is synchronous and, but for the time stamps, determined by the seed and the
order of the calls. Each public method settles before it returns: its changes are on record.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from simexchange import rms
from simexchange.accounts import Account
from simexchange.clock import Later
from simexchange.floor import Floor, Markets
from simexchange.hours import SessionHours
from simexchange.instruments import Key
from simexchange.journal import Entry
from simexchange.ledger import Ledger
from simexchange.market import Market
from simexchange.orders import API, ENTRY, NATIVE, ByHand, Change, Order, Status, Ticket
from simexchange.pacing import Pace
from simexchange.reading import Reading
from simexchange.supers import SuperOrder

MAX_MODIFICATIONS = 25
"""Per order (DhanHQ v2 documentation, introduction, rate limits)."""
PRICES_EVERY = 20
ALL = frozenset({"CNC", "INTRADAY", "MARGIN", "MTF", *NATIVE})


class OrderRefusedError(Exception):
    """The request about an order cannot be carried out; the text is the broker's message."""


class Exchange(Reading):
    """Accounts, markets and orders together. Times in seconds, prices in rupees."""

    def __init__(
        self,
        ledger: Ledger,
        seed: int,
        later: Later,
        transit_seconds: float = 0.02,
        hours: SessionHours | None = None,
    ) -> None:
        super().__init__(ledger)
        self.hours = hours or SessionHours()
        self.seed = seed
        self.transit_seconds = transit_seconds
        self.walk_on = True
        self._later = later
        self.floor = Floor(ledger, seed, self.after)
        self.watchers: list[Callable[[], None]] = []
        self.before_settling: list[Callable[[], None]] = []
        self.price_listeners: list[Callable[[Iterable[Market]], None]] = []
        self._steps = 0
        self._doomed: set[str] = set()

    @property
    def markets(self) -> Markets:
        return self.floor.markets

    # ---- what an account may ask for

    def place(self, account: Account, ticket: Ticket, attached: SuperOrder | None = None) -> Order:
        """Accept an order, by itself or as the entry of what is attached to it."""
        order = self._accept(account, ticket, self.ledger.next_number("request"))
        self._attach(order, attached)
        self.settle()
        return order

    def slice(self, account: Account, ticket: Ticket, source: str = API) -> list[Order]:
        """Accept one ticket as several orders, none over the freeze quantity."""
        instrument = self.ledger.instruments[ticket.segment, ticket.security_id]
        largest = instrument.freeze or ticket.quantity
        request = self.ledger.next_number("request")
        left, orders = ticket.quantity, []
        while left:
            part = replace(ticket, quantity=min(left, largest))
            orders.append(self._accept(account, part, request, source))
            left -= part.quantity
        self.settle()
        return orders

    def modify(self, account: Account, order_id: str, change: Change) -> Order:
        """Change an open order; in TRANSIT the checks wait until it arrives."""
        order = self._own_order(account, order_id)
        if order.parent:
            raise OrderRefusedError("Modify this leg with its super order")
        if not order.is_open:
            raise OrderRefusedError(f"Order is already {order.status.title()}")
        if order.modifications >= MAX_MODIFICATIONS:
            raise OrderRefusedError("Maximum number of modifications reached for this order")
        if order.status == Status.TRANSIT:
            order.adopt(order.with_change(change))
            self.ledger.touch(order)
        else:
            self._change_working(order, order.with_change(change), account)
        self.settle()
        return order

    def place_by_hand(
        self, account: Account, ticket: Ticket, how: ByHand, attached: SuperOrder | None = None
    ) -> Order:
        """An order from the broker's own page, on no API: it arrives at once.

        When it is to be filled, at its price or at the last one.
        """
        order = self._accept(account, ticket, self.ledger.next_number("request"), how.source)
        order.correlation_id = how.name_of(order)
        self._attach(order, attached)
        was_on = self.floor.auto_on
        self.floor.auto_on = was_on and not how.fill
        self.arrive(order.order_id)
        self.floor.auto_on = was_on
        if how.fill and order.is_working:
            price = ticket.price or self.markets[order.key].last
            self.force_fill(order, order.remaining, price)
        return order

    def cancel(self, account: Account, order_id: str) -> Order:
        order = self._own_order(account, order_id)
        if order.status == Status.TRANSIT:
            raise OrderRefusedError("Order is in Transit state")
        if not order.is_working:
            raise OrderRefusedError(f"Order is already {order.status.title()}")
        self.floor.finish(order, Status.CANCELLED)
        self.settle()
        return order

    def exit_all(
        self, account: Account, products: Container[str] = ALL, source: str = API
    ) -> list[Order]:
        """Cancel what works and send market orders against every open position."""
        for order in self.ledger.working():
            if order.client_id == account.client_id and order.product in products:
                self.floor.finish(order, Status.CANCELLED)
        self.settle()
        held = [p for p in account.positions.values() if p.open and p.product in products]
        against = [position.closing_ticket() for position in held]
        return [order for ticket in against for order in self.slice(account, ticket, source)]

    # ---- what happens by itself

    def arrive(self, order_id: str) -> None:
        """An order comes out of TRANSIT: it is rejected, is held, or stands in the market."""
        order = self.ledger.orders.get(order_id)
        if order is None or order.status != Status.TRANSIT:
            return
        market = self.markets[order.key]
        if order.order_type == "MARKET":
            order.order_type, order.price = "LIMIT", market.protected_price(order.side)
        account = self.ledger.accounts[order.client_id]
        if order_id in self._doomed:
            self._reject_in_silence(order)
        elif text := rms.objection(order, market.instrument, account, self._clock().date()):
            self.floor.reject(order, text)
        elif self._is_open(order):
            self._admit(order)
        elif order.after_market:
            order.status, order.held = Status.PENDING, True
            self.floor.tell(order)
        else:
            self.floor.reject(order, f"RMS:{order.order_id}:Market is closed.")
        self.settle()

    def tick(self) -> None:
        """One step of the day: prices walk, stops fire, resting orders meet them."""
        self._turn_day()
        self._open_doors()
        moved = []
        for (segment, _), market in tuple(self.markets.items()):
            if not self.hours.are_open(segment, self._clock()):
                continue
            if self.walk_on:
                market.step()
                moved.append(market)
            self.floor.look_again(market)
        if moved:
            self._tell_prices(moved)
        self._steps += 1
        if self.walk_on and self._steps % PRICES_EVERY == 0:
            self.ledger.save_prices(self.floor.prices())
        self.settle()
        self._let_watch()

    # ---- what a test may force

    def set_price(self, key: Key, price: Decimal) -> Decimal:
        """Move the last price, as near as tick and band allow; returns where it went."""
        market = self.markets[key]
        market.set_last(price)
        self.floor.look_again(market)
        self._tell_prices([market])
        self.settle()
        self._let_watch()
        return market.last

    def set_auto(self, on: bool) -> None:
        """Switch automatic matching; switched on again, everything that crosses is filled."""
        self.floor.auto_on = on
        for market in self.markets.values():
            self.floor.look_again(market)
        self.settle()

    def set_pace(self, pace: Pace) -> None:
        self.floor.set_pace(pace)
        self.settle()

    def force_fill(self, order: Order, quantity: int, price: Decimal) -> None:
        """Fill an order against nobody, whatever the market says."""
        self.floor.fill_against_nobody(order, quantity, price)
        self.settle()
        self._let_watch()

    def force_reject(self, order: Order, reason: str) -> None:
        self.floor.reject(order, reason)
        self.settle()

    def doom(self, order_id: str) -> None:
        """Reject an order in TRANSIT when it arrives; only the book will tell."""
        self._doomed.add(order_id)

    def expire(self, orders: Iterable[Order]) -> None:
        for order in orders:
            self.floor.finish(order, Status.EXPIRED)
        self.settle()

    def reset(self, walk: bool = True) -> None:
        """Forget orders, trades and positions; accounts stay, and no id comes back."""
        self.ledger.forget_all()
        self.walk_on = walk
        self.hours.reset()
        self.floor.open()

    def restore(self, entries: Iterator[Entry]) -> None:
        """Take up where an earlier run stopped; orders in TRANSIT go on travelling."""
        for key, price in self.ledger.restore(entries).items():
            if key in self.ledger.instruments:
                self.markets[key].set_last(price)
        for order in self.ledger.orders.values():
            if order.status == Status.TRANSIT:
                self._send(order)
            elif order.is_working and not order.held:
                self.floor.stand(order)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something later, and settle then."""

        def act_and_settle() -> None:
            act()
            self.settle()

        self._later(seconds, act_and_settle)

    def next_id(self) -> str:
        """An id for an order: seed, date and count."""
        number = self.ledger.next_number("order")
        return f"1{self.seed % 100:02d}{self._clock():%y%m%d}{number:06d}"

    def settle(self) -> None:
        """Let everything that follows from what happened happen too, and put it on record."""
        for work in self.before_settling:
            work()
        self.ledger.settle()

    # ---- inside

    def _let_watch(self) -> None:
        for look in self.watchers:
            look()

    def _tell_prices(self, moved: Iterable[Market]) -> None:
        for listener in self.price_listeners:
            listener(moved)

    def _is_open(self, order: Order) -> bool:
        return self.hours.are_open(order.segment, self._clock())

    def _admit(self, order: Order) -> None:
        order.status, order.reached, order.held = Status.PENDING, self._clock(), False
        order.exchange_order_id = f"12{order.order_id}"
        self.floor.tell(order)
        self.floor.enter(order)

    def _open_doors(self) -> None:
        """After-market orders go in when their market opens."""
        for order in self.ledger.working():
            if order.held and self._is_open(order):
                self._admit(order)

    def _own_order(self, account: Account, order_id: str) -> Order:
        order = self.find(account, order_id)
        if order is None:
            raise OrderRefusedError("Order not found")
        return order

    def _accept(self, account: Account, ticket: Ticket, request: int, source: str = API) -> Order:
        order = Order.from_ticket(ticket, self.next_id(), account.client_id, self._clock(), source)
        order.request, order.sequence = request, self.ledger.next_number("place in queue")
        self.ledger.add_order(order)
        self._send(order)
        return order

    def _attach(self, entry: Order, attached: SuperOrder | None) -> None:
        if attached is not None:
            entry.leg, attached.order_id = ENTRY, entry.order_id
            self.ledger.touch_super(attached)

    def _reject_in_silence(self, order: Order) -> None:
        self._doomed.discard(order.order_id)
        order.status, order.updated = Status.REJECTED, self._clock()
        order.reason = f"RMS:{order.order_id}:Rejected by the exchange."
        self.ledger.touch(order)

    def _send(self, order: Order) -> None:
        self._later(self.transit_seconds, lambda: self.arrive(order.order_id))

    def _change_working(self, order: Order, wanted: Order, account: Account) -> None:
        """A change of price or a larger quantity loses the order's place in the queue."""
        market = self.markets[order.key]
        if wanted.order_type == "MARKET":
            wanted.order_type, wanted.price = "LIMIT", market.protected_price(order.side)
        if wanted.quantity <= order.filled:
            raise OrderRefusedError("Quantity should be greater than the traded quantity")
        if text := rms.objection(wanted, market.instrument, account, self._clock().date()):
            raise OrderRefusedError(text)
        if not order.held and not self._is_open(order):
            raise OrderRefusedError("Market is closed")
        self.floor.withdraw(order)
        if wanted.price != order.price or wanted.quantity > order.quantity:
            wanted.sequence = self.ledger.next_number("place in queue")
        order.adopt(wanted)
        order.received = self._clock()
        order.reached = None if order.held else order.received
        self.floor.tell(order, "Modified")
        if not order.held:
            self.floor.enter(order)

    def _turn_day(self) -> None:
        """Yesterday's orders expire, and positions are carried forward."""
        today = self._clock().date()
        self.ledger.turn_day(today)
        orders = self.ledger.working()
        self.expire([order for order in orders if not order.held and order.day < today])
