"""Look at the broker's books for an order in doubt. Only evidence ends a doubt, never silence."""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack

import structlog
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import STEADY, raise_alert, settle_alert
from apps.brokers import reporting
from apps.brokers.journal import boot_clock, boot_id
from apps.brokers.locks import order_lock_if_free, turn_if_free
from apps.brokers.models import BrokerAccount, CallOutcome, Verb, WireCall
from apps.brokers.port import BracketKind, Known, OrderReport, ReadFailed, Reporting
from apps.orders import lifecycle
from apps.orders.ingest import LOOK, apply_report
from apps.orders.lifecycle import Happening
from apps.orders.models import Order, trading_day
from apps.orders.states import Event, Status

log = structlog.get_logger(__name__)

PROOFS_NEEDED = 2
BATCH = 100


def due(account: BrokerAccount | None = None) -> QuerySet[Order]:
    """UNKNOWN orders whose next look is due, of one account or of all."""
    at_hand = Q(next_look_at__lte=timezone.now()) | Q(next_look_at=None)
    orders = Order.objects.filter(at_hand, status=Status.UNKNOWN)
    return orders if account is None else orders.filter(account=account)


def look(account: BrokerAccount) -> None:
    """One look for the account's UNKNOWN orders: found → as if the reply had come.

    An order that somebody else talks to the broker about just now is left for the next look.
    """
    with turn_if_free(f"look:{account.name}") as mine, ExitStack() as locks:
        if not mine:
            return
        orders = [
            order
            for order in due(account).select_related("account", "instrument")[:BATCH]
            if locks.enter_context(order_lock_if_free(order.correlation_id))
        ]
        if orders:
            _look_under_locks(account, orders)


def look_for(order: Order) -> None:
    """One look for this order, due or not, by somebody who holds its lock."""
    _look_under_locks(order.account, [order])


def _look_under_locks(account: BrokerAccount, orders: list[Order]) -> None:
    read = reporting.reports_of(account, retries=False)
    began = boot_clock()
    try:
        book = read.order_book()
    except ReadFailed as error:
        log.info("look failed", account=account.name, error=str(error))
        for order in orders:
            _come_back(order)
        return
    for order in orders:
        _look_for(order, read, book, began)


def _look_for(order: Order, read: Reporting, book: Known[list[OrderReport]], began: float) -> None:
    _come_back(order)
    try:
        found = _in_book(order, book.value) or _in_other_places(order, read)
        if found is not None:
            apply_report(order.account, found, LOOK, book.as_of)
        elif _absence_means_something(order, book, began):
            _count_absence(order, book)
    except ReadFailed as error:
        log.info("look failed", correlation_id=order.correlation_id, error=str(error))
    except lifecycle.ImpossibleTransition:
        log.info("moved meanwhile", correlation_id=order.correlation_id)


def _in_book(order: Order, book: list[OrderReport]) -> OrderReport | None:
    for report in book:
        if report.correlation_id == order.correlation_id:
            return report
    return None


def _in_other_places(order: Order, read: Reporting) -> OrderReport | None:
    """The lookup by our id and, for an entry of a super order, the broker's list of these."""
    found = read.order_by_correlation(order.correlation_id).value
    if found is None and order.kept == BracketKind.SUPER:
        found = _in_book(order, read.super_orders().value)
    return found


def _absence_means_something(order: Order, book: Known[list[OrderReport]], began: float) -> bool:
    """A complete book of the same day and endpoint, begun when any effect must have shown."""
    call = (
        WireCall.objects.filter(correlation_id=order.correlation_id, verb=Verb.PLACE)
        .exclude(outcome=CallOutcome.NOT_SENT)
        .order_by("-id")
        .first()
    )
    if call is None or call.endpoint != order.account.rest_url:
        return False
    today = trading_day(book.as_of)
    if trading_day(call.created_at) != today or order.trading_day != today:
        return False
    if order.after_market:  # a broker may keep it out of its books until the market opens
        return False
    return call.effect_is_over(book.as_of, boot_id(), began) and _is_complete(order, book)


def _is_complete(order: Order, book: Known[list[OrderReport]]) -> bool:
    """A book that lacks an order which the broker named today is not the whole book."""
    shown = {report.broker_order_id for report in book.value}
    today = Order.objects.filter(
        account=order.account,
        trading_day=trading_day(book.as_of),
        after_market=False,  # whether the book shows those that wait is not documented
        leg_of="",  # nor whether it shows the legs of a super order
        submitted_at__lt=book.as_of,
    ).exclude(broker_order_id="")
    missing = set(today.values_list("broker_order_id", flat=True)) - shown
    if not missing:
        settle_alert(f"book:{order.account.name}", "the order book is whole again", STEADY)
        return True
    raise_alert(
        f"book:{order.account.name}",
        f"the order book of {order.account.name} lacks {len(missing)} orders that the broker "
        f"has named today, such as {min(missing)}: it proves nothing",
        Severity.CRITICAL,
    )
    return False


def _count_absence(order: Order, book: Known[list[OrderReport]]) -> None:
    proofs = order.absences + 1
    evidence = (
        f"absent from a complete book of {len(book.value)} orders begun at "
        f"{timezone.localtime(book.as_of):%H:%M:%S.%f} and from the lookup by correlation id"
    )
    if proofs < PROOFS_NEEDED:
        columns = {"absences": proofs}
        lifecycle.apply(
            order.pk, Happening(event=Event.NOTE, origin=LOOK, text=evidence, columns=columns)
        )
        return
    lifecycle.apply(
        order.pk,
        Happening(
            event=Event.PROVE_ABSENT,
            origin=LOOK,
            text=f"never arrived: {evidence}, for the {proofs}. time",
            columns={"absences": proofs},
        ),
    )


def _come_back(order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(**_next_look(order))


def _next_look(order: Order) -> dict[str, object]:
    """Growing pauses: 1 s, 2 s, 3 s … up to 30 s; ten minutes once its day is over."""
    seconds = min(1 + order.looks, 30) if order.trading_day >= trading_day() else 600
    pause = dt.timedelta(seconds=seconds)
    return {"looks": order.looks + 1, "next_look_at": timezone.now() + pause}
