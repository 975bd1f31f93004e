"""Many new rows at once, by COPY: the model's own columns, with its defaults where none is said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import Error, connection
from django.db.models import Model

MOST_SECONDS = 900  # of one statement, and between two: the transaction is ours alone
_MANNERS = (
    f"SET LOCAL statement_timeout = '{MOST_SECONDS}s'",
    f"SET LOCAL idle_in_transaction_session_timeout = '{MOST_SECONDS}s'",
    "SET LOCAL jit = off",
)
_GROWN = "orders_order, orders_orderevent, orders_importedrow, orders_bracket, orders_bracketleg"


def take_time() -> None:
    """Let this transaction, and no other, be a long one of very many rows."""
    with connection.cursor() as cursor:
        for manner in _MANNERS:
            cursor.execute(manner)


def renew_statistics() -> str:
    """Tell the planner of so many rows that came or left, so that it finds them by their keys.

    Why that could not be done now, else nothing: the database does it by itself some time later.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {_GROWN}")
    except Error as error:
        return str(error).partition("\n")[0]
    return ""


def recount() -> None:
    """The same in the middle of a long transaction, of what it looks its own rows' names up in.

    Where these tables were empty when they were last counted, as after a rollback, the planner
    would read every order of an account for each name. Whoever holds a table is not waited for.
    """
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE (SKIP_LOCKED) orders_order, orders_importedrow, brokers_instrument")


class Filling:
    """Rows of one model, collected and then written together."""

    def __init__(self, model: type[Model], **always: Any) -> None:  # noqa: ANN401 - any column
        blank = model(**always)
        fields = model._meta.concrete_fields
        self._table = model._meta.db_table
        self._columns = [field.column for field in fields]
        self._at = {field.attname: at for at, field in enumerate(fields)}
        self._blank = [
            field.get_db_prep_save(field.pre_save(blank, add=True), connection) for field in fields
        ]
        self._rows: list[list[Any]] = []

    def add(self, **values: Any) -> None:  # noqa: ANN401 - any column
        """One row; ``values`` by attribute name, JSON as text."""
        row = list(self._blank)
        for name, value in values.items():
            row[self._at[name]] = value
        self._rows.append(row)

    def write(self) -> None:
        """Write what was collected."""
        if not self._rows:
            return
        columns = ", ".join(f'"{column}"' for column in self._columns)
        with (
            connection.wrap_database_errors,
            connection.cursor() as cursor,
            cursor.copy(f'COPY "{self._table}" ({columns}) FROM STDIN') as copy,
        ):
            for row in self._rows:
                copy.write_row(row)
        self._rows.clear()


def new_ids(model: type[Model], how_many: int) -> list[int]:
    """Keys of rows that are yet to be written."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [model._meta.db_table, how_many],
        )
        return [int(row[0]) for row in cursor.fetchall()]


class Keys:
    """The same one at a time, fetched by the hundred."""

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        self._left: list[int] = []

    def next(self) -> int:
        """A key that nobody else gets."""
        if not self._left:
            self._left = new_ids(self._model, 500)[::-1]
        return self._left.pop()


def fetched(sql: str, params: Iterable[Any]) -> list[tuple[Any, ...]]:
    """All rows of a query that is constant SQL of the caller's own."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(params))
        return list(cursor.fetchall())
