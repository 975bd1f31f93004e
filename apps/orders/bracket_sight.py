"""What the rows say of a bracket: its orders part by part, and the leg rows that people see."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from django.conf import settings
from django.utils import timezone

from apps.brokers import calendar, quotes
from apps.brokers.budget import no_more_changes
from apps.brokers.market import Market, Phase
from apps.brokers.models import PositionsReport
from apps.brokers.port import OrderType, Side
from apps.orders import attempts
from apps.orders.bracket_machine import At, Part, Sight, Works
from apps.orders.models import (
    UNDER_WAY,
    Bracket,
    BracketLeg,
    Change,
    Leg,
    LegStatus,
    Modification,
    Order,
    Style,
)
from apps.orders.states import TERMINAL, Status
from apps.orders.trimming import at_work, covered
from apps.risk.models import ExitGoal, GoalState, KillAccount, KillStage

Orders = dict[Part, list[Order]]
_BAD_CHANGES = {Change.DENIED, Change.REFUSED}
_PLAIN = {Status.OPEN: At.WORKING, Status.PARTIALLY_FILLED: At.WORKING, Status.UNKNOWN: At.UNKNOWN}
LEG_STATUS = {
    Status.OPEN: LegStatus.WORKING,
    Status.PARTIALLY_FILLED: LegStatus.PARTIALLY_FILLED,
    Status.UNKNOWN: LegStatus.UNKNOWN,
    Status.FILLED: LegStatus.FILLED,
    Status.CANCELLED: LegStatus.CANCELLED,
    Status.EXPIRED: LegStatus.EXPIRED,
    Status.REJECTED: LegStatus.REJECTED,
    Status.DENIED: LegStatus.REJECTED,
    Status.LAPSED: LegStatus.REJECTED,
    Status.NEVER_ARRIVED: LegStatus.REJECTED,
}


def key_of(bracket: Bracket, part: Part, number: int) -> str:
    """The request key of the part's order of this number: it can be placed once."""
    return f"{bracket.name}:{part}:{number}"


def orders_of(bracket: Bracket) -> Orders:
    """Every order of the bracket, part by part, oldest first."""
    rows = Order.objects.filter(request_key__startswith=f"{bracket.name}:").order_by("pk")
    found: Orders = {part: [] for part in Part}
    for order in rows.select_related("account", "instrument"):
        found[Part((order.request_key or "").split(":")[2])].append(order)
    return found


def sight_of(bracket: Bracket, orders: Orders) -> Sight:
    """All that the machine needs, by the rows as they are, but for how long."""
    instrument = bracket.instrument
    market = calendar.market_for(bracket.account, instrument.segment, instrument.security_id)
    works = {part: _works(orders[part]) for part in Part}
    exits = [*orders[Part.TARGET], *orders[Part.STOP_LOSS]]
    seen = Sight(
        entry=works[Part.ENTRY],
        target=works[Part.TARGET],
        stop=works[Part.STOP_LOSS],
        out=works[Part.OUT],
        back=works[Part.BACK],
        wants_target=bracket.target_price is not None,
        leaving=bracket.leaving_at is not None,
        takes_orders=_takes(market),
        ends=why_it_ends(bracket, market),
        elsewhere=_closed_elsewhere(bracket),
        kept=bracket.style != Style.MANAGED and all(order.kept for order in exits),
    )
    return _with_cover(bracket, seen)


def _with_cover(bracket: Bracket, seen: Sight) -> Sight:
    """How much of the account's position may still be the bracket's.

    Without an order at work of its own it has only what other exits leave.
    """
    report = PositionsReport.objects.filter(account=bracket.account).first()
    if report is None or seen.counted == 0:
        return seen
    side = bracket.exit_side if seen.counted > 0 else Side(bracket.side)
    instrument = bracket.instrument
    key = (instrument.segment, instrument.security_id, str(bracket.product))
    cover = covered(bracket.account, key, side, report)
    if all(seen.of(part).gone for part in Part if part is not Part.ENTRY):
        cover -= at_work(bracket.account, key, side, without=bracket.name)
    return replace(seen, cover=max(cover, 0))


def _works(orders: list[Order]) -> Works:
    if not orders:
        return Works()
    newest = orders[-1]
    changes = list(newest.modifications.order_by("-id")[:3]) if not newest.over else []
    return Works(
        at=At.OVER if newest.over else _PLAIN.get(Status(newest.status), At.MOVING),
        quantity=newest.quantity,
        filled=newest.filled_quantity,
        total=sum(order.filled_quantity for order in orders),
        failed=_failed(orders),
        quiet_for=_seconds(newest.finished_at or newest.created_at),
        cancelling=newest.cancel_wanted_at is not None,
        changing=any(change.status in UNDER_WAY for change in changes),
        stuck=_is_stuck(newest, changes),
        rests=not newest.over and attempts.rests(newest),
        strays=sum(order.open_quantity for order in orders[:-1]),
    )


