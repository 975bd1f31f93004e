"""What the live page shows as one: an order of its own, or a bracket with all of its orders.

Everything that a unit shows has a change number: its orders' and its bracket's. The highest of
them is the unit's, provided that all was read at one moment.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from apps.orders.models import Bracket, BracketLeg, Leg, LegStatus, Order
from apps.orders.states import Status
from apps.orders.words import LEGS, average_of, status_tone, status_word

_PARTS = {Leg.ENTRY: "Entry", Leg.TARGET: "Target", Leg.STOP_LOSS: "Stop-loss"}
_OTHER_PARTS = {"OUT": "Way out", "BACK": "Put back"}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Line:
    """One row: an order, a leg of a bracket, or a leg with the order that works it now."""

    order: Order | None
    leg: BracketLeg | None = None
    name: str = ""  # of the part of a bracket
    earlier: Sequence[Order] = ()  # orders that worked the leg before
    part: str = ""  # that its fills are counted in; empty: the leg's line counts them

    @property
    def key(self) -> str:
        """The row's id in the page; a leg keeps it while its orders come and go."""
        return f"leg-{self.leg.pk}" if self.leg else f"order-{self._its_order.pk}"

    @property
    def _its_order(self) -> Order:
        if self.order is None:
            raise LookupError("a row without a leg and without an order")
        return self.order

    @property
    def _says(self) -> Order | BracketLeg:
        """The order's own row while there is one: it is newer than the leg's."""
        return self.order or self.leg or self._its_order

    @property
    def under(self) -> bool:
        """True for what stands below the entry."""
        return bool(self.name) and not (self.leg and self.leg.leg == Leg.ENTRY)

    @property
    def status(self) -> str:
        """Of the order, or of the leg while it has none."""
        return self._says.status

    @property
    def word(self) -> str:
        """The status as people say it."""
        return status_word(self.status) if self.order else LegStatus(self.status).label

    @property
    def tone(self) -> str:
        """The status as a colour class."""
        return status_tone(self.status) if self.order else LEGS[self.status]

    @property
    def unknown(self) -> bool:
        """True while nobody knows where it is."""
        return self.status == Status.UNKNOWN

    @property
    def awaited(self) -> bool:
        """True while nothing of it was placed."""
        return self.order is None and self.status == LegStatus.AWAITED

    @property
    def quantity(self) -> int:
        """Units, with those that earlier orders of the leg filled."""
        return self._says.quantity + sum(order.filled_quantity for order in self.earlier)

    @property
    def filled(self) -> int:
        """Units, with those of earlier orders of the leg."""
        return self._says.filled_quantity + sum(order.filled_quantity for order in self.earlier)

    @property
    def filled_percent(self) -> int:
        """Of the quantity."""
        return min(100, self.filled * 100 // self.quantity) if self.quantity > 0 else 0

    @property
    def price(self) -> Decimal | None:
        """Rupees; empty: at the market, or not known yet."""
        return self._says.price

    @property
    def trigger_price(self) -> Decimal | None:
        """Rupees."""
        return self._says.trigger_price

    @property
    def average_price(self) -> Decimal | None:
        """Rupees, over all orders of the leg; empty without fills, or while one is not told."""
        if self.order is None or not self.earlier:
            return self._says.average_price if self.filled else None
        return average_of([*self.earlier, self.order])

    @property
    def reason(self) -> str:
        """Why it is where it is."""
        return self._says.reason

    @property
    def broker_id(self) -> str:
        """The broker's id of the order, or of the leg that is no order of ours."""
        if self.order is not None and self.order.broker_order_id:
            return self.order.broker_order_id
        return self.leg.leg_order_id if self.leg else ""

    @property
    def count(self) -> int:
        """Which order of its leg it is."""
        return len(self.earlier) + 1


@dataclass(frozen=True)
class Unit:
    """Rows that stay together."""

    orders: list[Order]
    bracket: Bracket | None = None
    legs: list[BracketLeg] = field(default_factory=list)

    @property
    def _first(self) -> Bracket | Order:
        return self.bracket or self.orders[0]

    @property
    def pk(self) -> int:
        """Of the bracket, or of the order that is none's part."""
        return self._first.pk

    @property
    def kind(self) -> str:
        """Whose ``pk`` it is."""
        return "bracket" if self.bracket else "order"

    @property
    def key(self) -> str:
        """What the page calls it."""
        return f"{self.kind}-{self.pk}"

    @property
    def account_id(self) -> int:
        """Whose change numbers it goes by."""
        return self._first.account_id

    @property
    def version(self) -> tuple[int, ...]:
        """The change numbers of all that it shows."""
        return (self._first.live_seq, *(order.live_seq for order in self.orders))

    @property
    def seq(self) -> int:
        """The newest of them."""
        return max(self.version)

    @property
    def rank(self) -> int:
        """When it began, in microseconds: newer ones stand above."""
        return (self._first.created_at - _EPOCH) // dt.timedelta(microseconds=1)

    @property
    def place(self) -> tuple[bool, int, int]:
        """Its place in the page: unknown ones first, then the newest."""
        return self.pinned, self.rank, self.pk

    @property
    def pinned(self) -> bool:
        """True while something of it is unknown."""
        return any(line.unknown for line in self.lines)

    @property
    def alive(self) -> bool:
        """True while something of it may still trade."""
        over = self.bracket is None or self.bracket.over
        return not over or any(not order.over for order in self.orders)

    @property
    def held(self) -> int:
        """Units that a bracket holds by its own fills; below zero: left too much."""
        signs = {Leg.ENTRY: 1, "BACK": 1, "": 0}
        return sum(signs.get(line.part, -1) * line.filled for line in self.lines)

    @cached_property
    def lines(self) -> list[Line]:
        """The entry, then target and stop, then what was placed to put things right."""
        if self.bracket is None:
            return [Line(self.orders[0])]
        of_part: dict[str, list[Order]] = {}
        for order in self.orders:
            of_part.setdefault((order.request_key or "").split(":")[2], []).append(order)
        legs = {leg.leg: leg for leg in self.legs}
        lines = [
            _leg_line(legs[part], name, of_part.pop(part, []))
            for part, name in _PARTS.items()
            if part in legs
        ]
        lines += [old for old in earlier_lines(lines) if old.order and not old.order.over]
        for part, orders in of_part.items():
            name = _OTHER_PARTS.get(part, part.capitalize())
            lines += [Line(order, name=name, part=part) for order in orders]
        return lines


def _leg_line(leg: BracketLeg, name: str, orders: list[Order]) -> Line:
    newest = orders[-1] if orders else None
    return Line(newest, leg, name, orders[:-1], part=leg.leg)


def earlier_lines(lines: Iterable[Line]) -> list[Line]:
    """The orders that worked these legs before, each by itself."""
    return [
        Line(order, name=f"{line.name}, order {number}")
        for line in lines
        for number, order in enumerate(line.earlier, 1)
    ]


def of_bracket(bracket: Bracket) -> Unit:
    """The bracket with its legs and orders."""
    return of_brackets([bracket])[0]


def of_orders(orders: Iterable[Order]) -> list[Unit]:
    """Orders that are no part of a bracket, each by itself."""
    return [Unit([order]) for order in orders]


def of_brackets(brackets: Sequence[Bracket]) -> list[Unit]:
    """The brackets, each with its legs and orders."""
    if not brackets:
        return []
    orders: dict[int | None, list[Order]] = {bracket.pk: [] for bracket in brackets}
    legs: dict[int, list[BracketLeg]] = {bracket.pk: [] for bracket in brackets}
    found = Order.objects.of_brackets([str(bracket.pk) for bracket in brackets]).order_by("pk")
    for order in found.select_related("account", "instrument"):
        orders[order.bracket_number].append(order)
    for leg in BracketLeg.objects.filter(bracket__in=list(legs)).order_by("pk"):
        legs[leg.bracket_id].append(leg)
    return [Unit(orders[bracket.pk], bracket, legs[bracket.pk]) for bracket in brackets]
