"""How old something is. A time in the future has no age: it cannot be trusted to be fresh."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

CLOCK_SLACK = dt.timedelta(seconds=1)


def age_of(as_of: dt.datetime | None, now: dt.datetime | None = None) -> float | None:
    """Seconds since then; None when it is not known."""
    now = now or timezone.now()
    if as_of is None or as_of > now + CLOCK_SLACK:
        return None
    return max((now - as_of).total_seconds(), 0.0)
