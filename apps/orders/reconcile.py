"""Read an account's books and apply what we missed, as the same facts the feed would have told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial

import structlog
from django.conf import settings
from django.db import DataError, IntegrityError
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.functions import Concat
from django.utils import timezone

from apps.alerts.models import Heartbeat, Severity
from apps.alerts.raising import STEADY, raise_alert, settle_alert, sign_of_life
from apps.brokers import reporting
from apps.brokers.locks import turn_if_free
from apps.brokers.models import AccessToken, BrokerAccount
from apps.brokers.port import Known, OrderReport, ReadFailed
from apps.orders import changes, lifecycle
from apps.orders.ingest import BOOK, apply_fill, apply_report
from apps.orders.lifecycle import Terms
from apps.orders.models import UNDER_WAY, Fill, Modification, Order, Unattributed, trading_day
from apps.orders.states import AT_BROKER, EVENT_OF, IN_DOUBT, Event, Status, destination

log = structlog.get_logger(__name__)


def accounts_due() -> list[BrokerAccount]:
    """Accounts with orders at work or in doubt, enabled or not; marked ones; idle ones at times."""
    mine = Order.objects.filter(account=OuterRef("pk"))
    unbooked = mine.filter(trading_day=trading_day(), filled_quantity__gt=0).exclude(
        Exists(Fill.objects.filter(order=OuterRef("pk")))
    )
    long_ago = timezone.now() - dt.timedelta(seconds=settings.IDLE_RECONCILE_EVERY)
    lately = Heartbeat.objects.filter(
        name=Concat(Value("reconcile:"), OuterRef("name")), at__gt=long_ago
    )
    due = (
        Exists(mine.filter(status__in=IN_DOUBT | AT_BROKER, trading_day__gte=trading_day()))
        | Exists(unbooked)
        | Q(reconcile_wanted=True)
        | Q(enabled=True) & ~Exists(lately)
    )
    with_token = AccessToken.objects.filter(retired_at=None).values("account")
    return list(BrokerAccount.objects.filter(due, pk__in=with_token))


def reconcile(account: BrokerAccount) -> None:
    """One pass over the order book and the trade book, one run per account at a time."""
    with turn_if_free(f"reconcile:{account.name}") as mine:
        if mine:
            _reconcile(account)


def _reconcile(account: BrokerAccount) -> None:
    """A read that fails changes nothing. News that comes while we read marks the account again."""
    this = BrokerAccount.objects.filter(pk=account.pk)
    this.update(reconcile_wanted=False)
    done = False
    try:
        done = _read_books(account)
    finally:
        if not done:
            this.update(reconcile_wanted=True)
    if done:
        _adopt_strangers(account)
        sign_of_life(f"reconcile:{account.name}")
        settle_alert(f"books:{account.name}", "they can be read again", STEADY)


def _read_books(account: BrokerAccount) -> bool:
    """Apply the order book, then the trade book; False when one of them could not be read."""
    read = reporting.reports_of(account)
    try:
        book = read.order_book()
        for report in _news(account, book.value):
            apply = partial(apply_report, account, report, BOOK, book.as_of)
            _told(account, report.broker_order_id, apply)
        _settle_changes(account, book)
        for fill in read.trade_book().value:
            _told(account, fill.broker_order_id, partial(apply_fill, account, fill))
    except ReadFailed as error:
        log.warning("books not read", account=account.name, error=str(error))
        if error.kind != "token":  # its session has told people already
            text = f"the books of {account.name} cannot be read: {error}"
            raise_alert(f"books:{account.name}", text)
        return False
    return True


def _told(account: BrokerAccount, broker_order_id: str, apply: Callable[[], object]) -> None:
    """Apply one row; one that cannot be applied is told to people and does not stop the others."""
    try:
        apply()
    except (DataError, IntegrityError, lifecycle.ImpossibleTransition) as error:
        log.exception("row not applied", account=account.name, order=broker_order_id)
        raise_alert(
            f"row:{account.name}:{broker_order_id}",
            f"what {account.name} says of order {broker_order_id} cannot be stored "
            f"({type(error).__name__})",
            Severity.CRITICAL,
        )


def _news(account: BrokerAccount, book: list[OrderReport]) -> list[OrderReport]:
    """Reports that say something which our rows do not already say; three queries for any book."""
    today = Order.objects.filter(account=account, trading_day__gte=trading_day())
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
    if report.filled_quantity is not None and report.filled_quantity != order.filled_quantity:
        return False
    pairs = (
        (report.quantity, order.quantity),
        (report.price, order.price),
        (report.trigger_price, order.trigger_price),
    )
    return all(not theirs or theirs == ours for theirs, ours in pairs)


def _settle_changes(account: BrokerAccount, book: Known[list[OrderReport]]) -> None:
    """Changes of terms under way, settled by what the book of this moment shows."""
    shown = {report.broker_order_id: report for report in book.value}
    for change in Modification.objects.filter(
        status__in=UNDER_WAY, order__account=account
    ).select_related("order", "wire_call"):
        report = shown.get(change.order.broker_order_id)
        if report is not None:
            terms = Terms(
                quantity=report.quantity, price=report.price, trigger_price=report.trigger_price
            )
            changes.resolve(change, terms, book.as_of)


def _adopt_strangers(account: BrokerAccount) -> None:
    """Unattributed news whose order has been named since: tie it to that order."""
    loose = Unattributed.objects.filter(account=account, trading_day=trading_day(), order=None)
    for row in loose:
        order = Order.objects.filter(
            account=account, trading_day__gte=row.trading_day, broker_order_id=row.broker_order_id
        ).first()
        if order is not None:
            Unattributed.objects.filter(pk=row.pk).update(order=order, last_seen=timezone.now())
