"""One row of the blotter. The page and the socket use the same fragment, so they cannot differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from apps.desk.rights import Rights
from apps.orders.models import Order
from apps.orders.states import Status


@dataclass(frozen=True)
class _Row:
    """A row is a function of these three; the order comes along to be drawn."""

    pk: int
    seq: int
    rights: Rights
    order: Order = field(compare=False)


def html_of(order: Order, rights: Rights) -> SafeString:
    """The order as a table row, drawn once per change and set of rights."""
    row = _Row(order.pk, order.live_seq, rights, order)
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
            **offers(order, row.rights),
            "cancel_asked": order.cancel_wanted_at is not None and not order.over,
            "filled_percent": _percent(order),
            "latency": latency,
            "lived": order.finished_at and order.finished_at - order.created_at,
        },
    )
    return mark_safe(text.strip())  # noqa: S308 - rendered by the template engine, which escapes


def offers(order: Order, rights: Rights) -> dict[str, bool]:
    """What this person can do about this order now, for rows and for its own page."""
    return {
        "can_cancel": rights.may_cancel and order.can_cancel,
        "can_modify": rights.may_modify and order.can_modify,
        "can_exit": rights.may_place and order.may_have_left_a_position,
        "can_halt": rights.may_halt,
    }


def _percent(order: Order) -> int:
    if order.quantity <= 0:
        return 0
    return min(100, order.filled_quantity * 100 // order.quantity)
