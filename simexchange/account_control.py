"""Control of accounts under /_sim/: trade by hand at the broker, holdings and their delivery."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from simexchange.accounts import Account
from simexchange.asking import Asked, BadControlError, route
from simexchange.edis import Edis
from simexchange.exchange import Exchange, OrderRefusedError
from simexchange.holdings import Holding
from simexchange.instruments import Key
from simexchange.intake import read_ticket
from simexchange.money import PAISA
from simexchange.native import NativeBrackets
from simexchange.orders import NATIVE, ByHand, Change, Order, Ticket
from simexchange.pacing import Pace
from simexchange.replies import RefusedError
from simexchange.supers import SuperOrder

TICKET = (
    "transactionType",
    "exchangeSegment",
    "securityId",
    "productType",
    "orderType",
    "validity",
    "quantity",
    "price",
    "triggerPrice",
    "boProfitValue",
    "boStopLossValue",
)
NAMES = {"NA": "NA", "none": "", "own": None}
"""What stands in place of a correlation id: recorded, in the published sample, made up."""
PLATFORMS = ("W", "T", "N")
"""Letters of the broker's own platforms (seen on the wire); which is which is not documented."""


class AccountControl:
    """What the owner of an account does at the broker itself, past the API."""

    def __init__(self, exchange: Exchange, edis: Edis, natives: NativeBrackets) -> None:
        self._exchange = exchange
        self._ledger = exchange.ledger
        self._edis = edis
        self._natives = natives

    def routes(self) -> list[web.RouteDef]:
        return [
            route("POST", "hand", self._trade),
            route("POST", "hand/modify", self._modify),
            route("POST", "hand/cancel", self._cancel),
            route("POST", "pieces", self._set_pace),
            route("DELETE", "pieces", self._clear_paces),
            route("POST", "holdings", self._put_holding),
            route("POST", "delivery", self._deliver),
        ]

    def _trade(self, asked: Asked, request: web.Request) -> object:
        """An order from the broker's own page; with `fill` it is traded at once and in full."""
        asked.only("client_id", "source", "name", "fill", *TICKET)
        account = self._account(asked)
        ticket, attached = self._ticket(asked, account)
        how = ByHand(
            asked.choice("source", PLATFORMS, "W"),
            NAMES[asked.choice("name", tuple(NAMES), "NA")],
            asked.flag("fill", False),
        )
        return _told(self._exchange.place_by_hand(account, ticket, how, attached))

    def _modify(self, asked: Asked, request: web.Request) -> object:
        asked.only("orderId", "quantity", "price", "triggerPrice")
        order, account = self._order(asked)
        change = Change(
            order.order_type,
            order.validity,
            asked.whole("quantity"),
            asked.number("price", PAISA),
            asked.number("triggerPrice", PAISA),
        )
        return _told(_try(lambda: self._exchange.modify(account, order.order_id, change)))

    def _cancel(self, asked: Asked, request: web.Request) -> object:
        asked.only("orderId")
        order, account = self._order(asked)
        return _told(_try(lambda: self._exchange.cancel(account, order.order_id)))

    def _set_pace(self, asked: Asked, request: web.Request) -> object:
        """From now on fills come in pieces of `units`, `pause` seconds apart."""
        asked.only("client_id", "segment", "securityId", "units", "pause")
        account = self._account(asked) if asked.body.get("client_id") is not None else None
        named = asked.body.get("segment") is not None or asked.body.get("securityId") is not None
        key = self._key(asked, "segment") if named else None
        units, pause = asked.whole("units"), asked.number("pause", PAISA)
        if units is None:
            raise BadControlError("units: a whole number from 1 is needed")
        client_id = None if account is None else account.client_id
        self._exchange.set_pace(Pace(units, 0.2 if pause is None else float(pause), client_id, key))
        return {"pieces": len(self._exchange.floor.paces)}

    def _clear_paces(self, asked: Asked, request: web.Request) -> object:
        """What waits for its next piece is filled in full at its turn."""
        self._exchange.floor.paces.clear()
        return {"pieces": 0}

    def _put_holding(self, asked: Asked, request: web.Request) -> object:
        """So many units of a share lie in the depository; `quantity` 0 takes it away."""
        asked.only("client_id", "segment", "securityId", "quantity", "avgCostPrice")
        account, key = self._account(asked), self._key(asked, "segment")
        position = account.positions.get((*key, "CNC"))
        if position is not None and position.net < 0:
            raise BadControlError("securityId: a sale of it is open; put holdings there before")
        quantity = 0 if asked.body.get("quantity") == 0 else asked.whole("quantity")
        if quantity is None:
            raise BadControlError("quantity: a whole number from 0 is needed")
        cost = asked.number("avgCostPrice", PAISA) or self._ledger.instruments[key].close
        account.holdings.pop(key, None)
        if quantity:
            account.holdings[key] = Holding(key, quantity, cost, self._edis.today)
        account.cover()
        self._ledger.save_account(account)
        return {"client_id": account.client_id, "quantity": quantity}

    def _deliver(self, asked: Asked, request: web.Request) -> object:
        """Whether shares may leave at all times (`ddpi`), or so many of one share today."""
        asked.only("client_id", "ddpi", "isin", "approved")
        account = self._account(asked)
        if asked.body.get("ddpi") is not None:
            account.delivery.ddpi = asked.flag("ddpi")
            self._ledger.save_account(account)
        if (isin := asked.maybe_text("isin")) is not None:
            units = asked.whole("approved")
            if units is None:
                raise BadControlError("approved: a whole number from 1 is needed")
            self._edis.approve(account, isin, units)
        approved = account.delivery.approved if account.delivery.day == self._edis.today else {}
        return {"ddpi": account.delivery.ddpi, "approved": approved}

    # ---- looking things up

    def _ticket(self, asked: Asked, account: Account) -> tuple[Ticket, SuperOrder | None]:
        given = {name: asked.body[name] for name in TICKET if name in asked.body}
        body = {"validity": "DAY", **given}
        try:
            if body.get("productType") in NATIVE:
                return self._natives.read(account, body)
            return read_ticket(body, self._ledger.instruments), None
        except RefusedError as refusal:
            told = refusal.reply.body["errorMessage"]
            raise BadControlError(f"{told}; the fields are those of POST /orders") from refusal

    def _key(self, asked: Asked, segment: str) -> Key:
        key = asked.text(segment), asked.text("securityId")
        if key not in self._ledger.instruments:
            raise BadControlError("securityId: unknown in this segment; see GET /_sim/instruments")
        return key

    def _order(self, asked: Asked) -> tuple[Order, Account]:
        order = self._ledger.orders.get(asked.text("orderId"))
        if order is None:
            raise BadControlError("orderId: unknown")
        return order, self._ledger.accounts[order.client_id]

    def _account(self, asked: Asked) -> Account:
        account = self._ledger.accounts.get(asked.text("client_id"))
        if account is None:
            known = ", ".join(self._ledger.accounts)
            raise BadControlError(f"client_id: unknown; known are {known}")
        return account


def _try(act: Callable[[], Order]) -> Order:
    try:
        return act()
    except OrderRefusedError as refusal:
        raise BadControlError(f"orderId: {refusal}") from refusal


def _told(order: Order) -> dict[str, Any]:
    return {
        "orderId": order.order_id,
        "orderStatus": order.status.value,
        "filledQty": order.filled,
        "remainingQuantity": order.remaining,
        "omsErrorDescription": order.reason,
    }
