"""Orders at the stages of their life that the tests start from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.orders import services
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
