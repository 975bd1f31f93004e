"""Targets and stops that a broker keeps: their rows are born with the first fill of their entry.

From the fill on the broker may trade them, told or not. So they are held in the transaction that
counts it, for what it counts: no other exit can take the same units. Their news come later, from
whichever source is first, by their own id or by their entry's and their name.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.alerts.raising import STEADY, raise_alert, settle_alert
from apps.brokers.models import BrokerAccount
from apps.brokers.port import (
    BracketKind,
    Intent,
    Known,
    LegName,
    OrderReport,
    OrderType,
    ReadFailed,
    Reporting,
    Side,
    is_address,
)
from apps.brokers.rows import insert_row, read_row, with_related
from apps.orders import lifecycle
from apps.orders.lifecycle import Happening
from apps.orders.models import PREFIX, BracketLeg, Order, Source, trading_day
from apps.orders.states import TERMINAL, Event, Status
from apps.risk import book

EXITS = (LegName.STOP_LOSS, LegName.TARGET)
FEED, BOOK = "feed", "book"
PROOFS_NEEDED = 2
NEVER_LEFT = (Status.NEW, Status.AWAITING_APPROVAL, Status.APPROVED, Status.DENIED, Status.LAPSED)
BROKER = "the broker"


def apply_to_entry(order_id: int, happening: Happening) -> bool:
    """Let something happen to an entry; its legs hold what it has filled then. As ``apply``.

    The account's risk row comes first: no review sees the fill without the legs.
    """
    with transaction.atomic():
        entry = with_related(lifecycle.locked(order_id), "account", "instrument")
        book.lock(entry.account)
        book.lock_group(entry.account, f"{PREFIX}{entry.bracket_number}")
        applied = lifecycle.apply_to(entry, happening)
        if entry.filled_quantity:
            _cover(entry)
    return applied


def _cover(entry: Order) -> None:
    born = {order.leg: order for order in legs_of(entry)}
    for leg in EXITS:
        if leg is LegName.TARGET and entry.exit_target is None:
            continue
        order = born.get(leg)
        if order is None:
            _bear(entry, leg)
        elif not order.over:
            book.widen(order.correlation_id, entry.filled_quantity)


def legs_of(entry: Order) -> list[Order]:
    """The target and stop that the broker keeps for an entry, as far as they are born."""
    mine = Order.objects.filter(account=entry.account, leg_of=entry.broker_order_id)
    return list(mine.filter(trading_day=entry.trading_day).exclude(leg_of=""))


def _bear(entry: Order, leg: LegName) -> None:
    stop = leg is LegName.STOP_LOSS
    now = timezone.now()
    order = Order(
        account=entry.account,
        instrument=entry.instrument,
        side=Side.SELL if entry.side == Side.BUY else Side.BUY,
        quantity=entry.filled_quantity,
        order_type=OrderType.STOP_LIMIT if stop else OrderType.LIMIT,
        price=None if stop else entry.exit_target,
        trigger_price=entry.exit_stop if stop else None,
        product=entry.product,
        intent=Intent.EXIT,
        test=entry.test,
        strategy=entry.strategy,
        source=Source.SYSTEM,
        actor=BROKER,
        user=entry.user,
        cause=f"kept by the broker for {entry.correlation_id}",
        group=f"{PREFIX}{entry.bracket_number}",
        request_key=f"{PREFIX}{entry.bracket_number}:{leg}:1",
        kept=entry.kept,
        leg=leg,
        leg_of=entry.broker_order_id,
        exit_jump=entry.exit_jump if stop else None,
        trading_day=entry.trading_day,
        created_at=now,
    )
    insert_row(order)
    book.hold_from_outside(entry.account, order.request())
    text = f"the broker keeps it for what {entry.correlation_id} has filled"
    lifecycle.apply_to(
        order, Happening(event=Event.ADOPT, origin=BROKER, key=f"ADOPT|{leg}", text=text)
    )


# --- whose news it is -------------------------------------------------------------------------


_ADDRESSED = """
    account_id = %s AND leg_of = %s AND leg = %s
    AND (trading_day >= %s OR status <> ALL(%s)) ORDER BY trading_day DESC
"""


def addressed(account: BrokerAccount, report: OrderReport) -> Order | None:
    """The leg that a report names by its entry; one that has another id by now is another's."""
    entry_id = _entry_of(account, report)
    if not entry_id or report.part is None:
        return None
    over = sorted(status.value for status in TERMINAL)
    values = [account.pk, entry_id, report.part.value, trading_day(), over]
    order = read_row(Order, _ADDRESSED, values)
    if order is None:
        return None
    ids = {order.broker_order_id, report.broker_order_id} - {""}
    return order if len(ids) == 1 or any(map(is_address, ids)) else None


def _entry_of(account: BrokerAccount, report: OrderReport) -> str:
    """The broker's id of the entry that a leg's report names; empty: it names none of ours."""
    if report.whole_id or not report.entry_correlation_id:
        return report.whole_id
    mine = Order.objects.filter(account=account, leg=LegName.ENTRY)
    named = mine.filter(correlation_id=report.entry_correlation_id)
    return named.values_list("broker_order_id", flat=True).first() or ""


