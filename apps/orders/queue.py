"""Ring the workers. The rows are the queue: a bell that nobody hears costs one sweep.

Tasks are named by text so that workflow modules need not import them.
"""

from __future__ import annotations

import datetime as dt

import structlog
from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)


def ring_dispatch(order_id: int, *, exiting: bool) -> None:
    """Somebody should send this order now."""
    _ring("orders.dispatch", order_id, "exits" if exiting else "entries")


def ring_at(when: dt.datetime, task: str, row_id: int) -> None:
    """The same for an exit, a change of one or a cancel that must wait for the rate budget: at
    that time, rather than at the next sweep."""
    pause = max((when - timezone.now()).total_seconds(), 0.0)
    _ring(task, row_id, "exits", countdown=pause)


def ring_cancel(order_id: int) -> None:
    """Somebody should ask the broker to cancel this order now."""
    _ring("orders.cancel", order_id, "exits")


def ring_modify(modification_id: int, *, exiting: bool) -> None:
    """Somebody should send these new terms now."""
    _ring("orders.modify", modification_id, "exits" if exiting else "entries")


def ring_flatten(account_id: int) -> None:
    """Somebody should work off what is to be closed on this account now."""
    _ring("orders.flatten", account_id, "exits")


def ring_bracket(bracket_id: int) -> None:
    """Somebody should look at this bracket now."""
    _ring("orders.bracket", bracket_id, "exits")


def ring_kill(row_id: int) -> None:
    """Somebody should go on stopping this account now."""
    _ring("orders.kill", row_id, "exits")


def ring_reconcile(account_id: int) -> None:
    """Somebody should read this account's books now."""
    _ring("orders.reconcile", account_id, "reads")


def ring_look(account_id: int) -> None:
    """Somebody should look for this account's UNKNOWN orders now."""
    _ring("orders.look", account_id, "reads")


def ring_slices(slicing_id: int, *, exiting: bool) -> None:
    """Somebody should place the next slices of this whole now."""
    _ring("orders.slices", slicing_id, "exits" if exiting else "entries")


def ring(task: str, row_id: int, *, exiting: bool) -> None:
    """Somebody should do this work of a part above the orders now."""
    _ring(task, row_id, "exits" if exiting else "entries")


def _ring(task: str, row_id: int, queue: str, countdown: float | None = None) -> None:
    try:
        current_app.send_task(task, args=[row_id], queue=queue, retry=False, countdown=countdown)
    except (OperationalError, OSError) as error:
        log.warning("bell lost", task=task, row=row_id, error=type(error).__name__)
