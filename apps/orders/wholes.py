"""The one pen of a whole: begun with its first slice, settled by what its slices have become.

Lock order: the whole's row before that of any of its orders. What cannot be an order of its own
because of the freeze quantity is planned here; ``slices`` places what is planned.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers.port import Side
from apps.brokers.rows import insert_row, read_row, with_related
from apps.orders import queue
from apps.orders.models import ENDS, Order, OrderEvent, Progress, Slicing, SlicingEvent, trading_day
from apps.orders.splitting import Piece, Standing, split, standing
from apps.orders.states import Status
from apps.risk.models import Decision
from apps.risk.rules import ExitCap

if TYPE_CHECKING:
    from apps.orders.services import OrderIntent

DESK, RESUME = "desk", "RESUME"
ON_ITS_WAY = frozenset(
    {Status.NEW, Status.AWAITING_APPROVAL, Status.APPROVED, Status.SENDING}
)  # the next slice waits for it
# What an intent says of one order alone.
NOT_OF_A_WHOLE = {"group", "quantity", "asked_type"} | {
    "kept",
    "leg",
    "exit_stop",
    "exit_target",
    "exit_jump",
}
NEVER_LEFT = frozenset({Status.DENIED, Status.CANCELLED})


def begun(intent: OrderIntent, **asked: Any) -> Slicing | None:  # noqa: ANN401 - columns
    """The whole, not stored yet, of what is above the freeze quantity; None of anything else.

    ``asked`` are the columns that say who asks, and why.
    """
    instrument = intent.instrument
    plan = split(intent.quantity, instrument.lot_size, instrument.freeze_quantity)
    if len(plan) == 1 or intent.group or intent.kept:  # they stay one order: the gate says no
        return None
    terms = {name: value for name, value in vars(intent).items() if name not in NOT_OF_A_WHOLE}
    return Slicing(**terms, **asked, total=intent.quantity, plan=plan)


def store(order: Order) -> None:
    """Insert a new order; with its whole before it if it is the first slice of one."""
    parent = order.parent if order.slice_number is not None else None
    if parent is not None and parent._state.adding:
        insert_row(parent)
        order.parent = parent  # now with its key
        count = f"{len(parent.plan)} orders of at most {max(parent.plan)}"
        _tell(parent, "BEGIN", parent.status, parent.total, f"sent as {count}", parent.actor)
    insert_row(order)


def locked(parent_id: int) -> Slicing:
    """The whole's row, locked until the caller's transaction ends."""
    parent = read_row(Slicing, "id = %s", [parent_id], lock="FOR NO KEY UPDATE")
    if parent is None:
        raise Slicing.DoesNotExist(f"no whole {parent_id}")
    return with_related(parent, "account", "instrument")


def pieces(orders: list[Order]) -> list[Piece]:
    """Slices as the arithmetic counts them."""
    return [Piece(order.quantity, order.filled_quantity, order.over) for order in orders]


def slices_of(parent: Slicing) -> list[Order]:
    """Its orders, the first placed first."""
    return list(parent.slices.order_by("slice_number"))


def standing_of(parent: Slicing, orders: list[Order]) -> Standing:
    """Where it is, by the rows as they are."""
    return standing(parent.total, parent.dropped, parent.plan, pieces(orders))


def in_doubt(parent: Slicing, order: Order) -> bool:
    """True while the next slice must wait for this one. An exit waits for no lost answer."""
    unsure = order.status == Status.UNKNOWN and not parent.exiting
    return order.status in ON_ITS_WAY or unsure


def wants(parent: Slicing, number: int, quantity: int) -> bool:
    """True while the slice of this number and quantity is the next one to be placed."""
    due = parent.status == Progress.PLACING and parent.slices.count() == number - 1
    return due and parent.plan[number - 1 : number] == [quantity]


def settle(parent: Slicing) -> list[Order]:
    """Let the whole, which this transaction has locked, follow its slices; they come back."""
    orders = slices_of(parent)
    seen = standing_of(parent, orders)
    if seen.surplus:
        _alert_surplus(parent, seen)
    if parent.status in ENDS:
        return orders
    if parent.status == Progress.STOPPED:
        if not seen.left:
            _finish(parent, seen, "nothing is left of it after all")
    elif seen.missing:
        _fall_short(parent, orders, seen)
    elif not seen.unplaced:
        _finish(parent, seen, "")
    elif why := _too_late(parent, orders):
        stop(parent, seen, why)
    return orders


def _finish(parent: Slicing, seen: Standing, why: str) -> None:
    """All of it is placed, or over."""
    end = Progress.DROPPED if parent.dropped else Progress.DONE
    to = Progress.PLACED if seen.alive else end
    if to == parent.status:
        return
    write(parent, to.value, why or parent.reason, status=to)
    settle_alert(alert_of(parent), why or "all of it is placed")


def _fall_short(parent: Slicing, orders: list[Order], seen: Standing) -> None:
    failed = _fallen_short(parent, orders)
    why = "; ".join(_failure(order) for order in failed) or "a slice was made smaller"
    first = orders[0] if len(orders) == 1 else None
    if first is not None and first.status in NEVER_LEFT and not first.attempts:
        text = f"nothing was placed: {first.reason}" if first.reason else "nothing was placed"
        write(parent, "REFUSE", text, status=Progress.REFUSED)
    elif parent.exiting and (room := _room_left(failed, seen, parent)) is not None:
        _cut(parent, seen, room, placed=len(orders), why=why)
    else:
        stop(parent, seen, why)


def _fallen_short(parent: Slicing, orders: list[Order]) -> list[Order]:
    """Slices that ended with less than they were for, since somebody last made that good."""
    resumed = parent.events.filter(event=RESUME).last()
    since = parent.created_at if resumed is None else resumed.at
    short = [order for order in orders if order.over and order.filled_quantity < order.quantity]
    return [order for order in short if order.finished_at is None or order.finished_at >= since]


def _failure(order: Order) -> str:
    word = order.get_status_display().lower()
    filled = f" with {order.filled_quantity} of {order.quantity}" if order.filled_quantity else ""
    return f"slice {order.slice_number} is {word}{filled}" + (
        f" ({order.reason})" if order.reason else ""
    )


def _room_left(failed: list[Order], seen: Standing, parent: Slicing) -> int | None:
    """Units that the cap still lets an exit take, in whole lots, if the cap alone refused its
    last slice; None when anything else went wrong."""
    refused = [order for order in failed if order.status == Status.DENIED]
    if not refused or seen.missing > refused[-1].quantity:
        return None
    mine = Decision.objects.filter(correlation_id=refused[-1].correlation_id, action="PLACE")
    decision = mine.first()
    if decision is None or [row["rule"] for row in decision.refusals] != [ExitCap.name]:
        return None
    saw, limits = decision.inputs, decision.inputs["limits"] or {}
    net, age, oldest = saw["net_position"], saw["position_age"], limits.get("max_data_age")
    if net is None or age is None or oldest is None or age > oldest:
        return None  # refused because the position is not known
    room = max(-int(net) * Side(parent.side).sign - int(saw["pending"]), 0)
    lot = parent.instrument.lot_size
    return room // lot * lot if room < refused[-1].quantity else None


def _cut(parent: Slicing, seen: Standing, room: int, *, placed: int, why: str) -> None:
    """Less of the position is left than was to be taken: the rest of the exit is cut to it."""
    keep = min(room, seen.left)
    given_up = seen.left - keep
    instrument = parent.instrument
    more = split(keep, instrument.lot_size, instrument.freeze_quantity) if keep else []
    plan = [*parent.plan[:placed], *more]
    text = f"{given_up} given up: only {keep} of the position are left to take; {why}"
    write(parent, "CUT", text, plan=plan, dropped=parent.dropped + given_up)
    about = f"{parent.in_words} on {parent.account.name} ({parent.public_id})"
    raise_alert(f"cut:{parent.public_id}", f"{about}: {text}")
    settle(parent)


def _too_late(parent: Slicing, orders: list[Order]) -> str:
    """Why the next slice is not placed by itself any more; empty while it may be."""
    if parent.trading_day < trading_day():
        return "its trading day is over"
    if any(order.status in ON_ITS_WAY for order in orders):
        return ""
    lifetime = settings.EXIT_DECISION_LIFETIME if parent.exiting else settings.DECISION_LIFETIME
    if timezone.now() - _last_news(parent, orders) <= dt.timedelta(seconds=lifetime):
        return ""
    doubt = next((order for order in orders if in_doubt(parent, order)), None)
    if doubt is not None:
        return f"slice {doubt.slice_number} stayed {doubt.status} for more than {lifetime:.0f} s"
    return f"its next slice was not placed within {lifetime:.0f} s"


def _last_news(parent: Slicing, orders: list[Order]) -> dt.datetime:
    """When it last got on; a slice that waited for a person or the rate budget is no delay."""
    stages = ("created_at", "approved_at", "claimed_at", "submitted_at", "finished_at")
    times: list[dt.datetime | None] = [getattr(one, name) for one in orders for name in stages]
    return max([parent.moved_at, *(at for at in times if at is not None)])


def stop(parent: Slicing, seen: Standing, why: str) -> None:
    """No more is placed until a person says so; what is left is known exactly."""
    write(parent, "STOP", why, status=Progress.STOPPED, stops=parent.stops + 1)
    about = f"{parent.in_words} on {parent.account.name} ({parent.public_id})"
    raise_alert(
        alert_of(parent),
        f"{about} stopped: {why}. {seen.left} of {parent.total} are left: resume or drop them.",
        Severity.CRITICAL if parent.exiting else Severity.WARNING,
    )


def alert_of(parent: Slicing) -> str:
    """The key of the alert that it has stopped."""
    return f"slices:{parent.public_id}"


def _alert_surplus(parent: Slicing, seen: Standing) -> None:
    """Said once: a slice that was thought not to exist has shown up beside what replaced it."""
    if parent.events.filter(event="SURPLUS").exists():
        return
    text = f"its slices fill, or may fill, {seen.surplus} more than was asked for"
    write(parent, "SURPLUS", text)
    about = f"{parent.in_words} on {parent.account.name} ({parent.public_id})"
    raise_alert(f"surplus:{parent.public_id}", f"{about}: {text}", Severity.CRITICAL)


def too_many(parent: Slicing, orders: list[Order]) -> list[Order]:
    """Slices at work that should stop because of a surplus, and were not asked to.

    Those that have shown up after all; and of the others so many as nothing falls short without.
    """
    surplus = standing_of(parent, orders).surplus
    if not surplus:
        return []
    alive = [order for order in orders if not order.over]
    events = OrderEvent.objects.filter(order__in=alive, before__in=_NOT_THERE)
    late = set(events.exclude(after__in=_NOT_THERE).values_list("order", flat=True))
    alive.sort(key=lambda one: (not one.cancel_wanted_at, one.pk not in late, -_rest(one), -one.pk))
    found = []
    for order in alive:
        if not order.cancel_wanted_at:
            if order.pk not in late and _rest(order) > surplus:
                continue
            found.append(order)
        surplus -= _rest(order)
        if surplus <= 0:
            break
    return found


def _rest(order: Order) -> int:
    return max(order.quantity - order.filled_quantity, 0)


_NOT_THERE = [Status.NEVER_ARRIVED, Status.LAPSED, Status.DENIED, Status.REJECTED]


def replan(parent: Slicing, orders: list[Order]) -> None:
    """Cut what is still to be placed anew when the freeze quantity has become too small for it,
    or less of it is left than was planned."""
    placed, instrument = parent.plan[: len(orders)], parent.instrument
    rest = parent.plan[len(orders) :]
    seen = standing_of(parent, orders)
    anew = split(seen.unplaced, instrument.lot_size, instrument.freeze_quantity)
    if max(anew) < max(rest) or sum(anew) < sum(rest):
        text = f"planned anew: the freeze quantity is {instrument.freeze_quantity}"
        write(parent, "REPLAN", text, plan=[*placed, *anew])


def follow(order: Order) -> None:
    """Let the whole of a slice that was just reviewed follow it, and have the next one placed."""
    if order.slice_number is None or order.parent is None:
        return
    parent = order.parent
    parent.moved_at = timezone.now()
    Slicing.objects.filter(pk=parent.pk).update(moved_at=parent.moved_at)
    settle(parent)


def ring_next(order: Order) -> None:
    """Somebody should place the slice after this one; an order of its own has none."""
    if order.slice_number is not None and order.parent_id is not None:
        queue.ring_slices(order.parent_id, exiting=order.intent == "EXIT")


def write(
    parent: Slicing,
    event: str,
    text: str,
    *,
    actor: str = DESK,
    **columns: Any,  # noqa: ANN401 - columns
) -> None:
    """Columns and history in one transaction; the caller has locked the whole."""
    before, now = parent.status, timezone.now()
    columns |= {"reason": text, "moved_at": now}
    if columns.get("status") in ENDS:
        columns["finished_at"] = now
    if not Slicing.objects.filter(pk=parent.pk, status=before).update(**columns):
        raise RuntimeError(f"whole {parent.public_id} changed although its row was locked")
    for name, value in columns.items():
        setattr(parent, name, value)
    _tell(parent, event, before, standing_of(parent, slices_of(parent)).left, text, actor)


def _tell(parent: Slicing, event: str, before: str, left: int, text: str, actor: str) -> None:
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("the history of a whole is written with what it tells of")
    SlicingEvent.objects.create(
        slicing=parent,
        event=event,
        before=before,
        after=parent.status,
        text=text,
        actor=actor,
        left=left,
        plan=parent.plan,
    )
