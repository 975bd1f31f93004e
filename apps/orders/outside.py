"""Orders made outside the desk: each gets a row once it cannot be one of ours.

A broker may drop our correlation id, so a stranger could be an order of ours whose answer is
still out. While anything is in doubt it stays unattributed; only a book that was begun when
nothing was makes it an order of somebody else.
"""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert
from apps.brokers import calendar
from apps.brokers.models import BrokerAccount, CallOutcome, Instrument, Verb, WireCall
from apps.brokers.port import OrderReport, Side, Validity
from apps.brokers.rows import insert_row
from apps.orders import lifecycle
from apps.orders.ingest import BOOK, apply_report
from apps.orders.lifecycle import Happening
from apps.orders.models import OUTSIDE, Order, Source, Unattributed, trading_day
from apps.orders.states import EVENT_OF, IN_DOUBT, Event
from apps.risk import book, footing, switch
from apps.risk.models import OutsideTrade, RiskPolicy

log = structlog.get_logger(__name__)


_SHOWN_AGAIN = dt.timedelta(days=10)  # longer than any run of holidays


class Stillness(NamedTuple):
    """Whether nothing of the account moves.

    ``quiet``: every call that may change something has its outcome. ``certain``: besides, no
    placement of ours can be at the broker without our knowing its id.
    """

    quiet: bool
    certain: bool


def stillness(account: BrokerAccount) -> Stillness:
    """How still the account is now.

    An answer that named the order leaves no doubt. One that did not leaves it until whatever the
    call did must have shown in the books; or until its day is over, and no book can show it.
    """
    settled = timezone.now() - dt.timedelta(seconds=settings.SETTLE_TIME)
    unsettled = Q(
        verb=Verb.PLACE,
        outcome__in=[CallOutcome.UNKNOWN, CallOutcome.REFUSED],
        answered_at__gt=settled,
    )
    under_way = Q(outcome="", verb__in=[Verb.PLACE, Verb.MODIFY, Verb.CANCEL])
    calls = WireCall.objects.filter(under_way | unsettled, account=account).order_by()
    found = list(calls.values_list("verb", "outcome"))
    quiet = not any(outcome == "" for _, outcome in found)
    if any(verb == Verb.PLACE for verb, _ in found):
        return Stillness(quiet, certain=False)
    today = trading_day()
    waits = Q(after_market=True, trading_day__gte=today - _SHOWN_AGAIN)
    unnamed = Order.objects.filter(
        Q(trading_day__gte=today) | waits,
        account=account,
        status__in=IN_DOUBT,
        broker_order_id="",
    )
    return Stillness(quiet, certain=not unnamed.exists())


def without_ours(
    account: BrokerAccount, strangers: list[OrderReport]
) -> tuple[list[OrderReport], list[OrderReport]]:
    """Strangers, and those among them that bear the id of an order of this account, of any day."""
    ids = {one.correlation_id for one in strangers if one.correlation_id}
    mine: set[str | None] = set()
    if ids:
        named = Order.objects.filter(account=account, correlation_id__in=ids)
        mine = set(named.values_list("correlation_id", flat=True))
    others = [one for one in strangers if one.correlation_id not in mine]
    return others, [one for one in strangers if one.correlation_id in mine]


def of_today(account: BrokerAccount, strangers: list[OrderReport]) -> list[OrderReport]:
    """Those that are news. A broker may still show yesterday's book after midnight: an order that
    has its row on an earlier day, or ended on one, would be counted a second time.
    """
    today = trading_day()
    named = Order.objects.filter(
        account=account,
        broker_order_id__in=[one.broker_order_id for one in strangers],
        trading_day__gte=today - _SHOWN_AGAIN,
        trading_day__lt=today,
    )
    known = {row.broker_order_id: row for row in named.select_related("instrument")}
    return [one for one in strangers if not _is_history(one, known.get(one.broker_order_id))]


def _is_history(report: OrderReport, known: Order | None) -> bool:
    """True when ``known``, of an earlier day, is it, or its last news is of an earlier day."""
    if known is not None:
        if report.placed_at is not None:
            same = trading_day(report.placed_at) <= known.trading_day
        else:  # ids are unique in a day alone
            terms = (known.instrument.segment, known.instrument.security_id, known.side)
            same = terms == (report.segment, report.security_id, report.side)
        if same:
            return True
    last = report.reported_at or report.placed_at
    over = EVENT_OF[report.state] in _ENDINGS
    return over and last is not None and trading_day(last) < trading_day()


_ENDINGS = {Event.FILL, Event.CANCEL, Event.REJECT, Event.EXPIRE}


def strangers_to_import(
    account: BrokerAccount, strangers: list[OrderReport]
) -> tuple[list[OrderReport], dict[str, str]]:
    """Those that can have a row, and by broker id why the others cannot."""
    correlated = {one.correlation_id for one in strangers if one.correlation_id}
    ours = set(
        Order.objects.filter(correlation_id__in=correlated).values_list("correlation_id", flat=True)
    )
    legs = set(
        Unattributed.objects.filter(
            account=account, trading_day=trading_day(), leg=True
        ).values_list("broker_order_id", flat=True)
    )
    found, without = [], {}
    for one in strangers:
        why = _why_not(one, is_ours=one.correlation_id in ours, leg=one.broker_order_id in legs)
        if why:
            without[one.broker_order_id] = why
        else:
            found.append(one)
    return found, without


