"""One pass over everything that should have moved and has not. Bells may be lost; rows are not.

Runs every second from beat, and from ``guard`` when the workers do not. Every step is safe to
repeat and to run twice at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert
from apps.brokers.budget import WINDOWS, Budget, Priority, allowed
from apps.brokers.locks import order_lock_if_free
from apps.brokers.models import BrokerAccount, CallOutcome, Verb, WireCall
from apps.brokers.port import Intent
from apps.orders import bracket_guard, cancels, changes, lifecycle, look, queue, slices
from apps.orders.dispatch import call_time_out, dispatch
from apps.orders.lifecycle import Happening
from apps.orders.models import UNDER_WAY, Change, Modification, Order, Slicing, trading_day
from apps.orders.services import Actor, TooLate, cancel
from apps.orders.states import AT_BROKER, Event, Status
from apps.risk import approvals

log = structlog.get_logger(__name__)

SWEEP = "sweep"
BELL_GRACE = dt.timedelta(seconds=1)
BATCH = 200
LEAST_RUNG = 10  # entries of one account, in one sweep


def sweep(*, direct: bool = False) -> None:
    """One pass. ``direct`` sends exits, their changes and cancels itself and rings nobody."""
    steps: list[Callable[[], None]] = [_lapse, _hand_back, _lose, _withdraw, _outlive]
    steps += [_settle_wholes, _cancel_slices]
    sending = [_send_exits, _send_cancels, _settle_changes, _send_changes, _place_slices]
    steps += sending if direct else _BELLS
    steps += [_look if direct else _ring_looks, approvals.sweep]
    steps.append(bracket_guard.tend_due if direct else bracket_guard.ring_due)
    for step in steps:
        _safely(step)


def _safely(step: Callable[[], None]) -> None:
    """A step that breaks is recorded and told; the other steps go on."""
    try:
        step()
    except Error:
        log.exception("step skipped", step=step.__name__)
        connection.close_if_unusable_or_obsolete()
    except Exception as error:
        log.exception("step broke", step=step.__name__)
        text = f"the sweep's step {step.__name__} broke: {type(error).__name__}"
        raise_alert(f"sweep:{step.__name__}", text, Severity.CRITICAL)


R = TypeVar("R", Order, Modification, Slicing)


def _name(row: Order | Modification | Slicing) -> str:
    if isinstance(row, Slicing):
        return row.public_id
    return row.correlation_id if isinstance(row, Order) else row.order.correlation_id


def _each(rows: Iterable[R], act: Callable[[R], None]) -> None:
    """Act on each row; one row that breaks is recorded and parked, the others go on."""
    for row in rows:
        name = _name(row)
        try:
            act(row)
        except lifecycle.ImpossibleTransition:
            log.info("moved meanwhile", correlation_id=name)
        except Error:
            log.exception("row skipped", correlation_id=name)
        except Exception as error:
            log.exception("row broke the sweep", correlation_id=name)
            raise_alert(
                f"sweep:{name}", f"the sweep cannot mend order {name}: {type(error).__name__}"
            )


def _lapse() -> None:
    """APPROVED whose decision ran out: it will not be sent."""
    late = Order.objects.filter(status=Status.APPROVED, decide_by__lte=timezone.now())
    text = "the decision expired before the order could be sent"
    _each(
        late[:BATCH],
        lambda order: _apply(order, Event.LAPSE, text),
    )


def _hand_back() -> None:
    """SENDING with a claim that never wrote a call down: nothing left the house."""
    quiet = timezone.now() - dt.timedelta(seconds=settings.CLAIM_GRACE)
    calls = WireCall.objects.filter(
        correlation_id=OuterRef("correlation_id"), verb=Verb.PLACE
    ).exclude(outcome=CallOutcome.NOT_SENT)
    stuck = Order.objects.filter(status=Status.SENDING, claimed_at__lte=quiet)
    _each(stuck.exclude(Exists(calls))[:BATCH], _hand_back_one)


def _hand_back_one(order: Order) -> None:
    """Under the order's lock, so that no sender stands between its permit and its first byte."""
    with order_lock_if_free(order.correlation_id) as free:
        if not free or _open_place_call(order) is not None:
            return
        alive = order.decide_by is not None and order.decide_by > timezone.now()
        lifecycle.apply(
            order.pk,
            Happening(
                event=Event.HAND_BACK if alive else Event.LAPSE,
                origin=SWEEP,
                text="its sender stopped before writing the call down",
                claim_id=order.claim_id,
            ),
        )


def _lose() -> None:
    """SENDING with a call whose outcome nobody wrote in time: its sender died."""
    dead = timezone.now() - call_time_out()
    calls = WireCall.objects.filter(
        correlation_id=OuterRef("correlation_id"), verb=Verb.PLACE, outcome="", created_at__lte=dead
    )
    _each(Order.objects.filter(Exists(calls))[:BATCH], _lose_one)
    silent = WireCall.objects.filter(outcome="", created_at__lte=dead).exclude(verb=Verb.PLACE)
    silent.update(
        outcome=CallOutcome.UNKNOWN,
        text="whoever asked stopped before the answer came",
        answered_at=timezone.now(),
    )


def _lose_one(order: Order) -> None:
    with order_lock_if_free(order.correlation_id) as free:
        call = _open_place_call(order)
        if not free or call is None:
            return
        why = "its sender stopped before the answer came"
        with transaction.atomic():
            WireCall.objects.filter(pk=call.pk, outcome="").update(
                outcome=CallOutcome.UNKNOWN, text=why, answered_at=timezone.now()
            )
            lifecycle.apply(
                order.pk,
                Happening(
                    event=Event.LOSE,
                    origin=SWEEP,
                    text=why,
                    wire_call_id=call.pk,
                    columns={"next_look_at": timezone.now()},
                ),
            )


