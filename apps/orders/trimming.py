"""Take back exits that a position no longer covers, because somebody traded it elsewhere."""

from __future__ import annotations

import structlog
from django.db.models import F, Q

from apps.brokers.models import BrokerAccount, PositionsReport
from apps.brokers.port import Intent, Side
from apps.orders import services
from apps.orders.models import Order
from apps.orders.services import Actor, BadOrder, TooLate
from apps.orders.states import AT_BROKER
from apps.risk import footing
from apps.risk.models import Hold

log = structlog.get_logger(__name__)
ACTOR = Actor(name="desk: exits exceed the position")
WHY = "the position is smaller than its exits: it was traded elsewhere"


def trim_by_last_read(account: BrokerAccount) -> None:
    """The same by the last read that is kept."""
    report = PositionsReport.objects.filter(account=account).first()
    if report is not None:
        trim(account, report)


def trim(account: BrokerAccount, report: PositionsReport) -> None:
    """Shrink or cancel the youngest exits until the position covers them, by every measure.

    Both the broker's read and the desk's own count must say that it does not: one of them alone
    may be late. What moved since the read began is left for the next one.
    """
    moved = footing.moved_since(account, report.mark)
    known = Q(status__in=AT_BROKER) | Q(cancel_wanted_at__isnull=False)
    exits = Order.objects.alive().filter(known, account=account, intent=Intent.EXIT)
    exits = exits.select_related("account", "instrument")
    by_position: dict[tuple[footing.Key, str], list[Order]] = {}
    for order in exits.order_by("pk"):
        instrument = order.instrument
        key = (instrument.segment, instrument.security_id, order.product)
        if key not in moved:
            by_position.setdefault((key, order.side), []).append(order)
    for (key, side), orders in by_position.items():
        left = covered(account, key, Side(side), report)
        _take_back(orders, at_work(account, key, side) - left)


def covered(account: BrokerAccount, key: footing.Key, side: Side, report: PositionsReport) -> int:
    """Units that exits of this side may take, by the more generous measure."""
    nets = (report.net(*key), footing.total(account, key))
    return max(max(-net * side.sign, 0) for net in nets)


def at_work(account: BrokerAccount, key: footing.Key, side: str, without: str = "") -> int:
    """Units that exits of this side may still take; of orders that exclude each other the most.

    ``without`` leaves one group of such orders out.
    """
    holds = Hold.objects.filter(
        account=account,
        segment=key[0],
        security_id=key[1],
        product=key[2],
        side=side,
        intent=Intent.EXIT,
        released_at=None,
    )
    bundles: dict[str, int] = {}
    for hold in holds.annotate(left=F("quantity") - F("filled")):
        bundle = hold.group or hold.correlation_id
        bundles[bundle] = max(bundles.get(bundle, 0), hold.left)
    bundles.pop(without, None)
    return sum(bundles.values())


def _take_back(orders: list[Order], excess: int) -> None:
    """The youngest first; orders that exclude each other shrink together.

    What an earlier look has begun to take back counts here, and is not asked for again.
    """
    bundles: dict[str, list[Order]] = {}
    for order in reversed(orders):
        bundles.setdefault(order.group or order.correlation_id, []).append(order)
    for bundle in bundles.values():
        if excess <= 0:
            return
        most = max(order.open_quantity for order in bundle)
        for order in bundle:
            if order.open_quantity > most - excess and not _shrinks(order, most - excess):
                _shrink(order, most - excess)
        excess -= most


def _shrinks(order: Order, still: int) -> bool:
    """True when no more than so many units will be at work, once what is under way is over."""
    if order.cancel_wanted_at is not None:
        return True
    change = services.change_under_way(order)
    return change is not None and change.quantity - order.filled_quantity <= max(still, 0)


def _shrink(order: Order, still: int) -> None:
    """Leave so many units at work."""
    try:
        if still > 0 and order.can_modify and not order.kept_exit:
            services.modify(order, ACTOR, WHY, quantity=order.filled_quantity + still)
        else:
            services.cancel(order, ACTOR, WHY)
    except (TooLate, BadOrder) as error:
        log.info("not taken back", correlation_id=order.correlation_id, why=str(error))
