"""The calendar in the desk: what it shows, who may change it, and that every change is kept."""

from __future__ import annotations

import datetime as dt
import re

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.brokers.calendar import market_phase
from apps.brokers.models import (
    BrokerAccount,
    CalendarChange,
    CalendarStamp,
    CalendarYear,
    Holiday,
    SessionRule,
)
from apps.desk.forms import PlaceForm
from tests.brokers.calendar_facts import ist, seed_rows
from tests.desk.sockets import signed_in
from tests.desk.test_place_page import confirm_page, filled_in, olivia  # noqa: F401 - fixtures
from tests.people.conftest import adam, rita, tara, viewer  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/admin/calendar/"
NEW_HOLIDAY = reverse("admin:brokers_holiday_add")
NEW_RULE = reverse("admin:brokers_sessionrule_add")


@pytest.fixture
def rows(adam):  # noqa: F811
    seed_rows(adam, 2026)


def text_of(person, address):
    with time_machine.travel(ist("2026-11-23 15:16"), tick=False):
        answer = signed_in(person).get(address)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


# --- seeing -------------------------------------------------------------------------------------


def test_every_segment_is_shown_as_it_is_now(rows, viewer):  # noqa: F811
    page = text_of(viewer, PAGE)
    assert "NSE_EQ is open until 15:30 IST" in page
    assert "MCX_COMM is open (internationally linked, not agricultural) until 23:55 IST" in page


def test_a_day_is_shown_phase_by_phase_with_its_sources(rows, viewer):  # noqa: F811
    page = text_of(viewer, f"{PAGE}?day=2026-08-03")
    assert "NSE_EQ shares with derivatives 15:15–15:20 CLOSING_AUCTION" in page
    assert "CMTR74466" in page
    assert "may end at random from 15:28" in page
    assert "NSE_FNO 09:15–15:40 OPEN" in page


def test_a_holiday_is_shown_with_its_name_and_an_unknown_day_as_unknown(rows, viewer):  # noqa: F811
    assert "CLOSED holiday: Guru Nanak" in text_of(viewer, f"{PAGE}?day=2026-11-24")
    assert "UNKNOWN the hours of Muhurat trading" in text_of(viewer, f"{PAGE}?day=2026-11-08")


def test_a_day_of_an_unconfirmed_year_is_shown_as_what_would_be(rows, viewer):  # noqa: F811
    page = text_of(viewer, f"{PAGE}?day=2027-01-04")
    assert "NSE_FNO NOT CONFIRMED 09:15–15:40 OPEN" in page


def test_the_years_list_joins_segments_and_names_sources(rows, viewer):  # noqa: F811
    page = text_of(viewer, PAGE)
    assert "Guru Nanak Closed all day BSE_CURRENCY, BSE_EQ, BSE_FNO, NSE_CURRENCY" in page
    assert "Guru Nanak Morning closed, opens 17:00 MCX_COMM" in page
    assert "hours not announced" in page


@pytest.mark.parametrize(
    "query", ["?day=nonsense", "?day=9999-99-99", "?year=x", "?year=0", "?year=99999999"]
)
def test_nonsense_in_the_address_shows_today(rows, viewer, query):  # noqa: F811
    assert "Lists of 2026" in text_of(viewer, f"{PAGE}{query}")


# --- confirming ---------------------------------------------------------------------------------


def confirmation(**different):
    stamp = CalendarStamp.objects.get().value
    form = {"year": 2026, "segments": ["NSE_EQ", "NSE_FNO"], "stamp": stamp, "compared": "on"}
    return form | different


@pytest.fixture
def unconfirmed(adam):  # noqa: F811
    seed_rows(adam)


def confirmed():
    rows = CalendarYear.objects.exclude(confirmed_at=None)
    return {(row.segment, row.year, row.confirmed_by.username) for row in rows}


