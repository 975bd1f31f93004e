"""Brackets and legs of the other system, from its table of legs and its orders' own columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from apps.brokers.port import OrderType
from apps.orders.legacy.keeping import CHANGED, Keeper
from apps.orders.legacy.past_orders import PastOrders, Ref
from apps.orders.legacy.rows import (
    MOST_RUPEES,
    PastLeg,
    PastOrder,
    Row,
    digest,
    identity,
    past_leg,
)
from apps.orders.legacy.schema import LEGS
from apps.orders.legacy.tables import Filling, Keys, fetched, new_ids
from apps.orders.legacy.words import BRACKETS, CannotCarry, Outcome
from apps.orders.models import (
    Bracket,
    BracketLeg,
    BracketStatus,
    ImportedRow,
    Leg,
    LegStatus,
    Source,
    Style,
)

_ALREADY = """
    SELECT b.account_id, b.trading_day, b.parent_broker_id, b.id, b.origin_id IS NULL,
           l.leg, l.leg_order_id, l.order_id
    FROM orders_bracket b LEFT JOIN orders_bracketleg l ON l.bracket_id = b.id
    WHERE b.account_id = ANY(%s)
"""
Key = tuple[int, dt.date, str]  # account, day, the parent's id
_MOST_NOTES = 500
_MOST_STEPS = 20


@dataclass
class _Bracket:
    """One bracket: in the desk already, or to be written when its legs are known."""

    pk: int
    ours: bool = False
    parent: Ref | None = None
    origin: int | None = None
    legs: set[str] = field(default_factory=set)
    prices: dict[str, Decimal | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _New:
    legacy_id: str
    name: str
    said: str
    row: Row
    past: PastLeg
    parent: Ref


class PastBrackets:
    """Takes rows of the table of legs, then completes the brackets from the orders."""

    def __init__(self, keeper: Keeper, orders: PastOrders) -> None:
        self._keeper = keeper
        self._orders = orders
        self._brackets: dict[Key, _Bracket] = {}
        self._ids: set[tuple[int, dt.date, str, str]] = set()
        self._used: set[int] = set()
        self._no_leg = 0  # orders that would be one and cannot be
        self._told: set[int] = set()  # rows that have become a leg
        self._keys = {model: Keys(model) for model in (Bracket, BracketLeg)}
        self._rows = Filling(
            BracketLeg, status=LegStatus.IMPORTED, reason="of another system's bracket"
        )
        accounts = [account.pk for account in keeper.accounts.values()]
        for account, day, parent, pk, ours, leg, name, order in fetched(_ALREADY, [accounts]):
            there = self._brackets.setdefault((account, day, parent), _Bracket(pk, ours))
            if leg is not None:
                there.legs.add(leg)
                self._ids.add((account, day, leg, name))
                self._used.add(order)

    def take(self, chunk: Sequence[tuple[str, Row]]) -> None:
        """Carry a chunk of the table of legs."""
        new = []
        for legacy_id, row in chunk:
            try:
                past = past_leg(row)
                parent = self._orders.find(past.role, past.parent, "parent_order_id")
                role = parent.past.role
                name = identity(LEGS, role, past.parent, past.leg, past.leg_order_id)
                said = digest(row)
                if why := self._keeper.again(name, said):
                    raise CannotCarry(why)
                new.append(_New(legacy_id, name, said, row, past, parent))
            except CannotCarry as error:
                self._keeper.report.leave(LEGS, legacy_id, str(error))
        known = self._keeper.known([leg.name for leg in new])
        for pk, leg in zip(new_ids(ImportedRow, len(new)), new, strict=True):
            if leg.name not in known:
                self._take_new(pk, leg)
            elif known[leg.name].digest == leg.said:
                self._keeper.report.known(LEGS)
            else:
                self._keeper.report.leave(LEGS, leg.legacy_id, CHANGED)
        self._keeper.write()

    def _take_new(self, pk: int, new: _New) -> None:
        past, parent = new.past, new.parent
        try:
            self._add(parent, past.leg, past.leg_order_id, pk, past)
        except CannotCarry as error:
            self._keeper.report.leave(LEGS, new.legacy_id, str(error))
            return
        self._keeper.keep(
            LEGS, past.leg_order_id or new.legacy_id, new.row,
            id=pk, identity=new.name, digest=new.said, account_id=parent.account_id,
            about_id=parent.pk, word=past.word, outcome=past.outcome.value,
        )  # fmt: skip
        self._keeper.report.carried(LEGS)

    def finish(self) -> None:
        """Legs that only the orders tell of, entries of brackets without one; then write all."""
        for ref in list(self._orders.all()):
            if ref.row is not None:
                self._from_order(ref, ref.row)
        for bracket in self._brackets.values():
            parent = bracket.parent
            if parent is not None and parent.row is not None and Leg.ENTRY not in bracket.legs:
                self._try(parent, partial(self._entry, parent, parent.row))
        if self._no_leg > _MOST_NOTES:
            more = self._no_leg - _MOST_NOTES
            self._keeper.report.notes.append(f"{more:,} more orders: carried, but not as a leg")
        self._write()

    def _from_order(self, ref: Ref, row: int) -> None:
        past = ref.past
        is_entry = past.leg in {"", Leg.ENTRY} and past.parent in {"", past.legacy_id}
        if past.leg and not is_entry:
            self._try(ref, partial(self._leg_of_order, ref, row))
        elif past.is_bracket and ref.pk not in self._used:
            self._try(ref, partial(self._entry, ref, row))

    def _try(self, ref: Ref, do: Callable[[], None]) -> None:
        """The order is carried in any case; why it makes no leg is a note."""
        try:
            do()
        except CannotCarry as error:
            self._no_leg += 1
            if self._no_leg <= _MOST_NOTES:
                text = f"order {ref.past.legacy_id}: carried, but not as a leg: {error}"
                self._keeper.report.notes.append(text)

    def _entry(self, ref: Ref, row: int) -> None:
        there = self._brackets.get(_key(ref))
        if there is None or Leg.ENTRY not in there.legs:
            self._add(ref, Leg.ENTRY, ref.past.legacy_id, row, ref.past)

    def _leg_of_order(self, ref: Ref, row: int) -> None:
        past = ref.past
        if (ref.account_id, ref.day, past.leg, past.legacy_id) in self._ids:
            return  # the table of legs has told of it
        parent = self._orders.find(past.role, past.parent, "parent_order_id")
        if parent.pk == ref.pk:
            raise CannotCarry("the parent that it names is itself")
        if self._is_below(parent, ref):
            raise CannotCarry("the parent that it names is its own leg in turn")
        self._add(parent, past.leg, past.legacy_id, row, past)

    def _is_below(self, one: Ref, other: Ref) -> bool:
        """Whether parents lead from one order to the other, in not too many steps."""
        for _ in range(_MOST_STEPS):
            try:
                one = self._orders.find(one.past.role, one.past.parent, "parent_order_id")
            except CannotCarry:
                return False
            if one.pk == other.pk:
                return True
        return False

    def _add(
        self, parent: Ref, leg: str, leg_order_id: str, row: int, past: PastLeg | PastOrder
    ) -> None:
        """One leg. Raises ``CannotCarry`` when the bracket or another one has it already."""
        key = (parent.account_id, parent.day, leg, leg_order_id)
        self._check(parent, key, row)
        bracket = self._bracket(parent, row)
        order = self._order_of(parent, leg, leg_order_id)
        quantity = past.quantity or (order or parent).past.quantity
        bracket.legs.add(leg)
        price = past.price or (order.past.price if order else None)
        trigger = past.trigger_price or (order.past.trigger_price if order else None)
        bracket.prices |= _prices(leg, price, trigger)
        self._ids.add(key)
        self._told.add(row)
        self._rows.add(
            id=self._keys[BracketLeg].next(),
            bracket_id=bracket.pk,
            account_id=parent.account_id,
            leg=leg,
            order_id=order and order.pk,
            leg_order_id=leg_order_id,
            trading_day=parent.day,
            quantity=quantity,
            price=price,
            trigger_price=trigger,
            filled_quantity=_filled(past, order, quantity),
            created_at=past.created_at or parent.past.created_at,
            named_at=past.created_at if leg_order_id else None,
            finished_at=past.updated_at,
            origin_id=row,
        )

    def _order_of(self, parent: Ref, leg: str, leg_order_id: str) -> Ref | None:
        """The order that is this leg, unless it is another one: a broker may name all alike."""
        try:
            order = self._orders.find(parent.past.role, leg_order_id, "leg_order_id")
        except CannotCarry:
            return None
        if leg != Leg.ENTRY and order.pk == parent.pk:
            return None
        if order.pk in self._used or order.day != parent.day:
            return None
        self._used.add(order.pk)
        return order

    def _check(self, parent: Ref, key: tuple[int, dt.date, str, str], row: int) -> None:
        """Raises ``CannotCarry`` when the bracket, the leg's id or the row is taken."""
        _account, _day, leg, leg_order_id = key
        named = parent.past.legacy_id
        there = self._brackets.get(_key(parent))
        if there is not None and there.ours:
            raise CannotCarry(f"the desk has a bracket of its own of {named}")
        if there is not None and leg in there.legs:
            raise CannotCarry(f"the bracket of {named} has its {leg} leg already")
        if leg_order_id and key in self._ids:
            raise CannotCarry(f"{leg_order_id} is the {leg} leg of another bracket of that day")
        if row in self._told:
            raise CannotCarry("it is a leg of another bracket already")

    def _bracket(self, parent: Ref, row: int) -> _Bracket:
        key = _key(parent)
        if key not in self._brackets:
            self._brackets[key] = _Bracket(
                self._keys[Bracket].next(), parent=parent, origin=row, prices=_asked(parent.past)
            )
        return self._brackets[key]

    def _write(self) -> None:
        rows = Filling(
            Bracket, status=BracketStatus.IMPORTED, source=Source.LEGACY, actor="another system"
        )
        for bracket in self._brackets.values():
            if bracket.parent is None:
                continue
            parent, past = bracket.parent, bracket.parent.past
            native = past.product_word in BRACKETS
            rows.add(
                id=bracket.pk,
                account_id=parent.account_id,
                instrument_id=parent.instrument_id,
                side=past.side.value,
                product=past.product.value,
                quantity=past.quantity,
                style=Style.NATIVE if native else Style.MANAGED,
                reason="of another system",
                parent_broker_id=past.legacy_id,
                trading_day=parent.day,
                created_at=past.created_at,
                finished_at=past.updated_at,
                origin_id=bracket.origin,
                **bracket.prices,
            )
        rows.write()
        self._rows.write()


