"""An account at a stub broker, and journal rows to talk to it with."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from apps.brokers.port import (
    ModifyRequest,
    OrderRequest,
    OrderType,
    Product,
    Segment,
    Side,
    Validity,
)

TOKEN = "eyJhbGciOi.token-nobody-may-see.x7Qz"
CLIENT = "1100003626"
_numbers = itertools.count()


@pytest.fixture
def at(transactional_db: None) -> Callable[..., Any]:
    """Make an account whose broker is at this address."""

    def make(rest_url: str, **fields: Any) -> Any:
        from apps.brokers.models import AccessToken, BrokerAccount

        account = BrokerAccount.objects.create(
            **(
                {
                    "name": f"stub-{next(_numbers)}",
                    "broker": "dhan",
                    "client_id": CLIENT,
                    "rest_url": rest_url,
                    "feed_url": rest_url.replace("http", "ws"),
                }
                | fields
            )
        )
        AccessToken.put_in_force(account, TOKEN)
        return account

    return make


@pytest.fixture
def new_call() -> Callable[..., Any]:
    """A committed journal row, good for one request.

    It is a READ row, because the database takes a PLACE row only with the permit of a reviewed
    order; the adapter beneath the door does not look at the verb.
    """

    def make(account: Any) -> Any:
        from apps.brokers.journal import open_call
        from apps.brokers.models import Verb

        return open_call(account, Verb.READ, "test", budget="READ")

    return make


@pytest.fixture
def order_request() -> Callable[..., OrderRequest]:
    def make(**different: Any) -> OrderRequest:
        fields: dict[str, Any] = {
            "account": "main",
            "correlation_id": "abc123",
            "segment": Segment.NSE_EQ,
            "security_id": "2885",
            "side": Side.BUY,
            "quantity": 5,
            "order_type": OrderType.LIMIT,
            "price": Decimal("133.55"),
            "trigger_price": None,
            "product": Product.INTRADAY,
            "validity": Validity.DAY,
        }
        return OrderRequest(**(fields | different))

    return make


@pytest.fixture
def modify_request() -> Callable[..., ModifyRequest]:
    def make(**different: Any) -> ModifyRequest:
        fields: dict[str, Any] = {
            "account": "main",
            "correlation_id": "abc123",
            "broker_order_id": "112111182045",
            "quantity": 7,
            "order_type": OrderType.LIMIT,
            "price": Decimal("3345.80"),
            "trigger_price": None,
            "validity": Validity.DAY,
        }
        return ModifyRequest(**(fields | different))

    return make
