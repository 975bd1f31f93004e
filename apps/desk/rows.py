"""The rows of the live page. Page and socket use the same fragment, so they cannot differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from apps.desk.rights import Rights
from apps.desk.units import Line, Unit, earlier_lines
from apps.orders.models import Bracket, BracketStatus, Leg, Order
from apps.orders.words import BRACKETS


@dataclass(frozen=True)
class _Drawing:
    """Rows are a function of these three; the unit comes along to be drawn."""

    key: str
    version: tuple[int, ...]
    rights: Rights
    unit: Unit = field(compare=False)


def html_of(unit: Unit, rights: Rights) -> SafeString:
    """The unit as rows of the table, drawn once per change and set of rights."""
    drawing = _Drawing(unit.key, unit.version, rights, unit)
    return _drawn(drawing) if unit.seq else _draw(drawing)


@lru_cache(maxsize=4096)
def _drawn(drawing: _Drawing) -> SafeString:
    return _draw(drawing)


def _draw(drawing: _Drawing) -> SafeString:
    unit, rights = drawing.unit, drawing.rights
    bracket = unit.bracket
    context = {
        "unit": unit,
        "bracket": bracket,
        "tone": BRACKETS[BracketStatus(bracket.status)][0] if bracket else "",
        "rows": [_row(unit, line, rights) for line in unit.lines],
    }
    text = render_to_string("desk/unit.html", context)
    return mark_safe(text.strip())  # noqa: S308 - rendered by the template engine, which escapes


def of_bracket(unit: Unit, rights: Rights) -> list[dict[str, object]]:
    """Every leg and order of a bracket, for a page of its own; replaced orders come last."""
    replaced = [old for old in earlier_lines(unit.lines) if old.order and old.order.over]
    return [_row(unit, line, rights) for line in (*unit.lines, *replaced)]


def _row(unit: Unit, line: Line, rights: Rights) -> dict[str, object]:
    order = line.order
    latency = lived = None
    if order and order.approved_at and order.submitted_at:
        latency = order.submitted_at - order.approved_at
    if order and order.finished_at:
        lived = order.finished_at - order.created_at
    return {
        "line": line,
        "order": order,
        "of": unit.bracket or order,
        "cancel_asked": order is not None and order.cancel_wanted_at and not order.over,
        "latency": latency,
        "lived": lived,
        **offers_of_line(unit, line, rights),
    }


def offers(order: Order | None, rights: Rights) -> dict[str, bool]:
    """What this person can do about this order now, for rows and for its own page."""
    if order is None:
        return {}
    return {
        "can_cancel": rights.may_cancel and order.can_cancel,
        "can_modify": rights.may_modify and order.can_modify,
        "can_exit": rights.may_place and order.may_have_left_a_position,
        "can_halt": rights.may_halt,
    }


def offers_of_bracket(bracket: Bracket, rights: Rights) -> dict[str, bool]:
    """What this person can do about the bracket now."""
    open_to_wishes = not bracket.over and bracket.leaving_at is None
    return {
        "can_leave": rights.may_place and open_to_wishes,
        "can_drop": rights.may_cancel and open_to_wishes and bracket.target_price is not None,
        "can_change": rights.may_modify and open_to_wishes,
    }


def offers_of_line(unit: Unit, line: Line, rights: Rights) -> dict[str, bool]:
    """What can be done about a part of a bracket, where it is done.

    Target and stop are the bracket's to change: the guardian would put back what is done to their
    orders.
    """
    bracket = unit.bracket
    if bracket is None or line.leg is None:
        return offers(line.order, rights)
    its = offers_of_bracket(bracket, rights)
    if line.leg.leg == Leg.TARGET:
        with_one = bracket.target_price is not None
        may = {"can_move": its["can_change"] and with_one, "can_drop": its["can_drop"]}
        return may | {"can_halt": rights.may_halt}
    if line.leg.leg == Leg.STOP_LOSS:
        return {"can_move": its["can_change"], "can_halt": rights.may_halt}
    found = offers(line.order, rights) | {"can_leave": its["can_leave"]}
    found["can_exit"] = rights.may_place and bracket.over and unit.held > 0
    return found | {"can_halt": rights.may_halt}
