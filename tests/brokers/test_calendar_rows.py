"""The calendar as rows: an edit counts at once everywhere, and the database has its fences."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.brokers import calendar
from apps.brokers.models import (
    BrokerAccount,
    CalendarChange,
    CalendarYear,
    Holiday,
    Instrument,
    PositionsReport,
    SessionRule,
)
from tests.brokers.calendar_facts import ist, seed_rows
from tests.orders.test_crash_table import ROOT, environment

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def person(transactional_db):
    return User.objects.create_user("carla", is_staff=True)


@pytest.fixture
def rows(person):
    seed_rows(person, 2025, 2026)


def share(symbol="RELIANCE", security_id="2885"):
    return Instrument.objects.create(
        segment="NSE_EQ",
        security_id=security_id,
        symbol=symbol,
        kind="EQUITY",
        lot_size=1,
        tick_size=Decimal("0.05"),
    )


def contract(underlying, expiry="2026-12-29"):
    return Instrument.objects.create(
        segment="NSE_FNO",
        security_id=f"9{underlying}{expiry}"[:30],
        symbol=f"{underlying}-FUT",
        kind="FUTSTK",
        lot_size=50,
        tick_size=Decimal("0.05"),
        underlying=underlying,
        expiry=expiry,
    )


def phase_of(when, segment="NSE_EQ", security_id="2885"):
    return calendar.market_phase(segment, security_id, ist(when)).phase


def test_a_holiday_declared_yesterday_counts_today(rows):
    assert phase_of("2026-11-26 10:00") == "OPEN"
    Holiday.objects.create(
        segment="NSE_EQ", date="2026-11-26", name="Election", source="CMTR1, 25 Nov 2026"
    )
    found = calendar.market_phase("NSE_EQ", "2885", ist("2026-11-26 10:00"))
    assert found.sentence() == (
        "NSE_EQ is closed (holiday: Election); opens Fri 27 Nov 2026 09:15 IST"
    )


@pytest.mark.parametrize(
    ("when", "segment", "phase"),
    [
        ("2026-11-20 23:54", "MCX_COMM", "OPEN"),  # New York keeps standard time
        ("2026-07-10 23:29", "MCX_COMM", "OPEN"),
        ("2026-07-10 23:54", "MCX_COMM", "CLOSED"),
        ("2026-11-24 16:59", "MCX_COMM", "CLOSED"),  # the morning of a holiday
        ("2026-11-24 17:00", "MCX_COMM", "OPEN"),
        ("2026-11-08 18:30", "NSE_EQ", "UNKNOWN"),  # Muhurat, its hours not announced
        ("2026-11-08 18:30", "MCX_COMM", "CLOSED"),
        ("2026-11-21 10:00", "NSE_EQ", "CLOSED"),
        ("2026-02-01 10:00", "NSE_EQ", "OPEN"),  # the Budget's Sunday
        ("2027-01-04 10:00", "NSE_EQ", "UNKNOWN"),  # nobody has confirmed the year
    ],
)
def test_the_rows_know_evenings_sundays_and_what_nobody_knows(rows, when, segment, phase):
    assert phase_of(when, segment) == phase


def test_a_share_with_derivatives_through_its_closing_auction(rows):
    share()
    contract("RELIANCE")
    at = ("15:14", "15:16", "15:21", "15:26", "15:31", "15:51")
    markets = [calendar.market_phase("NSE_EQ", "2885", ist(f"2026-11-23 {time}")) for time in at]
    told = [(market.phase, market.takes_orders) for market in markets]
    assert dict(zip(at, told, strict=True)) == {
        "15:14": ("OPEN", True),
        "15:16": ("CLOSING_AUCTION", False),
        "15:21": ("CLOSING_AUCTION", True),
        "15:26": ("CLOSING_AUCTION", True),
        "15:31": ("CLOSING_AUCTION", False),
        "15:51": ("POST_CLOSE", False),
    }


def test_an_edit_of_another_process_counts_at_once(rows):
    assert phase_of("2026-11-26 10:00") == "OPEN"
    code = (
        "import django; django.setup();"
        "from apps.brokers.models import Holiday;"
        "Holiday.objects.create(segment='NSE_EQ', date='2026-11-26', name='x', source='y')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment(), cwd=ROOT)
    assert phase_of("2026-11-26 10:00") == "CLOSED"


def test_what_was_undone_is_not_remembered(rows):
    with transaction.atomic():
        Holiday.objects.create(segment="NSE_EQ", date="2026-11-26", name="x", source="y")
        assert phase_of("2026-11-26 10:00") == "CLOSED"
        transaction.set_rollback(True)
    assert phase_of("2026-11-26 10:00") == "OPEN"
    Holiday.objects.create(segment="NSE_EQ", date="2026-11-27", name="x", source="y")
    assert phase_of("2026-11-26 10:00") == "OPEN"


def test_one_statement_answers_once_the_calendar_is_known(rows, django_assert_num_queries):
    phase_of("2026-11-23 10:00")
    with django_assert_num_queries(1):
        phase_of("2026-11-23 10:00")


def test_whether_a_share_has_derivatives_is_read_from_the_contracts(rows):
    share()
    assert phase_of("2026-11-23 15:16") == "UNKNOWN"
    contract("TCS")
    assert phase_of("2026-11-23 15:16") == "OPEN"
    contract("RELIANCE", expiry="2026-10-27")
    assert phase_of("2026-11-23 15:16") == "OPEN"
    contract("RELIANCE")
    assert phase_of("2026-11-23 15:16") == "CLOSING_AUCTION"


def test_nothing_is_known_without_rows(transactional_db):
    for model in (SessionRule, Holiday, CalendarYear):
        model.objects.all().delete()
    assert phase_of("2026-11-23 10:00") == "UNKNOWN"


def test_the_first_facts_are_seeded_and_no_year_is_confirmed(person):
    seed_rows(person)
    assert SessionRule.objects.filter(source="").count() == 0
    assert Holiday.objects.filter(source="").count() == 0
    assert not CalendarYear.objects.exclude(confirmed_at=None).exists()
    assert phase_of("2026-11-23 10:00") == "UNKNOWN"


# --- fences ------------------------------------------------------------------------------------


def rule(**different):
    fields = {
        "segment": "NSE_FNO",
        "phase": "OPEN",
        "opens": dt.time(9, 15),
        "closes": dt.time(15, 40),
        "valid_from": dt.date(2026, 8, 3),
        "order_types": ["LIMIT"],
        "source": "test",
    }
    return SessionRule(**(fields | different))


OVERLAPS = [
    {},
    {"phase": "POST_CLOSE", "opens": dt.time(15, 39), "closes": dt.time(16)},
    {"weekdays": "5"},
    {"valid_from": dt.date(2030, 1, 1)},
    {"daylight": "SUMMER"},
    {"opens": dt.time(15, 39), "closes": dt.time(0)},
]
BESIDE = [
    {"opens": dt.time(15, 40), "closes": dt.time(0)},
    {"weekdays": "67"},
    {"valid_from": dt.date(2024, 1, 1), "valid_to": dt.date(2024, 12, 31)},
    {"segment": "MCX_COMM", "applies_to": "NAMED", "names": "COTTON"},
    {"phase": "AFTER_MARKET"},
]


@pytest.mark.parametrize("different", OVERLAPS)
def test_the_database_refuses_two_rules_at_one_moment(rows, different):
    with pytest.raises(IntegrityError, match="session_rules_do_not_overlap"):
        rule(**different).save()


@pytest.mark.parametrize("different", OVERLAPS)
def test_the_form_refuses_them_with_the_day(rows, different):
    with pytest.raises(ValidationError, match="Another rule says something else"):
        rule(**different).full_clean()


@pytest.mark.parametrize("different", BESIDE)
def test_rules_beside_each_other_are_kept(rows, different):
    beside = rule(**different)
    beside.full_clean()
    beside.save()


def test_the_form_refuses_what_contradicts_a_rule_about_something_else(rows):
    longer = rule(
        segment="NSE_EQ",
        applies_to="WITH_DERIVATIVES",
        phase="POST_CLOSE",
        opens=dt.time(15, 49),
        closes=dt.time(16),
    )
    with pytest.raises(ValidationError, match="CLOSING_AUCTION and POST_CLOSE"):
        longer.full_clean()


@pytest.mark.parametrize(
    ("different", "field"),
    [
        ({"opens": dt.time(16)}, "closes"),
        ({"valid_to": dt.date(2026, 8, 1)}, "valid_to"),
        ({"applies_to": "NAMED"}, "names"),
        ({"names": "X"}, "names"),
        ({"order_types": ["BRACKET"]}, "order_types"),
        ({"weekdays": "21"}, "weekdays"),
        ({"weekdays": ""}, "weekdays"),
    ],
)
def test_a_bad_rule_names_its_field(rows, different, field):
    with pytest.raises(ValidationError) as caught:
        rule(**different).full_clean()
    assert field in caught.value.message_dict


@pytest.mark.parametrize(
    ("different", "field"),
    [
        ({"kind": "MORNING_CLOSED"}, "opens"),
        ({"kind": "EVENING_CLOSED"}, "closes"),
        ({"opens": dt.time(17)}, "opens"),
        ({"hours": "OPEN 09:15-15:30"}, "hours"),
        ({"kind": "SPECIAL", "hours": "10 to 11"}, "hours"),
    ],
)
def test_a_bad_holiday_names_its_field(rows, different, field):
    fields = {"segment": "NSE_EQ", "date": dt.date(2026, 12, 1), "name": "x", "source": "y"}
    with pytest.raises(ValidationError) as caught:
        Holiday(**(fields | different)).full_clean()
    assert field in caught.value.message_dict


def test_the_database_keeps_half_holidays_and_confirmations_whole(rows, person):
    for bad in (
        {"kind": "MORNING_CLOSED"},
        {"kind": "CLOSED", "hours": "OPEN 09:15-15:30"},
        {"kind": "CLOSED", "closes": dt.time(17)},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Holiday.objects.create(segment="NSE_EQ", date="2026-12-01", name="x", source="y", **bad)
    with pytest.raises(IntegrityError), transaction.atomic():
        CalendarYear.objects.create(segment="NSE_EQ", year=2031, confirmed_by=person)


def test_the_history_of_the_calendar_cannot_be_rewritten(rows, person):
    change = CalendarChange.objects.create(what="holiday", subject="x", actor="carla", user=person)
    with pytest.raises(DatabaseError, match="history"), transaction.atomic():
        CalendarChange.objects.update(actor="nobody")
    with pytest.raises(DatabaseError, match="history"), transaction.atomic():
        change.delete()


# --- whose hours an account follows -----------------------------------------------------------


def account(rest_url, **more):
    return BrokerAccount(
        name="a",
        broker="dhan",
        client_id="1",
        rest_url=rest_url,
        feed_url="wss://x.invalid" if rest_url.startswith("https") else "ws://127.0.0.1",
        **more,
    )


LIVE = [
    "https://api.dhan.co/v2",
    "https://127.0.0.1.example.com/v2",
    "https://127.0.0.1@example.com/v2",
    "https://localhost.example.com/v2",
    "https://sandbox.dhan.co.example.com/",
]


@pytest.mark.parametrize("rest_url", LIVE)
def test_a_live_account_follows_the_exchange_whoever_asks(transactional_db, rest_url):
    with pytest.raises(ValidationError):
        account(rest_url, calendar="always_open").full_clean()
    with pytest.raises(IntegrityError, match="live_accounts_follow_the_exchange"):
        account(rest_url, calendar="always_open").save()


@pytest.mark.parametrize(
    "rest_url", ["http://127.0.0.1:9100/v2", "http://localhost/v2", "https://sandbox.dhan.co/v2"]
)
def test_a_simulated_exchange_may_be_open_at_any_hour(transactional_db, rest_url):
    open_all_day = account(rest_url, calendar="always_open")
    open_all_day.full_clean()
    open_all_day.save()
    assert calendar.market_for(open_all_day, "NSE_EQ", "1", ist("2026-11-22 03:00")).always


def test_an_account_follows_the_exchange_unless_told_otherwise(transactional_db):
    assert account("http://127.0.0.1:9100/v2").calendar == "exchange"


def test_an_account_cannot_become_live_while_it_is_always_open(transactional_db):
    paper = account("http://127.0.0.1:9100/v2", calendar="always_open")
    paper.save()
    with pytest.raises(IntegrityError):
        BrokerAccount.objects.update(rest_url="https://api.dhan.co/v2")


def test_a_contract_that_lost_its_id_to_another_has_no_say_in_its_hours(rows):
    """Both rows have the id; only the living one is meant."""
    old = share(symbol="OLDNAME")
    contract("OLDNAME", expiry="2027-12-28")
    Instrument.objects.update(retired_at=ist("2026-01-01 09:00"), tradable=False)
    share(symbol="NEWNAME", security_id=old.security_id)
    contract("TCS", expiry="2027-12-28")
    with CaptureQueriesContext(connection) as asked:
        calendar.market_for(account("http://127.0.0.1:9100/v2"), "NSE_EQ", old.security_id)
    with connection.cursor() as cursor:
        cursor.execute(asked[0]["sql"])
        assert [row[1:] for row in cursor.fetchall()] == [("NEWNAME", False)]


# --- where an account trades ---------------------------------------------------------------------


def test_an_account_trades_where_it_did_last_or_anywhere(rows):
    share()
    contract("TCS", expiry="2027-12-28")
    follower = account("http://127.0.0.1:9100/v2")
    follower.save()
    assert calendar.traded_segments(follower) == ["NSE_EQ", "NSE_FNO"]
    PositionsReport.objects.create(
        account=follower,
        as_of=ist("2026-11-23 10:00"),
        mark=1,
        rows=[{"segment": "NSE_FNO", "security_id": "9", "product": "MARGIN", "net_quantity": 0}],
    )
    assert calendar.traded_segments(follower) == ["NSE_FNO"]
