"""May shares be sold out of the depository? The rule, and the facts that it rests on.

Framework-free, like every rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.brokers.port import Product, Side

if TYPE_CHECKING:
    from apps.risk.rules import Snapshot


@dataclass(frozen=True, kw_only=True)
class DeliveryFacts:
    """What a sale of DELIVERY may take, units; ages in seconds. None means "not known".

    ``net`` is today's position (below zero: more was sold than bought). ``available`` is what the
    holding has to sell now, ``most`` the most that it showed today, ``t1`` what of it was bought
    lately and is on its way. ``pending`` is what other sales may take on top of ``net``,
    ``pending_all`` on top of both reads. ``approved`` is by eDIS, for the whole day.
    """

    isin: str
    net: int | None
    net_age: float | None
    holdings_age: float | None
    available: int = 0
    most: int = 0
    t1: int = 0
    pending: int = 0
    pending_all: int = 0
    group_pending: int = 0
    own_filled: int = 0
    own_quantity: int = 0
    ddpi: bool | None = None
    ddpi_age: float | None = None
    approved: int | None = None
    approved_age: float | None = None


Said = tuple[str | None, str | None]  # what is not known; what the broker's own words refuse


class Delivery:
    """A sale of DELIVERY takes what was bought today or can leave the depository, and no more.

    Beyond today's own buys it needs the broker's standing authority (DDPI), or units that eDIS has
    approved for today; what was sold today has used the approval already. What is not known refuses
    an entry. It never refuses an exit: when a read failed or is old, the exit goes and the broker
    decides. An exit is refused only where the broker would reject it, by what it told lately.
    Shares that are on their way to the depository (T1) count as available, as the portal defines
    it. Whether they need an approval is documented nowhere: an entry needs it, an exit of them is
    left to the broker. Taking less than before is never too much.
    """

    name = "delivery"

    def refusal(self, snapshot: Snapshot) -> str | None:
        """See the class."""
        request, facts, limits = snapshot.request, snapshot.delivery, snapshot.limits
        if request.side is not Side.SELL or request.product is not Product.DELIVERY:
            return None
        unknown = None
        if facts is None or limits is None:
            unknown = "what may be delivered is not known"
        elif snapshot.changes and request.quantity <= facts.own_quantity:
            return None
        else:
            unknown, refused = _judge(facts, snapshot, limits.max_data_age)
            if refused:
                return refused
        return None if snapshot.exiting else unknown


def _judge(facts: DeliveryFacts, snapshot: Snapshot, most_age: int) -> Said:
    """What is not known, and what the broker's own words refuse."""
    wanted = max(snapshot.request.quantity - facts.own_filled, facts.group_pending)
    if facts.net is None or not _fresh(facts.net_age, most_age):
        return "the position was not read lately enough", None
    # The approval is used by everything that leaves the depository today.
    leaving = wanted + facts.pending - facts.group_pending - facts.net
    if leaving <= 0:
        return None, None
    if not _fresh(facts.holdings_age, most_age):
        return "the holdings were not read lately enough", None
    left = left_to_sell(facts)
    if wanted > left:
        return None, (
            f"a sale of {wanted} is more than the {left} left of {facts.available} available in "
            f"the holdings and {facts.net} of today's position"
        )
    return _authority(facts, leaving, most_age, exiting=snapshot.exiting)


def left_to_sell(facts: DeliveryFacts) -> int:
    """Units of today's buys and of the holding that no other sale takes."""
    net = facts.net or 0
    counted = facts.most + net - (facts.pending - facts.group_pending)
    seen = facts.available + max(net, 0) - (facts.pending_all - facts.group_pending)
    return max(min(counted, seen), 0)


def _authority(facts: DeliveryFacts, leaving: int, most_age: int, *, exiting: bool) -> Said:
    """Whether so many units may leave the depository."""
    ddpi = facts.ddpi if _fresh(facts.ddpi_age, most_age) else None
    approved = facts.approved if _fresh(facts.approved_age, most_age) else None
    if ddpi or (approved is not None and approved >= leaving):
        return None, None
    told = f"authorise {leaving} units of {facts.isin} at the broker's eDIS page, or activate DDPI"
    if ddpi is None or approved is None:
        what = "DDPI" if ddpi is None else "an eDIS approval"
        return f"whether {what} lets {leaving} units leave is not known: {told}", None
    if exiting and leaving - facts.t1 <= approved:
        return None, None
    return None, f"DDPI is not active and eDIS has approved {approved} for today: {told}"


def _fresh(age: float | None, most_age: int) -> bool:
    return age is not None and age <= most_age
