"""Bracket and cover orders: plain orders of the products BO and CO that bring their exits along.

DhanHQ v2 documentation, orders page and annexure of the classic site; the portal has neither. No
row of a leg was ever published: that exits live like those of a super order is our choice. A
bracket's exits stand so many rupees from what its first fill cost, a cover order's stop at its
`triggerPrice`.
"""

from dataclasses import replace

from simexchange.accounts import Account
from simexchange.exchange import Exchange
from simexchange.intake import Body, read_change, read_levels_of_change, read_native
from simexchange.money import ZERO
from simexchange.orders import COVER, NATIVE, STOP, TARGET, Ticket
from simexchange.replies import BAD_INPUT, RefusedError, Reply, order_error
from simexchange.rows import accepted
from simexchange.super_desk import SuperDesk, check_ticks
from simexchange.supers import Levels, SuperOrder
from simexchange.trading import Call, Trading, refusals


class NativeBrackets:
    """`on`: whether the broker takes them, and lists that it does; as it is now, it does not."""

    def __init__(self, exchange: Exchange, trading: Trading, desk: SuperDesk) -> None:
        self.on = False
        self._exchange = exchange
        self._ledger = exchange.ledger
        self._trading = trading
        self._desk = desk

    def place(self, call: Call) -> Reply:
        if call.body.get("productType") not in NATIVE:
            return self._trading.place(call)
        ticket, attached = self.read(call.account, call.body)
        return Reply(200, accepted(self._exchange.place(call.account, ticket, attached)))

    def read(self, account: Account, body: Body) -> tuple[Ticket, SuperOrder]:
        """What to place, and what to attach to it."""
        if not self.on:
            raise RefusedError(BAD_INPUT)
        ticket = read_native(body, self._ledger.instruments)
        attached = SuperOrder("", account.client_id, own_ids=self._desk.own_ids)
        if ticket.product != COVER:
            return ticket, attached
        attached.stop, attached.gone = ticket.trigger, [TARGET]
        sign = 1 if ticket.side == "BUY" else -1
        if ticket.price and (ticket.price - attached.stop) * sign <= 0:
            raise RefusedError(order_error("Trigger Price is on the wrong side of Price"))
        market = self._exchange.markets[ticket.segment, ticket.security_id]
        with refusals():
            check_ticks(market, Levels(ZERO, attached.stop))
        return replace(ticket, trigger=ZERO), attached

    def modify(self, call: Call) -> Reply:
        """An exit is named by `legName` under the entry's id, or by an id of its own."""
        order = self._exchange.find(call.account, call.params["order_id"])
        if order is None or order.product not in NATIVE:
            return self._trading.modify(call)
        leg = order.leg if order.parent else call.body.get("legName")
        if leg not in (STOP, TARGET):
            return self._trading.modify(call)
        read_change(call.body)
        levels = read_levels_of_change(call.body, leg)
        each = self._ledger.supers[order.parent or order.order_id]
        with refusals():
            self._desk.change_exit(call.account, each.order_id, leg, levels)
        return Reply(200, accepted(order))