def not_named_since(account: BrokerAccount, strangers: list[OrderReport]) -> list[OrderReport]:
    """Those whose id no answer has given to an order of ours since our rows were read."""
    ids = [one.broker_order_id for one in strangers]
    named = set(
        Order.objects.filter(
            account=account, trading_day__gte=trading_day(), broker_order_id__in=ids
        ).values_list("broker_order_id", flat=True)
        if ids
        else ()
    )
    return [one for one in strangers if one.broker_order_id not in named]


def _why_not(report: OrderReport, *, is_ours: bool, leg: bool) -> str:
    """Why a stranger gets no row of its own; empty when it does."""
    if is_ours:
        return "it bears the correlation id of another order of ours"
    if leg or report.leg:
        return "part of a bracket, cover or super order"
    needed = {
        "segment": report.segment,
        "instrument": report.security_id,
        "side": report.side,
        "product": report.product,
        "type": report.order_type,
        "quantity": report.quantity,
    }
    missing = [name for name, value in needed.items() if not value]
    return f"the broker does not say its {' and '.join(missing)}" if missing else ""


def filled_by(strangers: list[OrderReport]) -> dict[footing.Key, int]:
    """Net units that these orders have filled, by position."""
    found: dict[footing.Key, int] = {}
    for one in strangers:
        if one.segment and one.security_id and one.product and one.side and one.filled_quantity:
            key = (one.segment.value, one.security_id, one.product.value)
            found[key] = found.get(key, 0) + one.side.sign * one.filled_quantity
    return found


def import_order(account: BrokerAccount, report: OrderReport, as_of: dt.datetime) -> str:
    """Give a stranger its row; empty when it has one now, else why not.

    Row, event, hold, alert and the policy's answer are one transaction. Its news follow like any
    other order's.
    """
    instrument = Instrument.objects.filter(
        segment=report.segment, security_id=report.security_id
    ).first()
    if instrument is None:
        return f"its instrument {report.segment} {report.security_id} is not known here"
    with transaction.atomic():
        order = _row(account, instrument, report)
        insert_row(order)
        _follow_policy(account, order, report)
        book.hold_from_outside(account, order.request())
        lifecycle.apply_to(order, _imported(report, as_of))
        footing.explain(account, _key(order), Side(order.side).sign * (report.filled_quantity or 0))
        _tie(account, order, report)
    apply_report(account, report, BOOK, as_of)
    log.info("imported", account=account.name, broker_order_id=report.broker_order_id)
    return ""


def _key(order: Order) -> footing.Key:
    return order.instrument.segment, order.instrument.security_id, order.product


_TERMS = ("side", "quantity", "order_type", "price", "trigger_price", "product")


def _row(account: BrokerAccount, instrument: Instrument, report: OrderReport) -> Order:
    """The order as its maker asked for it, under an id of our own."""
    now = timezone.now()
    placed_at = min(report.placed_at or now, now)
    return Order(
        account=account,
        instrument=instrument,
        **{name: getattr(report, name) for name in _TERMS},
        validity=report.validity or Validity.DAY,
        after_market=report.after_market,
        source=Source.EXTERNAL,
        actor=_platform(account, report) or OUTSIDE,
        cause=f"made outside the desk, correlation id {report.correlation_id or 'none'}"[:300],
        trading_day=_day(account, instrument, report),
        created_at=placed_at,
        submitted_at=placed_at,
    )


def _day(account: BrokerAccount, instrument: Instrument, report: OrderReport) -> dt.date:
    """The session that an after-market order waits for; any other order in a book is of today."""
    if not report.after_market or report.exchange_order_id:
        return trading_day()
    market = calendar.market_for(account, instrument.segment, instrument.security_id)
    return calendar.trading_day_for(market) or trading_day()


def _platform(account: BrokerAccount, report: OrderReport) -> str:
    """The broker's word of where it was placed, which only the feed tells; empty: not told."""
    news = _news_of(account, report).first()
    return report.platform or (news.platform if news else "")


def _news_of(account: BrokerAccount, report: OrderReport) -> QuerySet[Unattributed]:
    return Unattributed.objects.filter(
        account=account, trading_day=trading_day(), broker_order_id=report.broker_order_id
    )


def _imported(report: OrderReport, as_of: dt.datetime) -> Happening:
    return Happening(
        event=Event.ADOPT,
        origin=BOOK,
        key=f"ADOPT|{report.broker_order_id}",
        text="made outside the desk",
        broker_order_id=report.broker_order_id,
        exchange_order_id=report.exchange_order_id or "",
        reported_at=report.reported_at,
        read_at=as_of,
        raw=dict(report.raw),
    )


def _follow_policy(account: BrokerAccount, order: Order, report: OrderReport) -> None:
    """Tell people once, and halt the account when its policy says so."""
    made = f"order {report.broker_order_id} ({order.in_words}) of {account.name}"
    raise_alert(
        f"outside:{account.name}:{trading_day()}:{report.broker_order_id}",
        f"{made} was made outside the desk, by {order.actor}",
        Severity.WARNING,
    )
    policy = RiskPolicy.in_force(account)
    if policy is not None and policy.on_outside_trade == OutsideTrade.HALT:
        reason = f"{made} was made outside the desk"
        with suppress(switch.NoRiskState):  # nothing can be sent for it as it is
            switch.halt(account.name, reason[:300], "reconciliation")


def _tie(account: BrokerAccount, order: Order, report: OrderReport) -> None:
    """What was heard of it before it had a row belongs to it now."""
    _news_of(account, report).update(order=order, last_seen=timezone.now())
