"""Orders that a person must look at: nobody knows their state, or nothing moves them on."""

from __future__ import annotations

import datetime as dt

from django.db.models import Case, CharField, Exists, OuterRef, Q, Value, When
from django.utils import timezone

from apps.desk.blotter import ALIVE
from apps.orders.dispatch import call_time_out
from apps.orders.models import Change, Modification, Order
from apps.orders.states import Status

LIMIT = 100
SLOW = dt.timedelta(seconds=30)  # what should take seconds, and has not happened


def doubtful() -> list[Order]:
    """The newest of them first, at most a hundred, each with ``why`` in words."""
    reasons = _reasons(timezone.now())
    why = Case(
        *(When(condition, then=Value(text)) for condition, text in reasons),
        default=Value(""),
        output_field=CharField(),
    )
    alive = Order.objects.filter(ALIVE).select_related("account", "instrument")
    return list(alive.annotate(why=why).exclude(why="").order_by("-pk")[:LIMIT])


def _reasons(now: dt.datetime) -> list[tuple[Q | Exists, str]]:
    lost_change = Modification.objects.filter(order=OuterRef("pk"), status=Change.UNKNOWN)
    return [
        (Q(status=Status.UNKNOWN), "It may exist at the broker. The desk is looking."),
        (
            Q(status=Status.SENDING, claimed_at__lt=now - call_time_out()),
            "It is being sent for longer than a call can take.",
        ),
        (Q(status=Status.APPROVED, approved_at__lt=now - SLOW), "No worker has sent it yet."),
        (Q(cancel_wanted_at__lt=now - SLOW), "Its cancel is not confirmed."),
        (Exists(lost_change), "Nobody knows whether its new terms arrived. The desk is looking."),
    ]
