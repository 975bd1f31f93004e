"""Do the rows of our brackets agree with themselves, with their orders and with the order books?

Reads rows and books and names what is broken; it mends nothing but a leg's missing broker id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.db.models import Prefetch, Sum
from django.utils import timezone

from apps.brokers import reporting
from apps.brokers.models import BrokerAccount
from apps.brokers.port import OrderReport, ReadFailed
from apps.orders import kept_legs
from apps.orders.bracket_machine import ELSEWHERE, Part
from apps.orders.models import (
    LEGS_OVER,
    Bracket,
    BracketLeg,
    BracketStatus,
    Leg,
    LegStatus,
    Order,
    trading_day,
)
from apps.orders.states import Status

_GONE = {LegStatus.REJECTED, LegStatus.CANCELLED}
_BEFORE = {LegStatus.AWAITED, LegStatus.SUBMITTED}
# What a leg may say of itself while its order says this.
FITS: dict[Status, set[LegStatus]] = {
    Status.NEW: _BEFORE,
    Status.AWAITING_APPROVAL: _BEFORE,
    Status.APPROVED: _BEFORE,
    Status.SENDING: _BEFORE,
    Status.SUBMITTED: {LegStatus.SUBMITTED},
    Status.OPEN: {LegStatus.WORKING, LegStatus.TRIGGERED},
    Status.PARTIALLY_FILLED: {LegStatus.PARTIALLY_FILLED},
    Status.UNKNOWN: {LegStatus.UNKNOWN},
    Status.FILLED: {LegStatus.FILLED},
    Status.CANCELLED: {LegStatus.CANCELLED},
    Status.EXPIRED: {LegStatus.EXPIRED},
    Status.REJECTED: {LegStatus.REJECTED},
    Status.DENIED: _GONE,
    Status.LAPSED: _GONE,
    Status.NEVER_ARRIVED: _GONE,
}


@dataclass
class Findings:
    """What was looked at, what was mended, and what a person must look at."""

    brackets: int = 0
    legs: int = 0
    named: int = 0
    breaks: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def check_brackets() -> Findings:
    """Name legs that their order or a book of today names, then check every bracket of ours."""
    found = Findings()
    ours = BrokerAccount.objects.filter(brackets__origin=None, brackets__isnull=False).distinct()
    for account in ours:
        _name_legs(account, found)
    legs = BracketLeg.objects.select_related("order")
    brackets = Bracket.objects.filter(origin=None).prefetch_related(Prefetch("legs", queryset=legs))
    for bracket in brackets.select_related("instrument", "account").order_by("pk").iterator(500):
        found.brackets += 1
        found.legs += len(bracket.legs.all())
        found.breaks += [f"bracket {bracket.pk}, {bracket}: {text}" for text in breaks_of(bracket)]
    return found


def _name_legs(account: BrokerAccount, found: Findings) -> None:
    nameless = BracketLeg.objects.filter(
        account=account, origin=None, leg_order_id="", trading_day__gte=trading_day()
    ).exclude(status__in=LEGS_OVER)
    sought = nameless.exclude(order=None, bracket__parent_broker_id="")
    unnamed = [
        leg
        for leg in sought.select_related("order", "bracket")
        if leg.order is None or not _name(leg, leg.order.broker_order_id, found)
    ]
    if not unnamed:
        return
    try:
        read = reporting.reports_of(account)
        supers = kept_legs.read(account, read)
        book = kept_legs.together(read.order_book().value, supers.value if supers else [])
    except ReadFailed as error:
        found.unread.append(f"the order book of {account.name}: {error}")
        return
    for leg in unnamed:
        _name(leg, _found(leg, book), found)


def _found(leg: BracketLeg, book: Sequence[OrderReport]) -> str:
    """The broker's id of the leg: by our own id, or by its entry's and its name; empty: not there.

    Nothing else is guessed.
    """
    entry_id = leg.bracket.parent_broker_id
    for row in book:
        ours = leg.order is not None and row.correlation_id == leg.order.correlation_id
        kept = bool(entry_id) and (row.whole_id, row.part) == (entry_id, leg.leg)
        if ours or kept:
            return row.broker_order_id
    return ""


def _name(leg: BracketLeg, broker_order_id: str, found: Findings) -> bool:
    if not broker_order_id:
        return False
    try:
        with transaction.atomic():
            found.named += BracketLeg.objects.filter(pk=leg.pk, leg_order_id="").update(
                leg_order_id=broker_order_id, named_at=timezone.now()
            )
    except IntegrityError:
        found.breaks.append(f"leg {leg.pk}: another leg has the broker's id {broker_order_id}")
    return True


def breaks_of(bracket: Bracket) -> list[str]:
    """What does not hold of one bracket, in words; nothing when all is well."""
    legs = {Leg(leg.leg): leg for leg in bracket.legs.all()}
    found = list(_incomplete(bracket, legs))
    for leg in legs.values():
        found += [f"{leg.get_leg_display()}: {text}" for text in _leg_breaks(bracket, leg)]
    if Leg.ENTRY in legs:
        exits = [leg for name, leg in legs.items() if name is not Leg.ENTRY]
        held = legs[Leg.ENTRY].filled_quantity - sum(leg.filled_quantity for leg in exits)
        held -= _left_at_market(bracket)
        found += _end_breaks(bracket, list(legs.values()), held)
        found += _exit_breaks(bracket, exits, held)
    return found


def _left_at_market(bracket: Bracket) -> int:
    """Units that the guardian's own orders left, less what they traded back."""
    out, back = (
        Order.objects.filter(request_key__startswith=f"{bracket.name}:{part}:").aggregate(
            units=Sum("filled_quantity", default=0)
        )["units"]
        for part in (Part.OUT, Part.BACK)
    )
    return int(out) - int(back)