def awaits_its_entry(account: BrokerAccount, report: OrderReport, origin: str) -> bool:
    """True for news of a leg whose entry is ours and has not filled: it is nobody else's.

    The leg's row gets its id. When the feed is the first to tell, the books are asked for the rest.
    """
    entry_id = _entry_of(account, report) if report.part in EXITS else ""
    if not entry_id:
        return False
    mine = Order.objects.filter(account=account, trading_day__gte=trading_day())
    entry = mine.filter(broker_order_id=entry_id, leg=LegName.ENTRY).first()
    if entry is None or entry.filled_quantity:
        return False
    _name(entry, report)
    if origin == FEED:
        BrokerAccount.objects.filter(pk=account.pk).update(reconcile_wanted=True)
    return True


def _name(entry: Order, report: OrderReport) -> None:
    legs = BracketLeg.objects.filter(bracket=entry.bracket_number, leg=report.part)
    legs.filter(leg_order_id="", order=None).update(
        leg_order_id=report.broker_order_id, named_at=timezone.now()
    )


# --- what the broker's own list of them says ----------------------------------------------------


def read(account: BrokerAccount, reporting: Reporting) -> Known[list[OrderReport]] | None:
    """The account's super orders, asked for while one of ours may be among them.

    None when they cannot be read: people are told, and the order book must do without.
    """
    name = f"super-orders:{account.name}"
    if not _may_be_listed(account):
        return Known([], timezone.now())
    try:
        found = reporting.super_orders()
    except ReadFailed as error:
        if error.kind != "token":  # its session has told people already
            raise_alert(name, f"the super orders of {account.name} cannot be read: {error}")
        return None
    settle_alert(name, "they can be read again", STEADY)
    return found


def _may_be_listed(account: BrokerAccount) -> bool:
    mine = Order.objects.filter(account=account, kept=BracketKind.SUPER)
    today = mine.filter(trading_day__gte=trading_day()) | mine.exclude(status__in=TERMINAL)
    return today.exclude(broker_order_id="", status__in=NEVER_LEFT).exists()


def together(book: Sequence[OrderReport], supers: Sequence[OrderReport]) -> list[OrderReport]:
    """The order book with what only the other list says: whose leg it is, where the exits are,
    and legs that the book does not show. Entries come before their legs.
    """
    wholes = {
        one.correlation_id: one.broker_order_id
        for one in (*book, *supers)
        if one.correlation_id is not None
    }
    by_id = {one.broker_order_id: one for one in supers}
    found = [_told(row, by_id.get(row.broker_order_id), wholes) for row in book]
    ids = {row.broker_order_id for row in found}
    places = {(row.whole_id, row.part) for row in found if row.part in EXITS}
    found += [
        one
        for one in supers
        if one.broker_order_id not in ids and (one.whole_id, one.part) not in places
    ]
    return sorted(found, key=lambda one: one.part in EXITS)


def as_ours(account: BrokerAccount, shown: list[OrderReport]) -> list[OrderReport]:
    """The same reports, those of legs under the ids that their orders here have."""
    if not any(row.part in EXITS for row in shown):
        return shown
    named = Order.objects.filter(account=account).exclude(leg_of="").exclude(broker_order_id="")
    wholes = {row.whole_id for row in shown if row.whole_id}
    since = trading_day() - dt.timedelta(days=1)  # the broker's ids are unique in a day
    lately = named.filter(leg_of__in=wholes, trading_day__gte=since).order_by("trading_day")
    ids = {(leg_of, leg): name for leg_of, leg, name in lately.values_list(*_NAMES)}
    return [
        replace(row, broker_order_id=ids.get((row.whole_id, row.part or ""), row.broker_order_id))
        for row in shown
    ]


_NAMES = ("leg_of", "leg", "broker_order_id")


def _told(row: OrderReport, known: OrderReport | None, wholes: Mapping[str, str]) -> OrderReport:
    """A row of the book, and what the other list says of it; a leg by its entry's id of ours."""
    if known is not None:
        part, whole_id = known.part, known.whole_id
        return replace(row, leg=True, part=part, whole_id=whole_id, exits=known.exits)
    whole_id = row.whole_id or wholes.get(row.entry_correlation_id or "", "")
    return row if row.part not in EXITS else replace(row, whole_id=whole_id)


def give_up_missing(
    account: BrokerAccount, shown: Sequence[OrderReport], begun: dt.datetime
) -> None:
    """A leg that neither of two lists shows, read when it must have been there, does not exist.

    Its entry has filled, so something must protect what it holds: the guardian can, from then on.
    Should the leg come after all, it comes alive again.
    """
    places = {(row.whole_id, row.part) for row in shown}
    strays = {(row.part, row.security_id) for row in shown if row.part and not row.whole_id}
    since = begun - dt.timedelta(seconds=settings.SETTLE_TIME)
    born = Order.objects.filter(account=account, status=Status.SUBMITTED, news_at=None)
    born = born.exclude(leg_of="").filter(created_at__lt=since).select_related("instrument")
    for order in born:
        may_be_a_stray = (order.leg, order.instrument.security_id) in strays
        if not may_be_a_stray and (order.leg_of, order.leg) not in places:
            _count_absence(order.pk)


@transaction.atomic
def _count_absence(order_id: int) -> None:
    """One more time; nothing once the broker has told of the leg after all."""
    order = with_related(lifecycle.locked(order_id), "account")
    if order.status != Status.SUBMITTED or order.news_at is not None:
        return
    times = order.absences + 1
    told = Happening(
        event=Event.NOTE if times < PROOFS_NEEDED else Event.REJECT,
        origin=BOOK,
        text=f"the broker shows no such leg of {order.leg_of}, for the {times}. time",
        columns={"absences": times},
    )
    lifecycle.apply_to(order, told)
