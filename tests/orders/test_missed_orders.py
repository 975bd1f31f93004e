"""What happened while nobody listened, or while a pass over the books was cut off."""

from __future__ import annotations

import datetime as dt
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone

from apps.brokers import reporting
from apps.orders import breaks, ledger, outside, reconcile
from apps.orders.models import BooksRun, LedgerPosition, Order
from tests.brokers.books_stub import Books, broker
from tests.orders.test_outside_orders import made_outside, outside_orders

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]

# A row of the order book as published (orders page), of an order placed on the broker's web page.
PUBLISHED = {
    "dhanClientId": "1000000003",
    "orderId": "112111182198",
    "correlationId": "NA",
    "orderStatus": "PENDING",
    "transactionType": "BUY",
    "exchangeSegment": "NSE_EQ",
    "productType": "INTRADAY",
    "orderType": "LIMIT",
    "validity": "DAY",
    "tradingSymbol": "",
    "securityId": "2885",
    "quantity": 5,
    "disclosedQuantity": 0,
    "price": 1400.0,
    "triggerPrice": 0.0,
    "afterMarketOrder": False,
    "boProfitValue": 0.0,
    "boStopLossValue": 0.0,
    "legName": None,
    "drvExpiryDate": None,
    "drvOptionType": None,
    "drvStrikePrice": 0.0,
    "omsErrorCode": None,
    "omsErrorDescription": None,
    "algoId": "string",
    "remainingQuantity": 5,
    "averageTradedPrice": 0,
    "filledQty": 0,
}


@dataclass
class Shown(Books):
    """A book of these rows, stamped so many seconds ago in a zone."""

    placed_at: dt.datetime | None = None
    zone: dt.tzinfo | None = None

    def _orders(self) -> list[dict[str, Any]]:
        assert self.placed_at is not None
        stamp = f"{self.placed_at.astimezone(self.zone):%Y-%m-%d %H:%M:%S}"
        times = dict.fromkeys(("createTime", "updateTime", "exchangeTime"), stamp)
        return [PUBLISHED | times]

    def _positions(self) -> list[dict[str, Any]]:
        return []


@pytest.mark.parametrize(("zone", "hours"), [("Asia/Kolkata", 5.5), ("UTC", 0)])
def test_an_order_of_while_the_feed_was_down_has_the_times_of_its_broker(
    make_account, reliance, zone, hours
):
    placed_at = (timezone.now() - dt.timedelta(minutes=3)).replace(microsecond=0)
    shown = Shown(1, placed_at=placed_at, zone=dt.timezone(dt.timedelta(hours=hours)))
    with broker(shown) as (url, _):
        account = make_account(rest_url=url, stamp_zone=zone)
        reconcile.reconcile(account)
    (order,) = outside_orders()
    assert (order.created_at, order.submitted_at) == (placed_at, placed_at)
    assert {event.reported_at for event in order.events.all()} == {placed_at}
    assert order.cause.endswith("correlation id none")


POINTS = [
    (outside.book, "hold_from_outside"),
    (ledger, "count_fills"),
    (reporting, "read_positions"),
    (breaks, "compare"),
]


@pytest.fixture
def happened(account, exchange, reliance):
    """Two orders by hand, one of them filled."""
    filled = made_outside(account, exchange)
    exchange.control("fill", orderId=filled)
    made_outside(account, exchange, quantity=1)


def once_and_whole(account: Any) -> None:
    """A clean pass after the one that was cut off, as soon as its lock is free."""
    give_up = time.monotonic() + 10
    began = timezone.now()
    while time.monotonic() < give_up:
        reconcile.reconcile(account)
        run = BooksRun.objects.filter(account=account, ended_at__gt=began).first()
        if run is not None and run.agreed_at is not None and run.agreed_at > began:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("no clean pass")
    assert sorted(order.status for order in outside_orders()) == ["FILLED", "OPEN"]
    assert LedgerPosition.objects.get().net == 3
    assert ledger.check() == []
    assert Order.objects.get(status="FILLED").fills.count() == 1


@pytest.mark.parametrize(("part", "name"), POINTS)
def test_after_a_kill_the_next_pass_is_whole(account, happened, monkeypatch, part, name):
    connections.close_all()
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(part, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        reconcile.reconcile(account)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    once_and_whole(account)


@pytest.mark.parametrize(("part", "name"), POINTS)
def test_after_the_database_went_away_the_next_pass_is_whole(
    account, happened, monkeypatch, part, name
):
    def gone(*_: Any, **__: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with monkeypatch.context() as patched:
        patched.setattr(part, name, gone)
        with pytest.raises(OperationalError):
            reconcile.reconcile(account)
    connection.close()
    once_and_whole(account)
