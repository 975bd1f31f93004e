"""Look at the broker's books for an order in doubt. Only evidence ends a doubt, never silence."""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack

import structlog
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.brokers import reporting
from apps.brokers.journal import boot_clock, boot_id
from apps.brokers.locks import order_lock_if_free, turn_if_free
from apps.brokers.models import BrokerAccount, CallOutcome, Verb, WireCall
from apps.brokers.port import Known, OrderReport, ReadFailed, Reporting
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
    try:
        found = _in_book(order, book) or read.order_by_correlation(order.correlation_id).value
    except ReadFailed as error:
        log.info("look failed", correlation_id=order.correlation_id, error=str(error))
        _come_back(order)
        return
    if found is not None:
        apply_report(order.account, found, LOOK)
    elif _absence_means_something(order, book.as_of, began):
        _count_absence(order, book)
    else:
        _come_back(order)


def _in_book(order: Order, book: Known[list[OrderReport]]) -> OrderReport | None:
    for report in book.value:
        if report.correlation_id == order.correlation_id:
            return report
    return None


def _absence_means_something(order: Order, as_of: dt.datetime, began: float) -> bool:
    """A book of the same trading day and endpoint, begun when any effect must have shown."""
    call = (
        WireCall.objects.filter(correlation_id=order.correlation_id, verb=Verb.PLACE)
        .exclude(outcome=CallOutcome.NOT_SENT)
        .order_by("-id")
        .first()
    )
    if call is None:
        return False
    same_day = trading_day(call.created_at) == trading_day(as_of)
    same_place = call.endpoint == order.account.rest_url
    return same_day and same_place and call.effect_is_over(as_of, boot_id(), began)


def _count_absence(order: Order, book: Known[list[OrderReport]]) -> None:
    proofs = order.absences + 1
    evidence = (
        f"absent from a complete book of {len(book.value)} orders begun at "
        f"{timezone.localtime(book.as_of):%H:%M:%S.%f} and from the lookup by correlation id"
    )
    if proofs < PROOFS_NEEDED:
        columns = {"absences": proofs, **_next_look(order)}
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
    """Growing pauses: 1 s, 2 s, 3 s … up to 30 s."""
    pause = dt.timedelta(seconds=min(1 + order.looks, 30))
    return {"looks": order.looks + 1, "next_look_at": timezone.now() + pause}
