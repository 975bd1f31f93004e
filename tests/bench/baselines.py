"""What the desk is compared with: the bare SDK, and the two waits nothing durable can avoid."""

from __future__ import annotations

import time
from collections.abc import Callable

import redis
from dhanhq import DhanContext, dhanhq
from django.conf import settings
from django.db import connection

from tests.bench.desk import Desk
from tests.bench.figures import Run


def bare_sdk(desk: Desk, times: int) -> Run:
    """The unmodified SDK, one call after the other, nothing stored."""
    context = DhanContext(desk.account.client_id, str(desk.account.token().value))
    context.dhan_http.base_url = desk.account.rest_url.rstrip("/")
    client = dhanhq(context)

    def call() -> None:
        reply = client.place_order(
            security_id=desk.instrument.security_id,
            exchange_segment=desk.instrument.segment,
            transaction_type="BUY",
            quantity=1,
            order_type="LIMIT",
            product_type="INTRADAY",
            price=float(desk.price),
        )
        if reply.get("status") != "success":
            raise RuntimeError(f"the bare SDK was refused: {reply}")

    for _ in range(5):
        call()
    return _timed("sdk", call, times)


def floor(times: int) -> Run:
    """One committed INSERT and one Redis round trip: the least a durable desk can do."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_floor (id bigserial, note text)")
    client = redis.Redis.from_url(settings.REDIS_URL)

    def once() -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO bench_floor (note) VALUES ('bench') RETURNING id")
        client.set("bench:floor", "1", ex=60)

    once()
    return _timed("floor", once, times)


def _timed(name: str, call: Callable[[], None], times: int) -> Run:
    samples, began = [], time.perf_counter()
    for _ in range(times):
        start = time.perf_counter()
        call()
        samples.append((time.perf_counter() - start) * 1000)
    return Run(name, samples, time.perf_counter() - began)
