"""A sweep without workers: exits and cancels by the sweep itself, entries by the test."""

from __future__ import annotations

from apps.orders.changes import send_change
from apps.orders.dispatch import dispatch
from apps.orders.models import Change, Modification, Order
from apps.orders.sweep import sweep


def sweep_and_send() -> None:
    """One pass of the sweep, and every approved order and change sent."""
    sweep(direct=True)
    for order in Order.objects.filter(status="APPROVED"):
        dispatch(order.pk)
    for change in Modification.objects.filter(status=Change.APPROVED):
        send_change(change.pk)
