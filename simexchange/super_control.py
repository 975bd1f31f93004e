"""Control of super orders under /_sim/: how their exits are shown, and to send one off."""

from typing import Any

from aiohttp import web

from simexchange.asking import Asked, BadControlError, route
from simexchange.exchange import OrderRefusedError
from simexchange.ledger import Ledger
from simexchange.native import NativeBrackets
from simexchange.orders import STOP, TARGET
from simexchange.super_orders import CLASSIC, PORTAL, SuperOrders

OWN, SHARED = "own", "shared"


class SuperControl:
    """What the documentation leaves open is chosen here."""

    def __init__(self, ledger: Ledger, orders: SuperOrders, natives: NativeBrackets) -> None:
        self._ledger = ledger
        self._orders = orders
        self._desk = orders.desk
        self._natives = natives

    def routes(self) -> list[web.RouteDef]:
        return [
            route("GET", "super", self._list),
            route("POST", "super", self._choose),
            route("POST", "super/fire", self._fire),
        ]

    def reset(self) -> None:
        self._desk.own_ids, self._orders.details, self._natives.on = False, CLASSIC, False

    def _list(self, asked: Asked, request: web.Request) -> object:
        """Every super order as the wire shows it; `legs` has each exit's own id, for control."""
        return [
            {**self._orders.row(each), "legs": each.legs} for each in self._ledger.supers.values()
        ]

    def _choose(self, asked: Asked, request: web.Request) -> object:
        """Exits that come to life from now on, and the list at once; `native` takes BO and CO."""
        asked.only("leg_ids", "details", "native")
        ids = OWN if self._desk.own_ids else SHARED
        self._desk.own_ids = asked.choice("leg_ids", (OWN, SHARED), ids) == OWN
        self._orders.details = asked.choice("details", (CLASSIC, PORTAL), self._orders.details)
        self._natives.on = asked.flag("native", self._natives.on)
        return {
            "leg_ids": OWN if self._desk.own_ids else SHARED,
            "details": self._orders.details,
            "native": self._natives.on,
        }

    def _fire(self, asked: Asked, request: web.Request) -> dict[str, Any]:
        asked.only("orderId", "legName")
        leg = asked.choice("legName", (STOP, TARGET))
        try:
            order = self._desk.fire(asked.text("orderId"), leg)
        except OrderRefusedError as refusal:
            raise BadControlError(f"orderId: {refusal}") from refusal
        return {"orderId": order.order_id, "orderStatus": order.status.value}
