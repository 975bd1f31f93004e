"""A broker on a real socket whose books lag, which keeps a record of every fill.

A read shows how things stood some events ago, but never longer ago than a broker may lag. Which
orders work, what fills and which answers are lost is for the test to say.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.utils import timezone

WORKING = {"PENDING", "PART_TRADED"}
_POSITIONS, _BOOKS = "positions", "books"


@dataclass(frozen=True)
class Resting:
    """An order as the broker has it."""

    number: int
    correlation_id: str
    side: str
    product: str
    quantity: int
    price: float
    filled: int = 0
    status: str = "PENDING"
    by_hand: bool = False

    @property
    def order_id(self) -> str:
        return f"{9_000_000 + self.number}"

    @property
    def left(self) -> int:
        return self.quantity - self.filled if self.status in WORKING else 0


@dataclass(frozen=True)
class Traded:
    """A fill: of which order, how many units, and the net units of its product before it."""

    number: int
    order_id: str
    side: str
    product: str
    quantity: int
    before: int
    at: float
    by_hand: bool
    correlation_id: str

    @property
    def signed(self) -> int:
        return self.quantity if self.side == "BUY" else -self.quantity


@dataclass(frozen=True)
class Moment:
    """How things stood after an event."""

    at: float
    orders: tuple[Resting, ...] = ()
    trades: tuple[Traded, ...] = ()

    def net(self, product: str) -> int:
        return sum(trade.signed for trade in self.trades if trade.product == product)


@dataclass
class Broker:
    """One account's orders and fills. ``most_lag`` is in seconds."""

    security_id: str
    most_lag: float
    url: str = ""
    history: list[Moment] = field(default_factory=lambda: [Moment(0.0)])
    lags: dict[str, list[int]] = field(default_factory=lambda: {_POSITIONS: [], _BOOKS: []})
    positions_shown: list[tuple[float, Moment]] = field(default_factory=list)
    lose: list[str] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    _lock: Any = field(default_factory=threading.RLock)

    @property
    def now(self) -> Moment:
        return self.history[-1]

    def lag(self, what: str, events: int, reads: int) -> None:
        """Let the next reads of ``positions`` or ``books`` be so many events old."""
        self.lags[what] = [events] * reads

    # --- what happens to orders

    def fill(self, order_id: str, quantity: int) -> None:
        """Trade so much of an order as is left of it."""
        with self._lock:
            order = self._order(order_id)
            quantity = min(quantity, order.left)
            if quantity <= 0:
                return
            filled = order.filled + quantity
            word = "TRADED" if filled == order.quantity else "PART_TRADED"
            now = self.now
            trade = Traded(
                number=len(now.trades) + 1,
                order_id=order.order_id,
                side=order.side,
                product=order.product,
                quantity=quantity,
                before=now.net(order.product),
                at=time.time(),
                by_hand=order.by_hand,
                correlation_id=order.correlation_id,
            )
            self._becomes(replace(order, filled=filled, status=word), trade)

    def trade_by_hand(self, side: str, quantity: int, product: str = "INTRADAY") -> None:
        """Somebody trades at the broker's own page."""
        with self._lock:
            order = self._new({"transactionType": side, "quantity": quantity}, product, True)
            self.fill(order.order_id, quantity)

    def cancel(self, order_id: str) -> bool:
        with self._lock:
            order = self._order(order_id)
            if order.status not in WORKING:
                return False
            self._becomes(replace(order, status="CANCELLED"))
            return True

    def place(self, body: dict[str, Any]) -> Resting:
        with self._lock:
            return self._new(body, body["productType"], False)

    def modify(self, order_id: str, body: dict[str, Any]) -> bool:
        with self._lock:
            order = self._order(order_id)
            quantity = int(body.get("quantity") or order.quantity)
            if order.status not in WORKING or quantity <= order.filled:
                return False
            price = float(body.get("price") or order.price)
            self._becomes(replace(order, quantity=quantity, price=price))
            return True

    def _new(self, body: dict[str, Any], product: str, by_hand: bool) -> Resting:
        order = Resting(
            number=len(self.now.orders) + 1,
            correlation_id=body.get("correlationId", ""),
            side=body["transactionType"],
            product=product,
            quantity=int(body["quantity"]),
            price=float(body.get("price") or 1400),
            by_hand=by_hand,
        )
        self._becomes(order)
        return order

    def _order(self, order_id: str) -> Resting:
        return next(order for order in self.now.orders if order.order_id == order_id)

    def _becomes(self, order: Resting, *trades: Traded) -> None:
        others = tuple(one for one in self.now.orders if one.number != order.number)
        orders = tuple(sorted((*others, order), key=lambda one: one.number))
        self.history.append(Moment(time.time(), orders, self.now.trades + trades))
        self.frames.append(_frame(order, self.security_id))

    # --- what reads show

    def shown(self, what: str) -> Moment:
        """The moment that a read shows: so old as was said, within what a broker may lag."""
        with self._lock:
            lags = self.lags[what]
            back = lags.pop(0) if lags else 0
            oldest = time.time() - self.most_lag
            at = len(self.history) - 1
            while at > 0 and back > 0 and self.history[at].at > oldest:
                at, back = at - 1, back - 1
            moment = self.history[at]
            if what == _POSITIONS:
                self.positions_shown.append((time.time(), moment))
            return moment

    def books(self, path: str) -> tuple[int, Any]:
        name, _, last = path.partition("/v2/")[2].partition("/")
        if name == "orders" and last.startswith("external/"):
            return self._by_correlation(last.removeprefix("external/"))
        if name == "orders":
            return 200, [_row(order, self.security_id) for order in self.shown(_BOOKS).orders]
        if name == "trades":
            shown = self.shown(_BOOKS).trades
            return 200, [_trade_row(trade, self.security_id) for trade in shown]
        if name == "positions":
            moment = self.shown(_POSITIONS)
            products = sorted({trade.product for trade in moment.trades})
            return 200, [_position(moment, product, self.security_id) for product in products]
        return 200, _FUNDS

    def _by_correlation(self, name: str) -> tuple[int, Any]:
        for order in self.now.orders:
            if order.correlation_id == name:
                return 200, _row(order, self.security_id)
        return 404, _error("DH-906", "Order not found")


