"""What is said at set times, once, and nothing outside of them."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
import time_machine

from apps.alerts.delivering import work_off
from apps.alerts.models import Delivery, Message, Severity
from apps.alerts.raising import raise_alert, sign_of_life
from apps.chat.schedule import post_due
from tests.alerts.conftest import make_channel

pytestmark = pytest.mark.django_db(transaction=True)
INDIA = ZoneInfo("Asia/Kolkata")
MONDAY, SATURDAY = dt.date(2026, 11, 23), dt.date(2026, 11, 28)


@pytest.fixture
def passes(bot_api):
    """Let time pass minute by minute; what was said, as (clock, first line)."""

    def run(start, minutes, day=MONDAY):
        begin = dt.datetime.combine(day, dt.time.fromisoformat(start), INDIA)
        for minute in range(minutes):
            with time_machine.travel(begin + dt.timedelta(minutes=minute), tick=False):
                post_due()
                post_due()
        rows = Message.objects.order_by("id")
        return [
            (row.created_at.astimezone(INDIA).strftime("%H:%M"), row.text.splitlines()[0])
            for row in rows
        ]

    return run


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
