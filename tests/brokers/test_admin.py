"""The admin takes tokens and shows none; identities and histories do not change."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.brokers.journal import open_call
from apps.brokers.models import Instrument, Verb, WireCall
from apps.brokers.pages import CappedPaginator
from tests.brokers.conftest import TOKEN


@pytest.fixture
def account(at: Any) -> Any:
    return at("http://127.0.0.1:9/v2")


@pytest.fixture
def used(account: Any) -> Any:
    open_call(account, Verb.READ, "funds", budget="READ", request={"a": 1})
    return account


def change_page(account: Any) -> str:
    return reverse("admin:brokers_brokeraccount_change", args=[account.pk])


def form_of(account: Any, **different: str) -> dict[str, str]:
    return {
        "name": account.name,
        "broker": "dhan",
        "client_id": account.client_id,
        "rest_url": account.rest_url,
        "feed_url": account.feed_url,
        "stamp_zone": "Asia/Kolkata",
        "calendar": "exchange",
        "bracket_style": "AUTOMATIC",
        "enabled": "on",
    } | different


def test_the_pages_never_show_a_token(admin_client: Client, used: Any) -> None:
    for page in (
        reverse("admin:brokers_brokeraccount_changelist"),
        reverse("admin:brokers_wirecall_changelist"),
        reverse("admin:brokers_wirecall_change", args=[used.wire_calls.get().pk]),
        reverse("admin:brokers_instrument_changelist"),
        change_page(used),
    ):
        answer = admin_client.get(page)
        assert answer.status_code == 200
        assert TOKEN not in answer.content.decode()


def test_the_account_shows_how_much_of_the_rate_limits_is_used(
    admin_client: Client, account: Any
) -> None:
    for _ in range(7):
        open_call(account, Verb.READ, "x", budget="ORDER")
    open_call(account, Verb.READ, "funds", budget="READ")
    with CaptureQueriesContext(connection) as asked:
        page = admin_client.get(change_page(account)).content.decode()
    shown = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for row in (
        "Order calls in a second entries wait 7 10 7 9 1",
        "Order calls in a minute 7 250 175 225 25",
        "Order calls in an hour 7 1000 700 900 100",
        "Order calls in a day 7 7000 4900 6300 700",
        "Reads in a second 1 20 14 – 6",
        "Quotes in 2 seconds 0 1 – – –",
    ):
        assert row in shown, row
    assert 'aria-label="Order calls in a minute: 7 of 250 used"' in page
    counts = [one for one in asked.captured_queries if "count(*) FILTER" in one["sql"]]
    assert len(counts) == 3


def test_a_new_account_has_no_calls_to_show(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:brokers_brokeraccount_add")).content.decode()
    assert page.count("shown after saving") == 2


def test_a_written_token_is_put_in_force(admin_client: Client, account: Any) -> None:
    answer = admin_client.post(change_page(account), form_of(account, token=" brand-new-token "))
    assert answer.status_code == 302
    assert account.token().value == "brand-new-token"
    assert account.tokens.count() == 2


def test_saving_without_a_token_keeps_the_old_one(admin_client: Client, account: Any) -> None:
    assert admin_client.post(change_page(account), form_of(account)).status_code == 302
    assert account.token().value == TOKEN


def test_a_bad_token_is_refused_and_not_shown_again(admin_client: Client, account: Any) -> None:
    answer = admin_client.post(change_page(account), form_of(account, token="two strange words"))
    assert answer.status_code == 200
    assert "two strange words" not in answer.content.decode()
    assert account.token().value == TOKEN


def test_an_expiry_without_a_token_is_refused(admin_client: Client, account: Any) -> None:
    form = form_of(account, token_expires_0="2036-01-01", token_expires_1="08:00")
    answer = admin_client.post(change_page(account), form)
    assert "Write the token" in answer.content.decode()


def test_a_person_leaves_all_brackets_to_the_desk(admin_client: Client, account: Any) -> None:
    page = admin_client.get(change_page(account)).content.decode()
    assert "Always by the desk" in page
    assert "while the desk is down" in page
    admin_client.post(change_page(account), form_of(account, bracket_style="MANAGED"))
    account.refresh_from_db()
    assert account.bracket_style == "MANAGED"


def test_the_identity_is_fixed_by_the_first_call(admin_client: Client, used: Any) -> None:
    page = admin_client.get(change_page(used)).content.decode()
    assert 'name="client_id"' not in page
    admin_client.post(change_page(used), form_of(used, client_id="999"))
    used.refresh_from_db()
    assert used.client_id != "999"


def test_a_used_account_cannot_be_deleted(admin_client: Client, used: Any) -> None:
    page = reverse("admin:brokers_brokeraccount_delete", args=[used.pk])
    assert admin_client.post(page, {"post": "yes"}).status_code == 403


def test_the_journal_cannot_be_changed(admin_client: Client, used: Any) -> None:
    call = used.wire_calls.get()
    assert admin_client.get(reverse("admin:brokers_wirecall_add")).status_code == 403
    change = reverse("admin:brokers_wirecall_change", args=[call.pk])
    assert admin_client.post(change, {"text": "x"}).status_code == 403
    delete = reverse("admin:brokers_wirecall_delete", args=[call.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403


def test_the_journal_is_found_by_an_id_in_full(admin_client: Client, used: Any) -> None:
    page = reverse("admin:brokers_wirecall_changelist")
    WireCall.objects.update(broker_order_id="112233")
    assert "funds" in admin_client.get(page, {"q": "112233"}).content.decode()
    assert "0 results" in admin_client.get(page, {"q": "1122"}).content.decode()


def test_the_journal_list_needs_few_queries(
    admin_client: Client, used: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        open_call(used, Verb.READ, "funds", budget="READ")
    with django_assert_max_num_queries(15):
        admin_client.get(reverse("admin:brokers_wirecall_changelist"))


def test_an_instrument_can_only_be_switched(admin_client: Client, account: Any) -> None:
    instrument = Instrument.objects.create(
        segment="NSE_EQ",
        security_id="1",
        symbol="A",
        kind="EQUITY",
        lot_size=1,
        tick_size="0.05",
    )
    page = reverse("admin:brokers_instrument_change", args=[instrument.pk])
    admin_client.post(page, {"lot_size": "50", "blocked": "on"})
    instrument.refresh_from_db()
    assert (instrument.lot_size, instrument.blocked, instrument.tradable) == (1, True, False)
    admin_client.post(page, {})
    instrument.refresh_from_db()
    assert (instrument.blocked, instrument.tradable) == (False, True)


def test_counting_stops_at_the_cap(account: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.brokers.pages.MOST_ROWS", 3)
    for _ in range(5):
        open_call(account, Verb.READ, "funds", budget="READ")
    assert CappedPaginator(WireCall.objects.all(), 2).count == 3
    assert CappedPaginator([1, 2], 2).count == 2
