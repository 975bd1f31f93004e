"""What the tests share: a running exchange, and one without network or wall clock."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from simexchange import instruments
from simexchange.accounts import Account
from simexchange.clock import IST
from simexchange.exchange import Exchange
from simexchange.faults import Faults
from simexchange.journal import Journal
from simexchange.ledger import Ledger
from simexchange.orders import Order, Ticket
from simexchange.super_desk import SuperDesk
from simexchange.super_life import SuperLife
from simexchange.supers import Levels, SuperOrder

PAYLOADS = Path(__file__).parent / "payloads"
ROOT = Path(__file__).parents[2]
CLIENT, TOKEN = "1000000001", "token-1"
OTHER, OTHER_TOKEN = "1000000002", "token-2"
RELIANCE = ("NSE_EQ", "2885")


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def limit_order(**changes: Any) -> dict[str, Any]:
    """A healthy order far below the market: it rests."""
    body = {
        "transactionType": "BUY",
        "exchangeSegment": "NSE_EQ",
        "productType": "INTRADAY",
        "orderType": "LIMIT",
        "validity": "DAY",
        "securityId": "2885",
        "quantity": 10,
        "price": 1300,
    }
    return body | changes


class Server:
    """A real server process on a free port."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "simexchange", "--port", "0", "--transit-ms", "5"]
        self.process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.line = self.process.stdout.readline()
        self.url = self.line.split(" on ")[1].split(" ")[0]
        self.feed_url = self.url.replace("http", "ws") + "/order-update"
        self.http = requests.Session()

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def stop(self) -> float:
        """Ask it to stop; returns the seconds it took."""
        asked_at = time.monotonic()
        self.process.terminate()
        self.process.wait(5)
        self.close()
        return time.monotonic() - asked_at

    def close(self) -> None:
        self.process.wait(5)
        self.http.close()
        if self.process.stdout:
            self.process.stdout.close()

    def call(
        self, method: str, path: str, body: object = None, token: str = TOKEN, **more: Any
    ) -> requests.Response:
        headers = {"access-token": token, "client-id": CLIENT}
        more = {"timeout": 5, "json": body, "headers": headers, **more}
        return self.http.request(method, f"{self.url}/v2{path}", **more)

    def place(self, token: str = TOKEN, **changes: Any) -> str:
        reply = self.call("POST", "/orders", limit_order(**changes), token)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["orderId"])

    def row(self, order_id: str, token: str = TOKEN) -> dict[str, Any]:
        return self.call("GET", f"/orders/{order_id}", token=token).json()[0]

    def settled(self, order_id: str, token: str = TOKEN) -> dict[str, Any]:
        """The order's row once it has left TRANSIT."""
        eventually(lambda: self.row(order_id, token)["orderStatus"] != "TRANSIT")
        return self.row(order_id, token)

    def sim(self, path: str, body: object = None, method: str | None = None) -> Any:
        reply = self.control(path, body, method)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def control(
        self, path: str, body: object = None, method: str | None = None
    ) -> requests.Response:
        method = method or ("GET" if body is None else "POST")
        return self.http.request(method, f"{self.url}/_sim/{path}", json=body, timeout=5)


def eventually(is_so: Callable[[], object], seconds: float = 3) -> None:
    """Wait until something holds; fails when it never does."""
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.005)


class Hall:
    """An exchange without network, on a clock that moves only when told."""

    def __init__(self, seed: int = 1, state: Path | None = None) -> None:
        self.now = datetime(2026, 9, 8, 10, 0, tzinfo=IST)
        self.waiting: list[Callable[[], None]] = []
        accounts = [
            Account(CLIENT, TOKEN, Decimal(1_000_000)),
            Account(OTHER, OTHER_TOKEN, Decimal(1_000_000)),
        ]
        self.ledger = Ledger(instruments.load(), accounts, lambda: self.now, Journal(state))
        self.exchange = Exchange(self.ledger, seed, self._later)
        self.exchange.walk_on = False
        self.faults = Faults(seed)
        self.supers = SuperDesk(self.exchange, SuperLife(self.exchange, self.faults))
        self.events: list[tuple[str, str, int]] = []
        self.ledger.listeners.append(
            lambda event: self.events.append((event.order.order_id, event.word, event.order.filled))
        )

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self.waiting.append(act)

    def account(self, client_id: str = CLIENT) -> Account:
        return self.ledger.accounts[client_id]

    def pin(self, price: str, key: tuple[str, str] = RELIANCE) -> None:
        self.exchange.set_price(key, Decimal(price))

    def empty_street(self, key: tuple[str, str] = RELIANCE) -> None:
        """Take the market maker away, so that only the accounts' own orders meet."""
        street = self.exchange.markets[key].book.street
        street.bids, street.asks = [], []

    def send(self, client_id: str = CLIENT, **changes: Any) -> Order:
        """Place an order without letting it arrive."""
        return self.exchange.place(self.account(client_id), self._ticket(changes))

    def _ticket(self, changes: dict[str, Any]) -> Ticket:
        asked = {
            "side": "BUY",
            "segment": "NSE_EQ",
            "security_id": "2885",
            "product": "INTRADAY",
            "order_type": "LIMIT",
            "validity": "DAY",
            "quantity": 10,
            "price": "1400",
            **changes,
        }
        for name in ("price", "trigger"):
            asked[name] = Decimal(asked.get(name, 0))
        return Ticket(**asked)

    def bracket(
        self,
        client_id: str = CLIENT,
        target: str = "1450",
        stop: str = "1350",
        jump: str = "0",
        **changes: Any,
    ) -> SuperOrder:
        """Place a super order and let its entry arrive; unless told otherwise it fills."""
        account, ticket = self.account(client_id), self._ticket({"price": "1410", **changes})
        levels = Levels(Decimal(target), Decimal(stop), Decimal(jump))
        order = self.supers.place(account, ticket, levels)
        self.arrive()
        return self.ledger.supers[order.order_id]

    def arrive(self) -> None:
        waiting, self.waiting = self.waiting, []
        for act in waiting:
            act()

    def place(self, client_id: str = CLIENT, **changes: Any) -> Order:
        order = self.send(client_id, **changes)
        self.arrive()
        return order

    def next_day(self) -> None:
        self.now += timedelta(days=1)