def test_a_person_confirms_a_year_and_the_market_counts_as_known(unconfirmed, adam):  # noqa: F811
    assert market_phase("NSE_EQ", "1", ist("2026-11-23 10:00")).phase == "UNKNOWN"
    answer = signed_in(adam).post(f"{PAGE}confirm/", confirmation())
    assert answer.status_code == 302
    assert confirmed() == {("NSE_EQ", 2026, "adam"), ("NSE_FNO", 2026, "adam")}
    assert market_phase("NSE_EQ", "1", ist("2026-11-23 10:00")).phase == "OPEN"
    day = Holiday.objects.get(segment="NSE_EQ", date="2026-11-24")
    assert day.confirmed_by.username == "adam"
    change = CalendarChange.objects.first()
    assert (change.what, change.actor) == ("calendar year", "adam")


def test_nobody_confirms_without_comparing_or_what_has_changed_meanwhile(
    unconfirmed,
    adam,  # noqa: F811
):
    client, form = signed_in(adam), confirmation()
    Holiday.objects.create(segment="NSE_EQ", date="2026-12-01", name="x", source="y")
    late = client.post(f"{PAGE}confirm/", form)
    assert "The calendar has changed since you looked" in late.content.decode()
    form = confirmation()
    del form["compared"]
    assert "Say that you have compared it" in client.post(f"{PAGE}confirm/", form).content.decode()
    assert confirmed() == set()


def test_an_empty_list_cannot_be_confirmed(unconfirmed, adam):  # noqa: F811
    Holiday.objects.filter(segment="NSE_EQ").delete()
    page = signed_in(adam).post(f"{PAGE}confirm/", confirmation(segments=["NSE_EQ"]))
    assert "The list of NSE_EQ 2026 is empty" in page.content.decode()
    assert confirmed() == set()


def test_a_confirmation_can_be_taken_back(rows, adam):  # noqa: F811
    form = {"year": 2026, "segments": ["NSE_EQ"]}
    assert signed_in(adam).post(f"{PAGE}withdraw/", form).status_code == 302
    assert market_phase("NSE_EQ", "1", ist("2026-11-23 10:00")).phase == "UNKNOWN"
    assert market_phase("NSE_FNO", "1", ist("2026-11-23 10:00")).phase == "OPEN"


def test_nothing_changes_on_get_or_without_a_token(rows, adam):  # noqa: F811
    for name in ("confirm", "withdraw", "import"):
        assert signed_in(adam).get(f"{PAGE}{name}/").status_code == 405
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(adam)
        assert strict.post(f"{PAGE}{name}/", {}).status_code == 403


@pytest.mark.parametrize("who", ["viewer", "tara", "rita"])
def test_only_administrators_change_the_calendar(rows, who, request):
    client = signed_in(request.getfixturevalue(who))
    assert client.get(PAGE).status_code == 200
    assert "Import a list" not in client.get(PAGE).content.decode()
    for name in ("confirm", "withdraw", "import"):
        assert client.post(f"{PAGE}{name}/", confirmation()).status_code == 403
    holiday, rule = Holiday.objects.first(), SessionRule.objects.first()
    for address in (
        NEW_HOLIDAY,
        NEW_RULE,
        reverse("admin:brokers_holiday_change", args=[holiday.pk]),
        reverse("admin:brokers_sessionrule_change", args=[rule.pk]),
        reverse("admin:brokers_holiday_delete", args=[holiday.pk]),
    ):
        assert client.post(address, {}).status_code == 403
    assert not CalendarChange.objects.exists()


# --- importing ----------------------------------------------------------------------------------


def upload(client, text, **more):
    file = SimpleUploadedFile("list.csv", text.encode())
    return client.post(f"{PAGE}import/", {"file": file} | more)


def test_a_list_is_imported_on_the_page(rows, adam):  # noqa: F811
    answer = upload(
        signed_in(adam), "segments,date,name\nNSE_EQ,2027-01-26,Republic Day\n", source="CMTR9"
    )
    assert answer["Location"] == f"{PAGE}?year=2027"
    day = Holiday.objects.get(date="2027-01-26")
    assert (day.source, day.confirmed_by.username) == ("CMTR9", "adam")
    assert CalendarYear.objects.get(year=2027).confirmed_at is None


