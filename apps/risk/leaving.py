"""How much of a position an exit may still take, by every measure at once."""

from __future__ import annotations

from apps.brokers.models import BrokerAccount, PositionsReport
from apps.brokers.port import STRATEGY, OrderRequest
from apps.risk import book, footing, held
from apps.risk.book import Taken
from apps.risk.held import Read, Shown


def left(account: BrokerAccount, request: OrderRequest, report: PositionsReport) -> int:
    """Units that this exit may still take; zero where it would go through zero.

    By the broker's reads, by the desk's own count and, for a strategy, by its own part. Holdings
    that are not known measure nothing: the desk's own count does.
    """
    sign = request.side.sign
    shown = held.shown_for(request.product, account, report)
    net, taken, _ = tightest(account, request, shown)
    counted = footing.standing(account, request)
    measures = [-counted.total * sign - taken.total]
    if net is not None:
        measures.append(-net * sign - taken.read)
    if request.owner.startswith(STRATEGY):
        measures.append(-counted.owner * sign - taken.owner)
    return max(min(measures), 0)


def tightest(
    account: BrokerAccount, request: OrderRequest, shown: Shown
) -> tuple[int | None, Taken, Read]:
    """The position by that way to count it which leaves least, what others may take of it, and the
    read that it rests on. None when it is not known.
    """
    key = (request.segment, request.security_id, request.product)
    found = [(net, book.taken(account, request, read), read) for net, read in shown.measures(key)]
    if not found:
        return None, book.taken(account, request, shown.positions), shown.positions
    return min(found, key=lambda one: -one[0] * request.side.sign - one[1].read)
