"""What is said at set times, once, and nothing outside of them."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
import time_machine

from apps.alerts.delivering import work_off
from apps.alerts.models import Delivery, Message, Severity
from apps.alerts.raising import raise_alert, sign_of_life
from apps.brokers.models import BrokerAccount, Holiday
from apps.chat import hours
from apps.chat.schedule import post_due
from tests.alerts.conftest import make_channel
from tests.brokers.calendar_facts import seed_rows
from tests.chat.conftest import holds
from tests.desk.conftest import person

pytestmark = pytest.mark.django_db(transaction=True)
INDIA = ZoneInfo("Asia/Kolkata")
MONDAY, SATURDAY = dt.date(2026, 11, 23), dt.date(2026, 11, 28)


@pytest.fixture(autouse=True)
def _fresh_hours():
    hours._spans_at.cache_clear()


@pytest.fixture(autouse=True)
def paper(transactional_db):
    """An account that is always open, so the fixed hours count."""
    return trades("paper", calendar="always_open")


@pytest.fixture
def exchange_hours(paper):
    """The exchanges' calendar, 2026 confirmed, and nobody who trades at any hour."""
    BrokerAccount.objects.filter(pk=paper.pk).update(enabled=False)
    seed_rows(person("carl"), 2026)


def trades(name, *segments, **fields):
    """An account whose last word of the broker shows positions in these segments."""
    addresses = {"rest_url": "http://127.0.0.1:9/v2", "feed_url": "ws://127.0.0.1:9"}
    number = str(1000000001 + BrokerAccount.objects.count())
    account = BrokerAccount.objects.create(
        name=name, broker="dhan", client_id=number, **(addresses | fields)
    )
    holds(account, *({"segment": segment} for segment in segments))
    return account


@pytest.fixture
def passes(bot_api):
    """Let time pass minute by minute; what was said, as (clock, first line)."""

    def run(start, minutes, day=MONDAY, step=1):
        begin = dt.datetime.combine(day, dt.time.fromisoformat(start), INDIA)
        for minute in range(0, minutes, step):
            with time_machine.travel(begin + dt.timedelta(minutes=minute), tick=False):
                post_due()
                post_due()
        rows = Message.objects.order_by("id")
        return [
            (row.created_at.astimezone(INDIA).strftime("%H:%M"), row.text.splitlines()[0])
            for row in rows
        ]

    return run


def ends(said):
    return [(clock, text.split(",")[:-1]) for clock, text in said if "day's end" in text]


def clocks(said):
    return [clock for clock, _ in said]


def test_reports_come_every_ten_minutes_of_market_hours_and_then_the_days_end(passes):
    make_channel("phone", reports=True)
    said = passes("09:00", 60)
    assert clocks(said) == ["09:25", "09:35", "09:45", "09:55"]
    assert all(text.startswith("Strategies, 23 Nov ") for _, text in said)


def test_the_days_end_is_said_once(passes):
    make_channel("phone", reports=True)
    said = passes("15:20", 120)
    assert clocks(said) == ["15:20", "15:25", "15:30"]
    assert said[-1][1].startswith("The day's end, 23 Nov ")


def test_a_process_that_was_down_at_the_time_says_it_when_it_is_back(passes):
    make_channel("phone", reports=True)
    assert clocks(passes("09:31", 2)) == ["09:31"]


def test_the_interval_is_a_setting_and_zero_is_never(passes, settings):
    make_channel("phone", reports=True)
    settings.STRATEGY_REPORT_MINUTES = 0
    assert passes("09:15", 30) == []
    settings.STRATEGY_REPORT_MINUTES = 5
    assert clocks(passes("09:15", 16)) == ["09:20", "09:25", "09:30"]


def test_nothing_is_reported_at_the_weekend(passes):
    make_channel("phone", reports=True, heartbeat_minutes=60)
    assert clocks(passes("09:15", 600, SATURDAY)) == ["09:15"] + [
        f"{hour:02d}:30" for hour in range(9, 19)
    ]


def test_nobody_listens_nothing_is_said(passes):
    make_channel("phone")
    make_channel("off", reports=True, heartbeat_minutes=1, enabled=False)
    assert passes("09:15", 30) == []


def test_each_channel_has_its_own_heartbeat(passes):
    slow, quick = (
        make_channel("slow", heartbeat_minutes=30),
        make_channel("q", heartbeat_minutes=10),
    )
    passes("20:00", 60)
    counts = [Delivery.objects.filter(channel=channel).count() for channel in (slow, quick)]
    assert counts == [2, 6]


