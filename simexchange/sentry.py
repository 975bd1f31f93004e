"""Watches what accounts have set for their day, and does what was asked when it comes to pass."""

from datetime import date
from decimal import Decimal

from simexchange.accounts import Account
from simexchange.exchange import Exchange
from simexchange.guards import PnlExit
from simexchange.money import ZERO

BROKERS_OWN = "N"
"""Source of the orders that an exit on profit or loss sends; the broker's letter is unknown."""


class Sentry:
    """The kill switches and the exits on profit and loss of all accounts."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._ledger = exchange.ledger
        exchange.watchers.append(self.look)

    @property
    def today(self) -> date:
        return self._ledger.clock().date()

    def is_busy(self, account: Account) -> bool:
        """Whether a position is open or an order is on its way or works."""
        if any(position.open for position in account.positions.values()):
            return True
        orders = self._ledger.orders.values()
        return any(o.is_open for o in orders if o.client_id == account.client_id)

    def kill(self, account: Account, on: bool) -> None:
        account.guards.killed_on = self.today if on else None
        account.guards.kill_when_flat = None
        self._ledger.save_account(account)

    def arm(self, account: Account, wanted: PnlExit) -> None:
        """Exit when a limit is reached, which may be now."""
        account.guards.pnl_exit = wanted
        self._ledger.save_account(account)
        self.look()

    def disarm(self, account: Account) -> None:
        account.guards.pnl_exit = None
        self._ledger.save_account(account)

    def look(self) -> None:
        """Leave what has reached its limit, and kill what waits for being flat and is."""
        today = self.today
        for account in self._ledger.accounts.values():
            armed = account.guards.exit_on(today)
            if armed and armed.is_reached(self.result(account, armed)):
                self._leave(account, armed)
            if account.guards.kill_when_flat == today and not self.is_busy(account):
                self.kill(account, True)

    def result(self, account: Account, armed: PnlExit) -> Decimal:
        """The day's profit in the products of this exit, realised or not, in rupees."""
        markets = self._exchange.markets
        concerned = (p for p in account.positions.values() if p.product in armed.products)
        return sum(
            (p.realised + p.unrealised(markets[p.instrument.key].last) for p in concerned), ZERO
        )

    def _leave(self, account: Account, armed: PnlExit) -> None:
        """Noted before the orders go out: a restart between the two must not exit twice."""
        account.guards.pnl_exit = None
        account.guards.kill_when_flat = self.today if armed.kills else None
        self._ledger.save_account(account)
        self._exchange.exit_all(account, armed.products, BROKERS_OWN)
