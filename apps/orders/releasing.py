"""Releasing an order in doubt, where the desk cannot tell and the broker's own statement can.

The desk ends a doubt by itself as long as it can: of today's orders whose books it reads it proves
absence. Nothing proves it of an earlier day's order, of one that was sent after market, or while
the books stay unread. A released order counts as never arrived: its hold is free, it is never
sent again, and should it show up after all, it is adopted with an alarm.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from apps.alerts.models import Heartbeat
from apps.brokers.locks import order_lock_if_free
from apps.orders import lifecycle, look
from apps.orders.lifecycle import Happening
from apps.orders.models import Order, OrderEvent, trading_day
from apps.orders.services import BadOrder
from apps.orders.states import Event, Status
from apps.risk import approvals
from apps.risk.approvals import CannotCarryOut, Facts, Kind, NotOpen
from apps.risk.models import Approval

KIND = "RELEASE"
ORIGIN = "approval"
ASK = "orders.cancel_order"


def ask(order: Order, user: User, reason: str) -> Approval:
    """Ask a second person to release it; ``reason`` is what the broker's own statement shows.

    Raises ``BadOrder`` without a reason, ``NotAllowed``, and ``NotOpen`` when it is not UNKNOWN,
    asked for already, or the desk can still find out by itself.
    """
    if not reason.strip():
        raise BadOrder("reason", "say what the broker's own statement shows of this order")
    order.refresh_from_db()
    why = why_not(order)
    if why:
        raise NotOpen(why)
    return approvals.request(KIND, order.correlation_id, _seen(order), user, reason.strip())


def why_not(order: Order) -> str:
    """Why it cannot be released now, and when it may be asked; empty when it can."""
    if order.status != Status.UNKNOWN:
        return f"the order is {order.status}; only one that is UNKNOWN can be released"
    now, since = timezone.now(), _in_doubt_since(order)
    ready = since + dt.timedelta(seconds=settings.RELEASE_AFTER)
    if now < ready:
        return f"the desk is looking by itself; it may be asked from {_stamp(ready)}"
    if order.after_market or order.trading_day < trading_day():
        return ""
    read = _books_read_at(order)
    late = max(since, read or since) + dt.timedelta(seconds=settings.RELEASE_UNREAD_AFTER)
    if now >= late or (read is not None and read >= ready):
        return ""
    return (
        "the broker's books cannot be read, and the desk finds out by itself once they can; "
        f"it may be asked from {_stamp(late)}"
    )


def waiting(order: Order) -> Approval | None:
    """The request that a second person may decide now."""
    return approvals.waiting().filter(kind=KIND, subject=order.correlation_id).first()


def was_released(order: Order) -> bool:
    """True when people ended its doubt, and nothing has happened to it since."""
    if order.status != Status.NEVER_ARRIVED:
        return False
    last = _events_to(order, Status.NEVER_ARRIVED).first()
    return last is not None and last.event == Event.RELEASE


def _stamp(at: dt.datetime) -> str:
    return f"{timezone.localtime(at):%d %b %H:%M:%S}"


def _events_to(order: Order, status: Status) -> Any:  # noqa: ANN401 - rows of the history
    """What brought it into the status, newest first."""
    return order.events.filter(after=status).exclude(before=status).order_by("-id")


def _in_doubt_since(order: Order) -> dt.datetime:
    event = _events_to(order, Status.UNKNOWN).first()
    return event.at if event else order.created_at


def _books_read_at(order: Order) -> dt.datetime | None:
    """When the account's books were last read whole and applied."""
    sign = Heartbeat.objects.filter(name=f"reconcile:{order.account.name}").first()
    return sign.at if sign else None


def _seen(order: Order) -> dict[str, Any]:
    """Which doubt is meant, and the last that the broker had said of the order by then."""
    doubt = _events_to(order, Status.UNKNOWN).first()
    news = OrderEvent.objects.filter(order=order, raw__isnull=False).order_by("-id").first()
    return {
        "doubt": doubt.pk if doubt else None,
        "news": news.pk if news else None,
        "terms": order.terms_in_words,
        "filled": order.filled_quantity,
    }


@contextmanager
def _alone(approval: Approval) -> Iterator[bool]:
    """Nobody else asks the broker about the order; and we look once more before we give it up."""
    with order_lock_if_free(approval.subject) as free:
        order = _order(approval)
        if free and order.status == Status.UNKNOWN:
            look.look_for(order)
        yield free


def _carry_out(approval: Approval) -> str:
    """Release it if it is still in the same doubt, and the broker has said nothing since."""
    order = lifecycle.locked(_order(approval).pk)
    if order.status != Status.UNKNOWN:
        raise CannotCarryOut(f"the doubt has ended by itself: the order is {order.status}")
    if _seen(order) != approval.payload:
        raise CannotCarryOut("the broker has spoken of the order since it was asked: look again")
    why = why_not(order)
    if why:
        raise CannotCarryOut(why)
    maker, checker = approval.requested_by, approval.decided_by
    why = f"{approval.reason} / {approval.decision_reason}".strip(" /")
    happening = Happening(
        event=Event.RELEASE,
        origin=ORIGIN,
        text=f"released by {maker} and {checker}: {why}",
        actor=f"{checker}, asked by {maker}"[:150],
    )
    lifecycle.apply_to(order, happening)
    return "released: its hold is free, and it is never sent again"


def _drop(approval: Approval, why: str) -> None:
    """An order that nobody releases stays in doubt, and the desk goes on looking."""


def _order(approval: Approval) -> Order:
    rows = Order.objects.select_related("account", "instrument")
    return rows.get(correlation_id=approval.subject)


def _facts(approval: Approval) -> Facts:
    order = _order(approval)
    filled = f"{order.filled_quantity} of {order.quantity}, as far as the desk knows"
    return [
        ("What", f"Release {order.in_words}"),
        ("Type", order.type_words),
        ("Account", f"{order.account.name} ({order.account.environment})"),
        ("Correlation id", order.correlation_id),
        ("Broker id", order.broker_order_id or "none was ever told"),
        ("Trading day", f"{order.trading_day:%d %b %Y}"),
        ("Filled", filled),
        ("In doubt since", _stamp(_in_doubt_since(order))),
        ("Is now", order.status),
        ("If approved", "it counts as never arrived, frees its hold and is never sent again"),
    ]


def register() -> None:
    """Make the kind known."""
    kind = Kind(KIND, "Release of an order in doubt", ASK, _carry_out, _drop, _facts, turn=_alone)
    approvals.register(kind)