def test_a_heartbeat_says_what_is_not_well_and_a_late_one_is_dropped(bot_api, settings):
    channel = make_channel("phone", heartbeat_minutes=10, min_severity=Severity.CRITICAL)
    raise_alert("a", "look", Severity.CRITICAL)
    sign_of_life("beat")
    post_due()
    while work_off(channel.pk):
        pass
    text = bot_api.texts[0]
    assert text.startswith("NOT WELL: worker does not answer;")
    assert "beat" not in text
    assert "1 critical alert(s) that nobody acknowledged" in text


def test_a_heartbeat_that_could_not_be_sent_in_its_time_is_not_sent_later(bot_api):
    channel = make_channel("phone", heartbeat_minutes=10)
    post_due()
    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=11)):
        assert not work_off(channel.pk)
    assert Delivery.objects.get().state == "FAILED"
    assert bot_api.sent == []


# What the calendar says of the exchanges' days.


@pytest.fixture
def said_on(passes, exchange_hours):
    """When the first report of a day came, and the ends of it."""
    make_channel("phone", reports=True)

    def run(day, start="08:55", minutes=15 * 60 + 5, step=5):
        said = passes(start, minutes, dt.date.fromisoformat(day), step)
        return clocks(said)[0] if said else None, ends(said)

    return run


def test_the_day_ends_when_the_segments_close_in_which_the_accounts_trade(said_on):
    trades("shares", "NSE_EQ")
    trades("futures", "NSE_FNO")
    first, told = said_on("2026-11-23")
    assert first == "09:25"
    assert told == [
        ("15:40", ["The day's end of NSE_FNO"]),
        ("15:50", ["The day's end of NSE_FNO", " NSE_EQ"]),
    ]


def test_before_the_closing_auction_began_both_ended_together(said_on):
    trades("shares", "NSE_EQ", "NSE_FNO")
    assert said_on("2026-07-31")[1] == [("15:30", ["The day's end of NSE_EQ", " NSE_FNO"])]


def test_a_segment_in_which_nobody_trades_is_not_waited_for(said_on):
    trades("futures", "NSE_FNO")
    trades("off", "MCX_COMM", enabled=False)
    assert clocks(said_on("2026-11-23")[1]) == ["15:40"]


def test_commodity_ends_late_and_on_a_holiday_begins_late(said_on):
    trades("metals", "MCX_COMM", "NSE_EQ")
    first, told = said_on("2026-11-24")  # its evening is open on MCX
    assert first == "17:10"
    assert told == [("23:55", ["The day's end of MCX_COMM"])]


def test_on_a_holiday_nothing_is_said(said_on):
    trades("shares", "NSE_EQ", "NSE_FNO")
    assert said_on("2026-11-24") == (None, [])


def test_a_holiday_declared_during_the_day_counts_from_the_next_minute(said_on, passes):
    trades("shares", "NSE_EQ")
    assert said_on("2026-11-26", "09:20", 10)[0] == "09:25"
    Holiday.objects.create(segment="NSE_EQ", date="2026-11-26", name="Election", source="CMTR1")
    assert clocks(passes("09:30", 60, dt.date(2026, 11, 26))) == ["09:25"]


def test_a_special_session_on_a_sunday_has_its_reports_and_its_end(said_on):
    trades("shares", "NSE_EQ")
    assert said_on("2026-02-01") == ("09:25", [("15:30", ["The day's end of NSE_EQ"])])


def test_an_evening_session_is_told_in_its_own_hour(said_on):
    trades("shares", "NSE_EQ")
    Holiday.objects.filter(segment="NSE_EQ", date="2026-11-08").update(
        hours="PRE_OPEN 18:00-18:15, OPEN 18:15-19:15"
    )
    assert said_on("2026-11-08") == ("18:25", [("19:15", ["The day's end of NSE_EQ"])])


def test_hours_that_nobody_knows_leave_the_fixed_ones(said_on):
    trades("shares", "NSE_EQ")
    assert said_on("2027-01-04") == ("09:25", [("15:30", ["The day's end"])])
    assert said_on("2027-01-09") == ("09:25", [("15:30", ["The day's end"])])  # nothing new


def test_who_was_down_at_both_ends_says_one(said_on):
    trades("shares", "NSE_EQ", "NSE_FNO")
    assert said_on("2026-11-23", "16:30", 60)[1] == [
        ("16:30", ["The day's end of NSE_FNO", " NSE_EQ"])
    ]


def test_the_day_of_a_session_that_ends_at_midnight_is_told_before_it(said_on):
    trades("shares", "NSE_EQ")
    Holiday.objects.filter(segment="NSE_EQ", date="2026-11-08").update(hours="OPEN 20:00-00:00")
    assert said_on("2026-11-08", "23:50", 20, 1)[1] == [("23:59", ["The day's end of NSE_EQ"])]


def test_without_an_account_that_trades_nothing_is_reported(passes, paper):
    BrokerAccount.objects.filter(pk=paper.pk).update(enabled=False)
    make_channel("phone", reports=True)
    assert passes("09:15", 30) == []
