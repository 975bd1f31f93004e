"""Orders at the stages of their life that the tests start from."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.brokers import quotes
from apps.brokers.port import Side
from apps.brokers.quotes import Picture
from apps.orders import services
from apps.orders.brackets import BracketIntent
from apps.orders.models import Order, Source
from tests.orders.telling import sent, settled


@pytest.fixture
def place(intent, trader, no_bells) -> Callable[..., Order]:
    """Place an order; it is APPROVED or DENIED, and nobody hears its bell."""

    def make(**different: Any) -> Order:
        return services.place(intent(**different), trader, Source.COMMAND)

    return make


@pytest.fixture
def order(place) -> Order:
    """An approved order for one share."""
    order = place()
    assert order.status == "APPROVED", order.reason
    return order


@pytest.fixture
def working(place, account) -> Callable[..., Order]:
    """Place an order and let it rest at the exchange."""

    def make(**different: Any) -> Order:
        order = sent(place(**different))
        settled(account)
        order.refresh_from_db()
        assert order.status == "OPEN", order.reason
        return order

    return make


@pytest.fixture
def managed_here(account) -> None:
    """The desk keeps target and stop itself, whatever the broker could."""
    account.bracket_style = "MANAGED"
    account.save(update_fields=["bracket_style"])


@pytest.fixture
def market(exchange):
    """Turn the price of the share; orders that it reaches fill."""

    def price(rupees: float) -> None:
        exchange.control("price", segment="NSE_EQ", securityId="2885", price=rupees)

    price(1400)
    exchange.control("auto", on=True)
    return price


@pytest.fixture
def wanted(account, reliance):
    def make(**different) -> BracketIntent:
        fields = {
            "account": account,
            "instrument": reliance,
            "side": Side.BUY,
            "quantity": 10,
            "price": Decimal(1405),
            "stop_price": Decimal(1380),
            "target_price": Decimal(1430),
        }
        return BracketIntent(**(fields | different))

    return make


@pytest.fixture
def fill(exchange):
    """Let the exchange fill so many units of an order, whatever the price."""

    def fill(order: Order, quantity: int, price: int) -> None:
        exchange.control("fill", orderId=order.broker_order_id, quantity=quantity, price=price)

    return fill


@pytest.fixture
def heard(account, reliance):
    """A price that was just heard on the feed."""

    def keep(price) -> None:
        now = timezone.now()
        heard = Picture(
            instrument_id=reliance.pk, market=account.market, last_price=Decimal(price), as_of=now
        )
        quotes.keep([heard])

    return keep
