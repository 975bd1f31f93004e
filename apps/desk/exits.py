"""What closing the position behind an order would take, by what the desk knows now.

Only a suggestion for the place form: the gate reads the position again before anything leaves.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from django.utils import timezone

from apps.brokers.models import PositionsReport
from apps.brokers.port import Intent, Side
from apps.desk import words
from apps.orders.models import Order
from apps.risk import book, held, leaving


@dataclass(frozen=True)
class WayOut:
    """Net units held (below zero: short), and how many of them no other order takes yet.

    ``as_of`` is the time of the position read; None when only the order's own fills are known.
    """

    net: int
    left: int
    as_of: dt.datetime | None

    @property
    def side(self) -> Side:
        """The side that closes it."""
        return _closing(self.net)


def way_out(order: Order) -> WayOut:
    """The position in the order's account, instrument and product."""
    filled = order.filled_quantity
    report = PositionsReport.objects.filter(account=order.account).first()
    if report is None or book.own(order.correlation_id, report.mark).seen != filled:
        return WayOut(filled * Side(order.side).sign, filled, None)  # not in the last read yet
    instrument = order.instrument
    shown = held.shown_for(order.product, order.account, report)
    net = shown.net((instrument.segment, instrument.security_id, order.product))
    if net is None:
        return WayOut(filled * Side(order.side).sign, filled, None)  # holdings are not known
    exiting = replace(
        order.request(), side=_closing(net), intent=Intent.EXIT, correlation_id="of no order"
    )
    _, taken, _ = leaving.tightest(order.account, exiting, shown)
    return WayOut(net, max(abs(net) - taken.read, 0), report.as_of)


def _closing(net: int) -> Side:
    return Side.SELL if net > 0 else Side.BUY


def in_words(order: Order, found: WayOut) -> str:
    """One sentence for the person who wants out."""
    what = f"{order.instrument.symbol}, {order.get_product_display().lower()}"
    units = words.grouped(abs(found.net))
    if found.as_of is None:
        return f"This order filled {units} of {what}. The position was not read since."
    at = f"{order.account.name} at {timezone.localtime(found.as_of):%H:%M:%S}"
    if found.net == 0:
        return f"Nothing to exit: {at} held no {what}."
    held = f"{at} was {'long' if found.net > 0 else 'short'} {units} of {what}"
    if found.left == 0:
        return f"Nothing to exit: {held}, and other orders take all of it."
    if found.left < abs(found.net):
        return f"{held}; other orders take all but {words.grouped(found.left)}."
    return f"{held}."
