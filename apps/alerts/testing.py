"""A test message: it goes the same way as an alert, and its result is waited for."""

from __future__ import annotations

import datetime as dt
import time
import uuid

from django.utils import timezone

from apps.alerts.models import Channel, Delivery, DeliveryState, Message, Purpose
from apps.alerts.spreading import post

WORTH = dt.timedelta(minutes=2)
LOOK_EVERY = 0.2  # seconds


def send_test(channel: Channel, name: str) -> Delivery:
    """Ask for a test message; a channel that pauses tries at once."""
    message = Message(
        purpose=Purpose.TEST,
        slot=f"test:{uuid.uuid4()}",
        text=f"Test message of the trading desk on channel {channel.name}, asked for by {name}.",
        expires_at=timezone.now() + WORTH,
    )
    Channel.objects.filter(pk=channel.pk).update(not_before=None)
    post(message, [channel])
    return message.deliveries.get()


def result_of(delivery: Delivery, patience: float) -> str:
    """What became of it within ``patience`` seconds, for the person who asked."""
    deadline = time.monotonic() + patience
    while delivery.settled_at is None and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
        delivery.refresh_from_db()
    if delivery.state == DeliveryState.DELIVERED and delivery.took is not None:
        return f"Delivered in {delivery.took.total_seconds():.1f} s."
    if delivery.settled_at is not None:
        return f"Not delivered: {delivery.error}."
    if delivery.attempts:
        return "Not delivered yet: the other side has not answered."
    return "Not sent yet: is deliver_alerts running, and is the channel enabled?"
