"""The file's orders as orders of the desk that are history from their first moment."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from django.utils import timezone

from apps.brokers.port import Intent
from apps.orders.legacy.contracts import Contracts
from apps.orders.legacy.keeping import CHANGED, Keeper, Known
from apps.orders.legacy.rows import PastOrder, Row, digest, identity, name_of, past_order
from apps.orders.legacy.schema import ORDERS
from apps.orders.legacy.tables import Filling, fetched, new_ids, recount
from apps.orders.legacy.traded import Traded
from apps.orders.legacy.words import ROLES, CannotCarry, Outcome
from apps.orders.models import ImportedRow, Order, OrderEvent, Source, trading_day
from apps.orders.states import Event, Status

if TYPE_CHECKING:
    from apps.orders.legacy.carrying import Wish

# Orders of that account, day and id, the desk's own and others'; the index knows named ones alone.
_THERE = """
    SELECT named.account, named.day, named.name,
           o.id, o.instrument_id, o.side, o.quantity, o.origin_id IS NULL
    FROM unnest(%s::bigint[], %s::date[], %s::varchar[]) AS named (account, day, name)
    CROSS JOIN LATERAL (
        (SELECT id, instrument_id, side, quantity, origin_id FROM orders_order
         WHERE account_id = named.account AND trading_day = named.day
           AND broker_order_id = named.name AND broker_order_id <> '' AND origin_id IS NOT NULL)
        UNION ALL
        (SELECT id, instrument_id, side, quantity, origin_id FROM orders_order
         WHERE account_id = named.account AND trading_day = named.day
           AND broker_order_id = named.name AND broker_order_id <> '' AND origin_id IS NULL)
        OFFSET 0) o
