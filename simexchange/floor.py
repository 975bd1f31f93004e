"""The trading floor: every market, and what happens to an order that stands in one."""

from collections.abc import Callable
from decimal import Decimal

from simexchange.book import Fill
from simexchange.instruments import Instrument, Key
from simexchange.ledger import Ledger
from simexchange.market import Market
from simexchange.orders import HEALTHY, Order, Status, Trade
from simexchange.pacing import Pace


class Markets(dict[Key, Market]):
    """Every market that is open; one that sleeps opens when it is first asked for."""

    def __init__(self, table: dict[Key, Instrument], seed: int) -> None:
        awake = {key: Market(each, seed) for key, each in table.items() if not each.asleep}
        super().__init__(awake)
        self._table = table
        self._seed = seed

    def __missing__(self, key: Key) -> Market:
        market = self[key] = Market(self._table[key], self._seed)
        return market


After = Callable[[float, Callable[[], None]], object]
"""Do something after so many seconds, and settle."""


class Floor:
    """Enters, fills, and finishes orders. Nothing here settles: the caller does.

    `hearers` are told of every change of an order, `lookers` of every market that is looked at.
    """

    def __init__(self, ledger: Ledger, seed: int, after: After) -> None:
        self._ledger = ledger
        self._seed = seed
        self._after = after
        self._turns: dict[str, int] = {}
        self.paces: list[Pace] = []
        self.hearers: list[Callable[[Order], None]] = []
        self.lookers: list[Callable[[Market], None]] = []
        self.auto_on = True
        self.markets = Markets({}, seed)
        self.open()

    def open(self) -> None:
        """Start every market afresh from its previous close, with empty books."""
        self.auto_on = True
        self.paces, self._turns = [], {}
        self.markets = Markets(self._ledger.instruments, self._seed)

    def prices(self) -> dict[Key, Decimal]:
        return {key: market.last for key, market in self.markets.items()}

    def enter(self, order: Order) -> None:
        """Put a working order in its market: let it wait, fill it, or let the rest stand."""
        market = self.markets[order.key]
        if order.waits_for_trigger and market.has_reached(order):
            order.triggered = True
        if self.auto_on and not order.waits_for_trigger:
            pace = self._pace_of(order)
            for fill in market.book.match(order, pace.units if pace else None):
                self._book_sides(fill)
        if not order.remaining:
            return
        if order.validity == "IOC" and self.auto_on and not order.waits_for_trigger:
            self.finish(order, Status.CANCELLED)
        else:
            self.stand(order)

    def stand(self, order: Order) -> None:
        market = self.markets[order.key]
        if order.watched:
            market.watched.append(order)
        elif order.waits_for_trigger:
            market.stops.append(order)
        elif pace := self._pace_of(order):
            self._wait_for_turn(order, pace)
        else:
            market.book.rest(order)

    def set_pace(self, pace: Pace) -> None:
        """Let fills come in pieces, those of orders that stand in the market already too."""
        self.paces.insert(0, pace)
        for order in self._ledger.working():
            at_market = not (order.held or order.watched or order.waits_for_trigger)
            if at_market and pace.concerns(order):
                self.withdraw(order)
                self.stand(order)

    def withdraw(self, order: Order) -> None:
        self.markets[order.key].withdraw(order)

    def look_again(self, market: Market) -> None:
        """After a price move: fire stops, and fill what the price has come to."""
        if not self.auto_on:
            return
        for look in self.lookers:
            look(market)
        for order in [order for order in market.stops if market.has_reached(order)]:
            market.stops.remove(order)
            order.triggered = True
            self.tell(order)
            self.enter(order)
        for fill in market.book.uncross():
            self._book_sides(fill)

    def book_fill(self, order: Order, quantity: int, price: Decimal) -> None:
        """Record a fill the order has already taken."""
        self.markets[order.key].volume += quantity
        now = self._ledger.clock()
        order.reached = now
        trade = Trade(
            trade_id=f"{self._ledger.next_number('trade'):08d}",
            order_id=order.order_id,
            client_id=order.client_id,
            side=order.side,
            segment=order.segment,
            security_id=order.security_id,
            product=order.product,
            quantity=quantity,
            price=price,
            at=now,
        )
        self._ledger.add_trade(trade)
        self.tell(order)

    def fill_against_nobody(self, order: Order, quantity: int, price: Decimal) -> None:
        """Fill an order whatever the market says; what is left stands."""
        self.withdraw(order)
        order.held = order.watched = False
        if order.exchange_order_id == "0":
            order.exchange_order_id = f"12{order.order_id}"
        order.take(quantity, price)
        self.book_fill(order, quantity, price)
        if order.remaining:
            order.triggered = order.order_type == "STOP_LOSS"
            self.stand(order)

    def reject(self, order: Order, reason: str) -> None:
        order.reason = reason
        self.finish(order, Status.REJECTED)

    def finish(self, order: Order, status: Status) -> None:
        if order.is_working:
            self.withdraw(order)
        order.status, order.held, order.watched = status, False, False
        if status != Status.REJECTED:
            order.reason = HEALTHY
        self.tell(order)

    def tell(self, order: Order, word: str = "") -> None:
        """Let the account hear of the order's state, under its own name or another."""
        last = self.markets[order.key].last
        self._ledger.changed(order, word or order.status.capitalize(), last)
        for hear in self.hearers:
            hear(order)

    def _pace_of(self, order: Order) -> Pace | None:
        return next((pace for pace in self.paces if pace.concerns(order)), None)

    def _wait_for_turn(self, order: Order, pace: Pace) -> None:
        turn = self._turns[order.order_id] = self._turns.get(order.order_id, 0) + 1
        self.markets[order.key].paced.append(order)
        self._after(pace.pause, lambda: self._take_turn(order, turn))

    def _take_turn(self, order: Order, turn: int) -> None:
        """Unless it was withdrawn meanwhile, or came back with a later turn."""
        paced = self.markets[order.key].paced
        if order in paced and self._turns.get(order.order_id) == turn:
            paced.remove(order)
            self.enter(order)

    def _book_sides(self, fill: Fill) -> None:
        self.book_fill(fill.order, fill.quantity, fill.price)
        if fill.resting is not None:
            self.book_fill(fill.resting, fill.quantity, fill.price)
