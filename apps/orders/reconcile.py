"""Read an account's books and apply what we missed, as the same facts the feed would have told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import DataError, IntegrityError, OperationalError
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.functions import Concat
from django.utils import timezone

from apps.alerts.models import Heartbeat, Severity
from apps.alerts.raising import STEADY, raise_alert, settle_alert, sign_of_life
from apps.brokers import reporting
from apps.brokers.locks import turn_if_free
from apps.brokers.models import AccessToken, BrokerAccount
from apps.brokers.port import Fill, Known, OrderReport, ReadFailed
from apps.orders import breaks, changes, kept_legs, lifecycle, outside
from apps.orders import models as rows
from apps.orders.books import (
    Difference,
    Ours,
    TradeKey,
    addressed,
    by_broker_id,
    collapsed,
    new_trades,
    of_orders,
    of_positions,
    of_stranger,
    of_trades,
    our_fills,
    our_orders,
    sorted_out,
)
from apps.orders.ingest import BOOK, apply_fills, apply_report, keep_unattributed, terms_of
from apps.orders.models import (
    UNDER_WAY,
    BooksRun,
    BreakKind,
    Modification,
    Order,
    Unattributed,
    trading_day,
)
from apps.orders.states import AT_BROKER, EVENT_OF, IN_DOUBT, Event
from apps.risk import book as holds
from apps.risk import footing
from apps.risk.models import Hold

log = structlog.get_logger(__name__)
T = TypeVar("T")


def accounts_due() -> list[BrokerAccount]:
    """Accounts with orders at work or in doubt, enabled or not; with orders of which nobody has
    told what they filled; marked ones; idle ones at times."""
    mine = Order.objects.filter(account=OuterRef("pk"))
    unbooked = mine.filter(trading_day=trading_day(), filled_quantity__gt=0).exclude(
        Exists(rows.Fill.objects.filter(order=OuterRef("pk")))
    )
    long_ago = timezone.now() - dt.timedelta(seconds=settings.IDLE_RECONCILE_EVERY)
    lately = Heartbeat.objects.filter(
        name=Concat(Value("reconcile:"), OuterRef("name")), at__gt=long_ago
    )
    due = (
        Exists(mine.filter(status__in=IN_DOUBT | AT_BROKER, trading_day__gte=trading_day()))
        | Exists(unbooked)
        | Exists(Hold.objects.filter(account=OuterRef("pk"), fills_known=False))
        | Q(reconcile_wanted=True)
        | Q(enabled=True) & ~Exists(lately)
    )
    with_token = AccessToken.objects.filter(retired_at=None).values("account")
    return list(BrokerAccount.objects.filter(due, pk__in=with_token))


def reconcile(account: BrokerAccount) -> None:
    """One pass over all books, one run per account at a time."""
    with turn_if_free(f"reconcile:{account.name}") as mine:
        if mine:
            _reconcile(account)


def _reconcile(account: BrokerAccount) -> None:
    """A read that fails changes nothing. News that comes while we read marks the account again."""
    this = BrokerAccount.objects.filter(pk=account.pk)
    this.update(reconcile_wanted=False)
    run, done = _Run(account), False
    try:
        done = run.run()
    finally:
        if not done:
            this.update(reconcile_wanted=True)
    if run.books_read:
        _adopt_strangers(account)
        sign_of_life(f"reconcile:{account.name}")
        well = [f"books:{account.name}", *([f"book:{account.name}"] if run.book_is_whole else [])]
        settle_alert(well, "they can be read again", STEADY)


class _DayTurned(Exception):
    """Midnight passed while the books were read: they and our rows are not of the same day."""


def _same_day(book: Known[list[OrderReport]]) -> None:
    """Raise ``_DayTurned`` when the reading of the book began before midnight, and it is past."""
    if trading_day(book.as_of) != trading_day():
        raise _DayTurned


class _Run:
    """One comparison: order book, trade book, positions, funds, in this order."""

    def __init__(self, account: BrokerAccount) -> None:
        self.account = account
        before = BooksRun.objects.filter(account=account).first()
        self.row = BooksRun(
            account=account,
            began_at=timezone.now(),
            agreed_at=before.agreed_at if before else None,
            suspects=before.suspects if before else {},
        )
        self.reading = ""
        self.books_read = False
        self.book_is_whole = False  # it shows every order that the broker has named today
        self.deferred = False  # a stranger waits until nothing is in doubt
        self.attributed = True  # every order of the book is known to be ours or somebody's
        self.differences: list[Difference] = []

    def run(self) -> bool:
        """Apply what is new and list what does not fit; False when it must be done again soon."""
        quiet, certain = outside.stillness(self.account)
        try:
            self._read(certain=certain)
        except ReadFailed as error:
            self._failed(error)
            return False
        except _DayTurned:
            return False
        found = collapsed(self.differences)
        if quiet:
            untold = _OF_STRANGERS if self.deferred else ()
            self.row.suspects = breaks.compare(
                self.account, found, self.row.suspects, self.row.began_at, untold
            )
        if not self.deferred and (not found or (quiet and not self.row.suspects)):
            self.row.agreed_at = timezone.now()
        self._keep()
        return not self.deferred and not self.row.suspects

    def _read(self, *, certain: bool) -> None:
        read = reporting.reports_of(self.account)
        self.reading = "super orders"
        supers = kept_legs.read(self.account, read)
        self.reading = "order book"
        book = read.order_book()
        if supers is not None:
            begun = min(supers.as_of, book.as_of)
            book = Known(kept_legs.together(book.value, supers.value), begun)
        ours = self._apply_book(book, certain=certain and supers is not None)
        book = Known(kept_legs.as_ours(self.account, book.value), book.as_of)
        _settle_changes(self.account, book)
        _settle_fills(self.account, book)
        if supers is None:  # whether it shows a leg is not known
            ours = {name: order for name, order in ours.items() if not order.leg_of}
        elif any(order.leg for order in ours.values()):
            kept_legs.give_up_missing(self.account, book.value, book.as_of)
        self.row.orders = len(book.value)
        self.reading = "trade book"
        ours, fills, trades = self._apply_trades(ours, read.trade_book().value)
        self.row.trades = len(trades)
        self.books_read = True
        self.reading = "positions"
        positions = footing.read_positions(self.account, attributed=self.attributed)
        self.row.positions = len(positions.rows)
        self.reading = "funds"
        reporting.read_funds(self.account)
        self.differences += [
            *of_orders(ours, book.value, book.as_of),
            *of_trades(ours, fills, trades),
            *of_positions(self.account, positions),
        ]
        _same_day(book)
        lacking = (one.kind == BreakKind.OURS_ONLY for one in self.differences)
        self.book_is_whole = not any(lacking)

    def _apply_book(self, book: Known[list[OrderReport]], *, certain: bool) -> dict[str, Ours]:
        """Apply what says something new; our orders by the broker's ids, as they are then."""
        account = self.account
        orders = our_orders(account)
        _same_day(book)
        news, strangers = sorted_out(orders, book.value)
        strangers, late = outside.without_ours(account, strangers)
        for report in news + late:
            apply = partial(apply_report, account, report, BOOK, book.as_of)
            if not isinstance(_told(account, report.broker_order_id, apply), str):
                _applies(account, report.broker_order_id)
        strangers = outside.of_today(account, strangers) if strangers else []
        waiting = self._take_in(strangers, book.as_of, certain=certain) if strangers else []
        self.attributed = not waiting
        if waiting:
            footing.suspect(account, outside.filled_by(waiting))
        return by_broker_id(our_orders(account) if news or late or strangers else orders)

    def _take_in(
        self, strangers: list[OrderReport], as_of: dt.datetime, *, certain: bool
    ) -> list[OrderReport]:
        """Rows for orders made outside the desk; those that wait, as one of them could be ours."""
        account = self.account
        keep_unattributed(account, strangers, BOOK)
        importable, without = outside.strangers_to_import(account, strangers)
        if importable and not (certain and outside.stillness(account).certain):
            self.deferred = True
            return importable
        for report in outside.not_named_since(account, importable):
            broker_id = report.broker_order_id
            take_in = partial(outside.import_order, account, report, as_of)
            if why := _told(account, broker_id, take_in):
                without[broker_id] = why
            else:
                _applies(account, broker_id)
        self.differences += [
            of_stranger(report, without[report.broker_order_id])
            for report in strangers
            if report.broker_order_id in without
        ]
        return []

    def _apply_trades(
        self, ours: dict[str, Ours], trades: list[Fill]
    ) -> tuple[dict[str, Ours], dict[TradeKey, tuple[int, Decimal]], list[Fill]]:
        """Store the trades that are not stored yet, order by order; all under their orders' ids."""
        account = self.account
        fills = our_fills(account, ours)
        trades = addressed(ours, fills, trades)
        new = new_trades(ours, fills, trades)
        for broker_id, mine in new.items():
            _store(account, ours[broker_id].pk, mine)
        if not new:
            return ours, fills, trades
        ours = by_broker_id(our_orders(account))
        return ours, our_fills(account, ours), trades

    def _failed(self, error: ReadFailed) -> None:
        account = self.account
        log.warning("books not read", account=account.name, book=self.reading, error=str(error))
        self.row.failed, self.row.why = self.reading, str(error)[:300]
        self._keep()
        if error.kind != "token":  # its session has told people already
            text = f"the books of {account.name} cannot be read ({self.reading}): {error}"
            raise_alert(f"books:{account.name}", text)

    def _keep(self) -> None:
        self.row.ended_at = timezone.now()
        columns = [
            field.name for field in BooksRun._meta.concrete_fields if field.name not in _OF_THE_ROW
        ]
        BooksRun.objects.bulk_create(
            [self.row], update_conflicts=True, unique_fields=["account"], update_fields=columns
        )


