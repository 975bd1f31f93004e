"""Rows read and written without building their SQL anew: for the statements every order needs.

Django's query builder costs five to ten times the statement itself. The columns and their
conversions still come from the model, so a new field needs nothing here.
"""

from __future__ import annotations

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
    if found is None:
        return None
    values = list(found)
    for at, field in shape.reading:
        values[at] = field.from_db_value(values[at], None, connection)
    return model.from_db(DEFAULT_DB_ALIAS, shape.names, values)


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
        row.pk = cursor.fetchone()[0]
    row._state.adding = False
    row._state.db = DEFAULT_DB_ALIAS
    return row


def insertion(row: Model) -> tuple[str, list[Any]]:
    """The INSERT of a new row, returning its key, and its values: to be part of a larger one."""
    shape = _shape(type(row))
    values = [
        field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in shape.writing
    ]
    return shape.insert, values


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
