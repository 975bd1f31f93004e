"""Fills that a position read has not seen must not be taken off an exit that is to grow."""

from __future__ import annotations

import pytest

from apps.brokers import reporting
from apps.brokers.port import Intent, Side
from apps.orders import services
from tests.orders.telling import sent, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def held(working, account, exchange) -> None:
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    entry = working(quantity=10)
    exchange.control("fill", orderId=entry.broker_order_id)
    settled(account)
    reporting.store_positions(account)


def test_a_partly_filled_exit_does_not_grow_beyond_a_position_read_before_its_fills(
    held, place, exchange, account, trader
):
    order = sent(place(side=Side.SELL, quantity=10, intent=Intent.EXIT))
    settled(account)
    exchange.fault("http_500", "positions")
    exchange.control("fill", orderId=order.broker_order_id, quantity=4)
    settled(account)
    order.refresh_from_db()
    assert services.modify(order, trader, "more", quantity=14).status == "DENIED"