_OF_STRANGERS = (BreakKind.THEIRS_ONLY, BreakKind.POSITION)  # once they are known to be strangers
_OF_THE_ROW = {"id", "account"}


def _store(account: BrokerAccount, order_id: int, fills: list[Fill]) -> None:
    """An order's trades together; one that cannot be stored does not stop the others."""
    try:
        apply_fills(order_id, fills)
        _applies(account, fills[0].broker_order_id, "trade")
    except (DataError, IntegrityError):
        for fill in fills:
            _told(account, fill.broker_order_id, partial(apply_fills, order_id, [fill]), "trade")


def _applies(account: BrokerAccount, broker_order_id: str, what: str = "row") -> None:
    """What could not be stored of this order before can be now."""
    settle_alert(f"{what}:{account.name}:{broker_order_id}", "it is stored now")


def _told(
    account: BrokerAccount, broker_order_id: str, apply: Callable[[], T], what: str = "row"
) -> T | str:
    """Apply one row; one that cannot be applied is told to people and does not stop the others.

    What came of it, or why nothing did.
    """
    try:
        try:
            return apply()
        except OperationalError:  # a deadlock: it was undone whole
            return apply()
    except (DataError, IntegrityError, lifecycle.ImpossibleTransition) as error:
        log.exception("row not applied", account=account.name, order=broker_order_id)
        raise_alert(
            f"{what}:{account.name}:{broker_order_id}",
            f"what {account.name} says of order {broker_order_id} cannot be stored "
            f"({type(error).__name__})",
            Severity.CRITICAL,
        )
        return f"it cannot be stored ({type(error).__name__})"


