"""The desk under measurement: its account, what it trades, and how to see that an order is over.

Every order of a scenario has a quantity of its own, so that an order is known by its quantity
whichever way it came in.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import requests
from django.db import connection

from apps.brokers.models import BrokerAccount, Instrument, WireCall
from apps.brokers.port import OrderType, Side
from apps.orders import services
from apps.orders.models import Order, Source
from apps.orders.services import Actor, OrderIntent

WHO = Actor(name="bench")
PATIENCE = 20.0  # seconds for one order
LOOK_EVERY = 0.004  # seconds between looks at the rows: one cheap query
_OVER = """
    SELECT quantity FROM orders_order
    WHERE id > %s AND account_id = %s AND quantity = ANY(%s)
      AND (submitted_at IS NOT NULL OR finished_at IS NOT NULL)
"""


class Stuck(RuntimeError):
    """An order did not come to an end in time."""


@dataclass
class Desk:
    """What every scenario needs. ``simulator`` is empty for an exchange that is not ours."""

    account: BrokerAccount
    instrument: Instrument
    price: Decimal
    simulator: str

    def place(self, number: int) -> None:
        """One way in: the service that forms, commands and signals all call."""
        services.place(
            OrderIntent(
                account=self.account,
                instrument=self.instrument,
                side=Side.BUY,
                quantity=number,
                order_type=OrderType.LIMIT,
                price=self.price,
            ),
            WHO,
            Source.SYSTEM,
        )

    def accepted_at(self, orders: list[Order]) -> dict[int, float]:
        """By quantity: when the exchange took the order; or when its answer was here."""
        names = {order.correlation_id: order.quantity for order in orders}
        if self.simulator:
            rows = requests.get(f"{self.simulator}/_sim/report", timeout=20).json()["accepted"]
            return {
                number: min(moment(row["acceptedAt"]) for row in rows[name])
                for name, number in names.items()
                if name in rows
            }
        calls = WireCall.objects.filter(correlation_id__in=names, outcome="ACCEPTED", verb="PLACE")
        return {names[str(call.correlation_id)]: call.answered_at.timestamp() for call in calls}

    def control(self, path: str, **body: Any) -> None:
        """Steer our own exchange; another one is left alone."""
        if self.simulator:
            requests.post(f"{self.simulator}/_sim/{path}", json=body, timeout=20)

    def clear(self) -> None:
        """End what rests in the book, so that each scenario starts from the same place."""
        alive = Order.objects.filter(account=self.account).alive()
        deadline = time.monotonic() + (PATIENCE if self.simulator else 1)
        while alive.exists() and time.monotonic() < deadline:
            self.control("expire")  # again for what was still on its way there
            time.sleep(0.3)
        time.sleep(0.5)


def moment(text: str) -> float:
    """An ISO time as seconds since the epoch."""
    return dt.datetime.fromisoformat(text).timestamp()


class Watch:
    """Looks at the rows of all waiting orders with one query, for as long as it is open."""

    def __init__(self, desk: Desk) -> None:
        self._account = desk.account.pk
        self.after = Order.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        self._waiting: set[int] = set()
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._broken: Exception | None = None

    def finished(self, number: int) -> None:
        """Wait until the order of this quantity is at the exchange, or over."""
        with self._news:
            self._waiting.add(number)
            there = self._news.wait_for(
                lambda: number not in self._waiting or self._broken is not None, PATIENCE
            )
        if not there or self._broken:
            raise Stuck(f"order {number} did not reach the exchange") from self._broken

    def orders(self) -> list[Order]:
        """The orders since the watch began."""
        return list(Order.objects.filter(pk__gt=self.after, account=self._account))

    @contextmanager
    def open(self) -> Iterator[Watch]:
        looker = threading.Thread(target=self._look, name="watch")
        looker.start()
        try:
            yield self
        finally:
            self._closing.set()
            looker.join()

    def _tell(self, over: set[int]) -> None:
        with self._news:
            self._waiting -= over
            self._news.notify_all()

    def _look(self) -> None:
        try:
            while not self._closing.wait(LOOK_EVERY):
                with self._news:
                    waiting = list(self._waiting)
                if not waiting:
                    continue
                with connection.cursor() as cursor:
                    cursor.execute(_OVER, [self.after, self._account, waiting])
                    over = {row[0] for row in cursor.fetchall()}
                if over:
                    self._tell(over)
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            with self._news:
                self._broken = error
                self._news.notify_all()
        finally:
            connection.close()
