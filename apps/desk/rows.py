"""One row of the blotter. The page and the socket use the same fragment, so they cannot differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from apps.orders.models import Order
from apps.orders.states import Status


@dataclass(frozen=True)
class _Row:
    """A row is a function of these three; the order comes along to be drawn."""

    pk: int
    seq: int
    may_cancel: bool
    order: Order = field(compare=False)


def html_of(order: Order, *, may_cancel: bool) -> SafeString:
    """The order as a table row, drawn once per change and right."""
    row = _Row(order.pk, order.live_seq, may_cancel, order)
    return _drawn(row) if order.live_seq else _draw(row)


@lru_cache(maxsize=4096)
def _drawn(row: _Row) -> SafeString:
    return _draw(row)


def _draw(row: _Row) -> SafeString:
    order = row.order
    latency = None
    if order.approved_at and order.submitted_at:
        latency = order.submitted_at - order.approved_at
    text = render_to_string(
        "desk/row.html",
        {
            "order": order,
            "pinned": order.status == Status.UNKNOWN,
            "can_cancel": row.may_cancel and order.can_cancel,
            "cancel_asked": order.cancel_wanted_at is not None and not order.over,
            "filled_percent": _percent(order),
            "latency": latency,
            "lived": order.finished_at and order.finished_at - order.created_at,
        },
    )
    return mark_safe(text.strip())  # noqa: S308 - rendered by the template engine, which escapes


def _percent(order: Order) -> int:
    if order.quantity <= 0:
        return 0
    return min(100, order.filled_quantity * 100 // order.quantity)
