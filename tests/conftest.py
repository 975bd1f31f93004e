"""What every test of the desk may ask for: people, accounts, instruments, a running exchange."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Exchange:
    """A simulated exchange of its own, and its control API."""

    url: str
    process: subprocess.Popen[str]

    @property
    def rest_url(self) -> str:
        return f"{self.url}/v2"

    @property
    def feed_url(self) -> str:
        return f"{self.url.replace('http', 'ws')}/order-update"

    def control(self, path: str, **body: Any) -> Any:
        return requests.post(f"{self.url}/_sim/{path}", json=body, timeout=5).json()

    def ask(self, path: str, **body: Any) -> requests.Response:
        """The same, whatever it answers; without a body a question."""
        return requests.request(
            "POST" if body else "GET", f"{self.url}/_sim/{path}", json=body or None, timeout=10
        )

    def fault(self, fault: str, endpoint: str, **options: Any) -> Any:
        return self.control("faults", fault=fault, endpoint=endpoint, **options)

    def report(self) -> Any:
        return requests.get(f"{self.url}/_sim/report", timeout=5).json()

    def accepted(self, correlation_id: str) -> list[Any]:
        return self.report()["accepted"].get(correlation_id, [])

    def heal(self) -> None:
        requests.delete(f"{self.url}/_sim/faults", timeout=5)

    def reset(self) -> None:
        self.heal()
        self.control("reset")
        self.control("walk", on=False)
        self.control("auto", on=False)


@pytest.fixture(scope="session")
def exchange_process() -> Iterator[Exchange]:
    command = [sys.executable, "-m", "simexchange", "--port", "0", "--seed", "1"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.search(r"http://[\d.]+:\d+", line)
    assert match, f"the simulated exchange did not start: {line!r}"
    with process:
        yield Exchange(match.group(0), process)
        process.terminate()


@pytest.fixture
def exchange(exchange_process: Exchange) -> Exchange:
    """The exchange with a frozen market: orders rest until a test fills them."""
    exchange_process.reset()
    return exchange_process


@pytest.fixture
def desk_switch(transactional_db: None) -> Any:
    """The desk's switch, which a flushed database has lost."""
    from apps.risk.models import DESK, SwitchState, TradingState

    state, _ = TradingState.objects.get_or_create(
        scope=DESK, defaults={"switch": SwitchState.ACTIVE}
    )
    return state


@pytest.fixture
def open_market(transactional_db: None) -> None:
    """An exchange's calendar under which shares trade at whatever hour the tests run."""
    import datetime as dt

    from django.contrib.auth.models import User
    from django.utils import timezone

    from apps.brokers.models import CalendarYear, SessionRule

    SessionRule.objects.filter(segment="NSE_EQ").delete()
    SessionRule.objects.create(
        segment="NSE_EQ",
        phase="OPEN",
        opens=dt.time(0),
        closes=dt.time(0),
        weekdays="1234567",
        valid_from=dt.date(2000, 1, 1),
        order_types=["LIMIT", "MARKET", "STOP_LIMIT"],
        ioc=True,
        source="tests",
    )
    person, now = User.objects.get_or_create(username="calendar")[0], timezone.now()
    for year in (now.year, now.year + 1):
        CalendarYear.objects.update_or_create(
            segment="NSE_EQ", year=year, defaults={"confirmed_by": person, "confirmed_at": now}
        )


@pytest.fixture
def reliance(transactional_db: None) -> Any:
    from apps.brokers.models import Instrument

    instrument, _ = Instrument.objects.get_or_create(
        segment="NSE_EQ",
        security_id="2885",
        defaults={
            "symbol": "RELIANCE",
            "kind": "EQUITY",
            "lot_size": 1,
            "tick_size": Decimal("0.05"),
        },
    )
    return instrument


def at_the_exchange(exchange: Exchange) -> dict[str, str]:
    """Addresses of the simulated exchange, which trades at whatever hour the tests run."""
    addresses = {"rest_url": exchange.rest_url, "feed_url": exchange.feed_url}
    return addresses | {"calendar": "always_open"}


# What only a running house gives: the day's list of instruments, a feed, books that are read.
OF_A_HOUSE = (
    "apps.brokers.conditions.InstrumentsRead",
    "apps.orders.conditions.OrderNewsHeard",
    "apps.orders.conditions.BooksRead",
)


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    """A test may write calls into the past, which no process does."""
    if budget := sys.modules.get("apps.brokers.budget"):
        budget._counted.clear()


def no_house_in(settings: Any) -> None:
    """Entries do not wait for processes that nobody has started."""
    checks = [path for path in settings.READINESS_CHECKS if path not in OF_A_HOUSE]
    settings.READINESS_CHECKS = checks


@pytest.fixture(autouse=True)
def no_house(settings: Any) -> None:
    """A test starts no house, unless it says so."""
    no_house_in(settings)


@pytest.fixture
def make_account(exchange: Exchange, desk_switch: Any) -> Callable[..., Any]:
    """Make an account at the exchange, with a token and fresh funds and positions."""

    def make(name: str = "alpha", client_id: str = "1000000001", **fields: Any) -> Any:
        from apps.brokers.models import AccessToken, BrokerAccount

        account = BrokerAccount.objects.create(
            name=name,
            broker="dhan",
            client_id=client_id,
            **(at_the_exchange(exchange) | fields),
        )
        AccessToken.put_in_force(account, f"token-{client_id[-1]}")
        return account

    return make


@pytest.fixture
def account(make_account: Callable[..., Any]) -> Any:
    return make_account()


@pytest.fixture
def trader() -> Any:
    from apps.orders.services import Actor

    return Actor(name="Alice")


@pytest.fixture
def intent(account: Any, reliance: Any) -> Callable[..., Any]:
    """A plain limit order for one share, with whatever the test wants different."""
    from apps.brokers.port import OrderType, Side
    from apps.orders.services import OrderIntent

    def make(**different: Any) -> OrderIntent:
        fields = {
            "account": account,
            "instrument": reliance,
            "side": Side.BUY,
            "quantity": 1,
            "order_type": OrderType.LIMIT,
            "price": Decimal(1400),
        }
        return OrderIntent(**(fields | different))

    return make


@pytest.fixture
def no_bells(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Nobody hears the bells; what was rung is kept. The rows must be enough."""
    from apps.orders import queue

    rung: list[tuple[str, int]] = []
    monkeypatch.setattr(queue, "_ring", lambda task, row, where, **_: rung.append((task, row)))
    return rung


@pytest.fixture
def quick_times(settings: Any) -> None:
    """The waits of the desk, short enough for a test. Only the test's own process has them."""
    settings.SEND_WITHIN = 0.3
    settings.CONNECT_TIMEOUT = 0.3
    settings.CALL_TIMEOUT = 0.5
    settings.SETTLE_TIME = 0.3
    settings.CLAIM_GRACE = 0.2
