"""What can be read of the orders and trades of an account."""

from datetime import timedelta

from simexchange.accounts import Account
from simexchange.ledger import Ledger
from simexchange.orders import Order, Status, Trade


class Reading:
    """Questions about what is on record; nothing is changed by them."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._clock = ledger.clock

    def find(self, account: Account, order_id: str) -> Order | None:
        order = self.ledger.orders.get(order_id)
        return order if order and order.client_id == account.client_id else None

    def shown_as(self, account: Account, order_id: str) -> list[Order]:
        """The orders shown under an id: one, or an entry with legs that share it."""
        order, attached = self.find(account, order_id), self.ledger.supers.get(order_id)
        legs = [self.ledger.orders[leg] for leg in attached.legs.values()] if attached else []
        there = [order, *legs] if order else []
        return [each for each in there if each.shown_id == order_id]

    def latest_named(self, account: Account, correlation_id: str) -> Order | None:
        """The newest order under a correlation id, unless it is still in TRANSIT."""
        orders = self.ledger.named(account.client_id, correlation_id)
        return orders[-1] if orders and orders[-1].status != Status.TRANSIT else None

    def orders_of(self, account: Account) -> list[Order]:
        """Today's orders and those held for the next opening, oldest first."""
        today, client_id = self._clock().date(), account.client_id
        mine = (o for o in self.ledger.orders.values() if o.client_id == client_id)
        return [order for order in mine if order.shows_on(today)]

    def trades_of(self, account: Account, order_id: str | None = None) -> list[Trade]:
        """Today's trades, oldest first."""
        today, client_id = self._clock().date(), account.client_id
        trades = (t for t in self.ledger.trades if t.client_id == client_id)
        todays = [trade for trade in trades if trade.at.date() == today]
        if order_id is None:
            return todays
        wanted = {order.order_id for order in self.shown_as(account, order_id)}
        return [trade for trade in todays if trade.order_id in wanted]

    def younger_than(self, seconds: float) -> set[str]:
        """The ids of orders accepted less than so many seconds ago."""
        since = self._clock() - timedelta(seconds=seconds)
        return {order.order_id for order in self.ledger.orders.values() if order.created > since}
