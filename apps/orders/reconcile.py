"""Read an account's books and apply what we missed, as the same facts the feed would have told."""

from __future__ import annotations

import structlog
from django.db.models import Exists, OuterRef
from django.utils import timezone

from apps.alerts.raising import raise_alert, sign_of_life
from apps.brokers import reporting
from apps.brokers.locks import turn_if_free
from apps.brokers.models import BrokerAccount
from apps.brokers.port import Known, OrderReport, OrderType, ReadFailed
from apps.orders import changes
from apps.orders.ingest import BOOK, apply_fill, apply_report
from apps.orders.models import UNDER_WAY, Fill, Modification, Order, Unattributed, trading_day
from apps.orders.states import EVENT_OF, Event, Status, destination

log = structlog.get_logger(__name__)


def accounts_due() -> list[BrokerAccount]:
    """Enabled accounts with orders at work or in doubt, or marked for reconciliation."""
    alive = Order.objects.alive().filter(account=OuterRef("pk"))
    unbooked = Order.objects.filter(
        account=OuterRef("pk"), trading_day=trading_day(), filled_quantity__gt=0
    ).exclude(Exists(Fill.objects.filter(order=OuterRef("pk"))))
    enabled = BrokerAccount.objects.filter(enabled=True)
    due = enabled.filter(Exists(alive)) | enabled.filter(Exists(unbooked))
    return list((due | enabled.filter(reconcile_wanted=True)).distinct())


def reconcile(account: BrokerAccount) -> None:
    """One pass over the order book and the trade book, one run per account at a time."""
    with turn_if_free(f"reconcile:{account.name}") as mine:
        if mine:
            _reconcile(account)


def _reconcile(account: BrokerAccount) -> None:
    """A read that fails changes nothing."""
    read = reporting.reports_of(account)
    try:
        book = read.order_book()
        trades = read.trade_book()
    except ReadFailed as error:
        log.warning("books not read", account=account.name, error=str(error))
        raise_alert(f"books:{account.name}", f"the books of {account.name} cannot be read: {error}")
        return
    BrokerAccount.objects.filter(pk=account.pk).update(reconcile_wanted=False)
    for report in _news(account, book.value):
        apply_report(account, report, BOOK)
    _settle_changes(account, book)
    for fill in trades.value:
        apply_fill(account, fill)
    _adopt_strangers(account, book)
    sign_of_life(f"reconcile:{account.name}")


def _news(account: BrokerAccount, book: list[OrderReport]) -> list[OrderReport]:
    """Reports that say something which our rows do not already say; three queries for any book."""
    today = Order.objects.filter(account=account, trading_day=trading_day())
    ours = {order.broker_order_id: order for order in today.select_related("instrument")}
    doubtful = set(today.filter(broker_order_id="").values_list("correlation_id", flat=True))
    strangers = dict(
        Unattributed.objects.filter(account=account, trading_day=trading_day()).values_list(
            "broker_order_id", "state_word"
        )
    )
    news = []
    for report in book:
        order = ours.get(report.broker_order_id)
        known = (
            strangers.get(report.broker_order_id) == report.state_word
            and report.correlation_id not in doubtful
            if order is None
            else tells_nothing_new(order, report)
        )
        if not known:
            news.append(report)
    return news


def tells_nothing_new(order: Order, report: OrderReport) -> bool:
    """True when applying the report would leave the order as it is."""
    event = EVENT_OF[report.state]
    if event is Event.UNRECOGNISED or destination(Status(order.status), event) != order.status:
        return False
    if (report.filled_quantity or 0) > order.filled_quantity:
        return False
    pairs = (
        (report.quantity, order.quantity),
        (report.price, order.price),
        (report.trigger_price, order.trigger_price),
    )
    same = all(not theirs or theirs == ours for theirs, ours in pairs)
    older = bool(
        order.terms_as_of and report.reported_at and report.reported_at < order.terms_as_of
    )
    return same or older or order.order_type == OrderType.MARKET


def _settle_changes(account: BrokerAccount, book: Known[list[OrderReport]]) -> None:
    """Changes of terms under way, settled by what the book of this moment shows."""
    shown = {report.broker_order_id for report in book.value}
    for change in Modification.objects.filter(
        status__in=UNDER_WAY, order__account=account
    ).select_related("order", "wire_call"):
        if change.order.broker_order_id in shown:
            changes.resolve(change, book.as_of)


def _adopt_strangers(account: BrokerAccount, book: Known[list[OrderReport]]) -> None:
    """Unattributed news whose order has been named since: tie it to that order."""
    loose = Unattributed.objects.filter(account=account, trading_day=trading_day(), order=None)
    for row in loose:
        order = Order.objects.filter(
            account=account, trading_day=row.trading_day, broker_order_id=row.broker_order_id
        ).first()
        if order is not None:
            Unattributed.objects.filter(pk=row.pk).update(order=order, last_seen=timezone.now())
