"""One comparison of large books in which nothing has changed, the broker on a real socket."""

from __future__ import annotations

import time

from apps.brokers.models import AccessToken, BrokerAccount
from apps.orders.models import BooksRun
from apps.orders.reconcile import reconcile
from tests.bench.desk import Desk, Stuck
from tests.bench.figures import Run
from tests.brokers.books_stub import broker, store

NAME = "books"
FULL, QUICK = 5000, 200  # orders, and as many trades
RUNS = 10


def unchanged(desk: Desk, orders: int) -> Run:
    """Milliseconds of a whole comparison: four reads, the differences, what is written.

    The account is not enabled, so that nobody else in the house compares its books.
    """
    with broker(orders) as (url, books):
        account = BrokerAccount.objects.create(
            name=f"{NAME}-{time.time_ns()}",
            broker="dhan",
            client_id=str(time.time_ns())[-10:],
            rest_url=url,
            feed_url="ws://127.0.0.1:9",
            calendar="always_open",
            enabled=False,
        )
        AccessToken.put_in_force(account, "token")
        store(account, desk.instrument, books)
        reconcile(account)
        samples = [_one(account) for _ in range(RUNS)]
    run = BooksRun.objects.get(account=account)
    if run.failed or run.agreed_at is None or run.orders != orders:
        raise Stuck(f"the books were not compared: {run.failed} {run.why}")
    return Run(NAME, samples, None, {"orders": orders, "trades": orders})


def _one(account: BrokerAccount) -> float:
    began = time.monotonic()
    reconcile(account)
    return (time.monotonic() - began) * 1000