def test_a_bad_list_is_refused_on_the_page_line_by_line(rows, adam):  # noqa: F811
    page = upload(
        signed_in(adam), "segments,date,name,source\nNSE_EQ,2027-01-26,x,s\nNSE,2027-02-30,,\n"
    ).content.decode()
    assert "Nothing was stored." in page
    assert "line 3: segments:" in page
    assert not Holiday.objects.filter(date__year=2027).exists()


# --- editing in the admin ----------------------------------------------------------------------


def test_a_holiday_is_declared_for_several_segments_at_once(rows, adam):  # noqa: F811
    form = {
        "segments": ["NSE_EQ", "NSE_FNO", "BSE_EQ"],
        "date": "2026-11-26",
        "kind": "CLOSED",
        "name": "Election",
        "source": "CMTR2 of 25 Nov 2026",
    }
    answer = signed_in(adam).post(NEW_HOLIDAY, form)
    assert answer.status_code == 302, answer.content.decode()[:3000]
    days = Holiday.objects.filter(date="2026-11-26")
    assert {day.segment for day in days} == {"NSE_EQ", "NSE_FNO", "BSE_EQ"}
    assert {day.confirmed_by.username for day in days} == {"adam"}
    assert market_phase("BSE_EQ", "1", ist("2026-11-26 10:00")).phase == "CLOSED"
    assert CalendarChange.objects.filter(what="holiday", user__username="adam").count() == 3
    again = signed_in(adam).post(NEW_HOLIDAY, form)
    assert "This day is there already for" in again.content.decode()


