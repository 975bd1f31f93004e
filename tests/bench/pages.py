"""Live pages under load: from an order's commit to the message at every open page."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from apps.orders import announce, lifecycle
from apps.orders.lifecycle import Happening
from apps.orders.models import DeskSequence, Order
from apps.orders.states import Event
from tests.bench.desk import Desk
from tests.bench.figures import Run
from tests.house import ROOT, House

RATE = 200.0  # order events a second
ORDERS = 100  # to which they happen
HANDS = 4  # threads that make them
SETTLED = 8.0  # seconds in which every page must have caught up: several pulses


def live_pages(house: House, desk: Desk, pages: int, seconds: float) -> Run:
    """Events on existing orders while the pages look on."""
    orders = _some_orders(desk)
    watchers = _start_watchers(house, pages)
    try:
        with _Committed() as commits:
            took = _make_events(orders, seconds)
        numbers = dict(DeskSequence.objects.values_list("account_id", "value"))
        time.sleep(SETTLED)
        told = _stop_watchers(watchers)
    finally:
        watchers.kill()
    made = len(commits)
    samples, lost = _delays(told["pages"], commits)
    behind = sum(
        page["seen"].get(str(a), 0) < n for page in told["pages"] for a, n in numbers.items()
    )
    more = {
        "pages": pages,
        "events": made,
        "events_per_s": round(made / took, 1),
        "lost": lost,
        "pages_behind": behind + told["broken"],
        "gaps": sum(page["gaps"] for page in told["pages"]),
        "messages_per_s": round(sum(page["messages"] for page in told["pages"]) / took),
    }
    return Run("pages", samples, None, more)


def _some_orders(desk: Desk) -> list[int]:
    mine = Order.objects.filter(account=desk.account).values_list("pk", flat=True)[:ORDERS]
    for number in range(1, ORDERS + 1 - len(mine)):
        desk.place(number)
    return list(mine.all())


def _start_watchers(house: House, pages: int) -> subprocess.Popen[str]:
    client = Client()
    client.force_login(
        User.objects.filter(is_superuser=True).first(), settings.AUTHENTICATION_BACKENDS[1]
    )
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    address = house.url.replace("http", "ws", 1) + "/ws/orders/"
    watchers = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.watchers", address, cookie, str(pages)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if watchers.stdout.readline().strip() != "ready":
        watchers.kill()
        raise RuntimeError("the live pages did not open")
    return watchers


def _stop_watchers(watchers: subprocess.Popen[str]) -> Any:
    out, _ = watchers.communicate("stop\n", timeout=60)
    return json.loads(out)


class _Committed:
    """Notes when each change was committed; announcements follow a commit at once."""

    def __enter__(self) -> dict[tuple[int, int], float]:
        self._tell = announce.changed
        commits: dict[tuple[int, int], float] = {}

        def changed(account: int, sequence: int) -> None:
            commits[account, sequence] = time.time()
            self._tell(account, sequence)

        announce.changed = changed
        return commits

    def __exit__(self, *_: object) -> None:
        announce.changed = self._tell


def _make_events(orders: list[int], seconds: float) -> float:
    """At the wanted rate, or as fast as it goes; returns the seconds that it took."""
    began, count, lock = time.monotonic(), 0, threading.Lock()
    total = int(RATE * seconds)

    def hand() -> None:
        nonlocal count
        try:
            while True:
                with lock:
                    number, count = count, count + 1
                if number >= total or time.monotonic() - began > 3 * seconds:
                    return
                time.sleep(max(0.0, began + number / RATE - time.monotonic()))
                note = Happening(event=Event.NOTE, origin="bench", text=f"event {number}")
                lifecycle.apply(orders[number % len(orders)], note)
        finally:
            connection.close()

    with ThreadPoolExecutor(HANDS) as pool:
        for done in [pool.submit(hand) for _ in range(HANDS)]:
            done.result()
    return time.monotonic() - began


def _delays(
    pages: list[dict[str, Any]], commits: dict[tuple[int, int], float]
) -> tuple[list[float], int]:
    """A page has a change from the moment on which its number has reached that of the change."""
    samples, lost = [], 0
    for page in pages:
        missing = dict(commits)
        reached: dict[int, int] = {}
        for at, account, number in page["steps"]:
            for sequence in range(reached.get(account, number - 500) + 1, number + 1):
                committed = missing.pop((account, sequence), None)
                if committed is not None:
                    samples.append((at - committed) * 1000)
            reached[account] = number
        lost += len(missing)
    return samples, lost
