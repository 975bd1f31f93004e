"""Fills that come in pieces: which orders, how many units at once, how long between."""

from dataclasses import dataclass

from simexchange.instruments import Key
from simexchange.orders import Order


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `units` at once, `pause` seconds apart. None stands for every client or key."""

    units: int
    pause: float
    client_id: str | None = None
    key: Key | None = None

    def concerns(self, order: Order) -> bool:
        return self.client_id in {None, order.client_id} and self.key in {None, order.key}