"""


_RECOUNTS = {4**power for power in range(1, 8)}  # chunks: each time it is four times as much


@dataclass(frozen=True, slots=True)
class Ref:
    """An order of the file that is in the desk. ``row`` is empty unless this import brought it."""

    pk: int
    row: int | None
    past: PastOrder
    account_id: int
    instrument_id: int
    day: dt.date
    filled: int


@dataclass(frozen=True, slots=True)
class _There:
    """An order that the desk has and that did not come from this row."""

    pk: int
    instrument_id: int
    side: str
    quantity: int
    ours: bool


@dataclass(frozen=True, slots=True)
class _New:
    legacy_id: str
    name: str
    said: str
    row: Row
    past: PastOrder
    account_id: int
    day: dt.date


class PastOrders:
    """Takes the rows of ``orders`` and knows afterwards which became what."""

    def __init__(self, keeper: Keeper, contracts: Contracts, wish: Wish, traded: Traded) -> None:
        self._keeper = keeper
        self._contracts = contracts
        self._wish = wish
        self._traded = traded
        self._today = trading_day()
        self._of_today = 0
        self._chunks = 0
        self._refs: dict[tuple[str, str], list[Ref]] = {}
        self._orders = Filling(
            Order, status=Status.IMPORTED, source=Source.LEGACY, actor=wish.actor[:150]
        )
        self._events = Filling(
            OrderEvent,
            event=Event.IMPORT,
            origin="legacy",
            applied=True,
            before=Status.NEW,
            after=Status.IMPORTED,
            actor=wish.actor[:150],
        )

    def all(self) -> Iterable[Ref]:
        """Every order of the file that is in the desk."""
        return (ref for refs in self._refs.values() for ref in refs)

    def find(self, role: str, legacy_id: object, column: str) -> Ref:
        """The order of that name. Raises ``CannotCarry`` when there is none, or more than one."""
        name = name_of(legacy_id)
        if not name:
            raise CannotCarry(f"{column} is missing")
        roles = [role] if role else ["leader", "follower"]
        found = [ref for one in roles for ref in self._refs.get((one, name), [])]
        if not found:
            raise CannotCarry(f"its order {name[:40]!r} is not in the file, or was left out")
        if len(found) > 1:
            raise CannotCarry(f"its order {name[:40]!r} may be one of {len(found)}")
        return found[0]

    def take(self, chunk: Sequence[tuple[str, Row]]) -> None:
        """Carry a chunk of rows."""
        fresh = [new for legacy_id, row in chunk if (new := self._read(legacy_id, row))]
        known = self._keeper.known([new.name for new in fresh])
        there = self._there(fresh)
        missing = []
        for new in fresh:
            same = there.get((new.account_id, new.day, new.past.legacy_id))
            if new.name in known:
                self._meet(new, known[new.name])
            elif same is not None:
                self._compare(new, same)
            else:
                missing.append(new)
        self._store(missing)
        self._chunks += 1
        if self._chunks in _RECOUNTS:
            recount()

    def tell_of_today(self) -> None:
        """Note how many orders may still be at work."""
        if self._of_today:
            text = "are of today: they stay as the file says, what becomes of them the books tell"
            self._keeper.report.notes.append(f"{ORDERS}: {self._of_today:,} {text}")

    def _meet(self, new: _New, known: Known) -> None:
        """An earlier import has brought it: what is about it may still be new."""
        report = self._keeper.report
        if known.order_id is None or known.account_id != new.account_id:
            other = "it is in the desk already, as an order of another account: compare --map"
            report.leave(ORDERS, new.legacy_id, other)
            return
        self._remember(new, known.order_id, known.instrument_id, None)
        if known.digest == new.said:
            report.known(ORDERS)
        else:
            report.leave(ORDERS, new.legacy_id, CHANGED)

    def _compare(self, new: _New, there: _There) -> None:
        """The desk has an order of that name: the same one, or the row stays behind."""
        past, report = new.past, self._keeper.report
        if not there.ours:
            account = self._wish.accounts[past.role]
            other = next(role for role in ROLES.values() if role != past.role)
            why = (
                f"{account} has this order of that day already, from the {other}'s side of another"
            )
            report.leave(ORDERS, new.legacy_id, f"{why} import")
        elif (there.side, there.quantity) != (past.side.value, past.quantity):
            why = "the desk has an order of that id and day of its own, and it differs"
            what = f"{there.side} {there.quantity} there, {past.side} {past.quantity} in the file"
            report.leave(ORDERS, new.legacy_id, f"{why}: {what}")
        else:
            self._remember(new, there.pk, there.instrument_id, None)
            report.known(ORDERS)

    def _read(self, legacy_id: str, row: Row) -> _New | None:
        try:
            past = past_order(row)
            day = trading_day(past.created_at)
            if day > self._today:
                raise CannotCarry(f"it is of {day}: its day has not begun")
            self._of_today += day == self._today
            name = identity(ORDERS, past.role, past.legacy_id, day)
            said = digest(row)
            if why := self._keeper.again(name, said):
                raise CannotCarry(why)
        except CannotCarry as error:
            self._keeper.report.leave(ORDERS, legacy_id, str(error))
            return None
        account = self._wish.accounts[past.role]
        return _New(legacy_id, name, said, row, past, account.pk, day)

    def _there(self, fresh: list[_New]) -> dict[tuple[int, dt.date, str], _There]:
        names = [
            [new.account_id for new in fresh],
            [new.day for new in fresh],
            [new.past.legacy_id for new in fresh],
        ]
        found = sorted(fetched(_THERE, names), key=itemgetter(7)) if fresh else []
        return {(row[0], row[1], row[2]): _There(*row[3:]) for row in found}  # our own counts

    def _remember(self, new: _New, pk: int, instrument: int | None, row: int | None) -> Ref:
        past = new.past
        ref = Ref(
            pk=pk,
            row=row,
            past=past,
            account_id=new.account_id,
            instrument_id=instrument or self._contracts.of(past.segment, past.security_id),
            day=new.day,
            filled=self._filled(past),
        )
        self._refs.setdefault((past.role, past.legacy_id), []).append(ref)
        return ref

    def _filled(self, past: PastOrder) -> int:
        if past.outcome is Outcome.FILLED:
            return past.quantity
        return min(self._traded.of(past.role, past.legacy_id), past.quantity)

    def _store(self, missing: list[_New]) -> None:
        count = len(missing)
        self._contracts.meet((new.past.segment, new.past.security_id) for new in missing)
        rows, orders = new_ids(ImportedRow, count), new_ids(Order, count)
        events = new_ids(OrderEvent, count)
        for new, row, order, event in zip(missing, rows, orders, events, strict=True):
            ref = self._remember(new, order, None, row)
            past = new.past
            self._keeper.keep(
                ORDERS, past.legacy_id, new.row,
                id=row, identity=new.name, digest=new.said, account_id=new.account_id,
                correlation_id=past.correlation_id,
                word=past.word, outcome=past.outcome.value,
            )  # fmt: skip
            self._add_order(new, ref)
            self._add_event(new, ref, event)
            self._keeper.report.carried(ORDERS)
        self._keeper.write()
        self._orders.write()
        self._events.write()

    def _add_order(self, new: _New, ref: Ref) -> None:
        past = new.past
        self._orders.add(
            id=ref.pk,
            correlation_id=f"L{new.name[:19]}",
            account_id=ref.account_id,
            instrument_id=ref.instrument_id,
            side=past.side.value,
            quantity=past.quantity,
            order_type=past.order_type.value,
            price=past.price,
            trigger_price=past.trigger_price,
            product=past.product.value,
            validity=past.validity.value,
            disclosed_quantity=past.disclosed,
            intent=Intent.EXIT.value if past.leg in {"TARGET", "STOP_LOSS"} else "",
            cause=f"{self._wish.given}: orders {past.legacy_id}"[-300:],
            reason=_reason(past),
            filled_quantity=ref.filled,
            broker_order_id=past.legacy_id,
            trading_day=ref.day,
            created_at=past.created_at,
            finished_at=past.updated_at,
            origin_id=ref.row,
        )

    def _add_event(self, new: _New, ref: Ref, pk: int) -> None:
        past = new.past
        facts = {
            "file": self._wish.given,
            "row": f"orders {past.legacy_id}",
            "correlation_id": past.correlation_id,
            "status": past.word,
            "filled_quantity": str(ref.filled),
        }
        self._events.add(
            id=pk,
            order_id=ref.pk,
            dedupe_key=f"L{new.name[:19]}|IMPORT",
            text=_reason(past),
            facts=json.dumps(facts),
            reported_at=past.updated_at,
            at=timezone.now(),
        )


def _reason(past: PastOrder) -> str:
    if past.outcome is Outcome.UNRECORDED:
        return f"{past.word} when the other system last wrote; how it ended is not in its file"
    return f"{past.word} in the other system"
