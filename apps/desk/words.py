"""How the desk says things: statuses, amounts, durations. Plain words, Indian figures."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from apps.orders.states import Status
from apps.orders.words import grouped, plain, rupees, status_tone, status_word

__all__ = [
    "EXPLAINED",
    "grouped",
    "ist",
    "lasting",
    "plain",
    "rupees",
    "status_tone",
    "status_word",
]

RELEASED = (
    "Two people released it on the broker's own statement; no book proves it. "
    "It is never sent again; should it show up, it is adopted."
)
EXPLAINED: dict[Status, str] = {
    Status.UNKNOWN: "It may exist at the broker. The desk is looking and will not send it again.",
    Status.DENIED: "Our own risk rules refused it. Nothing was sent.",
    Status.LAPSED: "Its approval ran out before it could be sent. Nothing was sent.",
    Status.NEVER_ARRIVED: "The broker's books prove that it never got there.",
    Status.SUBMITTED: "The broker took it; the exchange has not spoken yet.",
    Status.IMPORTED: "Another system's order, kept to be looked up. It is never sent or changed.",
}


def lasting(duration: dt.timedelta | None) -> str:
    """A duration in the unit that fits: 12 ms, 3.4 s, 5 min, 2 h 10 min."""
    if duration is None:
        return "–"
    seconds = duration.total_seconds()
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left} s"
    return f"{minutes // 60} h {minutes % 60} min"


def ist(at: dt.datetime | None) -> str:
    """Indian time of day with milliseconds."""
    if at is None:
        return "–"
    local = timezone.localtime(at)
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"
