"""The terms of a bracket's working orders: changed with what is held, moved with the price."""

from __future__ import annotations

from decimal import Decimal

import structlog
from django.conf import settings
from django.utils import timezone

from apps.brokers.budget import changes_used
from apps.brokers.port import BracketKind, Side
from apps.orders import attempts, inputs, services
from apps.orders.bracket_machine import At, Part, Sight, pause
from apps.orders.bracket_sight import Orders, price_now
from apps.orders.models import Bracket, Change, Order
from apps.orders.services import Actor, BadOrder, TooLate
from apps.orders.states import AT_BROKER

log = structlog.get_logger(__name__)
GUARDIAN = "desk: bracket guardian"
KEPT_FOR_SIZE = 5  # changes of an order that moving its price leaves for its quantity


def change(bracket: Bracket, order: Order, why: str, **terms: int | Decimal | None) -> None:
    """Ask for new terms; after refusals less and less often."""
    last = order.modifications.order_by("-id").first()
    bad = order.modifications.filter(status__in=[Change.DENIED, Change.REFUSED]).count()
    if last is not None and last.status in {Change.DENIED, Change.REFUSED}:
        since = timezone.now() - (last.settled_at or last.requested_at)
        if since.total_seconds() < pause(bad):
            return
    try:
        change = services.modify(order, Actor(name=GUARDIAN), why, **terms)  # type: ignore[arg-type]
    except (TooLate, BadOrder) as error:
        log.info("not changed", correlation_id=order.correlation_id, why=str(error))
        return
    said = f"change to {change}: {change.get_status_display()}, {why}"
    bracket.note(GUARDIAN, said)


def price_anew(bracket: Bracket, order: Order) -> None:
    """A way out rests: its limit goes further away from us, as far as the band allows."""
    times = 2 + order.modifications.count()
    price = inputs.limit_now(attempts.repriced(order), times=times)
    if price is not None and price != order.price and order.can_modify:
        change(bracket, order, "it rests, and the position is still held", price=price)


def trail(bracket: Bracket, orders: Orders, seen: Sight) -> None:
    """Follow the price with the stop, in whole steps and only in favour."""
    jump = bracket.trailing_jump
    if jump is None or seen.held <= 0 or seen.stop.at is not At.WORKING:
        return
    stop_order = orders[Part.STOP_LOSS][-1]
    if stop_order.kept:
        _follow_the_broker(bracket, stop_order)
        return
    price = price_now(bracket)
    if price is None or bracket.stop_price is None:
        return
    if bracket.trail_price is None:
        _begin_to_trail(bracket)
    if bracket.trail_price is None or bracket.trail_stop is None:
        return
    sign = Side(bracket.side).sign
    steps = int((price - bracket.trail_price) * sign // jump)
    stop = bracket.trail_stop + sign * steps * jump
    if steps <= 0 or (stop - bracket.stop_price) * sign <= 0:
        return
    away = stop - bracket.stop_price
    limit = None if bracket.stop_limit is None else bracket.stop_limit + away
    same = Bracket.objects.filter(pk=bracket.pk, stop_price=bracket.stop_price)
    if same.update(stop_price=stop, stop_limit=limit):
        bracket.stop_price, bracket.stop_limit = stop, limit


def _follow_the_broker(bracket: Bracket, order: Order) -> None:
    """The broker has moved its stop in favour: where it is now is where the bracket wants it.

    Unless somebody wants another place for it, which the broker does not know yet.
    """
    if bracket.trail_stop is None:
        _begin_to_trail(bracket)
    before, now = bracket.trail_stop, order.trigger_price
    if before is None or now is None or before == now or services.change_under_way(order):
        return
    moved = now - before
    trailed = bracket.stop_price == before and moved * Side(bracket.side).sign > 0
    if trailed:
        same = Bracket.objects.filter(pk=bracket.pk, stop_price=before)
        if not same.update(stop_price=now):
            return
        bracket.stop_price = now
    if bracket.stop_price == now:
        bracket.keep({"trail_stop": now, "trail_price": _counted_from(bracket, trailed, moved)})


def _counted_from(bracket: Bracket, trailed: bool, moved: Decimal) -> Decimal | None:
    """The price that trailing counts from: it goes along with the stop, or begins anew."""
    if bracket.trail_price is None or not trailed:
        return price_now(bracket) or bracket.trail_price
    return bracket.trail_price + moved


def _begin_to_trail(bracket: Bracket) -> None:
    """It counts from the price at which it was entered."""
    entry = bracket.legs.get(leg=Part.ENTRY)
    bracket.keep({"trail_price": entry.average_price, "trail_stop": bracket.stop_price})


def bring(bracket: Bracket, orders: Orders, busy: set[Part | None]) -> None:
    """Give working legs the prices that the bracket has now."""
    if orders[Part.ENTRY] and Part.ENTRY not in busy:
        _bring_entry(bracket, orders[Part.ENTRY][-1])
    for part in (Part.STOP_LOSS, Part.TARGET):
        order = orders[part][-1] if orders[part] else None
        if order is None or part in busy or not _may_move(order):
            continue
        if part is Part.STOP_LOSS:
            _move_stop(bracket, order)
        elif bracket.target_price not in {None, order.price}:
            change(bracket, order, "the target moved", price=bracket.target_price)


def _bring_entry(bracket: Bracket, entry: Order) -> None:
    """Tell the broker of new ways out that it keeps for an entry which has not filled."""
    told = entry.kept == BracketKind.SUPER  # else they are changed once they are there
    if not told or entry.filled_quantity or bracket.stop_price is None:
        return
    target = bracket.target_price or entry.exit_target  # one that was dropped is cancelled later
    if (entry.exit_stop, entry.exit_target) != (bracket.stop_price, target) and _may_move(entry):
        terms = {"exit_stop": bracket.stop_price, "exit_target": target}
        change(bracket, entry, "its ways out moved", **terms)


def _may_move(order: Order) -> bool:
    """Moves leave some of the changes that a broker takes for the quantity."""
    used = changes_used(order.correlation_id) + KEPT_FOR_SIZE
    working = order.status in AT_BROKER and order.opened_at is not None and order.can_modify
    return working and used < settings.CHANGES_PER_ORDER and not services.change_under_way(order)


def _move_stop(bracket: Bracket, order: Order) -> None:
    trigger, price = order.trigger_price, order.price
    if bracket.stop_price is None or trigger is None or trigger == bracket.stop_price:
        return
    if order.kept:
        change(bracket, order, "the stop moved", trigger_price=bracket.stop_price)
    elif price is not None:
        limit = bracket.stop_limit or price + (bracket.stop_price - trigger)
        terms = {"trigger_price": bracket.stop_price, "price": limit}
        change(bracket, order, "the stop moved", **terms)
