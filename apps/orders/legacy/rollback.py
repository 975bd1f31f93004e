"""Take an import back: exactly what that file brought, and only while nothing else uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import ForeignObjectRel, Model, Q
from django.db.models.expressions import RawSQL
from django.utils import timezone

from apps.brokers.locks import turn_if_free
from apps.brokers.models import Instrument
from apps.orders.legacy.carrying import TURN
from apps.orders.legacy.source import Refused
from apps.orders.legacy.tables import renew_statistics, take_time
from apps.orders.models import Bracket, BracketLeg, ImportedRow, LegacyImport, Order, OrderEvent

_MADE = (
    "SELECT jsonb_array_elements_text(instruments)::bigint FROM orders_legacyimport"
    " WHERE id = ANY(%s)"
)
_BY_ORIGIN = "origin_id IN (SELECT id FROM orders_importedrow WHERE brought_by_id = ANY(%s))"
# In this order, because the database asks for an event's order and a row's import.
_LEAVE = {
    BracketLeg: _BY_ORIGIN,
    Bracket: _BY_ORIGIN,
    OrderEvent: f"order_id IN (SELECT id FROM orders_order WHERE {_BY_ORIGIN})",  # noqa: S608
    Order: _BY_ORIGIN,
    ImportedRow: "brought_by_id = ANY(%s)",
}


@dataclass(frozen=True)
class TakenBack:
    """The imports that were taken back, and how many rows left, by our own tables."""

    imports: list[LegacyImport]
    rows: dict[str, int]


def imports_of(sha256: str) -> list[LegacyImport]:
    """Imports of the file with this hash, or one that begins so, that are still in the desk."""
    return list(LegacyImport.objects.filter(sha256__startswith=sha256, rolled_back_at=None))


def take_back(imports: list[LegacyImport], actor: str, *, keep: bool = True) -> TakenBack:
    """Delete what these imports brought; ``keep`` False undoes it again.

    Raises ``Refused``, and nothing changes, when something that they did not bring uses it.
    """
    with turn_if_free(TURN) as mine:
        if not mine:
            raise Refused("another import or rollback is under way; try again when it is over")
        renew_statistics()  # rows that nobody told the planner of are looked up one by one else
        with transaction.atomic(), connection.cursor() as cursor:
            take_time()
            keys = [row.pk for row in imports]
            if used := _uses(keys):
                raise Refused(f"it has been used since: {'; '.join(used)}")
            _mark(cursor, keys, actor)
            rows = {}
            for model, where in _LEAVE.items():
                table = model._meta.db_table
                cursor.execute(f"DELETE FROM {table} WHERE {where}", [keys])  # noqa: S608
                rows[str(model._meta.verbose_name_plural)] = cursor.rowcount
            table = Instrument._meta.db_table
            cursor.execute(f"DELETE FROM {table} WHERE id IN ({_MADE})", [keys])  # noqa: S608
            rows["instruments"] = cursor.rowcount
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            if not keep:
                transaction.set_rollback(True)
    return TakenBack(imports, rows)


def _mark(cursor: Any, keys: list[int], actor: str) -> None:  # noqa: ANN401 - a cursor
    """Only in the transaction that marks an import do its rows leave."""
    cursor.execute(
        "UPDATE orders_legacyimport SET rolled_back_at = %s, rolled_back_by = %s,"
        " rollback_xid = pg_current_xact_id()::text::bigint"
        " WHERE id = ANY(%s) AND rolled_back_at IS NULL",
        [timezone.now(), actor[:150], keys],
    )
    if cursor.rowcount != len(keys):
        raise Refused("somebody else has taken it back just now")


def _uses(keys: list[int]) -> list[str]:
    """What points at these rows without being of these imports, in words."""
    own_orders = Order.every.filter(origin__brought_by__in=keys).values("pk")
    own_brackets = Bracket.objects.filter(origin__brought_by__in=keys).values("pk")
    made = RawSQL(_MADE, [keys])  # noqa: S611 - constant SQL
    found = []
    for model, own in ((Order, own_orders), (Bracket, own_brackets), (Instrument, made)):
        for relation in model._meta.get_fields(include_hidden=True):
            if not isinstance(relation, ForeignObjectRel):
                continue
            count = _others(relation.related_model, relation.field.name, own, keys)
            if count:
                name = relation.related_model._meta.verbose_name_plural
                found.append(f"{count:,} {name} refer to its {model._meta.verbose_name_plural}")
    return found


def _others(pointing: type[Model], name: str, own: Any, keys: list[int]) -> int:  # noqa: ANN401
    rows = pointing._base_manager.filter(**{f"{name}__in": own})
    return rows.exclude(_belongs(pointing, keys)).count()


def _belongs(pointing: type[Model], keys: list[int]) -> Q:
    """Rows of that table which the same imports brought."""
    if pointing is ImportedRow:
        return Q(brought_by__in=keys)
    if pointing is OrderEvent:
        return Q(event="IMPORT", order__origin__brought_by__in=keys)
    if pointing in {Order, Bracket, BracketLeg}:
        return Q(origin__isnull=False, origin__brought_by__in=keys)
    return Q(pk__in=[])
