"""Control of the market and the orders under /_sim/: what a test may force."""

from decimal import Decimal
from typing import Any

from aiohttp import web

from simexchange.asking import Asked, BadControlError, route
from simexchange.clock import ShiftedClock, stamp
from simexchange.exchange import Exchange
from simexchange.instruments import Key
from simexchange.money import PAISA
from simexchange.orders import Order, Status


class MarketControl:
    """Pins prices and forces what happens to orders."""

    def __init__(self, exchange: Exchange, clock: ShiftedClock) -> None:
        self._exchange = exchange
        self._ledger = exchange.ledger
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            route("POST", "price", self._price),
            route("POST", "walk", self._walk),
            route("POST", "auto", self._auto),
            route("POST", "fill", self._fill),
            route("POST", "reject", self._reject),
            route("POST", "expire", self._expire),
            route("POST", "clock", self._move_clock),
            route("POST", "hours", self._keep_hours),
        ]

    def _price(self, asked: Asked, request: web.Request) -> object:
        asked.only("segment", "securityId", "price")
        key = self._key(asked)
        last = self._exchange.set_price(key, asked.needed_number("price", PAISA))
        return {"price": float(last)}

    def _walk(self, asked: Asked, request: web.Request) -> object:
        asked.only("on")
        self._exchange.walk_on = asked.flag("on")
        return {"on": self._exchange.walk_on}

    def _auto(self, asked: Asked, request: web.Request) -> object:
        asked.only("on")
        self._exchange.set_auto(asked.flag("on"))
        return {"on": self._exchange.floor.auto_on}

    def _fill(self, asked: Asked, request: web.Request) -> object:
        asked.only("orderId", "quantity", "price")
        order = self._open_order(asked)
        if not order.is_working:
            raise BadControlError(f"orderId: the order is {order.status}, not working")
        quantity = asked.whole("quantity") or order.remaining
        if quantity > order.remaining:
            raise BadControlError(f"quantity: a whole number from 1 to {order.remaining} is needed")
        price = asked.number("price", PAISA) or order.price
        if not order.accepts(price):
            raise BadControlError(f"price: {price} is worse than the limit of {order.price}")
        self._exchange.force_fill(order, quantity, price)
        return _told(order)

    def _reject(self, asked: Asked, request: web.Request) -> object:
        asked.only("orderId", "reason")
        order = self._open_order(asked, arrive=False)
        reason = asked.maybe_text("reason") or "Rejected by the exchange."
        self._exchange.force_reject(order, f"RMS:{order.order_id}:{reason}")
        return _told(order)

    def _expire(self, asked: Asked, request: web.Request) -> object:
        """End of the day for one working order, or for all of them."""
        asked.only("orderId")
        if asked.maybe_text("orderId"):
            orders = [self._open_order(asked)]
        else:
            orders = self._ledger.working()
        self._exchange.expire(orders)
        return {"expired": [order.order_id for order in orders]}

    def _move_clock(self, asked: Asked, request: web.Request) -> object:
        asked.only("shift_seconds")
        shift = asked.needed_number("shift_seconds", Decimal(-10_000_000))
        self._clock.shift_seconds = float(shift)
        return {"now": stamp(self._clock())}

    def _keep_hours(self, asked: Asked, request: web.Request) -> object:
        """Keep session hours, or trade at any hour; `holidays` replaces the ones known."""
        asked.only("on", "holidays")
        hours, holidays = self._exchange.hours, asked.days("holidays")
        hours.on, hours.holidays = asked.flag("on"), set(holidays)
        return {"on": hours.on, "holidays": [day.isoformat() for day in sorted(hours.holidays)]}

    def _key(self, asked: Asked) -> Key:
        key = asked.text("segment"), asked.text("securityId")
        if key not in self._ledger.instruments:
            raise BadControlError("securityId: unknown in this segment; see GET /_sim/instruments")
        return key

    def _open_order(self, asked: Asked, arrive: bool = True) -> Order:
        order = self._ledger.orders.get(asked.text("orderId"))
        if order is None:
            raise BadControlError("orderId: unknown")
        if arrive and order.status == Status.TRANSIT:
            self._exchange.arrive(order.order_id)
        if not order.is_open:
            raise BadControlError(f"orderId: the order is {order.status} already")
        return order


def _told(order: Order) -> dict[str, Any]:
    return {
        "orderId": order.order_id,
        "orderStatus": order.status.value,
        "filledQty": order.filled,
        "remainingQuantity": order.remaining,
    }