def test_a_holiday_is_changed_and_deleted_with_a_history(rows, adam):  # noqa: F811
    client = signed_in(adam)
    day = Holiday.objects.get(segment="NSE_EQ", date="2026-11-24")
    change = reverse("admin:brokers_holiday_change", args=[day.pk])
    form = {"date": "2026-11-25", "kind": "CLOSED", "name": "Guru Nanak", "source": "moved"}
    assert client.post(change, form).status_code == 302
    assert market_phase("NSE_EQ", "1", ist("2026-11-24 10:00")).phase == "OPEN"
    assert market_phase("NSE_EQ", "1", ist("2026-11-25 10:00")).phase == "CLOSED"
    kept = CalendarChange.objects.first()
    assert (kept.before["date"], kept.after["date"]) == ("2026-11-24", "2026-11-25")
    assert client.get(change).status_code == 200
    occupied = client.post(change, form | {"date": "2026-12-25"})
    assert "This day is there already" in occupied.content.decode()
    delete = reverse("admin:brokers_holiday_delete", args=[day.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 302
    assert CalendarChange.objects.first().before["name"] == "Guru Nanak"
    assert CalendarChange.objects.first().after == {}


def rule_form(**different):
    form = {
        "segment": "NSE_EQ",
        "phase": "AFTER_MARKET",
        "applies_to": "EVERYTHING",
        "weekdays": ["1", "2", "3", "4", "5", "6", "7"],
        "opens": "16:00:00",
        "closes": "00:00:00",
        "order_types": ["LIMIT"],
        "valid_from": "2026-11-01",
        "source": "the broker's page on after-market orders",
    }
    return form | different


def test_a_rule_is_written_and_counts_at_once(rows, adam):  # noqa: F811
    client = signed_in(adam)
    assert market_phase("NSE_EQ", "1", ist("2026-11-22 20:00")).after_market is None
    answer = client.post(NEW_RULE, rule_form())
    assert answer.status_code == 302, answer.content.decode()[:3000]
    assert market_phase("NSE_EQ", "1", ist("2026-11-22 20:00")).after_market == {"LIMIT"}
    rule = SessionRule.objects.get(phase="AFTER_MARKET")
    assert rule.weekdays == "1234567"
    change = reverse("admin:brokers_sessionrule_change", args=[rule.pk])
    assert 'value="7" id="id_weekdays_6" checked' in _tidy(client.get(change))
    ended = client.post(change, rule_form(valid_to="2026-11-21"))
    assert ended.status_code == 302
    assert market_phase("NSE_EQ", "1", ist("2026-11-22 20:00")).after_market is None
    assert CalendarChange.objects.first().after == {"valid_to": "2026-11-21"}


def _tidy(answer):
    return re.sub(r'class="[^"]*"\s*', "", re.sub(r"\s+", " ", answer.content.decode()))


def test_a_rule_that_contradicts_another_is_refused_with_the_day(rows, adam):  # noqa: F811
    form = rule_form(phase="OPEN", opens="09:15:00", closes="15:45:00")
    page = signed_in(adam).post(NEW_RULE, form).content.decode()
    assert "Another rule says something else." in page
    assert not CalendarChange.objects.exists()


@pytest.mark.parametrize("model", ["calendaryear", "calendarchange"])
def test_years_and_history_are_not_edited_in_the_admin(rows, adam, model):  # noqa: F811
    client = signed_in(adam)
    assert client.get(reverse(f"admin:brokers_{model}_changelist")).status_code == 200
    assert client.get(reverse(f"admin:brokers_{model}_add")).status_code == 403
    row = CalendarYear.objects.get(segment="NSE_EQ", year=2026)
    page = client.get(reverse("admin:brokers_calendaryear_change", args=[row.pk]))
    assert page["Location"] == f"{PAGE}?year=2026"


# --- an account says whose hours it follows, and the order form what the market says ------------


def test_the_accounts_page_says_that_it_is_always_open(account, adam):  # noqa: F811
    client = signed_in(adam)
    page = client.get(reverse("admin:brokers_brokeraccount_changelist")).content.decode()
    assert "Always open (simulated exchange)" in page
    change = reverse("admin:brokers_brokeraccount_change", args=[account.pk])
    form = {
        "name": account.name,
        "broker": "dhan",
        "client_id": "1",
        "rest_url": "https://api.dhan.co/v2",
        "feed_url": "wss://api-order-update.dhan.co",
        "stamp_zone": "Asia/Kolkata",
        "calendar": "always_open",
        "bracket_style": "AUTOMATIC",
        "enabled": "on",
    }
    refused = client.post(change, form)
    assert "A live account follows the exchange" in refused.content.decode()
    assert client.post(change, form | {"calendar": "exchange"}).status_code == 302


def test_the_form_says_that_the_market_is_closed_and_when_it_opens(
    rows,
    operator,
    filled_in,  # noqa: F811
    account,
):
    BrokerAccount.objects.filter(pk=account.pk).update(calendar="exchange")
    with time_machine.travel(ist("2026-11-24 10:00"), tick=False):
        client = signed_in(operator)
        page = confirm_page(client, filled_in)
        found = client.get(f"/admin/place/instruments/?q=RELI&account={account.pk}").json()
    said = "NSE_EQ is closed (holiday: Guru Nanak); opens Wed 25 Nov 2026 09:15 IST"
    assert said in page
    assert "would be denied" in page
    assert found["instruments"][0]["market"] == said


def test_the_form_says_that_a_simulated_exchange_is_open(olivia, filled_in):  # noqa: F811
    page = confirm_page(olivia, filled_in)
    assert "open at any hour: a simulated exchange" in page
    assert "would be denied" not in page
    page = confirm_page(olivia, filled_in | {"after_market": "on"})
    assert "takes no after-market orders" in page


def test_the_form_asks_for_after_market_orders_explicitly(olivia, filled_in):  # noqa: F811
    for given, meant in (({}, False), ({"after_market": "on"}, True)):
        form = PlaceForm(filled_in | given)
        assert form.is_valid()
        assert form.wanted().after_market is meant


def test_the_suggestions_without_an_account_say_nothing_of_the_market(olivia, reliance):  # noqa: F811
    for account in ("", "x", "999999"):
        found = olivia.get(f"/admin/place/instruments/?q=RELI&account={account}").json()
        assert found["instruments"][0]["market"] == ""


def test_the_days_of_the_page_are_indian(rows, viewer):  # noqa: F811
    with time_machine.travel(dt.datetime(2026, 11, 23, 20, 0, tzinfo=dt.UTC), tick=False):
        page = signed_in(viewer).get(PAGE).content.decode()
    assert "Tuesday, 24 Nov 2026" in page
