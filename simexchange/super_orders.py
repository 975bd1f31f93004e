"""Super orders as DhanHQ v2 answers them, in either of its two descriptions.

DhanHQ v2 documentation: the classic super order page and its sample (`totalQuatity` for the stop
alone), and the portal's. No super order was ever recorded from the wire: a cancel answers 202, as
one half of the page says, with a body, as the other half does.
"""

from typing import Any

from simexchange import rows
from simexchange.clock import stamp
from simexchange.exchange import Exchange
from simexchange.intake import (
    check_prices,
    read_entry_change,
    read_exit_change,
    read_leg,
    read_super,
)
from simexchange.money import wire
from simexchange.orders import ENTRY, STOP, Order, Status
from simexchange.replies import Reply
from simexchange.super_desk import SuperDesk
from simexchange.supers import EXITS, SuperOrder, has_fired
from simexchange.trading import Call, refusals

CLASSIC, PORTAL = "classic", "portal"


class SuperOrders:
    """`details`: which description the legs in the list follow."""

    def __init__(self, exchange: Exchange, desk: SuperDesk) -> None:
        self.details = CLASSIC
        self.desk = desk
        self._exchange = exchange
        self._ledger = exchange.ledger

    def place(self, call: Call) -> Reply:
        ticket, levels = read_super(call.body, self._ledger.instruments)
        with refusals():
            order = self.desk.place(call.account, ticket, levels)
        return Reply(200, rows.accepted(order))

    def modify(self, call: Call) -> Reply:
        leg, order_id = read_leg(call.body.get("legName")), call.params["order_id"]
        if leg == ENTRY:
            change, levels = read_entry_change(call.body)
            entry = self._exchange.find(call.account, order_id)
            if entry is not None:
                price = entry.price if change.price is None else change.price
                check_prices(change.order_type, entry.side, price, entry.trigger)
            with refusals():
                self.desk.change_entry(call.account, order_id, change, levels)
        else:
            moved = read_exit_change(call.body, leg)
            with refusals():
                self.desk.change_exit(call.account, order_id, leg, moved)
        return Reply(200, {"orderId": order_id, "orderStatus": "TRANSIT"})

    def cancel(self, call: Call) -> Reply:
        leg, order_id = read_leg(call.params["leg"]), call.params["order_id"]
        with refusals():
            self.desk.cancel(call.account, order_id, leg)
        return Reply(202, {"orderId": order_id, "orderStatus": "CANCELLED"})

    def book(self, call: Call) -> Reply:
        return Reply(200, [self.row(each) for each in self.desk.of(call.account)])

    def row(self, each: SuperOrder) -> dict[str, Any]:
        entry = self._ledger.orders[each.order_id]
        instrument = self._ledger.instruments[entry.key]
        told = {
            "dhanClientId": entry.client_id,
            "orderId": entry.order_id,
            "correlationId": entry.correlation_id,
            "orderStatus": self.desk.status(each).value,
            "transactionType": entry.side,
            "exchangeSegment": entry.segment,
            "productType": entry.product,
            "orderType": entry.order_type,
            "validity": entry.validity,
            "tradingSymbol": instrument.symbol,
            "securityId": entry.security_id,
            "quantity": entry.quantity,
            "remainingQuantity": entry.remaining,
            "ltp": wire(self._exchange.markets[entry.key].last),
            "price": wire(entry.price),
            "afterMarketOrder": False,
            "legName": ENTRY,
            "trailingJump": wire(each.jump),
            "exchangeOrderId": entry.exchange_order_id,
            "createTime": stamp(entry.created),
            "updateTime": stamp(entry.updated),
            "exchangeTime": stamp(entry.reached),
            "omsErrorDescription": entry.reason,
            "averageTradedPrice": wire(entry.average, rows.AVERAGE),
            "filledQty": entry.filled,
            "legDetails": [self._leg(each, entry, leg) for leg in EXITS],
        }
        return told if self.details == CLASSIC else {**told, "algoId": "0"}

    def _leg(self, each: SuperOrder, entry: Order, leg: str) -> dict[str, Any]:
        order = self.desk.life.exit(each, leg)
        render = _classic_leg if self.details == CLASSIC else _portal_leg
        return render(each, entry, leg, order)


def _classic_leg(each: SuperOrder, entry: Order, leg: str, order: Order | None) -> dict[str, Any]:
    quantity = order.quantity if order else entry.quantity
    total = {"totalQuatity": quantity} if leg == STOP else {}
    return {
        "orderId": order.shown_id if order else entry.order_id,
        "legName": leg,
        "transactionType": "SELL" if entry.is_buy else "BUY",
        **total,
        "remainingQuantity": order.remaining if order else quantity,
        "triggeredQuantity": order.quantity if order and has_fired(order) else 0,
        "price": wire(each.level(leg)),
        "orderStatus": _leg_status(each, entry, leg, order),
        "trailingJump": wire(each.jump) if leg == STOP else 0.0,
    }


def _portal_leg(each: SuperOrder, entry: Order, leg: str, order: Order | None) -> dict[str, Any]:
    quantity = order.quantity if order else entry.quantity
    return {
        "legName": leg,
        "orderStatus": _leg_status(each, entry, leg, order),
        "orderType": "STOP_LOSS" if leg == STOP else "LIMIT",
        "quantity": quantity,
        "remainingQuantity": order.remaining if order else quantity,
        "price": wire(order.price if order else each.level(leg)),
        "triggerPrice": wire(each.stop) if leg == STOP else 0.0,
        "exchangeOrderId": order.exchange_order_id if order else "0",
    }


def _leg_status(each: SuperOrder, entry: Order, leg: str, order: Order | None) -> str:
    """An exit without an order waits for the entry, or was cancelled with it or before."""
    if order is None:
        coming = entry.is_open and leg not in each.gone
        return Status.PENDING if coming else Status.CANCELLED
    fired = order.status == Status.PENDING and not order.watched
    return Status.TRIGGERED if fired else order.status
