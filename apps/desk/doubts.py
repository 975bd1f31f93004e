"""Orders that a person must look at: nobody knows their state, or nothing moves them on."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db.models import BooleanField, Case, CharField, Exists, OuterRef, Q, Value, When
from django.utils import timezone

from apps.desk.blotter import ALIVE
from apps.orders.dispatch import call_time_out
from apps.orders.models import Change, Modification, Order, trading_day
from apps.orders.states import Status

LIMIT = 100
SLOW = dt.timedelta(seconds=30)  # what should take seconds, and has not happened
OF_AN_EARLIER_DAY = "Of an earlier day: needs the broker's statement; ask for its release."


def doubtful() -> list[Order]:
    """The newest of them first, at most a hundred, each with ``why`` in words.

    ``stays`` is true of one that the desk is not likely to find out about by itself.
    """
    now = timezone.now()
    reasons = _reasons(now)
    why = Case(
        *(When(condition, then=Value(text)) for condition, text in reasons),
        default=Value(""),
        output_field=CharField(),
    )
    alive = Order.objects.filter(ALIVE).select_related("account", "instrument")
    stays = Case(When(_stays(now), then=True), default=False, output_field=BooleanField())
    told = alive.annotate(why=why, stays=stays).exclude(why="")
    return list(told.order_by("-pk")[:LIMIT])


def _stays(now: dt.datetime) -> Q:
    looked = now - dt.timedelta(seconds=settings.RELEASE_AFTER)
    old = Q(trading_day__lt=trading_day()) | Q(claimed_at__lt=looked)
    return Q(status=Status.UNKNOWN) & old


def _reasons(now: dt.datetime) -> list[tuple[Q | Exists, str]]:
    lost_change = Modification.objects.filter(order=OuterRef("pk"), status=Change.UNKNOWN)
    return [
        (Q(status=Status.UNKNOWN, trading_day__lt=trading_day()), OF_AN_EARLIER_DAY),
        (Q(status=Status.UNKNOWN), "It may exist at the broker. The desk is looking."),
        (
            Q(status=Status.SENDING, claimed_at__lt=now - call_time_out()),
            "It is being sent for longer than a call can take.",
        ),
        (Q(status=Status.APPROVED, approved_at__lt=now - SLOW), "No worker has sent it yet."),
        (Q(cancel_wanted_at__lt=now - SLOW), "Its cancel is not confirmed."),
        (Exists(lost_change), "Nobody knows whether its new terms arrived. The desk is looking."),
    ]
