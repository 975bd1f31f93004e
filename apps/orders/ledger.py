"""Keep the position ledger: fills are counted as they are stored, once each, in a fixed order.

The order is that of the facts, not of their arrival: trading day, entries before fills, the
exchange's time, then the ids. What arrives later than its place makes its row anew from history,
so the rows are the same whatever came first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone

from apps.brokers.port import Side
from apps.orders.averaging import Holding, Move, after
from apps.orders.models import Fill, LedgerPosition, OpeningEntry, Order

_FIGURES = ("net", "cost", "realised", "bought", "bought_value", "sold", "sold_value")


class Whose(NamedTuple):
    """A row of the ledger by its names."""

    account_id: int
    instrument_id: int
    product: str
    owner: str


def whose(order: Order) -> Whose:
    """The row that the order's fills count in."""
    return Whose(order.account_id, order.instrument_id, order.product, order.owner)


def count_fills(order: Order, fills: Sequence[Fill]) -> None:
    """Count fills that the caller's transaction has stored, each of them for the first time."""
    moves = [_of_fill(fill, order.side) for fill in fills]
    _count(whose(order), moves, max(_time_of(fill) for fill in fills))


def book_entry(entry: OpeningEntry) -> None:
    """Store an opening entry and count it: one transaction."""
    with transaction.atomic():
        entry.save(force_insert=True)
        mine = Whose(entry.account_id, entry.instrument_id, entry.product, entry.owner)
        _count(mine, [_of_entry(entry)], None)


def rebuild() -> list[Whose]:
    """Make every row anew from history; those that were wrong."""
    wrong = []
    for mine in sorted(_everybody()):
        with transaction.atomic():
            row = _locked(mine)
            before = (_figures(row), row.last_key)
            _from_history(row)
            if before != (_figures(row), row.last_key):
                wrong.append(mine)
                row.counted_at = timezone.now()
                row.save()
    return wrong


def on_migrate(**_: Any) -> None:  # noqa: ANN401 - Django's own signature
    """A database that has fills and no ledger yet gets one."""
    if Fill.objects.exists() and not LedgerPosition.objects.exists():
        rebuild()


def check() -> list[tuple[Whose, dict[str, tuple[Any, Any]]]]:
    """Rows that history contradicts, with (kept, counted anew) of each figure; changes nothing."""
    wrong = []
    for mine in sorted(_everybody()):
        with transaction.atomic():
            kept = _figures(_locked(mine))
            counted = after(Holding(), sorted(_history(mine)))
            transaction.set_rollback(True)  # a row that was only made for its lock
        pairs = {name: (getattr(kept, name), getattr(counted, name)) for name in _FIGURES}
        if kept != counted:
            wrong.append((mine, {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}))
    return wrong


def around(mine: Whose, day: dt.date) -> tuple[Holding, Holding]:
    """The position as one trading day found it, and as it left it."""
    moves = sorted(_history(mine))
    start = day.isoformat()
    before = after(Holding(), (move for move in moves if move.key[0] < start))
    return before, after(before, (move for move in moves if move.key[0] == start))


def _count(mine: Whose, moves: list[Move], at: dt.datetime | None) -> None:
    row = _locked(mine)
    moves = sorted(moves)
    if not row.last_key or moves[0].key < tuple(row.last_key):
        _from_history(row)
    else:
        _write(row, after(_figures(row), moves), moves[-1].key)
    if at is not None and (row.last_fill_at is None or at > row.last_fill_at):
        row.last_fill_at = at
    row.counted_at = timezone.now()
    row.save()


def _locked(mine: Whose) -> LedgerPosition:
    """The row, made if need be, and nobody else's until the transaction ends."""
    fields = mine._asdict()
    LedgerPosition.objects.bulk_create([LedgerPosition(**fields)], ignore_conflicts=True)
    return LedgerPosition.objects.select_for_update().get(**fields)


def _figures(row: LedgerPosition) -> Holding:
    return Holding(**{name: getattr(row, name) for name in _FIGURES})


def _write(row: LedgerPosition, holding: Holding, key: tuple[str, ...]) -> None:
    for name in _FIGURES:
        setattr(row, name, getattr(holding, name))
    row.last_key = list(key)


def _from_history(row: LedgerPosition) -> None:
    mine = Whose(row.account_id, row.instrument_id, row.product, row.owner)
    moves = sorted(_history(mine))
    _write(row, after(Holding(), moves), moves[-1].key if moves else ())


def _history(mine: Whose) -> Iterable[Move]:
    """Everything that counts in one row: its fills and entries."""
    its = {"account_id": mine.account_id, "instrument_id": mine.instrument_id}
    for entry in OpeningEntry.objects.filter(**its, product=mine.product, owner=mine.owner):
        yield _of_entry(entry)
    fills = Fill.objects.filter(
        order__account_id=mine.account_id,
        order__instrument_id=mine.instrument_id,
        order__product=mine.product,
    ).select_related("order")
    for fill in fills:
        if fill.order.owner == mine.owner:
            yield _of_fill(fill, fill.order.side)


def _everybody() -> set[Whose]:
    """Every row that there is, or should be."""
    names = ("account_id", "instrument_id", "product", "owner")
    found = {Whose(*row) for row in LedgerPosition.objects.values_list(*names)}
    found |= {Whose(*row) for row in OpeningEntry.objects.values_list(*names)}
    orders = Order.objects.filter(fills__isnull=False).distinct()
    return found | {whose(order) for order in orders}


def _of_fill(fill: Fill, side: str) -> Move:
    at = fill.traded_at
    stamp = "" if at is None else at.astimezone(dt.UTC).isoformat(timespec="microseconds")
    key = (fill.trading_day.isoformat(), "1", stamp, fill.broker_order_id, fill.exchange_trade_id)
    return Move(key, Side(side).sign * fill.quantity, fill.price)


def _of_entry(entry: OpeningEntry) -> Move:
    key = (entry.trading_day.isoformat(), "0", f"{entry.pk:012d}", "", "")
    return Move(key, entry.quantity, entry.price)


def _time_of(fill: Fill) -> dt.datetime:
    return fill.traded_at or fill.recorded_at
