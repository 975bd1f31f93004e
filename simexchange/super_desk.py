"""What an account may ask for about super orders.

DhanHQ v2 documentation, super order page. Its rules: an entry is changed while it is open, an exit
until it fires; a cancelled entry takes everything with it; a cancelled exit never comes back.
"""

from collections.abc import Iterator
from decimal import Decimal

from simexchange import rms
from simexchange.accounts import Account
from simexchange.exchange import MAX_MODIFICATIONS, Exchange, OrderRefusedError
from simexchange.market import Market
from simexchange.money import ZERO
from simexchange.orders import ENTRY, NATIVE, STOP, Change, Order, Status, Ticket
from simexchange.super_life import SuperLife
from simexchange.supers import EXITS, Levels, SuperOrder


class SuperDesk:
    """`own_ids`: exits that come to life have ids of their own; else the entry's is shown."""

    def __init__(self, exchange: Exchange, life: SuperLife) -> None:
        self.own_ids = False
        self.life = life
        self._exchange = exchange
        self._ledger = exchange.ledger

    def place(self, account: Account, ticket: Ticket, levels: Levels) -> Order:
        _check_sides(ticket.side, ticket.price, levels)
        check_ticks(self._exchange.markets[ticket.segment, ticket.security_id], levels)
        each = SuperOrder(
            order_id="",
            client_id=account.client_id,
            target=levels.target,
            stop=levels.stop,
            jump=levels.jump,
            own_ids=self.own_ids,
        )
        return self._exchange.place(account, ticket, each)

    def change_entry(self, account: Account, order_id: str, change: Change, levels: Levels) -> None:
        """The exits move with it. A level of 0 stays where it is."""
        each, entry = self._find(account, order_id)
        price = entry.price if change.price is None else change.price
        wanted = Levels(levels.target or each.target, levels.stop or each.stop, levels.jump)
        _check_sides(entry.side, ZERO if change.order_type == "MARKET" else price, wanted)
        check_ticks(self._exchange.markets[entry.key], wanted)
        self._exchange.modify(account, order_id, change)
        for leg in EXITS:
            self.life.move(each, leg, wanted.of(leg))
        self.life.trail_from_here(each, levels.jump)
        self._exchange.settle()

    def change_exit(self, account: Account, order_id: str, leg: str, levels: Levels) -> None:
        """Of the stop its trailing too: a `jump` of 0 ends it."""
        each, entry = self._find(account, order_id)
        self._check_waiting(each, leg)
        if each.changes.get(leg, 0) >= MAX_MODIFICATIONS:
            raise OrderRefusedError("Maximum number of modifications reached for this order")
        check_ticks(self._exchange.markets[entry.key], levels)
        each.count_change(leg)
        self.life.move(each, leg, levels.of(leg))
        if leg == STOP:
            self.life.trail_from_here(each, levels.jump)
        self._ledger.touch_super(each)
        self._exchange.settle()

    def cancel(self, account: Account, order_id: str, leg: str) -> None:
        each, entry = self._find(account, order_id)
        if entry.status == Status.TRANSIT:
            raise OrderRefusedError("Order is in Transit state")
        if leg == ENTRY:
            self._cancel_all(each, entry)
        else:
            self._cancel_exit(each, leg)
        self._ledger.touch_super(each)
        self._exchange.settle()

    def fire(self, order_id: str, leg: str) -> Order:
        """Send an exit to the exchange whatever the price says: for tests."""
        each = self._ledger.supers.get(order_id)
        order = None if each is None else self.life.exit(each, leg)
        if each is None or order is None or not order.watched:
            raise OrderRefusedError("no such leg waits for its price")
        self.life.fire(each, order)
        self._exchange.settle()
        return order

    # ---- reading

    def of(self, account: Account) -> Iterator[SuperOrder]:
        """Today's, oldest first; bracket and cover orders are not among them."""
        for order in self._exchange.orders_of(account):
            if order.leg == ENTRY and order.product not in NATIVE:
                yield self._ledger.supers[order.order_id]

    def status(self, each: SuperOrder) -> Status:
        """CLOSED when one exit has traded all that the entry did; else the entry's."""
        entry = self._ledger.orders[each.order_id]
        done = any(order.filled >= entry.filled for order in self.life.exits(each))
        return Status.CLOSED if entry.filled and not entry.is_open and done else entry.status

    # ---- inside

    def _cancel_all(self, each: SuperOrder, entry: Order) -> None:
        working = [order for order in (entry, *self.life.exits(each)) if order.is_working]
        if not working:
            raise OrderRefusedError(f"Order is already {self.status(each).title()}")
        for order in working:
            self._exchange.floor.finish(order, Status.CANCELLED)
        each.gone = list(EXITS)

    def _cancel_exit(self, each: SuperOrder, leg: str) -> None:
        order = self.life.exit(each, leg)
        if order is None:
            self._check_waiting(each, leg)
            each.gone.append(leg)
        elif order.is_working:
            self._exchange.floor.finish(order, Status.CANCELLED)
        else:
            raise OrderRefusedError(f"Leg is already {order.status.title()}")

    def _check_waiting(self, each: SuperOrder, leg: str) -> None:
        """Before the first fill of the entry an exit waits too, without an order.

        Not that of a bracket order, which does not know yet where it will stand.
        """
        order, entry = self.life.exit(each, leg), self._ledger.orders[each.order_id]
        if order is None:
            if leg in each.gone or not entry.is_open:
                raise OrderRefusedError("Leg is already Cancelled")
            if entry.product in NATIVE:
                raise OrderRefusedError("Leg is not there yet")
        elif not order.watched:
            state = "Triggered" if order.is_working else order.status.title()
            raise OrderRefusedError(f"Leg is already {state}")

    def _find(self, account: Account, order_id: str) -> tuple[SuperOrder, Order]:
        each = self._ledger.supers.get(order_id)
        if each is None or each.client_id != account.client_id:
            raise OrderRefusedError("Order not found")
        return each, self._ledger.orders[order_id]


def _check_sides(side: str, price: Decimal, levels: Levels) -> None:
    """Target and stop stand on their sides of the entry; a MARKET entry has no price."""
    sign = 1 if side == "BUY" else -1
    if (levels.target - levels.stop) * sign <= 0:
        raise OrderRefusedError("Target Price and Stop Loss Price are on the wrong sides")
    if price and (levels.target - price) * sign <= 0:
        raise OrderRefusedError("Target Price is on the wrong side of Price")
    if price and (price - levels.stop) * sign <= 0:
        raise OrderRefusedError("Stop Loss Price is on the wrong side of Price")


def check_ticks(market: Market, levels: Levels) -> None:
    """Levels of 0 are none."""
    for level in (levels.target, levels.stop):
        if level and (text := rms.price_objection(level, market.instrument)):
            raise OrderRefusedError(text)
