"""What the order commands share: words from the command line, and orders shown to a person."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar

from django.core.management.base import CommandError

from apps.orders import wholes
from apps.orders.models import Order, Slicing
from apps.orders.services import Actor
from apps.people.acting import acting

Word = TypeVar("Word", bound=StrEnum)


def word(kind: type[Word], text: str, name: str) -> Word:
    """One word of a closed vocabulary, or an error that lists it."""
    try:
        return kind(text.strip().upper())
    except ValueError:
        choices = ", ".join(kind)
        raise CommandError(f"--{name} {text!r} is not one of {choices}.") from None


def rupees(text: str | None, name: str) -> Decimal | None:
    """An amount in rupees, or an error that names the option."""
    if text is None:
        return None
    try:
        value = Decimal(text.replace(",", ""))
    except InvalidOperation:
        raise CommandError(f"--{name} {text!r} is not an amount in rupees.") from None
    if not value.is_finite():
        raise CommandError(f"--{name} must be a finite amount in rupees.")
    return value


def whole(text: str, name: str) -> int:
    """A whole number of units, or an error that names the option."""
    try:
        return int(text)
    except ValueError:
        raise CommandError(f"--{name} {text!r} is not a whole number of units.") from None


def operator(username: str | None = None, permission: str = "") -> Actor:
    """Whoever runs the command, or the person they act as, who must hold the permission."""
    name, user = acting(username, permission)
    return Actor(name=name, user=user)


def find_order(text: str) -> Order:
    """The order of that correlation id or broker id."""
    orders = Order.objects.select_related("account", "instrument")
    found = orders.filter(correlation_id=text).first()
    found = found or orders.filter(broker_order_id=text).exclude(broker_order_id="").first()
    if found is None:
        raise CommandError(f"There is no order {text!r}. Say its correlation id or broker id.")
    return found


def find_whole(text: str) -> Slicing:
    """The sliced order of that id, or the one that an order of that id is a slice of."""
    rows = Slicing.objects.select_related("account", "instrument")
    found = rows.filter(public_id=text).first() or rows.filter(slices__correlation_id=text).first()
    if found is None:
        raise CommandError(f"There is no sliced order {text!r}. Say its id, or that of a slice.")
    return found


def shown_whole(parent: Slicing) -> dict[str, Any]:
    """A whole and its slices as plain values."""
    orders = wholes.slices_of(parent)
    seen = wholes.standing_of(parent, orders)
    return {
        "id": parent.public_id,
        "account": parent.account.name,
        "instrument": str(parent.instrument),
        "side": parent.side,
        "quantity": parent.total,
        "status": parent.status,
        "filled_quantity": seen.filled,
        "at_work": seen.at_work,
        "left": seen.left,
        "dropped": parent.dropped,
        "plan": parent.plan,
        "stops": parent.stops,
        "reason": parent.reason or None,
        "slices": [shown(order) for order in orders],
    }


def whole_sentences(parent: Slicing) -> str:
    """A whole in one line, and each of its slices in another."""
    orders = wholes.slices_of(parent)
    seen = wholes.standing_of(parent, orders)
    reason = f": {parent.reason}" if parent.reason else ""
    first = (
        f"{parent.public_id}  {parent.in_words} on {parent.account.name} in {len(parent.plan)}"
        f" orders is {parent.status}, filled {seen.filled}, at work {seen.at_work},"
        f" left {seen.left}{reason}"
    )
    lines = (f"  {order.slice_number}/{len(parent.plan)}  {sentence(order)}" for order in orders)
    return "\n".join([first, *lines])


def shown(order: Order) -> dict[str, Any]:
    """An order as plain values, for people and for JSON."""
    return {
        "correlation_id": order.correlation_id,
        "account": order.account.name,
        "instrument": str(order.instrument),
        "side": order.side,
        "quantity": order.quantity,
        "type": order.order_type,
        "asked_type": order.asked_type or order.order_type,
        "price": None if order.price is None else f"{order.price.normalize():f}",
        "status": order.status,
        "filled_quantity": order.filled_quantity,
        "average_price": None
        if order.average_price is None
        else f"{order.average_price.normalize():f}",
        "broker_order_id": order.broker_order_id or None,
        "reason": order.reason or None,
    }


def sentence(order: Order) -> str:
    """An order in one line."""
    facts = shown(order)
    price = f" at {facts['price']}" if facts["price"] else ""
    filled = f", filled {order.filled_quantity}" if order.filled_quantity else ""
    reason = f": {order.reason}" if order.reason else ""
    return (
        f"{order.correlation_id}  {order.side} {order.quantity} {order.instrument.symbol}"
        f"{price} on {order.account.name} is {order.status}{filled}{reason}"
    )
