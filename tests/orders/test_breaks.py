"""Breaks: what lasts is listed, what was only timing is not, and people say why."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.alerts.models import Alert, Severity
from apps.alerts.raising import raise_alert
from apps.brokers.dhan.reporting import DhanReporting
from apps.brokers.port import Known, Position, Product, Segment
from apps.orders import breaks, ledger
from apps.orders.ingest import FEED, apply_fills, apply_report
from apps.orders.models import (
    BooksRun,
    Break,
    BreakKind,
    BreakNote,
    OpeningEntry,
    Order,
    trading_day,
)
from apps.orders.reconcile import reconcile
from tests.orders.telling import FILLED, PARTLY, report, trade
from tests.orders.test_ledger import at_broker, traded  # noqa: F401 - a fixture
from tests.orders.test_outside_orders import stranger
from tests.orders.test_what_the_database_refuses import permit_of, written
from tradingops.checks import words_about_the_books_are_known

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def rita() -> User:
    return User.objects.create(username="rita")


@pytest.fixture
def entered(account, reliance, rita):
    """Book units that the broker does not have."""

    def make(quantity: int = 5) -> None:
        ledger.book_entry(
            OpeningEntry(
                account=account,
                instrument=reliance,
                product="INTRADAY",
                owner="manual",
                quantity=quantity,
                price=Decimal(1400),
                reason="a mistake",
                user=rita,
            )
        )

    return make


@pytest.fixture
def says(monkeypatch):
    """Let a book say these rows, as of now."""

    def let(which: str, rows: list[Any]) -> None:
        monkeypatch.setattr(DhanReporting, which, lambda self: Known(list(rows), timezone.now()))

    return let


def compared(account: Any, times: int = 2) -> list[Break]:
    """The open breaks after so many comparisons, with the settle time between them."""
    for _ in range(times):
        reconcile(account)
        time.sleep(0.35)
    return open_breaks()


def open_breaks() -> list[Break]:
    return list(Break.objects.filter(resolution="", gone_at=None))


def the(account: Any) -> BooksRun:
    return BooksRun.objects.get(account=account)


def test_books_that_agree_have_none(working, account, exchange):
    order = working(quantity=2)
    exchange.control("fill", orderId=order.broker_order_id)
    assert compared(account) == []
    run = the(account)
    assert (run.failed, run.suspects, run.orders, run.trades) == ("", {}, 1, 1)
    assert run.agreed_at is not None


def test_a_position_that_no_fill_explains_is_listed_by_the_second_look(account, entered, exchange):
    entered(5)
    assert compared(account, times=1) == []
    assert the(account).agreed_at is None
    (row,) = compared(account)
    assert (row.kind, row.subject) == ("POSITION", "NSE_EQ:2885:INTRADAY")
    assert (row.ours, row.theirs) == ({"net": 5}, {"net": 0})
    assert the(account).agreed_at is not None
    assert Alert.objects.get(key__startswith="break:").times == 1


def test_two_looks_within_the_settle_time_are_one(account, entered, exchange, settings):
    settings.SETTLE_TIME = 60
    entered(5)
    assert compared(account, times=3) == []


def test_it_is_gone_once_the_books_agree(account, entered, exchange):
    entered(5)
    assert len(compared(account)) == 1
    entered(-5)
    assert compared(account, times=1) == []
    row = Break.objects.get()
    assert (row.resolution, row.gone_at is None) == ("GONE", False)
    assert Alert.objects.get(key__startswith="break:").acknowledged_at is not None


def test_an_open_one_follows_its_figures(account, entered, exchange):
    entered(5)
    compared(account)
    entered(2)
    (row,) = compared(account)
    assert row.ours == {"net": 7}
    assert Alert.objects.filter(key__startswith="break:").count() == 1


def test_an_explained_one_stays_closed_while_its_figures_stay(account, entered, exchange, rita):
    entered(5)
    (row,) = compared(account)
    breaks.explain(row.pk, rita, "bonus shares, due tomorrow", row.figures)
    assert compared(account) == []
    assert Break.objects.get().resolution == "EXPLAINED"
    assert [note.actor for note in row.notes.all()] == ["reconciliation", "rita"]


def test_other_figures_after_an_explanation_are_a_new_break(account, entered, exchange, rita):
    entered(5)
    (row,) = compared(account)
    breaks.explain(row.pk, rita, "bonus shares", row.figures)
    entered(1)
    (again,) = compared(account)
    assert (again.pk != row.pk, again.ours) == (True, {"net": 6})


def test_it_comes_back_as_a_new_break_after_it_was_explained_and_gone(
    account, entered, exchange, rita
):
    entered(5)
    (row,) = compared(account)
    breaks.explain(row.pk, rita, "bonus shares", row.figures)
    entered(-5)
    compared(account, times=1)
    entered(5)
    (again,) = compared(account)
    assert again.pk != row.pk


def test_figures_that_changed_since_a_person_saw_them_are_not_explained(
    account, entered, exchange, rita
):
    entered(5)
    (row,) = compared(account)
    entered(2)
    compared(account)
    with pytest.raises(breaks.CannotResolve, match="its figures are others by now"):
        breaks.explain(row.pk, rita, "bonus shares", row.figures)
    assert [one.ours for one in open_breaks()] == [{"net": 7}]


def test_other_figures_in_the_moment_of_an_explanation_are_a_new_break(
    account, entered, exchange, rita, monkeypatch
):
    entered(5)
    (row,) = compared(account)
    entered(1)
    compared(account, times=1)
    read = breaks._there

    def explained_meanwhile(account):
        rows = list(read(account))
        breaks.explain(row.pk, rita, "bonus shares", row.figures)
        return rows

    monkeypatch.setattr(breaks, "_there", explained_meanwhile)
    reconcile(account)
    row.refresh_from_db()
    assert (row.ours, row.resolution) == ({"net": 5}, "EXPLAINED")
    assert [one.ours for one in open_breaks()] == [{"net": 6}]


def test_one_that_is_over_cannot_be_explained(account, entered, exchange, rita):
    entered(5)
    (row,) = compared(account)
    entered(-5)
    compared(account, times=1)
    with pytest.raises(breaks.CannotResolve, match="gone by itself"):
        breaks.explain(row.pk, rita, "too late", row.figures)


@pytest.fixture
def listed(account):
    """A break that was listed, and last seen at that time."""

    def make(kind: str, subject: str = "c0ffee", days_ago: int = 1) -> Break:
        seen = timezone.now() - dt.timedelta(days=days_ago)
        row = Break.objects.create(
            account=account,
            kind=kind,
            subject=subject,
            about=subject,
            ours={"net": 5},
            theirs={"net": 7},
            first_seen=seen,
            last_seen=seen,
        )
        raise_alert(f"break:{account.name}:{kind}:{subject}", "it differs", Severity.CRITICAL)
        return row

    return make


@pytest.mark.parametrize(
    ("kind", "subject"),
    [(kind, "c0ffee") for kind in BreakKind.values if kind != "POSITION"]
    + [("POSITION", "NSE_EQ:2885:DELIVERY"), ("POSITION", "NSE_FNO:49081:MARGIN")],
)
def test_one_of_an_earlier_day_stays_open_though_todays_books_do_not_show_it(
    account, exchange, listed, rita, kind, subject
):
    row = listed(kind, subject)
    assert compared(account) == [row]
    assert the(account).agreed_at is not None
    assert Alert.objects.get(key__startswith="break:").acknowledged_at is None
    breaks.explain(row.pk, rita, "the broker's statement shows it", row.figures)
    compared(account, times=1)
    row.refresh_from_db()
    assert (row.resolution, row.gone_at is None) == ("EXPLAINED", False)


def test_one_that_was_seen_today_is_gone_when_the_books_show_it_no_more(account, exchange, listed):
    row = listed("STATUS", days_ago=0)
    assert compared(account, times=1) == []
    row.refresh_from_db()
    assert row.resolution == "GONE"
    assert Alert.objects.get(key__startswith="break:").acknowledged_at is not None


def test_books_read_across_midnight_are_compared_with_nothing(
    account, entered, exchange, monkeypatch
):
    entered(5)
    real = DhanReporting.order_book
    book = [Known([], timezone.now() - dt.timedelta(days=1)), *[None] * 9]
    monkeypatch.setattr(DhanReporting, "order_book", lambda self: book.pop(0) or real(self))
    reconcile(account)
    account.refresh_from_db()
    assert account.reconcile_wanted
    assert not BooksRun.objects.exclude(suspects={}).exists()
    assert len(compared(account)) == 1


def test_a_call_under_way_lets_nothing_be_listed(order, account, entered, exchange):
    written(order, permit=permit_of("PLACE"))
    entered(5)
    assert compared(account, times=3) == []


def test_a_read_that_fails_lists_and_ends_nothing(account, entered, exchange):
    entered(5)
    assert len(compared(account)) == 1
    entered(-5)
    exchange.fault("http_500", "positions")
    assert len(compared(account)) == 1


@pytest.mark.parametrize(
    ("endpoint", "book"),
    [
        ("book", "order book"),
        ("trades", "trade book"),
        ("positions", "positions"),
        ("funds", "funds"),
    ],
)
def test_the_run_says_which_read_failed(account, exchange, endpoint, book):
    exchange.fault("http_500", endpoint)
    reconcile(account)
    run = the(account)
    assert (run.failed, run.agreed_at) == (book, None)
    account.refresh_from_db()
    assert account.reconcile_wanted
    exchange.heal()
    reconcile(account)
    assert (the(account).failed, the(account).agreed_at is None) == ("", False)


def test_an_order_that_the_book_lacks(working, account, says):
    order = working()
    says("order_book", [])
    (row,) = compared(account)
    assert (row.kind, row.subject) == ("OURS_ONLY", order.correlation_id)
    order.refresh_from_db()
    assert order.status == "OPEN"


def test_a_book_that_lacks_an_order_ends_no_other_break(working, account, says):
    first, second = working(), working(quantity=2)
    more = report(first, FILLED, quantity=1, filled_quantity=1)
    apply_report(account, report(second, PARTLY, quantity=2, filled_quantity=1), FEED)
    says("order_book", [more, report(second, quantity=2, filled_quantity=0)])
    kinds = {row.kind for row in compared(account)}
    assert {"QUANTITY", "FILL_MISSING"} <= kinds
    says("order_book", [])
    compared(account, times=1)
    assert {row.kind for row in open_breaks()} >= {"QUANTITY"}


def test_a_whole_book_that_is_missing_is_one_break(account, working, says, monkeypatch):
    monkeypatch.setattr("apps.orders.books.MOST_LACKING", 1)
    working(), working()
    says("order_book", [])
    (row,) = compared(account)
    assert (row.subject, row.ours) == ("the book", {"rows": 2})


def test_a_break_that_many_others_join_is_not_gone(account, working, exchange, says, monkeypatch):
    monkeypatch.setattr("apps.orders.books.MOST_LACKING", 1)
    orders = [working(quantity=1) for _ in range(2)]
    for order in orders:
        exchange.control("fill", orderId=order.broker_order_id)
    reconcile(account)
    kept = [trade_of(order) for order in orders]
    says("trade_book", kept[1:])
    (single,) = compared(account)
    assert (single.kind, single.ours["trade"]) == ("FILL", kept[0].exchange_trade_id)
    says("trade_book", [])
    assert {row.subject for row in compared(account)} == {single.subject, "the book"}
    says("trade_book", kept)
    assert compared(account, times=1) == []


def trade_of(order: Order) -> Any:
    """The stored trade of an order as the trade book has it."""
    fill = order.fills.get()
    row = trade(order, 1, 1400)
    return replace(row, exchange_trade_id=fill.exchange_trade_id, price=fill.price)


def test_an_order_that_can_have_no_row(account, reliance, says):
    says("order_book", [stranger("901", security_id="424242")])
    (row,) = compared(account)
    assert (row.kind, row.subject) == ("THEIRS_ONLY", "901")
    assert "not known here" in row.about


def test_fills_that_do_not_add_up(working, account, exchange):
    order = working(quantity=2)
    apply_report(account, report(order, FILLED, quantity=2, filled_quantity=2), FEED)
    kinds = {row.kind for row in compared(account)}
    assert {"FILL_MISSING", "STATUS"} <= kinds


def test_a_trade_of_other_figures_than_the_stored_one(working, account, exchange, says):
    order = working(quantity=1)
    exchange.control("fill", orderId=order.broker_order_id)
    reconcile(account)
    fill = order.fills.get()
    corrected = trade(order, 1, 1000)
    says(
        "trade_book",
        [type(corrected)(**(vars(corrected) | {"exchange_trade_id": fill.exchange_trade_id}))],
    )
    (row,) = compared(account)
    assert (row.kind, row.theirs["price"]) == ("FILL", "1000")


def test_a_price_of_many_decimals_differs_from_no_trade(working, account, exchange, says):
    order = working(quantity=1)
    exchange.control("fill", orderId=order.broker_order_id)
    told = replace(trade(order, 1, 1400), price=Decimal("1400.12345678"))
    says("trade_book", [told])
    assert [row.kind for row in compared(account) if row.kind == "FILL"] == []
    assert order.fills.get().price == Decimal("1400.1235")


def test_a_trade_of_another_instrument_is_not_counted(working, account, exchange, says):
    order = working(quantity=1)
    odd = trade(order, 1, 1400)
    says("trade_book", [type(odd)(**(vars(odd) | {"security_id": "11536"}))])
    (row,) = compared(account)
    assert row.kind == "FILL"
    assert order.fills.count() == 0


def test_a_delivery_of_an_earlier_day_is_no_position_any_more(account, reliance, rita, exchange):
    ledger.book_entry(
        OpeningEntry(
            account=account,
            instrument=reliance,
            product=Product.DELIVERY,
            owner="manual",
            quantity=5,
            price=Decimal(1400),
            reason="a holding",
            user=rita,
            trading_day=dt.date(2026, 1, 1),
        )
    )
    assert compared(account) == []


@pytest.fixture
def bought(at_broker):  # noqa: F811
    """An order that filled on an earlier day."""

    def make(units: int, days_ago: int, product: str) -> None:
        day = trading_day() - dt.timedelta(days=days_ago)
        order = at_broker(product=product, trading_day=day)
        apply_fills(order.pk, [traded(order, 1, units, 1400)])
        Order.objects.filter(pk=order.pk).update(status="FILLED", quantity=units)

    return make


def position(net: int, product: str) -> Position:
    return Position(
        segment=Segment.NSE_EQ,
        security_id="2885",
        product=Product(product),
        net_quantity=net,
        buy_quantity=net,
        sell_quantity=0,
        buy_average=Decimal(1400),
        sell_average=Decimal(0),
        realised=Decimal(0),
        unrealised=Decimal(0),
    )


@pytest.mark.parametrize(
    ("shown", "is_break", "product"),
    [
        (0, False, "DELIVERY"),
        (10, False, "DELIVERY"),
        (10, False, "MTF"),
        (7, True, "DELIVERY"),
        (17, True, "DELIVERY"),
        (-10, True, "DELIVERY"),
    ],
)
def test_what_was_bought_in_the_last_session_may_still_be_shown_as_a_position(
    bought, account, exchange, says, shown, is_break, product
):
    bought(7, 4, product)
    bought(10, 3, product)
    says("positions", [position(shown, product)])
    assert [row.kind for row in compared(account)] == ["POSITION"] * is_break


def test_an_intraday_position_of_an_earlier_day_has_no_such_excuse(bought, account, exchange, says):
    bought(10, 1, "INTRADAY")
    says("positions", [])
    assert [row.kind for row in compared(account)] == ["POSITION"]


def test_the_database_deletes_no_break_and_takes_no_explanation_without_a_reason(
    account, entered, exchange
):
    entered(5)
    compared(account)
    with pytest.raises(DatabaseError), transaction.atomic():
        BreakNote.objects.all().delete()
    with pytest.raises(DatabaseError), transaction.atomic():
        Break.objects.update(resolution="EXPLAINED")


def test_a_fill_between_the_reads_is_no_break(working, account, exchange, monkeypatch):
    """Each time the positions are read, something has just traded that the trades lack."""
    orders = [working(quantity=1) for _ in range(3)]
    real = DhanReporting.positions

    def late(self):
        if orders:
            exchange.control("fill", orderId=orders.pop().broker_order_id)
        return real(self)

    monkeypatch.setattr(DhanReporting, "positions", late)
    compared(account, times=5)
    assert Break.objects.count() == 0


@pytest.mark.parametrize(
    ("name", "word"), [("RISK_ON_OUTSIDE_TRADE", "halt"), ("BREAKS_THAT_STOP", ["POSITIONS"])]
)
def test_a_misspelt_setting_is_refused_at_the_start(settings, name, word):
    assert words_about_the_books_are_known() == []
    setattr(settings, name, word)
    (error,) = words_about_the_books_are_known()
    assert error.msg.startswith(f"{name} must be of ")