def _key(parent: Ref) -> Key:
    return parent.account_id, parent.day, parent.past.legacy_id


def _asked(past: PastOrder) -> dict[str, Decimal | None]:
    """Prices of a bracket or cover order: what it says for certain, and nothing for what may be."""
    entry = past.price if past.order_type is OrderType.LIMIT else None
    prices: dict[str, Decimal | None] = {
        "entry_price": entry, "target_price": None, "stop_price": past.co_trigger,
    }  # fmt: skip
    if entry is not None:
        gain, loss = past.side.sign, -past.side.sign
        prices["target_price"] = _level_or_distance(entry, gain, past.bo_profit)
        prices["stop_price"] = (
            past.co_trigger
            or _level(entry, loss, past.co_stop_loss)
            or _level_or_distance(entry, loss, past.bo_stop_loss)
        )
    return prices


def _level_or_distance(entry: Decimal, way: int, value: Decimal | None) -> Decimal | None:
    """The broker's parameter is a distance (DhanHQ, orders); the file's schema says level."""
    level = _level(entry, way, value)
    sure = entry if way > 0 else entry * _FAR  # what is below the entry is no level above it
    if level is None and value is not None and value < sure:
        return _price(entry + way * value)
    return level


def _level(entry: Decimal, way: int, value: Decimal | None) -> Decimal | None:
    """The value if it is a price near the entry, above it (``way`` 1) or below it (-1)."""
    if value is None or not 0 < way * (value - entry) <= entry * _NEAR:
        return None
    return value


# Of the entry's price: a level lies no further from it, and a distance down is smaller.
_NEAR, _FAR = Decimal("0.2"), Decimal("0.5")


def _price(value: Decimal) -> Decimal | None:
    return value if 0 < value < MOST_RUPEES else None


def _prices(leg: str, price: Decimal | None, trigger: Decimal | None) -> dict[str, Decimal | None]:
    """What a leg says of its bracket's prices; it knows better than the distances."""
    if leg == Leg.TARGET and price:
        return {"target_price": price}
    if leg == Leg.STOP_LOSS and trigger:
        return {"stop_price": trigger, "stop_limit": price}
    return {}


def _filled(past: PastLeg | PastOrder, order: Ref | None, quantity: int) -> int:
    """The writer of orders may never come back to one: a leg that traded is filled all the same."""
    own = quantity if past.outcome is Outcome.FILLED else 0
    return max(own, order.filled) if order is not None else own
