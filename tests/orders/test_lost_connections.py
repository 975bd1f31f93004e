"""A worker keeps its connection; one that the database has closed costs no task."""

from __future__ import annotations

import pytest
from django.db import connection, connections

from apps.orders import services, tasks
from apps.orders.models import Source

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def cut_the_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (own,) = cursor.fetchone()
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [own])
    other.close()


def test_the_first_task_after_a_restart_of_the_database_is_done(intent, trader, no_bells, exchange):
    order = services.place(intent(), trader, Source.COMMAND)
    cut_the_connection()
    tasks.dispatch_order(order.pk)
    order.refresh_from_db()
    assert order.status == "SUBMITTED"
    assert len(exchange.accepted(order.correlation_id)) == 1


def test_work_that_fails_on_a_living_connection_is_not_done_twice(no_bells, exchange):
    calls = []

    @tasks.recorded
    def work(number: int) -> None:
        calls.append(number)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(2)")

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 50")
    work(1)
    with connection.cursor() as cursor:
        cursor.execute("RESET statement_timeout")
    assert calls == [1]
