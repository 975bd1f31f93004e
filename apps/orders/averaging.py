"""A position at average cost, one trade after another. Pure: no rows, no clock.

Rupees as Decimal with eight places. What a reducing trade takes out of the cost is rounded once,
and the same amount goes into the profit. So at every moment, to the last place,
``realised = sold_value - bought_value + cost of a long (- of a short) position``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from typing import NamedTuple

ZERO = Decimal(0)
_PLACES = Decimal("0.00000001")
_WIDE = Context(prec=50)


class Move(NamedTuple):
    """One fill or entry. ``key`` is its place in the order of all; ``signed`` units, < 0 sold."""

    key: tuple[str, ...]
    signed: int
    price: Decimal


@dataclass(frozen=True)
class Holding:
    """A position: units (< 0 is short), what its open part cost, and what it has earned."""

    net: int = 0
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    bought: int = 0
    bought_value: Decimal = ZERO
    sold: int = 0
    sold_value: Decimal = ZERO


def after(holding: Holding, moves: Iterable[Move]) -> Holding:
    """The holding once these have traded, in this order."""
    for move in moves:
        holding = _traded(holding, move.signed, move.price)
    return holding


def _traded(holding: Holding, signed: int, price: Decimal) -> Holding:
    value = _WIDE.multiply(abs(signed), price)
    if signed > 0:
        counted = replace(
            holding,
            bought=holding.bought + signed,
            bought_value=_WIDE.add(holding.bought_value, value),
        )
    else:
        counted = replace(
            holding,
            sold=holding.sold - signed,
            sold_value=_WIDE.add(holding.sold_value, value),
        )
    same_way = holding.net == 0 or (holding.net > 0) == (signed > 0)
    if same_way:
        return replace(counted, net=holding.net + signed, cost=_WIDE.add(holding.cost, value))
    closing = min(abs(signed), abs(holding.net))
    rest = _closed(counted, closing, price)
    opening = abs(signed) - closing
    if opening == 0:
        return rest
    # It crosses zero: what is left of the trade opens the other way.
    return replace(
        rest,
        net=opening if signed > 0 else -opening,
        cost=_WIDE.multiply(opening, price),
    )


def _closed(holding: Holding, quantity: int, price: Decimal) -> Holding:
    """The holding without ``quantity`` units of it, closed at ``price``."""
    whole = quantity == abs(holding.net)
    part = holding.cost if whole else _share(holding.cost, quantity, abs(holding.net))
    brought = _WIDE.multiply(quantity, price)
    long = holding.net > 0
    profit = _WIDE.subtract(brought, part) if long else _WIDE.subtract(part, brought)
    return replace(
        holding,
        net=holding.net - quantity if long else holding.net + quantity,
        cost=_WIDE.subtract(holding.cost, part),
        realised=_WIDE.add(holding.realised, profit),
    )


def _share(cost: Decimal, quantity: int, of: int) -> Decimal:
    return _WIDE.divide(_WIDE.multiply(cost, quantity), of).quantize(_PLACES, context=_WIDE)
