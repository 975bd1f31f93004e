"""Send reviewed changes of terms, and settle them by what the order then shows."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.brokers.journal import boot_clock, boot_id
from apps.brokers.locks import order_lock_if_free
from apps.brokers.models import CallOutcome, WireCall
from apps.brokers.port import Accepted, Intent, NotSent, Outcome, Refused
from apps.orders import lifecycle, queue
from apps.orders.dispatch import back_off, call_time_out, close_with, insist
from apps.orders.ingest import REPLY
from apps.orders.lifecycle import Happening, Terms
from apps.orders.models import UNDER_WAY, Change, Modification, Order
from apps.orders.states import Event
from apps.risk import book, gate


def send_change(modification_id: int) -> None:
    """Send one approved change; being second is normal and does nothing."""
    claim_id = _claim(modification_id)
    if claim_id is None:
        return
    change = Modification.objects.select_related("order__account").get(pk=modification_id)
    if change.order.over or change.order.cancel_wanted_at is not None:
        _give_up(change, "the order is over, or is to be cancelled")
        return
    result = gate.modify(change.request(), change.decision_id, claim_id)
    match result:
        case gate.Sent():
            insist(lambda: _settle(change, result))
        case gate.Deferred(not_before=not_before):
            _move(change, Change.APPROVED, "waiting for the rate budget", not_before=not_before)
            if change.order.intent == Intent.EXIT:
                queue.ring_at(not_before, "orders.modify", change.pk)
        case gate.Stopped(why=why) | gate.NotYours(why=why):
            _give_up(change, why)


@transaction.atomic
def _claim(modification_id: int) -> UUID | None:
    """Take an approved change for sending; None when it is not to be sent (any more, or yet)."""
    now, claim_id = timezone.now(), uuid4()
    due = Q(not_before=None) | Q(not_before__lte=now)
    row = Modification.objects.filter(due, pk=modification_id, status=Change.APPROVED)
    order_id = row.values_list("order", flat=True).first()
    if order_id is None:
        return None
    order = lifecycle.locked(order_id)
    mine = Modification.objects.filter(due, pk=modification_id, status=Change.APPROVED).update(
        status=Change.SENDING, claimed_at=now
    )
    if not mine:
        return None
    book.give_change_to_sender(order.correlation_id, claim_id)
    return claim_id


def recover(change: Modification) -> None:
    """A sender of a change stopped: back to APPROVED if nothing left, else UNKNOWN."""
    if change.claimed_at is None or change.claimed_at > timezone.now() - call_time_out():
        return
    with order_lock_if_free(change.order.correlation_id) as free:
        if not free:
            return
        book.give_change_to_sender(change.order.correlation_id, None)
        permits = change.decision.permits.values("id")
        call = WireCall.objects.filter(permit__in=permits).order_by("-id").first()
        left = call is not None and call.outcome != CallOutcome.NOT_SENT
        text = "its sender stopped"
        if left:
            _move(change, Change.UNKNOWN, text, wire_call=call)
        else:
            _move(change, Change.APPROVED, text, not_before=timezone.now())


def resolve(
    change: Modification, shown: Terms | None = None, as_of: dt.datetime | None = None
) -> None:
    """Settle a change that was sent from what the broker shows of the order.

    New terms seen → APPLIED. Old terms ``shown`` in a book begun (``as_of``) after the call could
    last have had an effect → REFUSED: it never took effect.
    """
    if change.status not in {Change.ACCEPTED, Change.UNKNOWN}:
        return
    order = Order.objects.get(pk=change.order_id)
    wanted, *seen = (_terms(row, kept_exit=order.kept_exit) for row in (change, order, shown))
    if wanted in seen:
        _finish(change, Change.APPLIED, "")
    elif order.over:
        _finish(change, Change.LAPSED, f"the order was {order.status} first")
    elif shown is not None and as_of is not None and _no_effect_any_more(change, as_of):
        _finish(change, Change.REFUSED, "the broker's books still show the old terms")


def _no_effect_any_more(change: Modification, as_of: dt.datetime) -> bool:
    call = change.wire_call
    return call is not None and call.effect_is_over(as_of, boot_id(), boot_clock())


def _terms(row: Modification | Order | Terms | None, *, kept_exit: bool) -> tuple[object, ...]:
    """Quantity and prices, comparable; what a row does not say counts as none.

    The quantity of a target or stop that the broker keeps follows its entry's, asked or not.
    """
    if row is None:
        return ()
    prices = row.price or None, row.trigger_price or None
    exits = row.exit_stop or None, row.exit_target or None
    return prices if kept_exit else (row.quantity, *prices, *exits)


def _settle(change: Modification, sent: gate.Sent) -> None:
    close_with(sent.call, sent.outcome)
    status, text = _status_after(change, sent.outcome)
    columns: dict[str, Any] = {"wire_call": sent.call}
    if status == Change.REFUSED:
        _finish(change, status, text, **columns)
        return
    if status == Change.APPROVED:
        columns["not_before"] = timezone.now() + back_off(1)
    _move(change, status, text, **columns)


def _status_after(change: Modification, outcome: Outcome) -> tuple[Change, str]:
    match outcome:
        case Accepted():
            return Change.ACCEPTED, "the broker took the change"
        case Refused(code=code, text=text):
            return Change.REFUSED, f"{code}: {text}"
        case NotSent(why=why):
            return Change.APPROVED, f"not sent: {why}"
        case unknown:
            return Change.UNKNOWN, unknown.why


@transaction.atomic
def _move(change: Modification, status: Change, text: str, **columns: Any) -> None:  # noqa: ANN401
    """From SENDING on. What is settled, or in other hands, stays as it is."""
    lifecycle.locked(change.order_id)
    moved = Modification.objects.filter(
        pk=change.pk, status=Change.SENDING, claimed_at=change.claimed_at
    ).update(status=status, reason=text, **columns)
    if moved:
        _note(change, f"change to {change}: {status.label.lower()} {text}".strip())


@transaction.atomic
def _give_up(change: Modification, why: str) -> None:
    """Nothing was sent under this claim. If the change is in other hands by now, they go on."""
    lifecycle.locked(change.order_id)
    mine = Modification.objects.filter(
        pk=change.pk, status=Change.SENDING, claimed_at=change.claimed_at
    )
    if mine.exists():
        _finish(change, Change.LAPSED, why)


@transaction.atomic
def _finish(change: Modification, status: Change, text: str, **columns: Any) -> None:  # noqa: ANN401
    order = lifecycle.locked(change.order_id)
    done = Modification.objects.filter(pk=change.pk, status__in=UNDER_WAY).update(
        status=status, reason=text, settled_at=timezone.now(), **columns
    )
    if not done:
        return
    # The order's row may follow later than the book that showed the change: the larger one counts.
    applied = change.quantity if status == Change.APPLIED else 0
    if not order.kept_exit:  # what the broker keeps is held at what its entry has filled
        book.settle_quantity(order.correlation_id, max(order.quantity, applied))
    _note(change, f"change to {change}: {status.label.lower()} {text}".strip())


def _note(change: Modification, text: str) -> None:
    lifecycle.apply(change.order_id, Happening(event=Event.NOTE, origin=REPLY, text=text))
