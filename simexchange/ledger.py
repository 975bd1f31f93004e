"""Everything the exchange has on record: accounts, orders, trades; and who hears of a change."""

from collections import Counter
from collections.abc import Callable, Iterable
from copy import copy
from datetime import date
from decimal import Decimal
from typing import Any

from simexchange.access import access_from, entry_of
from simexchange.accounts import Account
from simexchange.clock import Clock
from simexchange.guards import guards_entry, guards_from
from simexchange.holdings import delivery_entry, delivery_from, holdings_entry, holdings_from
from simexchange.instruments import Instrument, Key
from simexchange.journal import (
    Entry,
    Journal,
    StartError,
    instrument_entry,
    instrument_from,
    order_entry,
    order_from,
    trade_entry,
    trade_from,
)
from simexchange.orders import API, Order, OrderEvent, Trade
from simexchange.supers import SuperOrder, super_entry, super_from

Listener = Callable[[OrderEvent], None]


class Ledger:
    """Records changes, and on `settle` first writes them down, then tells the listeners."""

    def __init__(
        self,
        instruments: dict[Key, Instrument],
        accounts: Iterable[Account],
        clock: Clock,
        journal: Journal,
    ) -> None:
        self.instruments = instruments
        self.clock = clock
        self.accounts = {account.client_id: account for account in accounts}
        self.orders: dict[str, Order] = {}
        self.trades: list[Trade] = []
        self.supers: dict[str, SuperOrder] = {}
        self.listeners: list[Listener] = []
        self._numbers: Counter[str] = Counter()
        self._day = date.min
        self._by_correlation: dict[tuple[str, str], list[Order]] = {}
        self._journal = journal
        self._changed: dict[str, Order] = {}
        self._changed_supers: dict[str, SuperOrder] = {}
        self._new_trades: list[Trade] = []
        self._events: list[OrderEvent] = []
        self._kept: set[Key] = set()

    def next_number(self, kind: str) -> int:
        """Count up from 1, each kind by itself; no number comes twice, whatever is reset."""
        self._numbers[kind] += 1
        return self._numbers[kind]

    def working(self) -> list[Order]:
        return [order for order in self.orders.values() if order.is_working]

    def account_for(self, token: str) -> Account | None:
        return next((a for a in self.accounts.values() if a.token == token), None)

    def add_order(self, order: Order) -> None:
        self.orders[order.order_id] = order
        if order.source == API and not order.parent:
            name = order.client_id, order.correlation_id
            self._by_correlation.setdefault(name, []).append(order)
        self._changed[order.order_id] = order

    def changed(self, order: Order, word: str, last_price: Decimal) -> None:
        """Note an order's new state; `word` is what its socket frame will call it."""
        order.updated = self.clock()
        self.touch(order)
        self._events.append(OrderEvent(copy(order), word, last_price))

    def touch(self, order: Order) -> None:
        """Note a change nobody is told about."""
        self.accounts[order.client_id].follow(order, self.instruments[order.key])
        self._changed[order.order_id] = order

    def touch_super(self, each: SuperOrder) -> None:
        self.supers[each.order_id] = each
        self._changed_supers[each.order_id] = each

    def add_trade(self, trade: Trade) -> None:
        self._book(trade)
        self._new_trades.append(trade)

    def named(self, client_id: str, correlation_id: str) -> list[Order]:
        """The orders of a client under one correlation id, oldest first."""
        return self._by_correlation.get((client_id, correlation_id), [])

    def turn_day(self, day: date) -> None:
        """Positions begin a new day, if it is one."""
        if day > self._day:
            closing, self._day = self._day, day
            for account in self.accounts.values():
                account.turn_day(closing)

    def save_account(self, account: Account) -> None:
        self.accounts[account.client_id] = account
        self._journal.append({"numbers": self._numbers, "accounts": [_account_entry(account)]})

    def settle(self) -> None:
        """Write down what changed since the last call, then tell the listeners."""
        if self._changed or self._changed_supers or self._new_trades:
            self._journal.append(
                {
                    "numbers": self._numbers,
                    "instruments": self._newly_used(self._changed.values()),
                    "orders": [order_entry(order) for order in self._changed.values()],
                    "trades": [trade_entry(trade) for trade in self._new_trades],
                    "supers": [super_entry(each) for each in self._changed_supers.values()],
                }
            )
        self._changed, self._changed_supers, self._new_trades = {}, {}, []
        events, self._events = self._events, []
        for event in events:
            for listener in self.listeners:
                listener(event)

    def _newly_used(self, orders: Iterable[Order]) -> list[Entry]:
        """What is ordered and may not be listed any more on a later day: kept with the orders."""
        keys = {order.key for order in orders} - self._kept
        self._kept |= keys
        used = (self.instruments[key] for key in sorted(keys))
        return [instrument_entry(each) for each in used if each.asleep]

    def save_prices(self, prices: dict[Key, Decimal]) -> None:
        self._journal.append({"prices": [[*key, price] for key, price in prices.items()]})

    def close(self) -> None:
        """The end: nothing can be written down any more."""
        self._journal.close()

    def forget_all(self) -> None:
        """Drop orders, trades and positions; ids are never handed out twice all the same."""
        self.orders, self.trades, self.supers, self._by_correlation = {}, [], {}, {}
        self._changed, self._changed_supers, self._new_trades, self._events = {}, {}, [], []
        self._day = date.min
        for account in self.accounts.values():
            account.clear()
        self._journal.append({"reset": True, "numbers": self._numbers})

    def restore(self, entries: Iterable[Entry]) -> dict[Key, Decimal]:
        """Take in a journal, shorten it, and return the last prices it holds."""
        orders: dict[str, Entry] = {}
        trades: list[Entry] = []
        supers: dict[str, Entry] = {}
        accounts: dict[str, Entry] = {}
        prices: dict[Key, Decimal] = {}
        for entry in entries:
            if entry.get("reset"):
                orders, trades, supers = {}, [], {}
            self._numbers = Counter(entry.get("numbers", self._numbers))
            for row in entry.get("instruments", ()):
                instrument = instrument_from(row)
                self.instruments.setdefault(instrument.key, instrument)
            orders.update((row["order_id"], row) for row in entry.get("orders", ()))
            trades.extend(entry.get("trades", ()))
            supers.update((row["order_id"], row) for row in entry.get("supers", ()))
            accounts.update((row["client_id"], row) for row in entry.get("accounts", ()))
            prices.update(((s, i), Decimal(price)) for s, i, price in entry.get("prices", ()))
        self._take_in(accounts.values(), orders.values(), trades)
        self.supers = {order_id: super_from(row) for order_id, row in supers.items()}
        self._journal.rewrite([{**self._snapshot(), "accounts": list(accounts.values())}])
        return prices

    def _take_in(
        self, accounts: Iterable[Entry], orders: Iterable[Entry], trades: Iterable[Entry]
    ) -> None:
        for row in accounts:
            self.accounts[row["client_id"]] = _account_from(row)
        for row in [*orders, *trades]:
            self._check_known(row)
        for row in trades:
            self._book(trade_from(row))
        for row in sorted(orders, key=lambda row: row["order_id"]):
            order = order_from(row)
            self.add_order(order)
            self.touch(order)
        self.turn_day(self.clock().date())
        self._changed = {}

    def _check_known(self, row: Entry) -> None:
        client_id, key = row["client_id"], (row["segment"], row["security_id"])
        if client_id not in self.accounts or key not in self.instruments:
            raise StartError(
                f"the state file holds an order of account {client_id} in {'/'.join(key)}, "
                "and one of the two is unknown here: start with the same accounts and instruments"
            )

    def _snapshot(self) -> dict[str, Any]:
        self._kept = set()
        return {
            "numbers": self._numbers,
            "instruments": self._newly_used(self.orders.values()),
            "orders": [order_entry(order) for order in self.orders.values()],
            "trades": [trade_entry(trade) for trade in self.trades],
            "supers": [super_entry(each) for each in self.supers.values()],
        }

    def _book(self, trade: Trade) -> None:
        self.turn_day(trade.at.date())
        self.trades.append(trade)
        account, instrument = self.accounts[trade.client_id], self.instruments[trade.key]
        account.book_trade(trade, instrument)


def _account_entry(account: Account) -> Entry:
    return {
        "client_id": account.client_id,
        "token": account.token,
        "balance": account.balance,
        "holdings": holdings_entry(account.holdings),
        "access": entry_of(account.access),
        "guards": guards_entry(account.guards),
        "delivery": delivery_entry(account.delivery),
        "first_token": account.first_token,
    }


def _account_from(row: Entry) -> Account:
    return Account(
        row["client_id"],
        row["token"],
        Decimal(row["balance"]),
        holdings_from(row.get("holdings", [])),
        access=access_from(row.get("access", {})),
        guards=guards_from(row.get("guards", {})),
        delivery=delivery_from(row.get("delivery", {})),
        first_token=row.get("first_token", ""),
    )
