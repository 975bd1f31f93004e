"""One pass over signals that should have been acted on. The bell may be lost; the row is not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import structlog
from django.db import Error
from django.utils import timezone

from apps.orders import queue
from apps.signals import acting
from apps.signals.intake import ACT_AGAIN
from apps.signals.models import Signal

log = structlog.get_logger(__name__)

SWEEP = "signals"
BATCH = 200
RING_AGAIN = dt.timedelta(seconds=2)

Act = Callable[[Signal], None]


def sweep(act: Act | None = None) -> None:
    """Exits first. ``act`` replaces ringing the workers when there are none."""
    due = acting.waiting().filter(next_try_at__lte=timezone.now())
    for signal in due.order_by("-intent", "id")[:BATCH]:
        try:
            _one(signal, act or _ring)
        except Error:
            log.exception("signal skipped", signal=signal.pk)
        except Exception:
            # One bad row must not stop the others; its tries are counted and end.
            log.exception("signal broke the sweep", signal=signal.pk)


def _one(signal: Signal, act: Act) -> None:
    if signal.tries >= acting.MOST_TRIES:
        acting.park(signal)
    else:
        act(signal)


def _ring(signal: Signal) -> None:
    """Ring, and not again at once: a busy house must not be rung deaf."""
    acting.waiting().filter(pk=signal.pk).update(next_try_at=timezone.now() + RING_AGAIN)
    queue.ring(ACT_AGAIN, signal.pk, exiting=signal.exiting)


def act_on_exits() -> None:
    """For the guard, when the workers are gone: exits are acted on here, entries wait."""
    sweep(act=lambda signal: acting.act(signal.pk, again=True) if signal.exiting else None)
