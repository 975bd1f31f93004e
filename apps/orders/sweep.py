"""One pass over everything that should have moved and has not. Bells may be lost; rows are not.

Runs every second from beat, and from ``guard`` when the workers do not. Every step is safe to
repeat and to run twice at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import Error, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from apps.alerts.raising import raise_alert
from apps.brokers.locks import order_lock_if_free
from apps.brokers.models import BrokerAccount, CallOutcome, Verb, WireCall
from apps.orders import cancels, changes, lifecycle, look, queue
from apps.orders.dispatch import call_time_out
from apps.orders.lifecycle import Happening
from apps.orders.models import UNDER_WAY, Change, Modification, Order
from apps.orders.states import AT_BROKER, Event, Status
from apps.risk import approvals

log = structlog.get_logger(__name__)

SWEEP = "sweep"
BELL_GRACE = dt.timedelta(seconds=1)
BATCH = 200

Send = Callable[[Order], None]


def sweep(send: Send | None = None) -> None:
    """One pass. ``send`` replaces ringing the workers when there are none (see ``guard``)."""
    for step in (_lapse, _hand_back, _lose, _settle_changes):
        step()
    _look(direct=send is not None)
    _ring_approved(send or _ring)
    _ring_cancels(direct=send is not None)
    approvals.sweep()


def _each(orders: object, act: Callable[[Order], None]) -> None:
    """Act on each row; one row that breaks is recorded and parked, the others go on."""
    for order in orders:  # type: ignore[attr-defined]
        try:
            act(order)
        except lifecycle.ImpossibleTransition:
            log.info("moved meanwhile", correlation_id=order.correlation_id)
        except Error:
            log.exception("row skipped", correlation_id=order.correlation_id)
        except Exception as error:
            log.exception("row broke the sweep", correlation_id=order.correlation_id)
            raise_alert(
                f"sweep:{order.correlation_id}",
                f"the sweep cannot mend order {order.correlation_id}: {type(error).__name__}",
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
        event = Event.HAND_BACK if alive else Event.LAPSE
        _apply(order, event, "its sender stopped before writing the call down")


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


def _look(*, direct: bool) -> None:
    accounts = BrokerAccount.objects.filter(pk__in=look.due().values("account"))
    for account in accounts:
        if direct:
            look.look(account)
        else:
            queue.ring_look(account.pk)


def _settle_changes() -> None:
    """Changes of terms: send again what never left, settle what the books have answered."""
    under_way = Modification.objects.filter(status__in=UNDER_WAY).select_related(
        "order__account", "wire_call"
    )
    now = timezone.now()
    for change in under_way[:BATCH]:
        if change.status == Change.APPROVED:
            if (change.not_before or change.requested_at + BELL_GRACE) <= now:
                queue.ring_modify(change.pk, exiting=change.order.intent == "EXIT")
        elif change.status == Change.SENDING:
            _recover_change(change)
        else:
            changes.resolve(change)


def _recover_change(change: Modification) -> None:
    """A sender of a change died: back to APPROVED if no call was written, else UNKNOWN."""
    quiet = timezone.now() - call_time_out()
    if change.requested_at > quiet:
        return
    call = WireCall.objects.filter(permit__in=change.decision.permits.values("id")).first()
    status = Change.UNKNOWN if call and call.outcome != CallOutcome.NOT_SENT else Change.APPROVED
    with order_lock_if_free(change.order.correlation_id) as free:
        if free:
            Modification.objects.filter(pk=change.pk, status=Change.SENDING).update(
                status=status, wire_call=call
            )


def _ring_approved(send: Send) -> None:
    now = timezone.now()
    due = Q(not_before__lte=now) | Q(not_before=None, approved_at__lte=now - BELL_GRACE)
    waiting = Order.objects.filter(due, status=Status.APPROVED, decide_by__gt=now)
    _each(waiting.order_by("-intent", "id")[:BATCH], send)


def _ring(order: Order) -> None:
    queue.ring_dispatch(order.pk, exiting=order.intent == "EXIT")


def _ring_cancels(*, direct: bool) -> None:
    wished = Order.objects.filter(
        cancel_wanted_at__isnull=False, next_cancel_at__lte=timezone.now(), status__in=AT_BROKER
    )
    act = cancels.send_cancel if direct else queue.ring_cancel
    _each(wished[:BATCH], lambda order: act(order.pk))


def _apply(order: Order, event: Event, text: str) -> None:
    lifecycle.apply(order.pk, Happening(event=event, origin=SWEEP, text=text))
