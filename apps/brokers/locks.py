"""One lock per order, held by whoever is talking to a broker about it, across processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

_SPACE = 7_201  # keeps these locks apart from any other use of PostgreSQL's advisory locks


@contextmanager
def order_lock(correlation_id: str) -> Iterator[None]:
    """Hold the order's lock; waits up to the database's lock time-out for it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [_SPACE, correlation_id])
    try:
        yield
    finally:
        _unlock(correlation_id)


@contextmanager
def order_lock_if_free(correlation_id: str) -> Iterator[bool]:
    """Try for the order's lock; yields whether it was free."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_SPACE, correlation_id])
        free = bool(cursor.fetchone()[0])
    try:
        yield free
    finally:
        if free:
            _unlock(correlation_id)


def _unlock(correlation_id: str) -> None:
    """Give the lock back; a connection that was lost has given it back already."""
    if connection.connection is None or connection.connection.closed:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_SPACE, correlation_id])
