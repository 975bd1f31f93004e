"""The report of a day: once, after the close, from the rows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import DatabaseError, transaction
from django.urls import reverse
from django.utils import timezone

from apps.brokers.models import BrokerAccount, SessionRule
from apps.orders import dayend
from apps.orders.ingest import apply_fills
from apps.orders.models import BooksRun, DayReport, Order
from apps.people import roles
from tests.orders.test_ledger import at_broker, traded  # noqa: F401 - a fixture
from tests.people.conftest import entered, member

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def day(at_broker, account):  # noqa: F811
    """A strategy that bought and sold, and a person's order that nobody filled."""
    buy, sell = at_broker(strategy="momentum"), at_broker("SELL", strategy="momentum")
    at_broker()
    apply_fills(buy.pk, [traded(buy, 1, 10, 100)])
    apply_fills(sell.pk, [traded(sell, 2, 4, 110, second=1)])
    return buy.trading_day


def after_the_day(day: dt.date, hours: int = 1) -> dt.datetime:
    midnight = dt.datetime.combine(day, dt.time(), ZoneInfo("Asia/Kolkata"))
    return midnight + dt.timedelta(days=1, hours=hours)


def test_it_says_what_each_owner_did_and_what_is_not_known(day, account):
    data = dayend.of_day(account, day)
    (row,) = data["owners"]
    assert (row["owner"], row["bought"], row["sold"], row["net"]) == (
        "strategy:momentum",
        10,
        4,
        6,
    )
    assert Decimal(row["realised"]) == Decimal(data["realised"]) == 40
    assert (data["fills"], data["orders"], data["charges"]) == (
        2,
        {"OPEN": 1, "PARTIALLY_FILLED": 2},
        None,
    )


def test_an_account_that_trades_at_all_hours_is_reported_after_midnight_once(day, account):
    assert dayend.report_due_days() == []
    with time_machine.travel(after_the_day(day)):
        (report,) = dayend.report_due_days()
        assert (report.account, report.trading_day) == (account, day)
        assert dayend.report_due_days() == []


@pytest.mark.parametrize("enabled", [True, False])
def test_a_desk_that_stood_still_reports_the_days_before(day, account, enabled):
    BrokerAccount.objects.update(enabled=enabled)
    Order.objects.filter(status="OPEN").update(trading_day=day - dt.timedelta(days=2))
    with time_machine.travel(after_the_day(day + dt.timedelta(days=4))):
        made = dayend.report_due_days()
        assert [one.trading_day for one in made] == [day - dt.timedelta(days=2), day]
        assert dayend.report_due_days() == []


def test_days_of_long_ago_are_not_reported_any_more(day, account):
    with time_machine.travel(after_the_day(day + dt.timedelta(days=11))):
        assert dayend.report_due_days() == []


def test_by_the_calendar_it_waits_for_the_close_and_for_books_read_after_it(
    day, account, open_market
):
    BrokerAccount.objects.update(calendar="exchange")
    SessionRule.objects.filter(segment="NSE_EQ").update(opens=dt.time(9), closes=dt.time(15, 30))
    noon = after_the_day(day, -12)
    close = after_the_day(day, -8)
    for at, compared_at, expected in (
        (noon, noon, 0),
        (close, noon, 0),
        (close, close, 1),
    ):
        BooksRun.objects.update_or_create(
            account=account, defaults={"began_at": compared_at, "agreed_at": compared_at}
        )
        with time_machine.travel(at):
            assert len(dayend.report_due_days()) == expected


def test_a_day_without_orders_has_no_report(account):
    with time_machine.travel(timezone.now() + dt.timedelta(days=1)):
        assert dayend.report_due_days() == []


def test_a_report_is_never_changed(day, account):
    DayReport.objects.create(account=account, trading_day=day, data={})
    with pytest.raises(DatabaseError, match="history"), transaction.atomic():
        DayReport.objects.update(data={})


def test_page_and_csv_show_it(day, account):
    data = dayend.of_day(account, day)
    data["owners"][0]["owner"] = "=cmd()"
    report = DayReport.objects.create(account=account, trading_day=day, data=data)
    client = entered(member("victor", roles.VIEWER))
    page = client.get(reverse("desk:days")).content.decode()
    assert "charges not known" in page
    lines = client.get(reverse("desk:day_csv", args=[report.pk])).content.decode().splitlines()
    assert lines[0].startswith("day,account,owner,instrument")
    assert "'=cmd()" in lines[1]
    assert lines[1].endswith("not known")
