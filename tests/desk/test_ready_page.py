"""The board: which accounts take entries, why the others do not, and what mends them."""

from __future__ import annotations

import datetime as dt
import html
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.alerts.models import Heartbeat
from apps.alerts.raising import sign_of_life
from apps.brokers.models import AccessToken, BrokerAccount, InstrumentImport
from apps.desk import ready
from apps.orders.models import BooksRun
from apps.people import roles
from apps.risk import switch
from tests.desk.sockets import signed_in
from tests.people.conftest import member
from tradingops import settings as house_settings

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/admin/ready/"


@pytest.fixture
def house(settings, account):
    """All checks, and everything right."""
    settings.READINESS_CHECKS = house_settings.READINESS_CHECKS
    InstrumentImport.objects.create(broker="dhan", source="x", outcome="APPLIED")
    sign_of_life(f"feed:{account.name}")
    agreed(account)
    return account


@pytest.fixture
def victor():
    return member("victor", roles.VIEWER)


def page_of(user, address=URL):
    return html.unescape(signed_in(user).get(address).content.decode())


def line(page, check):
    return re.search(rf'<tr data-check="{check}">.*?</tr>', page, re.DOTALL)[0]


def agreed(account, **columns):
    now = timezone.now()
    fields = {"began_at": now, "agreed_at": now} | columns
    BooksRun.objects.update_or_create(account=account, defaults=fields)


def unread(account):
    agreed(account, agreed_at=timezone.now() - dt.timedelta(minutes=5), failed="trade book")


def silent(part, account):
    at = timezone.now() - dt.timedelta(minutes=5)
    Heartbeat.objects.filter(name=f"{part}:{account.name}").update(at=at)


def old_instruments(account):
    with connection.cursor() as cursor:  # history is append-only: only its owner may lie
        cursor.execute("ALTER TABLE brokers_instrumentimport DISABLE TRIGGER USER")
        cursor.execute("UPDATE brokers_instrumentimport SET at = at - interval '2 days'")
        cursor.execute("ALTER TABLE brokers_instrumentimport ENABLE TRIGGER USER")


def without_year(account):
    BrokerAccount.objects.filter(pk=account.pk).update(calendar="exchange")


BREAKS = {
    "token": (
        lambda account: AccessToken.objects.update(retired_at=timezone.now()),
        "There is no access token",
        "/session/",
    ),
    "instruments": (old_instruments, "today's is missing", "/instrumentimport/"),
    "calendar": (without_year, "are not confirmed", "/admin/calendar/"),
    "order feed": (lambda account: silent("feed", account), "Silent", "/admin/health/"),
    "books": (unread, "trade book cannot be read", "/wirecall/"),
}


def test_everything_right_is_one_green_line(house, victor):
    page = page_of(victor)
    assert "Every account takes entries" in page
    assert "Takes entries" in page
    assert "desk-tone-alarm" not in page


@pytest.mark.parametrize("check", BREAKS)
def test_what_breaks_is_red_with_its_reason_and_a_way_to_mend_it(house, victor, check):
    do, reason, way = BREAKS[check]
    do(house)
    page = page_of(victor)
    assert "No account takes entries" in page
    assert f"No entries: {check}" in page
    row = line(page, check)
    assert ">Red<" in row
    assert reason in row
    assert way in row
    assert page.count(">Red<") == 1
    start = page_of(victor, "/admin/")
    assert "paper-one takes no entries" in start
    assert "Not ready" in start


def test_a_halt_is_said_apart_from_what_is_broken(house, victor):
    switch.halt("paper-one", "lunch", "rita")
    page = page_of(victor)
    assert "No entries: paper-one is halted" in page
    assert ">Red<" not in page
    (board,) = ready.boards()
    assert (board.ready, board.reds, board.tone) == (False, [], "wait")


def test_a_live_account_that_is_not_armed_takes_no_entries(house, victor, settings):
    BrokerAccount.objects.update(rest_url="https://api.broker.invalid/v2", calendar="exchange")
    (board,) = ready.boards()
    assert board.account.environment == "live"
    assert board.closed == ("live trading is switched off",)
    settings.LIVE_TRADING = True
    assert ready.boards()[0].closed == ("not armed",)


def test_those_that_take_no_entries_come_first(house, make_other, victor):
    sign_of_life("feed:zeta")
    agreed(make_other("zeta", "token-z"))
    make_other("beta", "")
    assert [board.account.name for board in ready.boards()] == ["beta", "paper-one", "zeta"]
    page = page_of(victor)
    assert "2 of 3 accounts take entries" in page


@pytest.fixture
def make_other(account):
    def make(name, token):
        other = BrokerAccount.objects.create(
            name=name,
            broker="dhan",
            client_id=name,
            rest_url="http://127.0.0.1:9/v2",
            feed_url="ws://127.0.0.1:9",
            calendar="always_open",
        )
        switch.equip(other)
        if token:
            AccessToken.put_in_force(other, token)
        return other

    return make


def test_a_disabled_account_is_not_on_the_board(house, victor):
    BrokerAccount.objects.update(enabled=False)
    assert "No account is enabled" in page_of(victor)


def test_a_broken_list_of_checks_is_red(house, victor, settings):
    settings.READINESS_CHECKS = []
    page = page_of(victor)
    assert "READINESS_CHECKS" in page
    assert "No account takes entries" in page


def test_the_number_of_queries_does_not_grow_with_the_accounts(house, make_other):
    ready.boards()
    with CaptureQueriesContext(connection) as few:
        ready.boards()
    for number in range(5):
        make_other(f"more-{number}", f"token-{number}")
    with CaptureQueriesContext(connection) as many:
        ready.boards()
    assert len(many) == len(few) <= 3


def test_markets_are_shown_to_those_who_follow_the_exchange(house, victor):
    assert "Markets now" not in page_of(victor)
    without_year(house)
    page = page_of(victor)
    assert "Markets now" in page
    assert "MCX_COMM" in page


def test_who_may_not_see_accounts_may_not_see_the_board(house, stranger, client):
    assert signed_in(stranger).get(URL).status_code == 403
    assert client.get(URL).status_code == 302
    assert signed_in(stranger).post(URL).status_code in {403, 405}


def test_the_page_asks_again_for_its_rows_alone(house, victor):
    rows = page_of(victor, f"{URL}?rows=1")
    assert "<html" not in rows
    assert "Every account takes entries" in rows