def _settle_changes(account: BrokerAccount, book: Known[list[OrderReport]]) -> None:
    """Changes of terms under way, settled by what the book of this moment shows."""
    shown = {report.broker_order_id: report for report in book.value}
    for change in Modification.objects.filter(
        status__in=UNDER_WAY, order__account=account
    ).select_related("order", "wire_call"):
        report = shown.get(change.order.broker_order_id)
        if report is not None:
            changes.resolve(change, terms_of(report), book.as_of)


_CUTS_SHORT = {Event.CANCEL, Event.EXPIRE}


def _settle_fills(account: BrokerAccount, shown: Known[list[OrderReport]]) -> None:
    """Orders that ended by news which did not say what they filled: the book says it."""
    if not holds.fills_await_a_book(account):
        return
    over = {
        report.broker_order_id: report.filled_quantity
        for report in shown.value
        if report.filled_quantity is not None and EVENT_OF[report.state] in _CUTS_SHORT
    }
    filled = {
        order.correlation_id: over[order.broker_order_id]
        for order in our_orders(account)
        if order.broker_order_id in over
    }
    holds.fills_are_told(account, filled)


def _adopt_strangers(account: BrokerAccount) -> None:
    """Unattributed news whose order has been named since: tie it to that order."""
    loose = Unattributed.objects.filter(account=account, trading_day=trading_day(), order=None)
    for row in loose:
        order = Order.objects.filter(
            account=account, trading_day__gte=row.trading_day, broker_order_id=row.broker_order_id
        ).first()
        if order is not None:
            Unattributed.objects.filter(pk=row.pk).update(order=order, last_seen=timezone.now())