def _open_place_call(order: Order) -> WireCall | None:
    return WireCall.objects.filter(
        correlation_id=order.correlation_id, verb=Verb.PLACE, outcome=""
    ).first()


def _withdraw() -> None:
    """APPROVED, wished cancelled while it was being sent, and handed back: it stays here."""
    wished = Order.objects.filter(status=Status.APPROVED, cancel_wanted_at__isnull=False)
    text = "cancelled before it was sent"
    _each(wished[:BATCH], lambda order: _apply(order, Event.WITHDRAW, text))


def _outlive() -> None:
    """At the broker since an earlier day: its books are gone, and nobody saw the order's end."""
    old = Order.objects.filter(status__in=AT_BROKER, trading_day__lt=trading_day())
    text = (
        "the trading day ended and the broker's books of that day no longer show it: "
        "compare the position and the broker's statement"
    )
    _each(old[:BATCH], lambda order: _apply(order, Event.OUTLIVE, text))


def _ring_looks() -> None:
    for account_id in look.due().values_list("account", flat=True).order_by().distinct():
        queue.ring_look(account_id)


def _look() -> None:
    for account in BrokerAccount.objects.filter(pk__in=look.due().values("account")):
        look.look(account)


def _settle_changes() -> None:
    """Changes of terms whose sender stopped, or which the order's row already shows."""
    sent = Modification.objects.filter(status__in=UNDER_WAY).exclude(status=Change.APPROVED)
    _each(sent.select_related("order__account", "wire_call", "decision")[:BATCH], _settle_change)


def _settle_change(change: Modification) -> None:
    if change.status == Change.SENDING:
        changes.recover(change)
    else:
        changes.resolve(change)


def _changes_due() -> QuerySet[Modification]:
    late = timezone.now() - BELL_GRACE
    due = Q(not_before__lte=timezone.now()) | Q(not_before=None, requested_at__lte=late)
    return Modification.objects.filter(due, status=Change.APPROVED).select_related("order")


def _ring_changes() -> None:
    for change in _changes_due()[:BATCH]:
        queue.ring_modify(change.pk, exiting=change.order.intent == Intent.EXIT)


def _send_changes() -> None:
    """Changes of exits, such as a limit that is moved so that it trades."""
    exits = _changes_due().filter(order__intent=Intent.EXIT)
    _each(exits[:BATCH], lambda change: changes.send_change(change.pk))


def _due() -> QuerySet[Order]:
    now = timezone.now()
    due = Q(not_before__lte=now) | Q(not_before=None, approved_at__lte=now - BELL_GRACE)
    return Order.objects.filter(
        due, status=Status.APPROVED, decide_by__gt=now, cancel_wanted_at=None
    ).order_by("id")


def _ring_orders() -> None:
    """Every exit; of the rest the oldest of each account, twice what a second lets through.

    More would only ask in vain, and take the processors from the exits.
    """
    for order_id in _due().filter(intent=Intent.EXIT).values_list("pk", flat=True)[:BATCH]:
        queue.ring_dispatch(order_id, exiting=True)
    second = min(WINDOWS[Budget.ORDER])
    most = max(2 * allowed(Budget.ORDER, second, Priority.ENTRY), LEAST_RUNG)
    place = Window(RowNumber(), partition_by="account", order_by=["-adjusts", "id"])
    adjusts = Q(intent=Intent.ADJUST)
    others = _due().exclude(intent=Intent.EXIT).annotate(adjusts=adjusts).annotate(place=place)
    for order_id in others.filter(place__lte=most).values_list("pk", flat=True)[:BATCH]:
        queue.ring_dispatch(order_id, exiting=False)


def _send_exits() -> None:
    _each(_due().filter(intent=Intent.EXIT)[:BATCH], lambda order: dispatch(order.pk))


def _wished() -> QuerySet[Order]:
    return Order.objects.filter(
        cancel_wanted_at__isnull=False,
        next_cancel_at__lte=timezone.now(),
        status__in=AT_BROKER,
        trading_day__gte=trading_day(),
    )


def _ring_cancels() -> None:
    for order_id in _wished().values_list("pk", flat=True)[:BATCH]:
        queue.ring_cancel(order_id)


def _send_cancels() -> None:
    _each(_wished()[:BATCH], lambda order: cancels.send_cancel(order.pk))


def _settle_wholes() -> None:
    _each(slices.moved(), lambda whole: slices.settle(whole.pk))


def _cancel_slices() -> None:
    """Whoever cancelled the whole died before every slice of it was asked to stop."""
    who = Actor(name=SWEEP)
    text = "its whole was cancelled"
    _each(slices.to_cancel()[:BATCH], lambda order: _wish_cancelled(order, who, text))


def _wish_cancelled(order: Order, who: Actor, text: str) -> None:
    with suppress(TooLate):
        cancel(order, who, text)


def _ring_slices() -> None:
    for whole in slices.due()[:BATCH]:
        queue.ring_slices(whole.pk, exiting=whole.exiting)


def _place_slices() -> None:
    exits = slices.due().filter(intent=Intent.EXIT)
    _each(exits[:BATCH], lambda whole: slices.advance(whole.pk))


def _apply(order: Order, event: Event, text: str) -> None:
    lifecycle.apply(order.pk, Happening(event=event, origin=SWEEP, text=text))


_BELLS: list[Callable[[], None]] = [
    _ring_orders,
    _ring_cancels,
    _settle_changes,
    _ring_changes,
    _ring_slices,
]
