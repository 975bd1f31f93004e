"""What the tests of imports ask the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

LOG = {"orders_legacyimport", "orders_leftout"}  # an import stays on record


def dump() -> dict[str, list[Any]]:
    """Every row of every table but the record of the imports."""
    with connection.cursor() as cursor:
        tables = sorted(set(connection.introspection.table_names(cursor)) - LOG)
        found = {}
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" t ORDER BY 1')
            found[table] = [row[0] for row in cursor.fetchall()]
    return found


@contextmanager
def elsewhere(like: Any) -> Iterator[psycopg.Cursor[Any]]:
    """A second connection to the same database."""
    known = like.get_connection_params()
    words = {k: known[k] for k in ("dbname", "user", "password", "host", "port") if known.get(k)}
    with psycopg.connect(**words, autocommit=True) as other, other.cursor() as cursor:
        yield cursor
