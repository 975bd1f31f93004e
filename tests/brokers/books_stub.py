"""A broker on a real socket with books as large as one likes, and rows that agree with them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.utils import timezone

from apps.orders import ledger
from apps.orders.models import Fill, Order, trading_day

QUANTITY, PRICE = 2, Decimal("1400.05")


@dataclass
class Books:
    """What the broker says: every order is filled by one trade, buys and sells in turn."""

    orders: int
    security_id: str = ""
    correlation_ids: list[str] = field(default_factory=list)

    def answer(self, path: str) -> Any:
        """The reply to a GET of this path."""
        answers = {
            "orders": self._orders,
            "trades": self._trades,
            "positions": self._positions,
            "fundlimit": lambda: {
                "availabelBalance": 1.0,
                "utilizedAmount": 0.0,
                "sodLimit": 1.0,
                "collateralAmount": 0.0,
            },
        }
        return answers[path.rpartition("/")[2]]()

    def _orders(self) -> list[dict[str, Any]]:
        stamp = f"{timezone.localtime():%Y-%m-%d} 09:15:00"
        return [
            {
                "dhanClientId": "1000000001",
                "orderId": _id(number),
                "exchangeOrderId": f"X{number}",
                "correlationId": name,
                "orderStatus": "TRADED",
                "transactionType": _side(number),
                "exchangeSegment": "NSE_EQ",
                "productType": "INTRADAY",
                "orderType": "LIMIT",
                "validity": "DAY",
                "securityId": self.security_id,
                "quantity": QUANTITY,
                "price": float(PRICE),
                "triggerPrice": 0.0,
                "afterMarketOrder": False,
                "legName": "NA",
                "createTime": stamp,
                "updateTime": stamp,
                "exchangeTime": stamp,
                "omsErrorDescription": "CONFIRMED",
                "averageTradedPrice": float(PRICE),
                "filledQty": QUANTITY,
            }
            for number, name in enumerate(self.correlation_ids)
        ]

    def _trades(self) -> list[dict[str, Any]]:
        stamp = f"{timezone.localtime():%Y-%m-%d} 09:15:00"
        return [
            {
                "orderId": _id(number),
                "exchangeTradeId": f"T{number}",
                "transactionType": _side(number),
                "exchangeSegment": "NSE_EQ",
                "productType": "INTRADAY",
                "securityId": self.security_id,
                "tradedQuantity": QUANTITY,
                "tradedPrice": float(PRICE),
                "createTime": stamp,
                "exchangeTime": stamp,
            }
            for number in range(len(self.correlation_ids))
        ]

    def _positions(self) -> list[dict[str, Any]]:
        net = sum(QUANTITY if _side(n) == "BUY" else -QUANTITY for n in range(self.orders))
        return [
            {
                "exchangeSegment": "NSE_EQ",
                "securityId": self.security_id,
                "productType": "INTRADAY",
                "netQty": net,
                "buyQty": 1,
                "sellQty": 1,
                "buyAvg": 1.0,
                "sellAvg": 1.0,
                "realizedProfit": 0.0,
                "unrealizedProfit": 0.0,
            }
        ]


def _id(number: int) -> str:
    return f"{7_000_000 + number}"


def _side(number: int) -> str:
    return "SELL" if number % 2 else "BUY"


@contextmanager
def broker(of: int | Books) -> Iterator[tuple[str, Books]]:
    """The broker's REST address, and its books, which show nothing until they are ``stored``."""
    books = of if isinstance(of, Books) else Books(of)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                body, status = json.dumps(books.answer(self.path)).encode(), 200
            except KeyError:
                body, status = b"{}", 404
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v2", books
        finally:
            server.shutdown()


def store(account: Any, instrument: Any, books: Books) -> None:
    """Rows of the desk that say the same as the books."""
    now = timezone.now()
    orders = Order.objects.bulk_create(
        Order(
            account=account,
            instrument=instrument,
            side=_side(number),
            quantity=QUANTITY,
            order_type="LIMIT",
            price=PRICE,
            product="INTRADAY",
            source="SYSTEM",
            actor="bench",
            status="FILLED",
            filled_quantity=QUANTITY,
            average_price=PRICE,
            broker_order_id=_id(number),
            submitted_at=now,
        )
        for number in range(books.orders)
    )
    Fill.objects.bulk_create(
        Fill(
            order=order,
            account=account,
            trading_day=trading_day(),
            segment="NSE_EQ",
            broker_order_id=order.broker_order_id,
            exchange_trade_id=f"T{number}",
            quantity=QUANTITY,
            price=PRICE,
        )
        for number, order in enumerate(orders)
    )
    ledger.rebuild()
    books.security_id = instrument.security_id
    books.correlation_ids = [order.correlation_id for order in orders]
