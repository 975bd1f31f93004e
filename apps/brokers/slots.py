"""A read's place in the rate budget: counted and taken in one short transaction."""

from __future__ import annotations

import time

from django.db import connection, transaction

from apps.brokers import budget
from apps.brokers.budget import Budget, Priority
from apps.brokers.journal import open_call
from apps.brokers.models import BrokerAccount, Verb, WireCall
from apps.brokers.port import ReadFailed

PATIENCE = 2.5  # seconds that a read waits for its turn; a quote's turn comes every two
_SPACE = {Budget.READ: 7_202, Budget.QUOTE: 7_203}  # PostgreSQL advisory lock spaces


def open_read(
    account: BrokerAccount, what: str, kind: Budget, priority: Priority = Priority.EXIT
) -> WireCall:
    """Take the next free slot and write the read down; ``ReadFailed`` when none comes in time.

    Some slots are kept from reads that only an entry waits for (``Priority.ENTRY``).
    Raises ``RuntimeError`` inside a transaction: the row must be committed before it is used.
    """
    give_up = time.monotonic() + PATIENCE
    while (call := _take(account, what, kind, priority)) is None:
        if time.monotonic() > give_up:
            text = f"no free call to the broker within {PATIENCE:g} s"
            raise ReadFailed(text, transient=True, kind="budget")
        time.sleep(0.1)
    return call


def _take(account: BrokerAccount, what: str, kind: Budget, priority: Priority) -> WireCall | None:
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_SPACE[kind], account.pk])
        if budget.wait_needed(account, kind, priority) is not None:
            return None
        return open_call(account, Verb.READ, what, budget=kind.value)
