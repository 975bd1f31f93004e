"""What a broker may tell of an order, and small steps that many tests take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.db import connections

from apps.brokers import reporting
from apps.brokers.models import BrokerAccount
from apps.brokers.port import BrokerState, Fill, OrderReport, Product, Segment, Side
from apps.orders.dispatch import dispatch
from apps.orders.models import Order
from apps.orders.reconcile import reconcile
from tests.orders.sweeping import sweep_and_send

WORKING, PARTLY, FILLED = BrokerState.WORKING, BrokerState.PARTIALLY_FILLED, BrokerState.FILLED
CANCELLED = BrokerState.CANCELLED


def report(order: Order, state: BrokerState = WORKING, **different: Any) -> OrderReport:
    """News of the order under the broker's id, or under 42 while it has none."""
    fields = {
        "broker_order_id": order.broker_order_id or "42",
        "state": state,
        "state_word": state.value.title(),
        "correlation_id": order.correlation_id,
    }
    return OrderReport(**(fields | different))


def trade(order: Order, number: int, price: int, quantity: int = 1) -> Fill:
    """One row of the trade book."""
    return Fill(
        broker_order_id=order.broker_order_id,
        exchange_trade_id=str(number),
        segment=Segment.NSE_EQ,
        security_id="2885",
        side=Side(order.side),
        product=Product.INTRADAY,
        quantity=quantity,
        price=Decimal(price),
        traded_at=None,
    )


def sent(order: Order) -> Order:
    dispatch(order.pk)
    order.refresh_from_db()
    return order


def settled(account: BrokerAccount) -> None:
    """After the exchange's time in transit, what the books say."""
    time.sleep(0.1)
    reconcile(account)


def swept_until(order: Order, *statuses: str, seconds: float = 15) -> Order:
    deadline = time.monotonic() + seconds
    while order.status not in statuses and time.monotonic() < deadline:
        sweep_and_send()
        order.refresh_from_db()
        time.sleep(0.1)
    assert order.status in statuses, [str(event) for event in order.events.all()]
    return order


def shown(order: Order) -> OrderReport:
    """The order as the broker's book has it now."""
    book = reporting.reports_of(order.account).order_book().value
    return next(row for row in book if row.broker_order_id == order.broker_order_id)


class OnTheSide(threading.Thread):
    """Work on the side, with its own connection; ``result`` is what came of it."""

    def __init__(self, work: Callable[..., Any], *args: Any, **named: Any) -> None:
        super().__init__(daemon=True)
        self.work, self.args, self.named = work, args, named
        self.result: Any = None
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        try:
            self.result = self.work(*self.args, **self.named)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.result = error
        finally:
            self.seconds = time.monotonic() - began
            connections.close_all()

    def over(self) -> Any:
        self.join(30)
        return self.result
