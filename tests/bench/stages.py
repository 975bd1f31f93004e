"""Where an order's time goes, from the times that its own rows keep."""

from __future__ import annotations

import datetime as dt
from typing import Any

from apps.brokers.models import WireCall
from apps.orders.models import Order
from tests.bench.figures import Run, percentile, table

STAGES = ("asked", "heard", "taken up", "call written", "first byte", "answered", "submitted")


def stages(run: Run) -> list[dict[str, Any]]:
    """Milliseconds from each stage to the next, over the orders that went all the way.

    ``heard`` is when a signal was in; for other ways in, when the order was approved.
    """
    orders = run.orders
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
        and None not in (times := _times(run, order, calls[order.correlation_id]))
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


def _times(run: Run, order: Order, call: WireCall) -> tuple[dt.datetime | None, ...]:
    signal = order.signals.first()
    return (
        dt.datetime.fromtimestamp(run.asked[order.quantity], dt.UTC),
        signal.received_at if signal else order.approved_at,
        order.created_at if signal else order.claimed_at,
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
