"""Look at the broker's books for an order in doubt. Only evidence ends a doubt, never silence."""

from __future__ import annotations

import datetime as dt

import structlog
from django.conf import settings
from django.utils import timezone

from apps.brokers import reporting
from apps.brokers.locks import order_lock_if_free
from apps.brokers.models import CallOutcome, Verb, WireCall
from apps.brokers.port import Known, OrderReport, ReadFailed
from apps.orders import lifecycle
from apps.orders.ingest import LOOK, apply_report
from apps.orders.lifecycle import Happening
from apps.orders.models import Order, trading_day
from apps.orders.states import Event, Status

log = structlog.get_logger(__name__)

PROOFS_NEEDED = 2


def look(order_id: int) -> None:
    """One look for an UNKNOWN order: found → as if the reply had come; proved absent → over.

    Does nothing while somebody else talks to the broker about this order.
    """
    order = Order.objects.select_related("account", "instrument").get(pk=order_id)
    with order_lock_if_free(order.correlation_id) as free:
        if not free or order.status != Status.UNKNOWN:
            return
        try:
            _look_under_lock(order)
        except ReadFailed as error:
            log.info("look failed", correlation_id=order.correlation_id, error=str(error))
            _come_back(order)


def _look_under_lock(order: Order) -> None:
    read = reporting.reports_of(order.account, retries=False)
    book = read.order_book()
    found = _in_book(order, book)
    if found is None:
        found = read.order_by_correlation(order.correlation_id).value
    if found is not None:
        apply_report(order.account, found, LOOK)
        return
    if not _absence_means_something(order, book.as_of):
        _come_back(order)
        return
    _count_absence(order, book)


def _in_book(order: Order, book: Known[list[OrderReport]]) -> OrderReport | None:
    for report in book.value:
        if report.correlation_id == order.correlation_id:
            return report
    return None


def _absence_means_something(order: Order, began: dt.datetime) -> bool:
    """A book of the same trading day and endpoint, begun when any effect must have shown."""
    call = (
        WireCall.objects.filter(correlation_id=order.correlation_id, verb=Verb.PLACE)
        .exclude(outcome=CallOutcome.NOT_SENT)
        .order_by("-id")
        .first()
    )
    if call is None:
        return True
    settle = dt.timedelta(seconds=settings.SETTLE_TIME)
    same_day = trading_day(call.created_at) == trading_day(began)
    same_place = call.endpoint == order.account.rest_url
    return same_day and same_place and began > call.last_possible_effect + settle


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
