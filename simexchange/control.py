"""The control API under /_sim/: pin prices, force fills, order failures, read reports."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from simexchange import instruments
from simexchange.accounts import Account
from simexchange.asking import Asked, BadControlError
from simexchange.clock import ShiftedClock, stamp
from simexchange.exchange import Exchange
from simexchange.faults import ENDPOINTS, FEED_FAULTS, REQUEST_FAULTS, Fault, Faults
from simexchange.frames import TOKEN_EXPIRED
from simexchange.inflict import respond
from simexchange.instruments import Key
from simexchange.limits import RateLimits
from simexchange.money import PAISA, ZERO
from simexchange.orders import Order, Status
from simexchange.replies import Reply
from simexchange.report import report, state
from simexchange.request_log import RequestLog
from simexchange.sockets import OrderFeed

OPENING_BALANCE = Decimal(1_000_000)
Act = Callable[[Asked, web.Request], Any]


class Control:
    """One function per control endpoint, from what was asked to a JSON answer."""

    def __init__(
        self,
        exchange: Exchange,
        limits: RateLimits,
        faults: Faults,
        log: RequestLog,
        feed: OrderFeed,
        clock: ShiftedClock,
    ) -> None:
        self._exchange = exchange
        self._ledger = exchange.ledger
        self._limits = limits
        self._faults = faults
        self._log = log
        self._feed = feed
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            _route("GET", "report", self._report),
            _route("GET", "requests", self._requests),
            _route("GET", "instruments", self._instruments),
            _route("GET", "state", self._state),
            _route("POST", "price", self._price),
            _route("POST", "walk", self._walk),
            _route("POST", "auto", self._auto),
            _route("POST", "fill", self._fill),
            _route("POST", "reject", self._reject),
            _route("POST", "expire", self._expire),
            _route("POST", "clock", self._move_clock),
            _route("POST", "accounts", self._add_account),
            _route("POST", "token", self._token),
            _route("GET", "faults", self._list_faults),
            _route("POST", "faults", self._add_fault),
            _route("DELETE", "faults", self._clear_faults),
            _route("DELETE", "faults/{id}", self._remove_fault),
            _route("POST", "feed", self._steer_feed),
            _route("POST", "limits", self._switch_limits),
            _route("POST", "reset", self._reset),
        ]

    # ---- reading

    def _report(self, asked: Asked, request: web.Request) -> Any:
        counted = report(self._exchange, self._limits, self._faults, self._log)
        return {**counted, "feed_connections": self._feed.counts()}

    def _requests(self, asked: Asked, request: web.Request) -> Any:
        since = request.query.get("since", "0")
        if not since.isdecimal():
            raise BadControlError("since: the number of a request is needed")
        return self._log.since(int(since))

    def _instruments(self, asked: Asked, request: web.Request) -> Any:
        return [instruments.to_row(i) for i in self._ledger.instruments.values()]

    def _state(self, asked: Asked, request: web.Request) -> Any:
        return state(self._exchange)

    # ---- the market

    def _price(self, asked: Asked, request: web.Request) -> Any:
        asked.only("segment", "securityId", "price")
        key = self._key(asked)
        last = self._exchange.set_price(key, asked.needed_number("price", PAISA))
        return {"price": float(last)}

    def _walk(self, asked: Asked, request: web.Request) -> Any:
        asked.only("on")
        self._exchange.walk_on = asked.flag("on")
        return {"on": self._exchange.walk_on}

    def _auto(self, asked: Asked, request: web.Request) -> Any:
        asked.only("on")
        self._exchange.set_auto(asked.flag("on"))
        return {"on": self._exchange.auto_on}

    def _fill(self, asked: Asked, request: web.Request) -> Any:
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

    def _reject(self, asked: Asked, request: web.Request) -> Any:
        asked.only("orderId", "reason")
        order = self._open_order(asked, arrive=False)
        reason = asked.maybe_text("reason") or "Rejected by the exchange."
        self._exchange.force_reject(order, f"RMS:{order.order_id}:{reason}")
        return _told(order)

    def _expire(self, asked: Asked, request: web.Request) -> Any:
        """End of the day for one working order, or for all of them."""
        asked.only("orderId")
        if asked.maybe_text("orderId"):
            orders = [self._open_order(asked)]
        else:
            orders = [o for o in self._ledger.orders.values() if o.is_working]
        self._exchange.expire(orders)
        return {"expired": [order.order_id for order in orders]}

    def _move_clock(self, asked: Asked, request: web.Request) -> Any:
        asked.only("shift_seconds")
        shift = asked.needed_number("shift_seconds", Decimal(-10_000_000))
        self._clock.shift_seconds = float(shift)
        return {"now": stamp(self._clock())}

    # ---- accounts

    def _add_account(self, asked: Asked, request: web.Request) -> Any:
        asked.only("client_id", "token", "balance")
        client_id, token = asked.text("client_id"), asked.text("token")
        if client_id in self._ledger.accounts:
            raise BadControlError(f"client_id: {client_id} is there already")
        self._check_token(token)
        balance = asked.number("balance", ZERO)
        account = Account(client_id, token, OPENING_BALANCE if balance is None else balance)
        self._ledger.save_account(account)
        return {"client_id": client_id}

    def _token(self, asked: Asked, request: web.Request) -> Any:
        """A new token ends the old one at once, and with it the sockets that used it."""
        asked.only("client_id", "token")
        account = self._ledger.accounts[self._client(asked.text("client_id"))]
        token = asked.text("token")
        self._check_token(token)
        account.token = token
        self._ledger.save_account(account)
        self._feed.disconnect(account.client_id, TOKEN_EXPIRED)
        return {"client_id": account.client_id}

    # ---- failures

    def _list_faults(self, asked: Asked, request: web.Request) -> Any:
        return [_fault_row(fault) for fault in self._faults]

    def _add_fault(self, asked: Asked, request: web.Request) -> Any:
        asked.only(*FAULT_FIELDS)
        name = asked.choice("fault", REQUEST_FAULTS + FEED_FAULTS)
        feed = name in FEED_FAULTS
        default = "by_correlation" if name == "lookup_404" else "any"
        values = {
            "fault": name,
            "endpoint": "any" if feed else asked.choice("endpoint", ENDPOINTS, default),
            "client_id": asked.maybe_text("client_id"),
            "times": asked.whole("times"),
            "probability": _float(asked.number("probability", ZERO, Decimal(1)), 1.0),
            "seconds": _float(asked.number("seconds", ZERO), None),
            "accept": asked.flag("accept", False),
            "status": asked.whole("status"),
        }
        return {"id": self._faults.add(lambda number: Fault(id=number, **values)).id}

    def _clear_faults(self, asked: Asked, request: web.Request) -> Any:
        self._faults.clear()
        return {"faults": 0}

    def _remove_fault(self, asked: Asked, request: web.Request) -> Any:
        number = request.match_info["id"]
        if not number.isdecimal() or not self._faults.remove(int(number)):
            raise BadControlError(f"id: there is no fault {number}")
        return {"removed": int(number)}

    def _steer_feed(self, asked: Asked, request: web.Request) -> Any:
        asked.only("action", "client_id")
        action = asked.choice("action", ("disconnect", "silence", "resume"))
        name = asked.maybe_text("client_id")
        client_id = None if name is None else self._client(name)
        if action == "disconnect":
            return {"disconnected": self._feed.disconnect(client_id)}
        if action == "silence":
            self._feed.silence(client_id)
        else:
            self._feed.resume(client_id)
        return {"action": action}

    def _switch_limits(self, asked: Asked, request: web.Request) -> Any:
        asked.only("on")
        self._limits.on = asked.flag("on")
        return {"on": self._limits.on}

    def _reset(self, asked: Asked, request: web.Request) -> Any:
        """Back to the start: no orders, trades, positions, faults or counts; accounts stay."""
        self._exchange.reset()
        self._faults.clear()
        self._limits.clear()
        self._log.clear()
        self._feed.resume(None)
        self._clock.shift_seconds = 0.0
        return {"reset": True}

    # ---- looking things up

    def _key(self, asked: Asked) -> Key:
        key = asked.text("segment"), asked.text("securityId")
        if key not in self._exchange.markets:
            raise BadControlError("securityId: unknown in this segment; see GET /_sim/instruments")
        return key

    def _client(self, client_id: str) -> str:
        if client_id not in self._ledger.accounts:
            known = ", ".join(self._ledger.accounts)
            raise BadControlError(f"client_id: unknown; known are {known}")
        return client_id

    def _check_token(self, token: str) -> None:
        if self._ledger.account_for(token) is not None:
            raise BadControlError("token: already in use; each account needs its own")

    def _open_order(self, asked: Asked, arrive: bool = True) -> Order:
        order = self._ledger.orders.get(asked.text("orderId"))
        if order is None:
            raise BadControlError("orderId: unknown")
        if arrive and order.status == Status.TRANSIT:
            self._exchange.arrive(order.order_id)
        if not order.is_open:
            raise BadControlError(f"orderId: the order is {order.status} already")
        return order


FAULT_FIELDS = (
    "fault",
    "endpoint",
    "client_id",
    "times",
    "probability",
    "seconds",
    "accept",
    "status",
)


def _route(method: str, path: str, act: Act) -> web.RouteDef:
    async def serve(request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json() if await request.read() else {}
            return respond(Reply(200, act(Asked(body), request)))
        except BadControlError as refusal:
            return respond(Reply(400, {"error": str(refusal)}))
        except ValueError:
            return respond(Reply(400, {"error": "body: JSON is needed"}))

    return web.route(method, f"/_sim/{path}", serve)


def _told(order: Order) -> dict[str, Any]:
    return {
        "orderId": order.order_id,
        "orderStatus": order.status.value,
        "filledQty": order.filled,
        "remainingQuantity": order.remaining,
    }


def _fault_row(fault: Fault) -> dict[str, Any]:
    names = ("id", *FAULT_FIELDS, "fired")
    return {name: getattr(fault, name) for name in names}


def _float(value: Decimal | None, default: float | None) -> float | None:
    return default if value is None else float(value)
