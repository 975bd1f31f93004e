"""What each REST endpoint of the trading side answers: plain functions from call to reply."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from simexchange import rows
from simexchange.accounts import Account, margin
from simexchange.exchange import Exchange, OrderRefusedError
from simexchange.instruments import Instrument
from simexchange.intake import check_prices, read_change, read_ticket
from simexchange.orders import Order
from simexchange.replies import (
    BAD_INPUT,
    NO_HOLDINGS,
    NOT_NAMED,
    RefusedError,
    Reply,
    order_error,
)

MARGIN_ASSUMES = {"orderType": "LIMIT", "validity": "DAY"}


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request. `base` is the address it was sent to, without a path."""

    account: Account
    body: dict[str, Any] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    client_header: str | None = None
    remote: str = ""
    base: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def refusals() -> Iterator[None]:
    """What the exchange refuses about an order is answered as an order error."""
    try:
        yield
    except OrderRefusedError as refusal:
        raise RefusedError(order_error(str(refusal))) from refusal


class Trading:
    """Orders, trades and the account's own figures, as DhanHQ v2 answers them."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._ledger = exchange.ledger

    def place(self, call: Call) -> Reply:
        ticket = read_ticket(call.body, self._ledger.instruments)
        return Reply(200, rows.accepted(self._exchange.place(call.account, ticket)))

    def slice(self, call: Call) -> Reply:
        ticket = read_ticket(call.body, self._ledger.instruments)
        orders = self._exchange.slice(call.account, ticket)
        return Reply(200, [rows.accepted(order) for order in orders])

    def modify(self, call: Call) -> Reply:
        change, order_id = read_change(call.body), call.params["order_id"]
        order = self._exchange.find(call.account, order_id)
        if order is not None:
            price = order.price if change.price is None else change.price
            trigger = order.trigger if change.trigger is None else change.trigger
            check_prices(change.order_type, order.side, price, trigger)
        with refusals():
            order = self._exchange.modify(call.account, order_id, change)
        return Reply(200, rows.accepted(order))

    def cancel(self, call: Call) -> Reply:
        with refusals():
            order = self._exchange.cancel(call.account, call.params["order_id"])
        return Reply(200, {"orderId": order.order_id, "orderStatus": "CANCELLED"})

    def book(self, call: Call) -> Reply:
        return Reply(200, [self._row(o) for o in self._exchange.orders_of(call.account)])

    def order(self, call: Call) -> Reply:
        """An array even for one order, and an empty one for an unknown id (live wire).

        Legs of a super order that are shown under the id of its entry are in it too.
        """
        found = self._exchange.shown_as(call.account, call.params["order_id"])
        return Reply(200, [self._row(order) for order in found])

    def by_correlation(self, call: Call) -> Reply:
        order = self._exchange.latest_named(call.account, call.params["correlation_id"])
        return NOT_NAMED if order is None else Reply(200, self._row(order))

    def trades(self, call: Call) -> Reply:
        trades = self._exchange.trades_of(call.account, call.params.get("order_id"))
        return Reply(
            200,
            [
                rows.trade_row(
                    trade, self._ledger.orders[trade.order_id], self._ledger.instruments[trade.key]
                )
                for trade in trades
            ],
        )

    def positions(self, call: Call) -> Reply:
        prices = self._exchange.floor.prices()
        held = call.account.positions.values()
        return Reply(
            200,
            [rows.position_row(call.account.client_id, p, prices[p.instrument.key]) for p in held],
        )

    def exit_all(self, call: Call) -> Reply:
        """Said to be done although the closing orders are only on their way."""
        self._exchange.exit_all(call.account)
        message = "All orders and positions exited successfully"
        return Reply(200, {"status": "SUCCESS", "message": message})

    def margin(self, call: Call) -> Reply:
        asked = read_ticket({**MARGIN_ASSUMES, **call.body}, self._ledger.instruments)
        instrument = self._ledger.instruments[asked.segment, asked.security_id]
        needed = margin(instrument, asked.product, asked.side, asked.quantity, asked.price)
        value = asked.quantity * asked.price
        return Reply(200, rows.margin_row(call.account, instrument, needed, value))

    def margins(self, call: Call) -> Reply:
        """Several orders at once, in either of the two contracts that are documented."""
        variant = "scripList" if "scripList" in call.body else "scripts"
        rows_asked = call.body.get(variant)
        if not isinstance(rows_asked, list) or not all(isinstance(r, dict) for r in rows_asked):
            raise RefusedError(BAD_INPUT)
        table = self._ledger.instruments
        needed: list[tuple[Instrument, Decimal]] = []
        for row in rows_asked:
            asked = read_ticket({**MARGIN_ASSUMES, **row}, table)
            instrument = table[asked.segment, asked.security_id]
            alone = margin(instrument, asked.product, asked.side, asked.quantity, asked.price)
            needed.append((instrument, alone))
        if call.body.get("includePosition") is True:
            held = call.account.positions.values()
            needed += [(position.instrument, position.margin) for position in held]
        if call.body.get("includeOrder") is True or call.body.get("includeOrders") is True:
            needed += [(d.instrument, d.blocked(0)) for d in call.account.demands.values()]
        render = rows.margins_row if variant == "scripList" else rows.margins_row_in_texts
        return Reply(200, render(call.account, needed))

    def holdings(self, call: Call) -> Reply:
        """An empty portfolio is an HTTP 500 at this broker (live wire)."""
        account, instruments = call.account, self._ledger.instruments
        there = [each for each in account.holdings.values() if each.quantity]
        if not there:
            return NO_HOLDINGS
        return Reply(
            200,
            [
                rows.holding_row(each, account.sold_today(each), instruments[each.key])
                for each in there
            ],
        )

    def funds(self, call: Call) -> Reply:
        return Reply(200, rows.fund_row(call.account))

    def profile(self, call: Call) -> Reply:
        return Reply(200, rows.profile_row(call.account, self._ledger.clock))

    def addresses(self, call: Call) -> Reply:
        return Reply(200, rows.address_row(call.account, call.remote))

    def _row(self, order: Order) -> rows.Row:
        return rows.order_row(order, self._ledger.instruments[order.key])
