"""The orders of a goal: asked for, priced anew while they rest, taken back when too much."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import structlog
from django.conf import settings
from django.db.models import F
from django.utils import timezone

from apps.brokers.models import PositionsReport as Read
from apps.brokers.port import STRATEGY, Intent, OrderType, Product, Side
from apps.orders import goals, inputs, services
from apps.orders.models import Order, Source
from apps.orders.services import Actor, BadOrder, OrderIntent, TooLate
from apps.orders.splitting import split
from apps.orders.states import AT_BROKER, Status
from apps.risk import book, leaving
from apps.risk.models import ExitGoal, OwnedPosition

log = structlog.get_logger(__name__)


def _actor(goal: ExitGoal) -> Actor:
    return Actor(name=f"desk: closing #{goal.pk}", user=goal.user)


def ask(goal: ExitGoal, net: int, quantity: int, at_work: list[Order], read: Read) -> bool:
    """Place exits for so many units beyond those at work, each owner its own, or as many as every
    measure leaves. False when they leave nothing now.
    """
    if goal.not_before is not None and goal.not_before > timezone.now():
        return True
    side = Side.SELL if net > 0 else Side.BUY
    denied, asked = False, False
    for owner, wanted in _shares(goal, net, quantity, at_work):
        intent = _intent(goal, side, owner)
        order = _row(intent)
        left = min(wanted, leaving.left(goal.account, order.request(), read))
        if left <= 0:
            continue
        asked = True
        instrument = goal.instrument
        for piece in split(left, instrument.lot_size, instrument.freeze_quantity):
            placed = _place(goal, replace(intent, quantity=piece))
            denied |= placed is None or placed.status == Status.DENIED
    if denied:
        _try_later(goal)
    elif goal.denials:
        ExitGoal.objects.filter(pk=goal.pk).update(denials=0, not_before=None)
    return asked


def in_the_way(goal: ExitGoal, net: int, read: Read) -> list[str]:
    """Orders of other owners that may take what this one would leave."""
    side = Side.SELL if net > 0 else Side.BUY
    wanted = _row(_intent(goal, side, goal.owner))
    return book.in_the_way(goal.account, wanted.request(), read)


def _shares(
    goal: ExitGoal, net: int, quantity: int, at_work: list[Order]
) -> Iterator[tuple[str, int]]:
    """Whose part each piece is: the largest first, what nobody's orders explain as a person's.

    What is at work already takes its owner's part.
    """
    if goal.owner:
        yield goal.owner, quantity
        return
    its = OwnedPosition.objects.filter(
        account=goal.account,
        segment=goal.instrument.segment,
        security_id=goal.instrument.security_id,
        product=goal.product,
        owner__startswith=STRATEGY,
    )
    parts = {row.owner: abs(row.net) for row in its.order_by("owner") if row.net * net > 0}
    for order in at_work:
        if order.owner in parts:
            parts[order.owner] -= order.open_quantity
    for owner, part in sorted(parts.items(), key=lambda one: -one[1]):
        share = min(part, quantity)
        if share > 0:
            yield owner, share
            quantity -= share
    if quantity:
        yield "", quantity


def _intent(goal: ExitGoal, side: Side, owner: str) -> OrderIntent:
    return OrderIntent(
        account=goal.account,
        instrument=goal.instrument,
        side=side,
        quantity=0,
        order_type=OrderType.MARKET,
        product=Product(goal.product),
        intent=Intent.EXIT,
        strategy=owner.removeprefix(STRATEGY) if owner.startswith(STRATEGY) else "",
    )


def _row(intent: OrderIntent) -> Order:
    """The intent as an order that is not stored: what measures ask for."""
    return Order(**vars(intent), source=Source.FLATTEN)


def _place(goal: ExitGoal, intent: OrderIntent) -> Order | None:
    """One attempt under a key of its own, counted first: a pass that dies repeats none."""
    ExitGoal.objects.filter(pk=goal.pk).update(attempts=F("attempts") + 1)
    goal.refresh_from_db(fields=["attempts"])
    key = f"{goal.key_prefix}{goal.attempts}"
    try:
        order = services.place(intent, _actor(goal), Source.FLATTEN, goal.reason, key)
    except BadOrder as error:
        goals.say(goal, f"cannot be asked for: {error}")
        return None
    price = "" if order.price is None else f" at {order.price.normalize():f}"
    what = f"{order.side} {order.quantity}{price}"
    if order.status == Status.DENIED:
        goals.say(goal, f"{what} was denied: {order.reason}", {"order": order.correlation_id})
    else:
        goals.say(goal, f"{what} is on its way", {"order": order.correlation_id})
    return order


def _try_later(goal: ExitGoal) -> None:
    """After a no: in a second, then less often, but at least every ``FLATTEN_RETRY_MOST`` s."""
    goal.denials += 1
    seconds = min(0.7 * 1.5 ** min(goal.denials, 12), settings.FLATTEN_RETRY_MOST)
    goal.not_before = timezone.now() + dt.timedelta(seconds=seconds)
    goal.save(update_fields=["denials", "not_before"])


def take_back(orders: list[Order], excess: int, goal: ExitGoal) -> None:
    """Cancel the youngest orders until no more than the position is at work."""
    for order in reversed(orders):
        if excess <= 0:
            return
        excess -= order.open_quantity
        if order.can_cancel:
            _cancel(order, goal, "it exceeds what is left of the position")


def price_anew(order: Order, goal: ExitGoal) -> None:
    """Move the limit of an order that rests too long further away from us, within the band."""
    if order.status not in AT_BROKER or not order.can_modify or not rests(order):
        return
    step = order.modifications.count() + 1
    price = inputs.limit_now(repriced(order), times=1 + step)
    if price is None or price == order.price:
        goals.say(goal, _why_not_moved(order, known=price is not None))
        return
    try:
        why = f"rested for {settings.FLATTEN_REPRICE_AFTER:.0f} s"
        change = services.modify(order, _actor(goal), why, price=price)
    except (TooLate, BadOrder) as error:
        if services.change_under_way(order) is None:
            _cancel(order, goal, f"its price cannot be changed any more: {error}")
        return
    goals.say(goal, f"limit moved to {price.normalize():f}: {change.get_status_display()}")


def _why_not_moved(order: Order, *, known: bool) -> str:
    price = "–" if order.price is None else f"{order.price.normalize():f}"
    if known:
        return f"rests at {price}, as far as the band allows"
    return f"rests at {price}: no price is known to move it to"


def rests(order: Order) -> bool:
    """True when nothing was done about its price for too long."""
    last = order.modifications.order_by("-id").first()
    since = last.requested_at if last else order.opened_at
    patience = dt.timedelta(seconds=settings.FLATTEN_REPRICE_AFTER)
    return since is not None and timezone.now() - since > patience


def repriced(order: Order) -> OrderIntent:
    """The order as it would be asked for again, at the market."""
    return OrderIntent(
        account=order.account,
        instrument=order.instrument,
        side=Side(order.side),
        quantity=order.open_quantity,
        order_type=OrderType.MARKET,
        product=Product(order.product),
        intent=Intent.EXIT,
    )


def _cancel(order: Order, goal: ExitGoal, why: str) -> None:
    try:
        services.cancel(order, _actor(goal), why)
    except TooLate:
        log.info("over already", correlation_id=order.correlation_id)