def _failed(orders: list[Order]) -> int:
    """How many of the last ones ended without a fill and without our wish."""
    count = 0
    for order in reversed(orders):
        wished = order.status == Status.CANCELLED and order.cancel_wanted_at is not None
        if order.status not in TERMINAL or order.filled_quantity or wished:
            break
        count += 1
    return count


def _is_stuck(order: Order, changes: list[Modification]) -> bool:
    refused = [change for change in changes if change.status in _BAD_CHANGES]
    return (
        len(refused) >= 3
        or order.kept_exit
        or (not order.over and no_more_changes(order.correlation_id) is not None)
    )


def _seconds(since: dt.datetime | None) -> float:
    return 0.0 if since is None else max((timezone.now() - since).total_seconds(), 0.0)


def _takes(market: Market) -> bool:
    return market.phase is Phase.UNKNOWN or OrderType.LIMIT in market.order_types


def why_it_ends(bracket: Bracket, market: Market) -> str:
    """Why the market will take its stop away soon: a closing auction cancels stops at its start."""
    if market.phase is Phase.CLOSING_AUCTION:
        return "the closing auction keeps no stops"
    if market.phase is not Phase.OPEN or market.closes_at is None:
        return ""
    if market.closes_at - timezone.now() > dt.timedelta(seconds=settings.BRACKET_LEAVE_BEFORE):
        return ""
    instrument = bracket.instrument
    after = calendar.market_phase(instrument.segment, instrument.security_id, market.closes_at)
    if after.phase is not Phase.CLOSING_AUCTION:
        return ""
    at = timezone.localtime(market.closes_at)
    return f"the exchange cancels stops at {at:%H:%M}, when its closing auction begins"


def _closed_elsewhere(bracket: Bracket) -> bool:
    """True while people close the whole position, or have stopped the account."""
    goals = ExitGoal.objects.filter(
        account=bracket.account,
        instrument=bracket.instrument,
        product=bracket.product,
        owner__in=["", bracket.owner],
        state__in=[GoalState.WORKING, GoalState.STOPPED],
    )
    kills = KillAccount.objects.filter(account=bracket.account).exclude(stage=KillStage.CLEARED)
    return goals.exists() or kills.exists()


def price_now(bracket: Bracket) -> Decimal | None:
    """The last price while it is fresh; None: not known."""
    account = bracket.account
    known = quotes.last_price(bracket.instrument, account.market, settings.BRACKET_QUOTE_AGE)
    return None if known is None else known.value


def show_legs(bracket: Bracket, orders: Orders, legs: Iterable[BracketLeg]) -> None:
    """Bring the leg rows up to date with the orders."""
    for leg in legs:
        found = orders[Part(leg.leg)]
        fresh = _columns(bracket, leg, found) if found else unplaced(bracket, leg)
        changed = {name: new for name, new in fresh.items() if getattr(leg, name) != new}
        if changed:
            BracketLeg.objects.filter(pk=leg.pk).update(**changed)


def _columns(bracket: Bracket, leg: BracketLeg, orders: list[Order]) -> dict[str, object]:
    newest = orders[-1]
    before = sum(order.filled_quantity for order in orders[:-1])
    named = newest.broker_order_id
    return {
        "order_id": newest.pk,
        "leg_order_id": named or leg.leg_order_id,
        "trading_day": newest.trading_day,
        "named_at": (newest.submitted_at or timezone.now()) if named else leg.named_at,
        "quantity": before + newest.quantity,
        "filled_quantity": before + newest.filled_quantity,
        "average_price": _average(orders),
        "price": newest.price,
        "trigger_price": newest.trigger_price,
        "status": LEG_STATUS.get(Status(newest.status), LegStatus.SUBMITTED),
        "reason": newest.reason,
        "news_at": newest.news_at,
        "finished_at": newest.finished_at,
    }


def unplaced(bracket: Bracket, leg: BracketLeg) -> dict[str, object]:
    """What a leg says while nothing of it was placed: awaited, or given up."""
    prices = {
        Leg.ENTRY: (bracket.entry_price, None),
        Leg.TARGET: (bracket.target_price, None),
        Leg.STOP_LOSS: (bracket.stop_limit, bracket.stop_price),
    }
    price, trigger = prices[Leg(leg.leg)]
    fresh: dict[str, object] = {"price": price, "trigger_price": trigger}
    if bracket.over:
        return fresh | {"status": LegStatus.CANCELLED, "finished_at": bracket.finished_at}
    if leg.leg == Leg.TARGET and bracket.style == Style.MANAGED:
        fresh |= {"status": LegStatus.AWAITED, "reason": ""}
        if price is None:
            fresh |= {"status": LegStatus.CANCELLED, "reason": "the target was dropped"}
    return fresh


def _average(orders: list[Order]) -> Decimal | None:
    """Rupees, over the fills of all of them; None while one's average is not known."""
    filled = [order for order in orders if order.filled_quantity]
    value = Decimal(0)
    for order in filled:
        if order.average_price is None:
            return None
        value += order.average_price * order.filled_quantity
    units = sum(order.filled_quantity for order in filled)
    return round(value / units, 4) if units else None
