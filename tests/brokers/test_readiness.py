"""Readiness: computed, self-clearing, one query, and no entry while something is red."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db.models import F, Value
from django.utils import timezone

from apps.alerts.models import Heartbeat
from apps.brokers import readiness, sessions
from apps.brokers.journal import open_call
from apps.brokers.models import (
    AccessToken,
    BrokerAccount,
    BrokerSession,
    CalendarYear,
    FundsReport,
    InstrumentImport,
    PositionsReport,
    Verb,
)
from apps.brokers.models.calendar import SEGMENTS
from apps.brokers.readiness import Light, amber, green, red
from apps.orders.models import BooksRun, Break
from apps.risk.models import RiskPolicy
from tests.brokers.asking import ends_in, session_of
from tradingops import settings as house_settings

pytestmark = pytest.mark.django_db(transaction=True)
ago = dt.timedelta
WIDE = {"max_order_quantity": 1, "max_order_value": 1, "max_open_orders": 1, "max_data_age": 1}


@pytest.fixture
def account(at: Any) -> Any:
    return at("http://127.0.0.1:9/v2", calendar="always_open")


def light(account: Any, check: str) -> Light:
    return next(one.light for one in readiness.findings_of(account) if one.check == check)


def reason(account: Any, check: str) -> str:
    return next(one.reason for one in readiness.findings_of(account) if one.check == check)


def write(account: Any, **columns: Any) -> None:
    BrokerSession.objects.update_or_create(account=account, defaults=columns)


def test_an_account_of_which_little_is_known_may_trade(account):
    lights = {one.check: one.light for one in readiness.findings_of(account)}
    assert lights == {
        "token": Light.AMBER,
        "address": Light.GREEN,
        "clock": Light.AMBER,
        "calendar": Light.GREEN,
        "breaks": Light.GREEN,
        "prices": Light.GREEN,
        "funds": Light.AMBER,
        "margin": Light.GREEN,
    }
    assert readiness.reasons_against(account) == ()


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ({"hours": 5}, Light.GREEN),
        ({"minutes": 59}, Light.AMBER),
        ({"minutes": 6}, Light.AMBER),
        ({"minutes": 4}, Light.RED),
        ({"seconds": -1}, Light.RED),
    ],
)
def test_the_light_follows_the_life_of_the_token(account, span, expected):
    ends_in(account, **span)
    assert light(account, "token") is expected


def test_no_token_is_red(account):
    AccessToken.objects.update(retired_at=timezone.now())
    assert reason(account, "token") == "there is no access token"
    assert light(account, "token") is Light.RED


def test_a_refused_token_is_red_until_another_is_in_force(account):
    sessions.refused(account, account.token().pk, "DH-901")
    (found,) = [one for one in readiness.findings_of(account) if one.check == "token"]
    assert (found.light, "DH-901" in found.reason) == (Light.RED, True)
    assert found.age is not None
    assert found.age < 60
    assert readiness.reasons_against(account) == (f"token: {found.reason}",)
    AccessToken.put_in_force(account, "another")
    assert readiness.reasons_against(account) == ()


def test_a_request_under_way_is_no_doubt_and_a_lost_one_is(account):
    call = open_call(account, Verb.TOKEN, "renew token", budget="TOKEN")
    write(account, minting=call)
    assert light(account, "token") is Light.AMBER
    type(call).objects.filter(pk=call.pk).update(outcome="UNKNOWN")
    assert light(account, "token") is Light.RED
    assert "which one counts is not known" in reason(account, "token")
    write(account, minting=None)
    assert readiness.reasons_against(account) == ()


def test_a_request_whose_sender_died_becomes_a_doubt_by_itself(account, settings):
    settings.CALL_TIMEOUT = settings.CONNECT_TIMEOUT = settings.SEND_WITHIN = 0.0
    write(account, minting=open_call(account, Verb.TOKEN, "renew token", budget="TOKEN"))
    assert light(account, "token") is Light.RED


def test_a_wrong_address_is_red_with_our_own_and_lets_one_order_try_after_a_while(account):
    write(account, egress="203.0.113.7")
    sessions.address_refused(account, "DH-905: Invalid IP")
    assert light(account, "address") is Light.RED
    assert "203.0.113.7" in reason(account, "address")
    write(account, address_refused_last=timezone.now() - dt.timedelta(minutes=16))
    assert light(account, "address") is Light.AMBER
    sessions.address_refused(account, "DH-905: Invalid IP")
    assert light(account, "address") is Light.RED
    sessions.address_accepted(account)
    assert light(account, "address") is Light.GREEN


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (None, Light.AMBER),
        (0.4, Light.GREEN),
        (-4.9, Light.GREEN),
        (5.1, Light.RED),
        (-9, Light.RED),
    ],
)
def test_a_clock_that_is_off_is_red(account, offset, expected):
    write(account, clock_offset=offset, clock_at=timezone.now())
    assert light(account, "clock") is expected


def test_all_checks_of_all_accounts_cost_one_query(
    account, at, house_checks, django_assert_num_queries
):
    at("http://127.0.0.1:10/v2")
    readiness.findings_of(account)
    with django_assert_num_queries(1):
        readiness.findings_of(account)
    with django_assert_num_queries(1):
        found = readiness.findings_of_all()
    assert len(found) == 2
    names = ["token", "address", "clock", "instruments", "calendar"]
    names += ["order feed", "books", "breaks", "prices", "funds", "margin"]
    assert [one.check for one in found[account.name]] == names


@pytest.mark.parametrize(
    ("ago", "expected"), [(None, Light.AMBER), (2, Light.GREEN), (20, Light.AMBER)]
)
def test_a_silent_price_feed_is_shown_and_stops_nothing(account, ago, expected):
    type(account).objects.update(market_feed_url="ws://127.0.0.1:9/market-feed")
    if ago is not None:
        at = timezone.now() - dt.timedelta(seconds=ago)
        Heartbeat.objects.create(name=f"quotes:{account.name}", at=at)
    assert light(account, "prices") is expected
    assert readiness.reasons_against(account) == ()


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], Light.AMBER),
        (["ANSWERED"], Light.GREEN),
        (["ANSWERED", ""], Light.GREEN),
        (["ANSWERED", "FAILED"], Light.AMBER),
        (["FAILED", "ANSWERED"], Light.GREEN),
    ],
)
def test_a_calculator_that_did_not_answer_is_shown_and_stops_nothing(account, outcomes, expected):
    RiskPolicy.objects.create(
        account=account, version=2, check_margin=True, **WIDE, reason="x", created_by="x"
    )
    for outcome in outcomes:
        call = open_call(account, Verb.READ, "margin", budget="READ")
        if outcome:
            type(call).objects.filter(pk=call.pk).update(outcome=outcome)
    assert light(account, "margin") is expected
    assert readiness.reasons_against(account) == ()


# --- what a running house gives -------------------------------------------------------------


@pytest.fixture
def house_checks(settings):
    settings.READINESS_CHECKS = house_settings.READINESS_CHECKS


def read(outcome: str, hours: float, why: str = "", **columns: str) -> None:
    at = timezone.now() - ago(hours=hours)
    given = {"broker": "dhan", "source": "x"} | columns
    InstrumentImport.objects.create(outcome=outcome, why=why, at=at, **given)


@pytest.mark.parametrize(
    ("imports", "expected", "told"),
    [
        ([], Light.RED, "never read"),
        ([("REFUSED", 1)], Light.RED, "never read; the newest one was refused: half of it"),
        ([("APPLIED", 3)], Light.GREEN, "was read"),
        ([("APPLIED", 26)], Light.AMBER, "was read"),
        ([("APPLIED", 31)], Light.RED, "today's is missing"),
        ([("APPLIED", 3), ("REFUSED", 1)], Light.AMBER, "refused: half of it"),
        ([("REFUSED", 3), ("APPLIED", 1)], Light.GREEN, "was read"),
    ],
)
def test_the_light_follows_the_age_of_the_instruments(
    account, house_checks, imports, expected, told
):
    for outcome, hours in imports:
        read(outcome, hours, "half of it" if outcome == "REFUSED" else "")
    assert light(account, "instruments") is expected
    assert told in reason(account, "instruments")


def test_a_live_account_needs_the_brokers_own_list(account, house_checks):
    read("APPLIED", 1, source="http://127.0.0.1:9100/instruments.csv")
    assert light(account, "instruments") is Light.GREEN
    BrokerAccount.objects.update(rest_url="https://api.broker.invalid/v2", calendar="exchange")
    assert light(account, "instruments") is Light.RED
    assert "a simulated exchange's" in reason(account, "instruments")
    read("APPLIED", 0.5, source="https://files.broker.invalid/instruments.csv")
    assert light(account, "instruments") is Light.GREEN


def test_another_brokers_list_says_nothing_of_ours(account, house_checks):
    read("APPLIED", 1, broker="other")
    assert light(account, "instruments") is Light.RED


def test_the_light_follows_the_last_sign_of_the_feed(account, house_checks):
    assert light(account, "order feed") is Light.RED
    for age, expected in ((13, Light.GREEN), (16, Light.RED)):
        at = timezone.now() - ago(seconds=age)
        Heartbeat.objects.update_or_create(name=f"feed:{account.name}", defaults={"at": at})
        assert light(account, "order feed") is expected


def test_the_light_follows_when_all_books_last_agreed(account, house_checks, settings):
    settings.IDLE_RECONCILE_EVERY, settings.CALL_TIMEOUT = 60, 5
    assert "not read and compared yet" in reason(account, "books")
    for age, expected in ((123, Light.GREEN), (126, Light.RED)):
        compared(account, agreed_at=timezone.now() - ago(seconds=age))
        assert light(account, "books") is expected
    compared(account, failed="positions")
    assert "positions cannot be read" in reason(account, "books")


def compared(account: Any, **columns: Any) -> None:
    BooksRun.objects.update_or_create(
        account=account, defaults={"began_at": timezone.now(), **columns}
    )


@pytest.mark.parametrize(
    ("days", "different", "expected"),
    [
        (0, {}, Light.AMBER),
        (1, {}, Light.RED),
        (1, {"resolution": "GONE"}, Light.GREEN),
        (1, {"kind": "PRICE"}, Light.GREEN),
    ],
)
def test_a_break_of_an_earlier_day_stops_entries_until_it_is_explained(
    account, days, different, expected
):
    seen = timezone.now() - ago(days=days)
    fields = {"kind": "POSITION", "subject": "x", "first_seen": seen, "last_seen": seen}
    Break.objects.create(account=account, **(fields | different))
    assert light(account, "breaks") is expected


@pytest.fixture
def by_the_exchange(account):
    BrokerAccount.objects.filter(pk=account.pk).update(calendar="exchange")
    CalendarYear.objects.all().delete()

    def confirm(year: int, *segments: str) -> None:
        person = User.objects.get_or_create(username="carla")[0]
        for segment in segments:
            CalendarYear.objects.create(
                segment=segment,
                year=year,
                source="circular",
                confirmed_by=person,
                confirmed_at=timezone.now(),
            )

    return confirm


ALL = [name for name, _ in SEGMENTS]


@pytest.mark.parametrize(
    ("day", "years", "expected", "told"),
    [
        ("2026-06-01", {}, Light.RED, "the holidays of 2026 are not confirmed"),
        ("2026-06-01", {2025: ALL}, Light.RED, "2026"),
        ("2026-06-01", {2026: ALL}, Light.GREEN, "2026 is confirmed"),
        ("2026-06-01", {2026: ["NSE_EQ"]}, Light.AMBER, "no entries there"),
        ("2026-12-01", {2026: ALL}, Light.AMBER, "2027 is not confirmed"),
        ("2026-12-31", {2026: ALL, 2027: ALL}, Light.GREEN, "2026 is confirmed"),
    ],
)
def test_the_light_follows_the_confirmed_years(
    account, by_the_exchange, day, years, expected, told
):
    for year, segments in years.items():
        by_the_exchange(year, *segments)
    with time_machine.travel(f"{day}T10:00:00+05:30", tick=True):
        assert light(account, "calendar") is expected
        assert told in reason(account, "calendar")


def test_a_year_that_is_listed_and_not_confirmed_counts_for_nothing(account, by_the_exchange):
    for segment in ALL:
        CalendarYear.objects.create(segment=segment, year=timezone.localdate().year, source="x")
    assert light(account, "calendar") is Light.RED


def test_old_funds_are_shown_and_stop_nothing(account):
    RiskPolicy.objects.create(
        account=account, version=2, **WIDE | {"max_data_age": 60}, reason="x", created_by="x"
    )
    for age, expected in ((50, Light.GREEN), (70, Light.AMBER)):
        at = timezone.now() - ago(seconds=age)
        FundsReport.objects.update_or_create(
            account=account,
            defaults=dict.fromkeys(("available", "utilised", "opening", "collateral"), 1)
            | {"as_of": at},
        )
        PositionsReport.objects.update_or_create(
            account=account, defaults={"as_of": timezone.now(), "mark": 1}
        )
        assert light(account, "funds") is expected
    assert readiness.reasons_against(account) == ()


# --- the list -------------------------------------------------------------------------------


class Fine:
    name = "fine"
    stops = True
    facts: ClassVar[Any] = {"name": F("name"), "seven": Value(7)}

    def look(self, facts: Any, now: dt.datetime) -> Any:
        return green(f"{facts['name']} {facts['seven']}", since=now)


class Foul:
    name = "foul"
    stops = True
    facts: ClassVar[Any] = {}

    def look(self, facts: Any, now: dt.datetime) -> Any:
        return red("it stinks")


class Broken:
    name = "broken"
    stops = True
    facts: ClassVar[Any] = {}

    def look(self, facts: Any, now: dt.datetime) -> Any:
        return green(facts["nothing"])


class Unsure:
    name = "unsure"
    stops = True
    facts: ClassVar[Any] = {}

    def look(self, facts: Any, now: dt.datetime) -> Any:
        return amber("who knows")


class OnlyShown(Broken):
    name = "only shown"
    stops = False


class SaysNothing:
    name = "says nothing of stopping"
    facts: ClassVar[Any] = {}
    look = Fine.look


HERE = "tests.brokers.test_readiness"


def test_what_only_people_need_is_not_asked_by_the_gate_and_is_never_red(account, settings):
    settings.READINESS_CHECKS = [f"{HERE}.Fine", f"{HERE}.OnlyShown"]
    assert readiness.reasons_against(account) == ()
    assert light(account, "only shown") is Light.AMBER


def test_a_check_is_added_by_naming_it(account, settings):
    settings.READINESS_CHECKS = [f"{HERE}.Fine", f"{HERE}.Unsure"]
    assert reason(account, "fine") == f"{account.name} 7"
    assert readiness.reasons_against(account) == ()


def test_a_red_check_is_a_reason_and_a_broken_one_is_red(account, settings):
    settings.READINESS_CHECKS = [f"{HERE}.Foul", f"{HERE}.Broken"]
    assert readiness.reasons_against(account) == (
        "foul: it stinks",
        "broken: could not be worked out (KeyError)",
    )


@pytest.mark.parametrize(
    "paths", [[], ["no.such.Check"], [f"{HERE}.HERE"], [f"{HERE}.light"], [f"{HERE}.SaysNothing"]]
)
def test_an_empty_or_broken_list_stops_entries(account, settings, paths):
    settings.READINESS_CHECKS = paths
    (text,) = readiness.reasons_against(account)
    assert "READINESS_CHECKS" in text


def test_an_account_that_is_gone_takes_no_entries(account):
    account.pk = 10**9
    assert readiness.reasons_against(account) == ("the account is not known",)


def test_the_start_says_that_a_list_is_broken(settings):
    from tradingops.checks import readiness_is_in_force

    assert readiness_is_in_force() == []
    settings.READINESS_CHECKS = []
    (error,) = readiness_is_in_force()
    assert error.id == "desk.E005"


@pytest.mark.parametrize(
    ("mode", "told"), [(0o600, False), (0o640, True), (0o604, True), (0o400, False)]
)
def test_the_start_warns_of_an_environment_file_that_others_can_read(
    settings, tmp_path, mode, told
):
    from tradingops.checks import secrets_are_private

    settings.ENV_FILE = tmp_path / ".env"
    assert secrets_are_private() == []
    settings.ENV_FILE.write_text("SECRET_KEY=x\n")
    settings.ENV_FILE.chmod(mode)
    found = [(one.id, "chmod 600" in one.msg) for one in secrets_are_private()]
    assert found == ([("desk.W003", True)] if told else [])


def test_the_session_row_is_made_once(account):
    assert sessions.session_of(account) == sessions.session_of(account)
    assert session_of(account).failures == 0
