"""Locks across processes: one per order, held while talking to its broker; one per chore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from django.db import connection

# Keeps these locks apart from any other use of PostgreSQL's advisory locks.
_ORDER, _TURN = 7_201, 7_204


@contextmanager
def order_lock(correlation_id: str) -> Iterator[None]:
    """Hold the order's lock; waits up to the database's lock time-out for it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [_ORDER, correlation_id])
    try:
        yield
    finally:
        _unlock(_ORDER, correlation_id)


def order_lock_if_free(correlation_id: str) -> AbstractContextManager[bool]:
    """Try for the order's lock; yields whether it was free."""
    return _if_free(_ORDER, correlation_id)


def turn_if_free(work: str) -> AbstractContextManager[bool]:
    """Try to be the only one in the house that does this work; yields whether it was free."""
    return _if_free(_TURN, work)


def turn_taken(work: str) -> bool:
    """Whether somebody in the house does this work right now; takes nothing itself."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid = %s AND objid = (hashtext(%s)::bigint & 4294967295)::oid)",
            [_TURN, work],
        )
        return bool(cursor.fetchone()[0])


@contextmanager
def _if_free(space: int, name: str) -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [space, name])
        free = bool(cursor.fetchone()[0])
    try:
        yield free
    finally:
        if free:
            _unlock(space, name)


def _unlock(space: int, name: str) -> None:
    """Give the lock back; a connection that was lost has given it back already."""
    if connection.connection is None or connection.connection.closed:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [space, name])
