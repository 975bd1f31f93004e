"""A source at a paper account, and a sender that signs as its owner would."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from apps.brokers.models import BrokerAccount
from apps.risk.switch import equip
from apps.signals.models import Signal, SignalSource
from apps.signals.signing import sign, sign_plainly
from apps.signals.sources import open_source

GOOD: dict[str, Any] = {
    "instrument": "NSE_EQ:RELIANCE",
    "side": "BUY",
    "quantity": 1,
    "type": "LIMIT",
    "price": "1400",
    "intent": "ENTRY",
}


def wish(**different: Any) -> dict[str, Any]:
    """A good body with something different; None leaves a key out."""
    return {key: value for key, value in (GOOD | different).items() if value is not None}


@dataclass
class Sender:
    """Sends to one source as its owner would, with whatever the test wants wrong."""

    source: SignalSource
    secret: str
    client: Client = field(default_factory=lambda: Client(raise_request_exception=True))
    count: int = 0

    def headers(self, body: bytes, *, message_id: str, at: int | None = None) -> dict[str, str]:
        stamp = int(time.time()) if at is None else at
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": sign(self.secret, message_id, stamp, body),
        }

    def plain_headers(self, body: bytes, at: int | None = None) -> dict[str, str]:
        stamp = int(time.time()) if at is None else at
        return {"X-Timestamp": str(stamp), "X-Signature": sign_plainly(self.secret, stamp, body)}

    def post(self, body: bytes, headers: dict[str, str], **more: Any) -> Any:
        return self.client.post(
            self.source.path,
            data=body,
            content_type=more.pop("content_type", "application/json"),
            headers=headers,
            **more,
        )

    def send_raw(self, body: bytes, message_id: str = "", at: int | None = None) -> Any:
        """Correctly signed, whatever the body."""
        self.count += 1
        message_id = message_id or f"msg_{self.count}_{time.monotonic_ns()}"
        return self.post(body, self.headers(body, message_id=message_id, at=at))

    def send(self, message_id: str = "", at: int | None = None, **different: Any) -> Any:
        return self.send_raw(json.dumps(wish(**different)).encode(), message_id, at)

    def heard(self, **different: Any) -> Signal:
        """Send a good signal and give back its row."""
        answer = self.send(**different)
        assert answer.status_code == 202, answer.content
        return Signal.objects.get(pk=answer.json()["id"])


@pytest.fixture
def source_of() -> Callable[..., Sender]:
    """Open a source at an account."""

    def make(account: BrokerAccount, name: str = "alpha-strategy", **fields: Any) -> Sender:
        source = SignalSource(name=name, account=account, **fields)
        return Sender(source, open_source(source))

    return make


@pytest.fixture
def quiet_account(desk_switch: Any) -> BrokerAccount:
    """A paper account whose exchange nobody needs."""
    account = BrokerAccount.objects.create(
        name="paper-one",
        broker="dhan",
        client_id="1000000001",
        rest_url="http://127.0.0.1:9/v2",
        feed_url="ws://127.0.0.1:9",
        calendar="always_open",
    )
    equip(account)
    return account


@pytest.fixture
def sender(quiet_account: Any, source_of: Any, no_bells: Any) -> Sender:
    """For the intake alone: nothing is acted on."""
    return source_of(quiet_account)


@pytest.fixture
def trading(account: Any, reliance: Any, source_of: Any, no_bells: Any) -> Sender:
    """A sender whose account trades at the running exchange."""
    return source_of(account, strategy="momentum")


@pytest.fixture
def live_account(desk_switch: Any) -> BrokerAccount:
    account = BrokerAccount.objects.create(
        name="real-money",
        broker="dhan",
        client_id="7",
        rest_url="https://api.broker.invalid/v2",
        feed_url="wss://feed.broker.invalid",
    )
    equip(account)
    return account


@pytest.fixture
def option(transactional_db: None) -> Any:
    from apps.brokers.models import Instrument

    return Instrument.objects.create(
        segment="NSE_FNO",
        security_id="40001",
        symbol="NIFTY-DEC-26000-CE",
        kind="OPTIDX",
        lot_size=75,
        tick_size=Decimal("0.05"),
    )
