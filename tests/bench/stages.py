"""Where an order's time goes, from the times that its own rows keep."""

from __future__ import annotations

import datetime as dt
from typing import Any

from apps.brokers.models import WireCall
from apps.orders.models import Order
from tests.bench.figures import percentile, table

STAGES = ("created", "approved", "claimed", "call written", "first byte", "answered", "submitted")


def stages(orders: list[Order]) -> list[dict[str, Any]]:
    """Milliseconds from each stage to the next, over the orders that went all the way."""
    calls = {
        call.correlation_id: call
        for call in WireCall.objects.filter(
            correlation_id__in=[order.correlation_id for order in orders],
            verb="PLACE",
            outcome="ACCEPTED",
        )
    }
    whole = [
        times
        for order in orders
        if order.correlation_id in calls
        and None not in (times := _times(order, calls[order.correlation_id]))
    ]
    return [
        {
            "stage": f"{STAGES[i]} → {STAGES[i + 1]}",
            "p50_ms": round(percentile(spans, 0.5), 2),
            "p95_ms": round(percentile(spans, 0.95), 2),
        }
        for i in range(len(STAGES) - 1)
        if (spans := [(row[i + 1] - row[i]).total_seconds() * 1000 for row in whole])
    ]


def _times(order: Order, call: WireCall) -> tuple[dt.datetime | None, ...]:
    return (
        order.created_at,
        order.approved_at,
        order.claimed_at,
        call.created_at,
        call.sent_at,
        call.answered_at,
        order.submitted_at,
    )


def shown(rows: list[dict[str, Any]]) -> str:
    """The stages as a table."""
    return table(
        ["stage", "p50 ms", "p95 ms"],
        [[row["stage"], row["p50_ms"], row["p95_ms"]] for row in rows],
    )
