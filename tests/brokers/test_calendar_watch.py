"""A missing calendar is told in time, once, and only where somebody trades by it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.alerts.models import Alert
from apps.brokers import calendar_watch
from apps.brokers.models import BrokerAccount, CalendarYear, Instrument
from tests.brokers.calendar_facts import ist, seed_rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def follower(transactional_db, django_user_model):
    seed_rows(django_user_model.objects.create_user("carla", is_staff=True), 2026)
    Instrument.objects.create(
        segment="NSE_EQ",
        security_id="2885",
        symbol="RELIANCE",
        kind="EQUITY",
        lot_size=1,
        tick_size=Decimal("0.05"),
    )
    return BrokerAccount.objects.create(
        name="a",
        broker="dhan",
        client_id="1",
        rest_url="http://127.0.0.1:9/v2",
        feed_url="ws://127.0.0.1:9",
    )


def alerts():
    return {alert.key: alert.times for alert in Alert.objects.filter(acknowledged_at=None)}


def carla():
    return CalendarYear.objects.filter(year=2026).first().confirmed_by


def test_nothing_is_said_while_all_is_known(follower):
    calendar_watch.watch(ist("2026-11-30 23:59"))
    assert alerts() == {}


def test_from_december_on_the_missing_next_year_is_told(follower):
    calendar_watch.watch(ist("2026-12-01 00:00"))
    calendar_watch.watch(ist("2026-12-01 00:01"))
    assert alerts() == {"calendar:NSE_EQ:2027": 2}
    assert Alert.objects.get().severity == "WARNING"
    assert "import the exchange's list and confirm it" in Alert.objects.get().text


def test_a_confirmed_next_year_ends_the_warning(follower):
    seed_rows(carla(), 2026, 2027)
    calendar_watch.watch(ist("2026-12-01 00:00"))
    assert alerts() == {}


def test_on_new_years_day_it_is_critical(follower):
    calendar_watch.watch(ist("2027-01-01 00:00"))
    alert = Alert.objects.get(key="calendar:NSE_EQ")
    assert alert.severity == "CRITICAL"
    assert "2027 are not confirmed" in alert.text


def test_what_somebody_has_just_seen_is_not_told_again(follower):
    now = ist("2027-01-01 09:15")
    calendar_watch.watch(now)
    Alert.objects.update(acknowledged_at=now, acknowledged_by=carla())
    calendar_watch.watch(ist("2027-01-01 15:00"))
    assert alerts() == {}
    calendar_watch.watch(ist("2027-01-02 15:00"))
    assert alerts() == {"calendar:NSE_EQ": 1}


def test_a_year_that_was_confirmed_after_it_began_ends_the_alert_of_december(follower):
    calendar_watch.watch(ist("2026-12-31 12:00"))
    assert "calendar:NSE_EQ:2027" in alerts()
    seed_rows(carla(), 2026, 2027)
    calendar_watch.watch(ist("2027-01-02 09:00"))
    assert "calendar:NSE_EQ:2027" not in alerts()


def test_what_is_known_since_ends_its_alerts_and_counts_again_when_it_is_not(follower):
    calendar_watch.watch(ist("2026-12-31 12:00"))
    calendar_watch.watch(ist("2027-01-01 00:00"))
    assert set(alerts()) == {"calendar:NSE_EQ", "calendar:NSE_EQ:2027"}
    person = carla()
    seed_rows(person, 2026, 2027)
    calendar_watch.watch(ist("2026-12-31 12:01"))
    assert set(alerts()) == {"calendar:NSE_EQ"}  # orders met it a moment ago
    Alert.objects.update(last_raised=ist("2026-11-01 00:00"))
    calendar_watch.watch(ist("2027-01-01 00:20"))
    assert alerts() == {}
    seed_rows(person, 2026)
    CalendarYear.objects.filter(year=2027).delete()
    calendar_watch.watch(ist("2027-01-01 00:30"))
    assert alerts() == {"calendar:NSE_EQ": 1}


@pytest.mark.parametrize("fields", [{"calendar": "always_open"}, {"enabled": False}])
def test_nobody_is_bothered_when_no_account_trades_by_the_exchange(follower, fields):
    BrokerAccount.objects.update(**fields)
    calendar_watch.watch(ist("2027-01-01 09:15"))
    assert alerts() == {}
