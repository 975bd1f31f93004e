"""Super orders: an entry with a target and a stop, as they are kept on record.

DhanHQ v2 documentation, super order page. What it leaves open, and is our choice: legs come into
the order book with the first fill of the entry, for what is filled; they wait at the broker and
reach the exchange when the price comes to them; then the sibling and the rest of the entry are
cancelled.
"""

from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from simexchange.money import ZERO
from simexchange.orders import STOP, TARGET, Order

EXITS = (STOP, TARGET)


@dataclass(frozen=True, slots=True)
class Levels:
    """Where the exits are, in rupees. `jump` 0: the stop does not trail."""

    target: Decimal
    stop: Decimal
    jump: Decimal = ZERO

    def of(self, leg: str) -> Decimal:
        return self.stop if leg == STOP else self.target


@dataclass(slots=True)
class SuperOrder:
    """One super order; its id is that of its entry.

    `legs`: the order of each exit that is in the book. `gone`: exits cancelled before. `stays`:
    exits whose cancel with their sibling went wrong. `anchor`: the price the stop trails from, 0
    while nothing is filled. `changes`: modifications by leg. A bracket order's target and stop are
    0 until its first fill.
    """

    order_id: str
    client_id: str
    target: Decimal = ZERO
    stop: Decimal = ZERO
    jump: Decimal = ZERO
    anchor: Decimal = ZERO
    own_ids: bool = False
    legs: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    changes: dict[str, int] = field(default_factory=dict)

    def level(self, leg: str) -> Decimal:
        return self.stop if leg == STOP else self.target

    def count_change(self, leg: str) -> None:
        self.changes[leg] = self.changes.get(leg, 0) + 1


def has_fired(exit_order: Order) -> bool:
    """Whether this exit has gone to the exchange, whatever became of it there."""
    at_exchange = exit_order.is_working and not exit_order.watched
    return at_exchange or exit_order.filled > 0


def sibling(leg: str) -> str:
    return TARGET if leg == STOP else STOP


def super_entry(each: SuperOrder) -> dict[str, Any]:
    return asdict(each)


def super_from(entry: dict[str, Any]) -> SuperOrder:
    prices = {name: Decimal(entry[name]) for name in ("target", "stop", "jump", "anchor")}
    return SuperOrder(**{**entry, **prices})
