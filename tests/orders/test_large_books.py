"""Large books: what has not changed costs no query, however much of it there is."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.orders.models import BooksRun, Break, Order
from apps.orders.reconcile import reconcile
from tests.brokers.books_stub import broker, store

pytestmark = pytest.mark.django_db(transaction=True)
# What the four reads cost: their calls in the journal, and the reports that are kept.
OF_A_READ = (
    "brokers_wirecall",
    "brokers_accesstoken",
    "brokers_moment",
    "brokers_positionsreport",
    "brokers_fundsreport",
    "brokers_holdingsreport",
    "pg_advisory",
    "pg_try_advisory",
)


def queries_of(account) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        reconcile(account)
    return [one["sql"] for one in seen.captured_queries]


def compared_with(orders: int, make_account, reliance) -> list[str]:
    """The queries of a comparison of so many orders and trades, none of them changed."""
    with broker(orders) as (url, books):
        account = make_account(f"of-{orders}", f"1{orders:09}", rest_url=url)
        store(account, reliance, books)
        reconcile(account)
        seen = queries_of(account)
    run = BooksRun.objects.get(account=account)
    assert (run.failed, run.orders, run.trades) == ("", orders, orders)
    assert run.agreed_at is not None
    assert not Break.objects.exists()
    return seen


def test_the_number_of_queries_is_that_of_small_books(make_account, reliance):
    few = compared_with(2, make_account, reliance)
    many = compared_with(300, make_account, reliance)
    assert len(many) == len(few)
    own = [
        sql
        for sql in many
        if sql not in {"BEGIN", "COMMIT"} and not any(word in sql for word in OF_A_READ)
    ]
    assert len(own) <= 16, "\n".join(sql[:160] for sql in own)


def test_what_is_missing_from_our_rows_is_stored_once(make_account, reliance):
    with broker(20) as (url, books):
        account = make_account("of-20", "1000000020", rest_url=url)
        store(account, reliance, books)
        connection.cursor().execute("ALTER TABLE orders_fill DISABLE TRIGGER USER")
        Order.objects.get(broker_order_id="7000003").fills.all()._raw_delete("default")
        connection.cursor().execute("ALTER TABLE orders_fill ENABLE TRIGGER USER")
        for _ in range(2):
            reconcile(account)
        assert Order.objects.get(broker_order_id="7000003").fills.count() == 1
