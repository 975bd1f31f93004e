"""Price-time matching for one instrument, between accounts and against the street."""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from simexchange.orders import Order


@dataclass(slots=True)
class Level:
    """Units the street offers at one price, in rupees."""

    price: Decimal
    quantity: int


@dataclass(slots=True)
class Street:
    """The synthetic market maker's resting depth; best price first on both sides."""

    bids: list[Level] = field(default_factory=list)
    asks: list[Level] = field(default_factory=list)

    def against(self, order: Order) -> list[Level]:
        return self.asks if order.is_buy else self.bids


@dataclass(frozen=True, slots=True)
class Fill:
    """An exchange of `quantity` units at `price`; no resting order means the street gave it."""

    order: Order
    resting: Order | None
    quantity: int
    price: Decimal


class Book:
    """The resting orders of one instrument and the street around them.

    The methods that match are generators: each fill is booked on its orders just before it is
    yielded, so that the caller sees every order as it stands after that fill.
    """

    def __init__(self) -> None:
        self.bids: list[Order] = []
        self.asks: list[Order] = []
        self.street = Street()

    def rest(self, order: Order) -> None:
        insort(self._side(order), order, key=_priority)

    def remove(self, order: Order) -> None:
        side = self._side(order)
        if order in side:
            side.remove(order)

    def match(self, order: Order, most: int | None = None) -> Iterator[Fill]:
        """Fill an arriving order from the other side, best price first; at most so many units."""
        end = max(order.remaining - most, 0) if most is not None else 0
        while (room := order.remaining - end) > 0:
            resting = self._best_against(order)
            level = _best_level(self.street.against(order))
            if resting is not None and (level is None or _no_worse(order, resting, level)):
                if not order.accepts(resting.price):
                    return
                yield self._trade(order, resting, room)
            elif level is not None and order.accepts(level.price):
                yield _take_level(order, level, level.price, room)
            else:
                return

    def uncross(self) -> Iterator[Fill]:
        """Fill resting orders that meet each other, or that the street has come to."""
        yield from self._match_resting()
        for side in (self.bids, self.asks):
            for order in tuple(side):
                yield from self._meet_street(order)

    def _match_resting(self) -> Iterator[Fill]:
        while self.bids and self.asks and self.bids[0].price >= self.asks[0].price:
            older, newer = sorted((self.bids[0], self.asks[0]), key=lambda o: o.sequence)
            fill = self._trade(newer, older, newer.remaining)
            if not newer.remaining:
                self.remove(newer)
            yield fill

    def _meet_street(self, order: Order) -> Iterator[Fill]:
        while order.remaining:
            level = _best_level(self.street.against(order))
            if level is None or not order.accepts(level.price):
                return
            fill = _take_level(order, level, order.price, order.remaining)
            if not order.remaining:
                self.remove(order)
            yield fill

    def _trade(self, order: Order, resting: Order, room: int) -> Fill:
        quantity = min(room, resting.remaining)
        price = resting.price
        order.take(quantity, price)
        resting.take(quantity, price)
        if not resting.remaining:
            self.remove(resting)
        return Fill(order, resting, quantity, price)

    def _side(self, order: Order) -> list[Order]:
        return self.bids if order.is_buy else self.asks

    def _best_against(self, order: Order) -> Order | None:
        side = self.asks if order.is_buy else self.bids
        return side[0] if side else None


def _priority(order: Order) -> tuple[Decimal, int]:
    return (-order.price if order.is_buy else order.price), order.sequence


def _best_level(levels: list[Level]) -> Level | None:
    return next((level for level in levels if level.quantity), None)


def _no_worse(order: Order, resting: Order, level: Level) -> bool:
    """Accounts go before the street at the same price."""
    if order.is_buy:
        return resting.price <= level.price
    return resting.price >= level.price


def _take_level(order: Order, level: Level, price: Decimal, room: int) -> Fill:
    quantity = min(room, level.quantity)
    level.quantity -= quantity
    order.take(quantity, price)
    return Fill(order, None, quantity, price)
