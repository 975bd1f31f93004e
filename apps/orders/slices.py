"""Place the slices of a whole one after the other, and what people may do about the whole.

Safe to run twice and to die anywhere: the next slice is placed under the whole's lock, with the
number and the key that only it has. The sweep goes on where somebody stopped.
"""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from functools import partial

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Sum, When
from django.db.models.functions import Greatest
from django.utils import timezone

from apps.alerts.raising import settle_alert
from apps.brokers import reporting
from apps.brokers.locks import turn_if_free
from apps.brokers.port import Intent, ReadFailed
from apps.orders import books, queue, services, wholes
from apps.orders.models import ENDS, Order, Progress, Slicing, trading_day
from apps.orders.services import Actor, TooLate
from apps.orders.splitting import split
from apps.orders.states import TERMINAL, Status

log = structlog.get_logger(__name__)
BELL_GRACE = dt.timedelta(seconds=1)
NOT_SURE = {Status.AWAITING_APPROVAL, Status.SENDING, Status.UNKNOWN}


def advance(slicing_id: int) -> None:
    """Place what is due now. Being second is normal and does nothing."""
    with turn_if_free(f"slices:{slicing_id}") as mine:
        while mine and _place_next(slicing_id):
            pass


def _place_next(slicing_id: int) -> bool:
    """Place one slice; False when none is due."""
    with transaction.atomic():
        parent = wholes.locked(slicing_id)
        orders = wholes.settle(parent)
        if parent.status != Progress.PLACING or not orders:
            return False
        if any(wholes.in_doubt(parent, order) for order in orders):
            return False
        wholes.replan(parent, orders)
    try:
        return services.place_slice(parent, len(orders) + 1)
    except IntegrityError:
        log.info("placed by somebody else", whole=parent.public_id)
        return False


def due() -> QuerySet[Slicing]:
    """Wholes whose next slice should have been placed by now, and may be."""
    mine = Order.objects.filter(parent=OuterRef("pk"))
    held = Exists(mine.filter(status__in=wholes.ON_ITS_WAY))
    unsure = Exists(mine.filter(status=Status.UNKNOWN)) & ~Q(intent=Intent.EXIT)
    late = timezone.now() - BELL_GRACE
    open_ones = Slicing.objects.filter(status=Progress.PLACING, moved_at__lte=late)
    return open_ones.exclude(held | unsure).order_by("id")


def moved() -> list[Slicing]:
    """Wholes that no longer are what their slices say, by one look at all that are open."""
    open_ones = Slicing.objects.exclude(status__in=sorted(ENDS)).select_related("account")
    slices: dict[int, list[Order]] = {}
    for order in Order.objects.filter(parent__in=open_ones).order_by("slice_number"):
        slices.setdefault(order.parent_id or 0, []).append(order)
    found = [whole for whole in open_ones if _has_moved(whole, slices.get(whole.pk, []))]
    return found + list(_overshot())


def _overshot() -> QuerySet[Slicing]:
    """Wholes of today that are over, of which a slice has shown up that nobody counted on."""
    filled, quantity = F("slices__filled_quantity"), F("slices__quantity")
    over = When(slices__status__in=sorted(TERMINAL), then=filled)
    takes = Sum(Case(over, default=Greatest(filled, quantity)))
    ended = Slicing.objects.filter(status__in=sorted(ENDS), trading_day__gte=trading_day())
    return ended.annotate(takes=takes).filter(takes__gt=F("total") - F("dropped"))


def _has_moved(parent: Slicing, orders: list[Order]) -> bool:
    seen = wholes.standing_of(parent, orders)
    match parent.status:
        case Progress.STOPPED:
            return not seen.left or bool(seen.surplus)
        case Progress.PLACED:
            return bool(seen.missing or seen.surplus) or not seen.alive
    return True


def settle(slicing_id: int) -> None:
    """Let one whole follow its slices, and wish cancelled what of them is too much."""
    with transaction.atomic():
        parent = wholes.locked(slicing_id)
        surplus = wholes.too_many(parent, wholes.settle(parent))
    for order in surplus:
        with suppress(TooLate):
            services.cancel(order, _DESK, "its whole has more at work than was asked for")


_DESK = Actor(name=wholes.DESK)


def resume(parent: Slicing, actor: Actor, reason: str, stop: int | None = None) -> Slicing:
    """Place what is left after a stop, as further slices; ``stop`` is the one that was seen.

    What slices have filled that ended at the broker is read from its book first. Raises
    ``TooLate`` when it is not stopped (any more), or it is not known what is left.
    """
    with transaction.atomic():
        orders = wholes.slices_of(_stopped(parent, stop))
    return _place_the_rest(parent, actor, reason, stop, _read_back(parent, orders))


