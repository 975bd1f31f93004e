"""The heart: takes orders, lets them arrive, matches them, and books what follows.

Everything here is synchronous and, but for the time stamps, determined by the seed and the
order of the calls. Each public method settles before it returns: its changes are on record.
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from simexchange import rms
from simexchange.accounts import Account
from simexchange.book import Fill
from simexchange.clock import Clock, Later
from simexchange.instruments import Instrument, Key
from simexchange.journal import Entry
from simexchange.ledger import Ledger
from simexchange.market import Market
from simexchange.orders import HEALTHY, Change, Order, Status, Ticket, Trade

MAX_MODIFICATIONS = 25
PRICES_EVERY = 20


class OrderRefusedError(Exception):
    """The request about an order cannot be carried out; the text is the broker's message."""


class Exchange:
    """Accounts, markets and orders together. Times in seconds, prices in rupees."""

    def __init__(
        self, ledger: Ledger, seed: int, later: Later, transit_seconds: float = 0.02
    ) -> None:
        self.ledger = ledger
        self.seed = seed
        self.transit_seconds = transit_seconds
        self.walk_on = True
        self.auto_on = True
        self._later = later
        self._clock: Clock = ledger.clock
        self._steps = 0
        self.markets = self._open_markets()

    # ---- what an account may ask for

    def place(self, account: Account, ticket: Ticket) -> Order:
        order = self._accept(account, ticket, self.ledger.counter + 1)
        self.ledger.settle()
        return order

    def slice(self, account: Account, ticket: Ticket) -> list[Order]:
        """Accept one ticket as several orders, none over the freeze quantity."""
        largest = self.instrument(ticket.segment, ticket.security_id).freeze or ticket.quantity
        request = self.ledger.counter + 1
        left, orders = ticket.quantity, []
        while left:
            part = replace(ticket, quantity=min(left, largest))
            orders.append(self._accept(account, part, request))
            left -= part.quantity
        self.ledger.settle()
        return orders

    def modify(self, account: Account, order_id: str, change: Change) -> Order:
        """Change an open order; in TRANSIT the checks wait until it arrives."""
        order = self._own_order(account, order_id)
        if not order.is_open:
            raise OrderRefusedError(f"Order is already {order.status.title()}")
        if order.modifications >= MAX_MODIFICATIONS:
            raise OrderRefusedError("Maximum number of modifications reached for this order")
        wanted = self._changed_copy(order, change)
        if order.status != Status.TRANSIT:
            self._check_change(order, wanted, account)
            self._reenter(order, wanted)
        else:
            _take_over(order, wanted)
            self.ledger.touch(order)
        self.ledger.settle()
        return order

    def cancel(self, account: Account, order_id: str) -> Order:
        order = self._own_order(account, order_id)
        if order.status == Status.TRANSIT:
            raise OrderRefusedError("Order is in Transit state")
        if not order.is_working:
            raise OrderRefusedError(f"Order is already {order.status.title()}")
        self._finish(order, Status.CANCELLED)
        self.ledger.settle()
        return order

    def find(self, account: Account, order_id: str) -> Order | None:
        order = self.ledger.orders.get(order_id)
        return order if order and order.client_id == account.client_id else None

    def latest_named(self, account: Account, correlation_id: str) -> Order | None:
        """The newest order under a correlation id, unless it is still in TRANSIT."""
        orders = self.ledger.named(account.client_id, correlation_id)
        return orders[-1] if orders and orders[-1].status != Status.TRANSIT else None

    def orders_of(self, account: Account) -> list[Order]:
        """Today's orders, oldest first."""
        today, client_id = self._clock().date(), account.client_id
        orders = self.ledger.orders.values()
        return [o for o in orders if o.client_id == client_id and o.created.date() == today]

    def trades_of(self, account: Account, order_id: str | None = None) -> list[Trade]:
        """Today's trades, oldest first."""
        today, client_id = self._clock().date(), account.client_id
        trades = (t for t in self.ledger.trades if t.client_id == client_id)
        return [t for t in trades if t.at.date() == today and order_id in {None, t.order_id}]

    def instrument(self, segment: str, security_id: str) -> Instrument:
        return self.ledger.instruments[segment, security_id]

    # ---- what happens by itself

    def arrive(self, order_id: str) -> None:
        """An order comes out of TRANSIT: it is rejected, or it stands in the market."""
        order = self.ledger.orders.get(order_id)
        if order is None or order.status != Status.TRANSIT:
            return
        market = self.markets[order.key]
        if order.order_type == "MARKET":
            order.order_type, order.price = "LIMIT", market.protected_price(order.side)
        account = self.ledger.accounts[order.client_id]
        if text := rms.objection(order, market.instrument, account):
            order.reason = text
            self._finish(order, Status.REJECTED)
        else:
            order.status, order.reached = Status.PENDING, self._clock()
            order.exchange_order_id = f"12{order.sequence:014d}"
            self._tell(order)
            self._enter(order)
        self.ledger.settle()

    def tick(self) -> None:
        """One step of the day: prices walk, stops fire, resting orders meet them."""
        if self.walk_on:
            for market in self.markets.values():
                market.step()
        for market in self.markets.values():
            self._look_again(market)
        self._steps += 1
        if self.walk_on and self._steps % PRICES_EVERY == 0:
            self.ledger.save_prices(self.prices())
        self.ledger.settle()

    # ---- what a test may force

    def set_price(self, key: Key, price: Decimal) -> Decimal:
        market = self.markets[key]
        market.set_last(price)
        self._look_again(market)
        self.ledger.settle()
        return market.last

    def set_auto(self, on: bool) -> None:
        """Switch automatic matching; switched on again, everything that crosses is filled."""
        self.auto_on = on
        for market in self.markets.values():
            self._look_again(market)
        self.ledger.settle()

    def force_fill(self, order: Order, quantity: int, price: Decimal) -> None:
        """Fill an order against nobody, whatever the market says."""
        self.markets[order.key].withdraw(order)
        order.take(quantity, price)
        self._book_fill(order, quantity, price)
        if order.remaining:
            order.triggered = True
            self.markets[order.key].book.rest(order)
        self.ledger.settle()

    def force_reject(self, order: Order, reason: str) -> None:
        order.reason = reason
        self._finish(order, Status.REJECTED)
        self.ledger.settle()

    def expire(self, orders: list[Order]) -> None:
        for order in orders:
            self._finish(order, Status.EXPIRED)
        self.ledger.settle()

    def prices(self) -> dict[Key, Decimal]:
        return {key: market.last for key, market in self.markets.items()}

    def reset(self) -> None:
        self.ledger.forget_all()
        self.walk_on = self.auto_on = True
        self.markets = self._open_markets()

    def restore(self, entries: Iterator[Entry]) -> None:
        """Take up where an earlier run stopped; orders in TRANSIT go on travelling."""
        for key, price in self.ledger.restore(entries).items():
            if key in self.markets:
                self.markets[key].set_last(price)
        for order in self.ledger.orders.values():
            if order.status == Status.TRANSIT:
                self._send(order)
            elif order.is_working:
                self._stand(order)

    # ---- inside

    def _open_markets(self) -> dict[Key, Market]:
        return {key: Market(i, self.seed) for key, i in self.ledger.instruments.items()}

    def _own_order(self, account: Account, order_id: str) -> Order:
        order = self.find(account, order_id)
        if order is None:
            raise OrderRefusedError("Order not found")
        return order

    def _accept(self, account: Account, ticket: Ticket, request: int) -> Order:
        now, number = self._clock(), self.ledger.next_number()
        millis = int(now.timestamp() * 1000)
        order = Order(
            order_id=f"1{self.seed % 100:02d}{now:%y%m%d}{number:06d}",
            client_id=account.client_id,
            correlation_id=ticket.correlation_id or f"{account.client_id}-{millis}",
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
            sequence=number,
            request=request,
        )
        self.ledger.add_order(order)
        self._send(order)
        return order

    def _send(self, order: Order) -> None:
        self._later(self.transit_seconds, lambda: self.arrive(order.order_id))

    def _changed_copy(self, order: Order, change: Change) -> Order:
        wanted = replace(
            order,
            order_type=change.order_type,
            validity=change.validity,
            quantity=order.quantity if change.quantity is None else change.quantity,
            price=order.price if change.price is None else change.price,
            trigger=order.trigger if change.trigger is None else change.trigger,
            disclosed=order.disclosed if change.disclosed is None else change.disclosed,
            modifications=order.modifications + 1,
        )
        if wanted.order_type == "MARKET" and order.status != Status.TRANSIT:
            wanted.order_type = "LIMIT"
            wanted.price = self.markets[order.key].protected_price(order.side)
        return wanted

    def _check_change(self, order: Order, wanted: Order, account: Account) -> None:
        if wanted.quantity <= order.filled:
            raise OrderRefusedError("Quantity should be greater than the traded quantity")
        text = rms.objection(wanted, self.markets[order.key].instrument, account)
        if text:
            raise OrderRefusedError(text)

    def _reenter(self, order: Order, wanted: Order) -> None:
        """A change of price or a larger quantity loses the order's place in the queue."""
        self.markets[order.key].withdraw(order)
        if wanted.price != order.price or wanted.quantity > order.quantity:
            wanted.sequence = self.ledger.next_number()
        _take_over(order, wanted)
        order.received = order.reached = self._clock()
        self.ledger.changed(order, "Modified", self.markets[order.key].last)
        self._enter(order)

    def _enter(self, order: Order) -> None:
        """Put a working order in the market: let it wait, fill it, or let the rest stand."""
        market = self.markets[order.key]
        if order.waits_for_trigger and market.has_reached(order):
            order.triggered = True
        if self.auto_on and not order.waits_for_trigger:
            for fill in market.book.match(order):
                self._book_sides(fill)
        if not order.remaining:
            return
        if order.validity == "IOC" and self.auto_on:
            self._finish(order, Status.CANCELLED)
        else:
            self._stand(order)

    def _stand(self, order: Order) -> None:
        market = self.markets[order.key]
        if order.waits_for_trigger:
            market.stops.append(order)
        else:
            market.book.rest(order)

    def _look_again(self, market: Market) -> None:
        if not self.auto_on:
            return
        for order in [order for order in market.stops if market.has_reached(order)]:
            market.stops.remove(order)
            order.triggered = True
            self._tell(order)
            self._enter(order)
        for fill in market.book.uncross():
            self._book_sides(fill)

    def _book_sides(self, fill: Fill) -> None:
        self._book_fill(fill.order, fill.quantity, fill.price)
        if fill.resting is not None:
            self._book_fill(fill.resting, fill.quantity, fill.price)

    def _book_fill(self, order: Order, quantity: int, price: Decimal) -> None:
        market = self.markets[order.key]
        market.volume += quantity
        trade = Trade(
            trade_id=f"{len(self.ledger.trades) + 1:08d}",
            order_id=order.order_id,
            client_id=order.client_id,
            side=order.side,
            segment=order.segment,
            security_id=order.security_id,
            product=order.product,
            quantity=quantity,
            price=price,
            at=self._clock(),
        )
        self.ledger.add_trade(trade)
        order.reached = trade.at
        self._tell(order)

    def _finish(self, order: Order, status: Status) -> None:
        if order.is_working:
            self.markets[order.key].withdraw(order)
        order.status = status
        if status != Status.REJECTED:
            order.reason = HEALTHY
        self._tell(order)

    def _tell(self, order: Order) -> None:
        self.ledger.changed(order, order.status.capitalize(), self.markets[order.key].last)


def _take_over(order: Order, wanted: Order) -> None:
    for name in ("order_type", "validity", "quantity", "price", "trigger", "disclosed"):
        setattr(order, name, getattr(wanted, name))
    order.modifications, order.sequence = wanted.modifications, wanted.sequence
