"""Take away what works in a position, or on a whole account, before it is closed."""

from __future__ import annotations

from collections.abc import Iterable

from apps.orders import services, slices
from apps.orders.models import ENDS, Order, Slicing
from apps.orders.services import Actor, TooLate


def cancel_each(orders: Iterable[Order], actor: Actor, reason: str) -> int:
    """Wish each cancelled, once; how many are not over yet."""
    left = 0
    for order in orders:
        if order.can_cancel:
            try:
                services.cancel(order, actor, reason)
            except TooLate:
                continue
        left += not order.over
    return left


def cancel_wholes(actor: Actor, reason: str, **where: object) -> None:
    """Let no further slice be placed; ``where`` names account, and position if not all of it."""
    for whole in Slicing.objects.filter(**where).exclude(status__in=ENDS):
        try:
            slices.cancel(whole, actor, reason)
        except TooLate:
            continue