def _read_back(parent: Slicing, orders: list[Order]) -> set[int]:
    """Slices that ended as the broker's book of now shows them. A frame that tells of an end may
    leave out what was filled before; to place that again would double it."""
    ended = [order for order in orders if order.over and order.broker_order_id]
    if not ended:
        return set()
    try:
        book = reporting.reports_of(parent.account).order_book().value
    except ReadFailed as error:
        raise TooLate(f"what its slices filled cannot be read: {error}") from error
    shown = {report.broker_order_id: report for report in book}
    for order in ended:
        report = shown.get(order.broker_order_id)
        told = report is not None and report.filled_quantity is not None
        if report is None or not told or not books.tells_nothing_new(order, report):
            queue.ring_reconcile(parent.account_id)
            raise TooLate(
                f"the broker's book does not show slice {order.slice_number} as the desk does:"
                " it is being compared, try again in a moment"
            )
    return {order.pk for order in ended}


@transaction.atomic
def _place_the_rest(
    parent: Slicing, actor: Actor, reason: str, stop: int | None, read_back: set[int]
) -> Slicing:
    parent = _stopped(parent, stop)
    orders = wholes.slices_of(parent)
    unsure = [order for order in orders if order.status in NOT_SURE]
    unsure += [
        one for one in orders if one.over and one.broker_order_id and one.pk not in read_back
    ]
    if unsure:
        said = ", ".join(f"slice {order.slice_number} is {order.status}" for order in unsure)
        raise TooLate(f"what is left is not known: {said}")
    if parent.trading_day < trading_day():
        raise TooLate("its trading day is over: drop what is left, and place a new order")
    left = wholes.standing_of(parent, orders).left
    if not left:
        raise TooLate("nothing is left of it")
    instrument = parent.instrument
    more = split(left, instrument.lot_size, instrument.freeze_quantity)
    plan = [*parent.plan[: len(orders)], *more]
    wholes.write(
        parent, wholes.RESUME, reason, actor=actor.name, status=Progress.PLACING, plan=plan
    )
    settle_alert(wholes.alert_of(parent), f"{actor.name} resumes it: {reason}")
    transaction.on_commit(partial(queue.ring_slices, parent.pk, exiting=parent.exiting))
    return parent


@transaction.atomic
def drop(parent: Slicing, actor: Actor, reason: str, stop: int | None = None) -> Slicing:
    """Give up what is left after a stop. Slices at work go on; raises ``TooLate``."""
    parent = _stopped(parent, stop)
    _give_up(parent, "DROP", actor, reason)
    return parent


def cancel(parent: Slicing, actor: Actor, reason: str) -> Slicing:
    """Give up what is not placed and wish every slice at work cancelled.

    The sweep goes on if we die half-way. Raises ``TooLate`` when all of it is over.
    """
    with transaction.atomic():
        parent = wholes.locked(parent.pk)
        alive = any(not order.over for order in wholes.slices_of(parent))
        if parent.over and not alive:
            raise TooLate(f"the whole is already {parent.get_status_display().lower()}")
        _give_up(parent, "CANCEL", actor, reason, cancel_wanted_at=timezone.now())
    wish_cancelled(parent.pk, actor, reason)
    return parent


def wish_cancelled(slicing_id: int, actor: Actor, reason: str) -> None:
    """Wish the slices of a cancelled whole cancelled that nobody has wished so yet."""
    for order in to_cancel().filter(parent=slicing_id):
        with suppress(TooLate):
            services.cancel(order, actor, reason)


def to_cancel() -> QuerySet[Order]:
    """Slices that still work although their whole is cancelled, and were not asked to stop."""
    alive = Order.objects.exclude(status__in=sorted(TERMINAL)).select_related("parent")
    return alive.filter(parent__cancel_wanted_at__isnull=False, cancel_wanted_at=None)


def _stopped(parent: Slicing, stop: int | None) -> Slicing:
    """The whole, locked, in the stop that was seen."""
    parent = wholes.locked(parent.pk)
    wholes.settle(parent)
    if parent.status != Progress.STOPPED:
        raise TooLate(f"the whole is {parent.get_status_display().lower()}, not stopped")
    if stop is not None and stop != parent.stops:
        raise TooLate("it has been resumed and has stopped again meanwhile: look again")
    return parent


def _give_up(
    parent: Slicing, event: str, actor: Actor, reason: str, **columns: dt.datetime
) -> None:
    left = wholes.standing_of(parent, wholes.slices_of(parent)).left
    if not parent.over:
        dropped = parent.dropped + left
        wholes.write(
            parent,
            event,
            reason,
            actor=actor.name,
            status=Progress.DROPPED,
            dropped=dropped,
            **columns,
        )
        settle_alert(wholes.alert_of(parent), f"{actor.name} gives it up: {reason}")
    else:
        wholes.write(parent, event, reason, actor=actor.name, **columns)
