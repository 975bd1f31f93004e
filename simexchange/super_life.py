"""The life of super orders: brings exits to life, fires them, lets the stop trail, ends the rest.

It looks at the state and not at what happened, whenever something did, before it is settled: what
an order brought about is on record together with it.
"""

from collections.abc import Iterator
from decimal import Decimal

from simexchange import rms
from simexchange.exchange import Exchange
from simexchange.faults import BOTH_FILLED, SIBLING_STAYS, STOP_REJECTED, Faults
from simexchange.market import Market
from simexchange.orders import STOP, TARGET, Order, Status
from simexchange.supers import EXITS, SuperOrder, has_fired, sibling

FAILED = {Status.CANCELLED, Status.REJECTED, Status.EXPIRED}


class SuperLife:
    """What happens to super orders by itself."""

    def __init__(self, exchange: Exchange, faults: Faults) -> None:
        self._exchange = exchange
        self._ledger = exchange.ledger
        self._floor = exchange.floor
        self._faults = faults
        self._to_do: list[str] = []
        self._floor.hearers.append(self._hear)
        self._floor.lookers.append(self._look)
        exchange.before_settling.append(self._work)

    def exit(self, each: SuperOrder, leg: str) -> Order | None:
        """The order of an exit that is in the book."""
        order_id = each.legs.get(leg)
        return None if order_id is None else self._ledger.orders[order_id]

    def exits(self, each: SuperOrder) -> Iterator[Order]:
        return (self._ledger.orders[order_id] for order_id in each.legs.values())

    def move(self, each: SuperOrder, leg: str, level: Decimal) -> None:
        """Put an exit elsewhere, whether it is in the book yet or not."""
        if level == each.level(leg):
            return
        if leg == STOP:
            each.stop = level
        else:
            each.target = level
        self._ledger.touch_super(each)
        order = self.exit(each, leg)
        if order is not None and order.watched:
            self._set_price(order, level)
            order.received = self._ledger.clock()
            self._floor.tell(order, "Modified")

    def trail_from_here(self, each: SuperOrder, jump: Decimal) -> None:
        """From now on by so many rupees, or no more when `jump` is 0."""
        each.jump = jump
        if each.anchor:
            each.anchor = self._exchange.markets[self._entry(each).key].last
        self._ledger.touch_super(each)

    def fire(self, each: SuperOrder, order: Order) -> None:
        """Send an exit to the exchange; the broker's risk checks come first."""
        account, market = self._ledger.accounts[order.client_id], self._exchange.markets[order.key]
        if order.leg == STOP:
            order.price = market.protected_price(order.side)
        today = self._ledger.clock().date()
        if text := rms.objection(order, market.instrument, account, today):
            self._floor.reject(order, text)
            return
        self._send(order)
        self._end_what_is_over(each)
        self._floor.enter(order)

    # ---- when it is looked at

    def _hear(self, order: Order) -> None:
        if order.leg:
            self._to_do.append(order.parent or order.order_id)

    def _look(self, market: Market) -> None:
        """After a price move: the stops that trail go along, and what is reached fires."""
        for super_id in {order.parent: None for order in market.watched}:
            self._trail(self._ledger.supers[super_id], market)
            self._to_do.append(super_id)

    def _work(self) -> None:
        while self._to_do:
            each = self._ledger.supers.get(self._to_do.pop())
            if each is not None:
                self._bring_to_life(each)
                self._end_what_is_over(each)
                self._fire_what_is_reached(each)

    # ---- the steps of its life

    def _bring_to_life(self, each: SuperOrder) -> None:
        """With every fill of the entry there is more to leave."""
        entry = self._entry(each)
        if not entry.filled or any(has_fired(order) for order in self.exits(each)):
            return
        if not each.anchor:
            self._measure(each, entry)
        for leg in EXITS:
            order = self.exit(each, leg)
            if order is None and leg not in each.gone and entry.status not in FAILED:
                self._create(each, entry, leg)
            elif order is not None and order.watched and order.quantity < entry.filled:
                order.quantity = entry.filled
                self._floor.tell(order, "Modified")

    def _measure(self, each: SuperOrder, entry: Order) -> None:
        """At the first fill: where the stop trails from, and where a bracket's exits stand."""
        market = self._exchange.markets[entry.key]
        each.anchor = market.last
        if entry.profit_by:
            sign = 1 if entry.is_buy else -1
            each.target = market.nearest(entry.average + sign * entry.profit_by)
            each.stop = market.nearest(entry.average - sign * entry.loss_by)
        self._ledger.touch_super(each)

    def _create(self, each: SuperOrder, entry: Order, leg: str) -> None:
        order = Order.exit_of(entry, leg, self._exchange.next_id(), self._ledger.clock())
        order.shown = "" if each.own_ids else entry.order_id
        order.sequence = self._ledger.next_number("place in queue")
        self._ledger.add_order(order)
        each.legs[leg] = order.order_id
        self._set_price(order, each.level(leg))
        self._ledger.touch_super(each)
        if leg == STOP and self._faults.strikes(STOP_REJECTED, entry.client_id):
            self._floor.reject(order, f"RMS:{order.shown_id}:Rejected by the exchange.")
        else:
            self._floor.stand(order)
            self._floor.tell(order)

    def _end_what_is_over(self, each: SuperOrder) -> None:
        """An exit at the exchange ends its sibling and the entry; a failed entry ends both."""
        entry = self._entry(each)
        for leg in EXITS:
            order, other = self.exit(each, leg), self.exit(each, sibling(leg))
            if order is None or not has_fired(order):
                continue
            if entry.is_working:
                self._floor.finish(entry, Status.CANCELLED)
            if other is not None and other.watched and other.leg not in each.stays:
                self._end_sibling(each, other)
        if entry.status in FAILED:
            for order in self.exits(each):
                if order.watched and order.leg not in each.stays:
                    self._floor.finish(order, Status.CANCELLED)

    def _end_sibling(self, each: SuperOrder, order: Order) -> None:
        """Cancel it, unless that is to go wrong."""
        if self._faults.strikes(BOTH_FILLED, order.client_id):
            each.stays.append(order.leg)
            self._send(order)
            price = self._exchange.markets[order.key].last
            order.price = price
            self._floor.fill_against_nobody(order, order.remaining, price)
        elif self._faults.strikes(SIBLING_STAYS, order.client_id):
            each.stays.append(order.leg)
        else:
            self._floor.finish(order, Status.CANCELLED)
        self._ledger.touch_super(each)

    def _fire_what_is_reached(self, each: SuperOrder) -> None:
        if not self._floor.auto_on:
            return
        for order in list(self.exits(each)):
            if order.watched and self._is_reached(order):
                self.fire(each, order)

    def _is_reached(self, order: Order) -> bool:
        market = self._exchange.markets[order.key]
        return market.has_reached(order) if order.leg == STOP else order.accepts(market.last)

    def _send(self, order: Order) -> None:
        self._floor.withdraw(order)
        order.watched, order.reached = False, self._ledger.clock()
        order.exchange_order_id = f"12{order.order_id}"
        order.triggered = order.leg == STOP
        self._floor.tell(order, "Triggered")

    def _trail(self, each: SuperOrder, market: Market) -> None:
        """Move the stop in whole jumps as the price goes the entry's way, never back."""
        order = self.exit(each, STOP)
        if order is None or not order.watched or not each.jump:
            return
        sign = -1 if order.is_buy else 1
        jumps = (market.last - each.anchor) * sign // each.jump
        if jumps > 0:
            each.anchor += sign * jumps * each.jump
            self.move(each, STOP, each.stop + sign * jumps * each.jump)

    # ---- inside

    def _entry(self, each: SuperOrder) -> Order:
        return self._ledger.orders[each.order_id]

    def _set_price(self, order: Order, level: Decimal) -> None:
        if order.leg == TARGET:
            order.price = level
        else:
            protected = self._exchange.markets[order.key].protected_price(order.side, level)
            order.trigger, order.price = level, protected