def _incomplete(bracket: Bracket, legs: dict[Leg, BracketLeg]) -> Iterator[str]:
    wanted = {Leg.ENTRY, Leg.STOP_LOSS} | ({Leg.TARGET} if bracket.target_price else set())
    for leg in sorted(wanted - set(legs)):
        yield f"it has no {leg.label.lower()} leg"
    if Leg.TARGET in legs and not bracket.target_price and not legs[Leg.TARGET].over:
        yield "it has a target leg at work and no target price"


def _leg_breaks(bracket: Bracket, leg: BracketLeg) -> Iterator[str]:
    if leg.quantity > bracket.quantity:
        yield f"{leg.quantity} units, more than the bracket's {bracket.quantity}"
    if leg.filled_quantity > leg.quantity:
        yield f"filled {leg.filled_quantity} of {leg.quantity}"
    if leg.status == LegStatus.FILLED and leg.filled_quantity < leg.quantity:
        yield f"called filled with {leg.filled_quantity} of {leg.quantity}"
    if leg.order is not None:
        yield from _order_breaks(bracket, leg, leg.order)


def _order_breaks(bracket: Bracket, leg: BracketLeg, order: Order) -> Iterator[str]:
    side = bracket.side if leg.leg == Leg.ENTRY else bracket.exit_side
    pairs: Iterable[tuple[str, object, object]] = (
        ("instrument", order.instrument_id, bracket.instrument_id),
        ("side", order.side, side),
        ("product", order.product, bracket.product),
        ("filled quantity", _filled_with(order), leg.filled_quantity),
    )
    for name, theirs, ours in pairs:
        if theirs != ours:
            yield f"the {name} of its order is {theirs}, not {ours}"
    named = order.broker_order_id and leg.leg_order_id
    if named and order.broker_order_id != leg.leg_order_id:
        yield f"its order is {order.broker_order_id} at the broker, the leg {leg.leg_order_id}"
    if leg.status not in FITS.get(Status(order.status), set()):
        yield f"it is {leg.status} while its order is {order.status}"


def _filled_with(order: Order) -> int:
    """Units filled by the leg's order and those that it replaced."""
    leg, _, number = (order.request_key or "").rpartition(":")
    if order.bracket_number is None or number == "1":
        return order.filled_quantity
    before = Order.objects.filter(request_key__startswith=f"{leg}:", pk__lt=order.pk)
    return order.filled_quantity + int(
        before.aggregate(units=Sum("filled_quantity", default=0))["units"]
    )


def _end_breaks(bracket: Bracket, legs: list[BracketLeg], held: int) -> Iterator[str]:
    alive = [leg for leg in legs if not leg.over]
    over = bracket.status == BracketStatus.OVER
    if over and alive:
        yield f"it is over while its {alive[0].get_leg_display().lower()} may still trade"
    if over and held > 0 and bracket.reason != ELSEWHERE:
        yield f"it is over and {held} units of it were never left"
    if not over and not alive:
        yield f"none of its legs can trade any more, and it is {bracket.status}"
    entered = any(leg.leg == Leg.ENTRY and leg.status == LegStatus.FILLED for leg in legs)
    if bracket.status == BracketStatus.ENTERING and entered:
        yield "its entry has filled, and it is still entering"


def _exit_breaks(bracket: Bracket, exits: list[BracketLeg], held: int) -> Iterator[str]:
    if held < 0:
        yield f"its exits filled {-held} units more than its entry"
    if held and len([leg for leg in exits if leg.status == LegStatus.FILLED]) > 1:
        yield "target and stop-loss both filled"
    stopped = any(leg.leg == Leg.STOP_LOSS and not leg.over for leg in exits)
    if held > 0 and bracket.status != BracketStatus.OVER and not stopped:
        yield f"{held} units are held without a stop-loss"
    if bracket.status == BracketStatus.HOLDING:
        for leg in exits:
            placed = not leg.over and leg.status != LegStatus.AWAITED
            if placed and leg.open_quantity != held:
                name = leg.get_leg_display().lower()
                yield f"its {name} is open for {leg.open_quantity} units while {held} are held"
