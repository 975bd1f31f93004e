"""How much of a position an exit may still take, by every measure at once."""

from __future__ import annotations

from apps.brokers.models import BrokerAccount, PositionsReport
from apps.brokers.port import STRATEGY, OrderRequest
from apps.risk import book, footing


def left(account: BrokerAccount, request: OrderRequest, report: PositionsReport) -> int:
    """Units that this exit may still take; zero where it would go through zero.

    By the broker's read, by the desk's own count and, for a strategy, by its own part.
    """
    sign = request.side.sign
    net = report.net(request.segment, request.security_id, request.product)
    taken = book.taken(account, request, report)
    counted = footing.standing(account, request)
    measures = [-net * sign - taken.read, -counted.total * sign - taken.total]
    if request.owner.startswith(STRATEGY):
        measures.append(-counted.owner * sign - taken.owner)
    return max(min(measures), 0)
