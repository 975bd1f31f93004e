"""Rows read and written without building their SQL anew: for the statements every order needs.

Django's query builder costs five to ten times the statement itself. The columns and their
conversions still come from the model, so a new field needs nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import AutoField, Field, Model

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class _Shape:
    """A model's columns, once per process."""

    names: list[str]  # attribute names, in the order of the columns
    columns: str
    reading: list[tuple[int, Any]]  # position and field of each column that must be converted
    writing: list[Any]  # the fields that an INSERT names
    insert: str
    fields: dict[str, Any]  # by attribute name


@lru_cache(maxsize=32)
def _shape(model: type[Model]) -> _Shape:
    meta = model._meta
    fields: list[Field[Any, Any]] = list(meta.concrete_fields)
    writing = [field for field in fields if not isinstance(field, AutoField)]
    named = ", ".join(f'"{field.column}"' for field in writing)
    places = ", ".join(["%s"] * len(writing))
    key = f'"{meta.pk.column}"'
    return _Shape(
        names=[field.attname for field in fields],
        columns=", ".join(f'"{field.column}"' for field in fields),
        reading=[(at, field) for at, field in enumerate(fields) if hasattr(field, "from_db_value")],
        writing=writing,
        insert=f'INSERT INTO "{meta.db_table}" ({named}) VALUES ({places}) RETURNING {key}',  # noqa: S608
        fields={field.attname: field for field in fields},
    )


def columns_of(model: type[Model], alias: str) -> str:
    """The model's columns for a SELECT of the caller's own, for ``from_columns`` to read."""
    return ", ".join(f'{alias}."{field.column}"' for field in _shape(model).fields.values())


def from_columns(model: type[M], row: Sequence[Any], at: int) -> tuple[M | None, int]:
    """The model from its columns in a row, or None when they are all empty; and where they end."""
    shape = _shape(model)
    end = at + len(shape.names)
    values = list(row[at:end])
    return (
        _made(model, shape, values) if any(value is not None for value in values) else None
    ), end


def _made(model: type[M], shape: _Shape, values: list[Any]) -> M:
    for at, field in shape.reading:
        values[at] = field.from_db_value(values[at], None, connection)
    return model.from_db(DEFAULT_DB_ALIAS, shape.names, values)


def read_rows(model: type[M], where: str, params: list[Any], most: int) -> list[M]:
    """Up to ``most`` rows for which ``where``, constant SQL of the caller's own, holds."""
    shape = _shape(model)
    table = model._meta.db_table
    sql = f'SELECT {shape.columns} FROM "{table}" WHERE {where} LIMIT {most:d}'  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [_made(model, shape, list(found)) for found in cursor.fetchall()]


def read_row(model: type[M], where: str, params: list[Any], *, lock: str = "") -> M | None:
    """The first row for which ``where`` holds, or None. ``lock`` is a locking clause of SQL.

    ``where`` and ``lock`` are constant SQL of the caller's own, never a user's words.
    """
    shape = _shape(model)
    table = model._meta.db_table
    sql = f'SELECT {shape.columns} FROM "{table}" WHERE {where} LIMIT 1 {lock}'  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found = cursor.fetchone()
    return None if found is None else _made(model, shape, list(found))


def with_related(row: M, *names: str) -> M:
    """The same row with what its foreign keys name read as well, one statement each."""
    for name in names:
        field: Any = row._meta.get_field(name)
        key = f'"{field.target_field.column}" = %s'
        found: Model | None = read_row(field.related_model, key, [getattr(row, field.attname)])
        if found is None:
            raise LookupError(f"{row} has no {name}")
        setattr(row, name, found)
    return row


def insert_row(row: M) -> M:
    """Insert a new row as it is and give it its key. No signals, no validation."""
    sql, values = insertion(row)
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        _is_stored(row, cursor.fetchone()[0])
    return row


def insert_together(first: Model, *others: Model) -> None:
    """Insert several new rows in one statement. ``others`` may point at ``first``."""
    sql, values = insertion(first)
    parts = [f"first AS ({sql})"]
    for number, row in enumerate(others):
        sql, more = insertion(row, after=first)
        parts.append(f"row{number} AS ({sql})")
        values += more
    names = [part.partition(" ")[0] for part in parts]
    keys = ", ".join(f"(SELECT * FROM {name})" for name in names)  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {', '.join(parts)} SELECT {keys}", values)
        found = cursor.fetchone()
    for row, key in zip((first, *others), found, strict=True):
        _is_stored(row, key)


def _is_stored(row: Model, key: Any) -> None:  # noqa: ANN401 - a key of any kind
    row.pk = key
    row._state.adding = False
    row._state.db = DEFAULT_DB_ALIAS
    for field in _shape(type(row)).fields.values():
        if field.is_relation and field.is_cached(row) and getattr(row, field.attname) is None:
            related = field.get_cached_value(row)
            setattr(row, field.attname, related and related.pk)


def insertion(row: Model, after: Model | None = None) -> tuple[str, list[Any]]:
    """The INSERT of a new row, returning its key, and its values: to be part of a larger one.

    A foreign key to ``after`` takes the key that the larger statement calls ``first``.
    """
    shape = _shape(type(row))
    values, sql = [], shape.insert
    for field in shape.writing:
        if after is not None and field.is_relation and field.get_cached_value(row, None) is after:
            sql = _pointing_at_first(shape, field)
        else:
            values.append(field.get_db_prep_save(field.pre_save(row, add=True), connection))
    return sql, values


def _pointing_at_first(shape: _Shape, pointing: Any) -> str:  # noqa: ANN401 - a field
    head, _, tail = shape.insert.partition(" VALUES ")
    places = ["(SELECT * FROM first)" if field is pointing else "%s" for field in shape.writing]
    return f"{head} VALUES ({', '.join(places)}) {tail.partition(') ')[2]}"


def update_rows(model: type[Model], columns: dict[str, Any], where: str, params: list[Any]) -> int:
    """Set ``columns`` (by attribute name) where the condition holds; how many rows that were."""
    assignments, values = setting(model, columns)
    sql = f'UPDATE "{model._meta.db_table}" SET {assignments} WHERE {where}'  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, *params])
        return int(cursor.rowcount)


def setting(model: type[Model], columns: dict[str, Any]) -> tuple[str, list[Any]]:
    """The assignments of an UPDATE and their values. Raises ``KeyError`` for no such column."""
    fields = _shape(model).fields
    named = [(fields[name], columns[name]) for name in sorted(columns)]
    assignments = ", ".join(f'"{field.column}" = %s' for field, _ in named)
    return assignments, [field.get_db_prep_save(value, connection) for field, value in named]