_FUNDS = {"availabelBalance": 1e9, "utilizedAmount": 0.0, "sodLimit": 1e9, "collateralAmount": 0.0}


def _error(code: str, text: str) -> dict[str, str]:
    return {"errorType": "Order_Error", "errorCode": code, "errorMessage": text}


def _stamp() -> str:
    return f"{timezone.localtime():%Y-%m-%d %H:%M:%S}"


def _row(order: Resting, security_id: str) -> dict[str, Any]:
    return {
        "dhanClientId": "1000000001",
        "orderId": order.order_id,
        "exchangeOrderId": f"X{order.number}",
        "correlationId": order.correlation_id,
        "orderStatus": order.status,
        "transactionType": order.side,
        "exchangeSegment": "NSE_EQ",
        "productType": order.product,
        "orderType": "LIMIT",
        "validity": "DAY",
        "securityId": security_id,
        "quantity": order.quantity,
        "price": order.price,
        "triggerPrice": 0.0,
        "afterMarketOrder": False,
        "legName": "NA",
        "createTime": _stamp(),
        "updateTime": _stamp(),
        "exchangeTime": _stamp(),
        "omsErrorDescription": "CONFIRMED",
        "averageTradedPrice": order.price if order.filled else 0.0,
        "filledQty": order.filled,
    }


def _frame(order: Resting, security_id: str) -> dict[str, Any]:
    """The order as the socket tells it: what is zero or empty is left out."""
    letters = {"INTRADAY": "I", "CNC": "C", "MARGIN": "M"}
    data = {
        "orderNo": order.order_id,
        "exchOrderNo": f"X{order.number}",
        "correlationId": order.correlation_id,
        "exchange": "NSE",
        "segment": "E",
        "securityId": security_id,
        "txnType": order.side[0],
        "product": letters[order.product],
        "orderType": "LMT",
        "validity": "DAY",
        "quantity": order.quantity,
        "tradedQty": order.filled,
        "avgTradedPrice": order.price if order.filled else 0,
        "price": order.price,
        "status": order.status.capitalize(),
        "lastUpdatedTime": _stamp(),
        "source": "P" if order.correlation_id else "W",
    }
    return {name: value for name, value in data.items() if value}


def _trade_row(trade: Traded, security_id: str) -> dict[str, Any]:
    return {
        "orderId": trade.order_id,
        "exchangeTradeId": f"T{trade.number}",
        "transactionType": trade.side,
        "exchangeSegment": "NSE_EQ",
        "productType": trade.product,
        "securityId": security_id,
        "tradedQuantity": trade.quantity,
        "tradedPrice": 1400.0,
        "createTime": _stamp(),
        "exchangeTime": _stamp(),
    }


def _position(moment: Moment, product: str, security_id: str) -> dict[str, Any]:
    mine = [trade for trade in moment.trades if trade.product == product]
    bought = sum(trade.quantity for trade in mine if trade.side == "BUY")
    return {
        "exchangeSegment": "NSE_EQ",
        "securityId": security_id,
        "productType": product,
        "netQty": moment.net(product),
        "buyQty": bought,
        "sellQty": bought - moment.net(product),
        "buyAvg": 1400.0,
        "sellAvg": 1400.0,
        "realizedProfit": 0.0,
        "unrealizedProfit": 0.0,
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer leaves as one packet
    broker: Broker

    def do_GET(self) -> None:
        self._answer(*self.broker.books(self.path))

    def do_POST(self) -> None:
        body = self._body()
        if not self.path.endswith("/orders"):
            return self._answer(404, _error("DH-905", "there is no such thing here"))
        lost = self.broker.lose.pop(0) if self.broker.lose else ""
        if lost == "before":
            return self._drop()
        order = self.broker.place(body)
        if lost == "after":
            return self._drop()
        return self._answer(200, {"orderId": order.order_id, "orderStatus": "PENDING"})

    def do_PUT(self) -> None:
        self._change(self.broker.modify(self._named, self._body()))

    def do_DELETE(self) -> None:
        self._change(self.broker.cancel(self._named))

    @property
    def _named(self) -> str:
        return self.path.rpartition("/")[2]

    def _change(self, done: bool) -> None:
        if done:
            self._answer(200, {"orderId": self._named, "orderStatus": "PENDING"})
        else:
            self._answer(400, _error("DH-906", "the order is over"))

    def _body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _drop(self) -> None:
        self.close_connection = True

    def _answer(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def served(broker: Broker) -> Iterator[Broker]:
    """The broker on a port of its own."""
    handler = type("Handler", (_Handler,), {"broker": broker})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        broker.url = f"http://127.0.0.1:{server.server_address[1]}/v2"
        try:
            yield broker
        finally:
            server.shutdown()
