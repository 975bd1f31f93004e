"""Exits while entries take all they may: how long an approved exit waits for its call.

The exchange keeps to its limits here, so a call too many would be answered 429. Only the second's
window is as narrow as in life, on both sides alike: an hour's 1000 calls are less than one run.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import requests
from django.db.models import QuerySet

from apps.brokers.budget import Budget, Priority, allowed
from apps.brokers.models import WireCall
from apps.brokers.port import Intent, OrderType, Side
from apps.orders import services
from apps.orders.models import Order, Source
from apps.orders.services import OrderIntent
from tests.bench.desk import PATIENCE, WHO, Desk, Stuck, Watch
from tests.bench.figures import Run

NAME = "exit_under_load"
FULL, QUICK = 500, 10
ENTRIES = 12.0  # a second: more than may leave, so that some always wait
THREADS = 4


def exits_under_load(desk: Desk, exits: int) -> Run:
    """Milliseconds from an exit's approval to the row of its call, by the rows' own times."""
    if not desk.simulator:
        raise RuntimeError(f"{NAME} needs our own exchange: it counts the answers")
    _hold(desk, exits)
    desk.control("limits", on=True, longer=False)
    after = Order.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    before, began, stop = _report(desk), time.monotonic(), threading.Event()
    with ThreadPoolExecutor(THREADS) as pool:
        entries = [pool.submit(_enter, desk, stop) for _ in range(THREADS)]
        try:
            _leave(desk, exits)
            seconds = time.monotonic() - began
        finally:
            stop.set()
        for entry in entries:
            entry.result()
    orders = Order.objects.filter(pk__gt=after, account=desk.account)
    samples = _waits(orders.filter(intent=Intent.EXIT), exits)
    report = _report(desk)
    desk.control("limits", on=False)
    sent = WireCall.objects.filter(
        verb="PLACE",
        outcome="ACCEPTED",
        correlation_id__in=orders.filter(intent=Intent.ENTRY).values("correlation_id"),
    )
    more = {
        "answered_429": report["rate_limited"] - before["rate_limited"],
        "exits_held_back": orders.filter(intent=Intent.EXIT, not_before__isnull=False).count(),
        "exits_not_left": exits - len(samples),
        "doubled": len(report["doubled"]),
        "entries_asked": orders.filter(intent=Intent.ENTRY).count(),
        "entries_left_per_s": round(sent.count() / seconds, 1),
    }
    return Run(NAME, samples, seconds, more)


def _hold(desk: Desk, exits: int) -> None:
    """Buy what is to be sold, one share for each exit."""
    with Watch(desk).open() as watch:
        desk.place(exits)
        watch.finished(exits)
        (order,) = watch.orders()
    desk.control("fill", orderId=order.broker_order_id)
    give_up = time.monotonic() + PATIENCE
    while order.status != "FILLED":
        if time.monotonic() > give_up:
            raise Stuck("what is to be sold was not bought")
        time.sleep(0.2)
        order.refresh_from_db()


def _intent(desk: Desk) -> OrderIntent:
    return OrderIntent(
        account=desk.account,
        instrument=desk.instrument,
        side=Side.BUY,
        quantity=1,
        order_type=OrderType.LIMIT,
        price=desk.price,
    )


def _enter(desk: Desk, stop: threading.Event) -> None:
    while not stop.wait(THREADS / ENTRIES):
        services.place(_intent(desk), WHO, Source.SYSTEM)


def _leave(desk: Desk, exits: int) -> None:
    """At half the rate that is kept for exits."""
    kept = allowed(Budget.ORDER, 1) - allowed(Budget.ORDER, 1, Priority.ENTRY)
    leaving = replace(_intent(desk), side=Side.SELL, intent=Intent.EXIT)
    began = time.monotonic()
    for number in range(exits):
        time.sleep(max(0.0, began + number / (kept / 2) - time.monotonic()))
        order = services.place(leaving, WHO, Source.SYSTEM)
        if order.status == "DENIED":
            raise Stuck(f"exit {number} was denied: {order.reason}")


def _waits(orders: QuerySet[Order], exits: int) -> list[float]:
    give_up = time.monotonic() + PATIENCE
    while True:
        approved = dict(orders.values_list("correlation_id", "approved_at"))
        calls = WireCall.objects.filter(verb="PLACE", correlation_id__in=approved).order_by("-id")
        left = dict(calls.values_list("correlation_id", "created_at"))
        if len(left) == exits or time.monotonic() > give_up:
            return [(at - approved[name]).total_seconds() * 1000 for name, at in left.items()]
        time.sleep(0.2)


def _report(desk: Desk) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{desk.simulator}/_sim/report", timeout=20).json()
    return found
