"""A sweep without workers: exits and cancels by the sweep itself, entries by the test."""

from __future__ import annotations

from apps.orders.dispatch import dispatch
from apps.orders.models import Order
from apps.orders.sweep import sweep


def sweep_and_send() -> None:
    """One pass of the sweep, and every approved order sent."""
    sweep(direct=True)
    for order in Order.objects.filter(status="APPROVED"):
        dispatch(order.pk)
