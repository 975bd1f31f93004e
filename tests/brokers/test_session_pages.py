"""Pages of a session: what is shown, who may ask, and a login in a browser from end to end."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.brokers import logins, sessions, totp
from apps.brokers.locks import turn_if_free
from apps.brokers.models import AccessToken, Consent, LoginCredentials, WireCall
from apps.brokers.port import ReadFailed
from apps.brokers.reporting import reports_of
from tests.brokers.asking import APP_ID, APP_SECRET, PIN, SECRETS, TOTP_SECRET, asked, ends_in
from tests.brokers.test_admin import form_of
from tests.orders.telling import OnTheSide
from tests.people.conftest import entered, member

pytestmark = pytest.mark.django_db(transaction=True)
CLIENT = "1000000001"
CALLBACK = reverse("admin:brokers_brokeraccount_consent")


@pytest.fixture(autouse=True)
def codes_to_the_last_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totp, "LATE", 0)


def address(account: Any, page: str = "session") -> str:
    return reverse(f"admin:brokers_brokeraccount_{page}", args=[account.pk])


def text_of(answer: Any) -> str:
    return answer.content.decode()


def press(client: Client, account: Any, way: str) -> str:
    answer = client.post(address(account, "ask"), {"way": way}, follow=True)
    assert answer.status_code == 200
    return text_of(answer)


def works(account: Any) -> bool:
    try:
        reports_of(account, retries=False).order_book()
    except ReadFailed:
        return False
    return True


@pytest.fixture
def written(account: Any, exchange: Any) -> LoginCredentials:
    values = dict(zip(logins.SECRETS, (PIN, TOTP_SECRET, APP_ID, APP_SECRET), strict=True))
    return logins.store_login(account, exchange.url, values)


# --- looking --------------------------------------------------------------------------------


def test_the_page_shows_life_readiness_and_what_was_asked(admin_client, account, written):
    ends_in(account, hours=5)
    sessions.address_refused(account, "DH-905: Invalid IP")
    page = text_of(admin_client.get(address(account)))
    assert "in force until" in page
    assert "takes no orders from our address" in page
    assert "stored by a person" in page
    assert "Log in with PIN and TOTP" in page
    assert "Never." in page
    assert "http://testserver/admin/brokers/brokeraccount/consent/" in page


def test_the_account_page_shows_the_same_lights_and_leads_there(admin_client, account):
    page = text_of(admin_client.get(address(account, "change")))
    assert "how long it lives is not known" in page
    assert "never measured" in page
    assert address(account) in page


def test_looking_changes_nothing_and_asks_nobody(admin_client, account, written, exchange):
    for page in (address(account), address(account, "login"), CALLBACK, address(account, "change")):
        assert admin_client.get(page).status_code == 200
    assert admin_client.get(address(account, "ask")).status_code == 405
    assert not WireCall.objects.exists()
    assert account.tokens.count() == 1


def test_no_page_shows_a_secret(admin_client, account, written):
    press(admin_client, account, "login")
    token = str(account.token().value)
    for page in ("session", "login", "change"):
        shown = text_of(admin_client.get(address(account, page)))
        for secret in (*SECRETS, token, "token-1"):
            assert secret not in shown


# --- asking ---------------------------------------------------------------------------------


def test_a_token_is_renewed_by_a_button(admin_client, account):
    assert "The new token is in force until" in press(admin_client, account, "renew")
    assert WireCall.objects.get(verb="TOKEN").request == {"by": "admin"}
    assert "<td>admin</td>" in text_of(admin_client.get(address(account)))
    assert account.token().source == "RENEWED"
    assert works(account)


def test_a_login_by_a_button(admin_client, account, written):
    assert "The new token is in force until" in press(admin_client, account, "login")
    assert "and the next comes in" in press(admin_client, account, "login")
    assert account.token().source == "LOGIN"


def test_why_nothing_came_of_it_is_said(admin_client, account, written, exchange):
    exchange.control("login", client_id=CLIENT, pin="445566")
    assert "There is no new token: the broker gave no token: Invalid Pin" in press(
        admin_client, account, "login"
    )
    page = text_of(admin_client.get(address(account)))
    assert "Logins are stopped since" in page
    assert "way: must be" in press(admin_client, account, "magic")


@pytest.mark.parametrize("page", ["ask", "login"])
def test_a_person_without_the_right_may_look_and_not_ask(account, exchange, page):
    viewer = entered(member("vera", "viewer"))
    shown = text_of(viewer.get(address(account)))
    assert "ready for entries?" in shown
    assert "Renew it" not in shown
    assert viewer.post(address(account, page), {"way": "renew"}).status_code == 403
    assert viewer.get(CALLBACK).status_code == 403
    assert asked(exchange, "renew") == 0


# --- what a login takes ---------------------------------------------------------------------


def test_secrets_are_stored_encrypted_and_the_page_says_only_that_they_are(admin_client, account):
    values = {"auth_url": "http://127.0.0.1:9", "pin": PIN, "totp_secret": TOTP_SECRET}
    answer = admin_client.post(address(account, "login"), values, follow=True)
    assert "Stored, encrypted." in text_of(answer)
    assert LogEntry.objects.get().change_message == "What a login takes was written."
    login = LoginCredentials.objects.get()
    assert (login.pin, login.totp_secret) == (PIN, TOTP_SECRET)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pin, totp_secret FROM brokers_logincredentials")
        raw = str(cursor.fetchone())
    assert PIN not in raw
    assert TOTP_SECRET not in raw
    assert text_of(admin_client.get(address(account, "login"))).count("Stored. Empty keeps it") == 2


def test_empty_keeps_and_a_dash_forgets(admin_client, account, written, exchange):
    values = {"auth_url": exchange.url, "pin": "", "app_id": "-", "app_secret": "-"}
    admin_client.post(address(account, "login"), values)
    login = LoginCredentials.objects.get()
    assert (login.pin, login.totp_secret) == (PIN, TOTP_SECRET)
    assert (login.app_id, login.app_secret) == ("", "")


@pytest.mark.parametrize(
    ("different", "field"),
    [
        ({"pin": "12ab"}, "A PIN is"),
        ({"totp_secret": "not base32!"}, "beside its QR code"),
        ({"totp_secret": "JBSW"}, "beside its QR code"),
        ({"totp_secret": ""}, "The two belong together"),
        ({"app_id": "only-this"}, "The two belong together"),
        ({"app_id": "two words", "app_secret": "x"}, "One word"),
        ({"auth_url": ""}, "Where tokens come from"),
        ({"auth_url": "https://auth.dhan.co"}, "at this machine only"),
        ({"auth_url": "nonsense"}, "valid URL"),
    ],
)
def test_what_cannot_be_right_is_refused_by_field_and_not_shown(
    admin_client, account, different, field
):
    good = {"auth_url": "http://127.0.0.1:9", "pin": PIN, "totp_secret": TOTP_SECRET}
    shown = text_of(admin_client.post(address(account, "login"), good | different))
    assert field in shown
    assert PIN not in shown
    assert not LoginCredentials.objects.exists()


def test_a_live_account_sends_its_secrets_over_tls_to_somebody_else(admin_client, account):
    type(account).objects.filter(pk=account.pk).update(
        rest_url="https://api.dhan.co/v2", calendar="exchange"
    )
    good = {"pin": PIN, "totp_secret": TOTP_SECRET}
    for wrong in ("http://auth.dhan.co", "http://127.0.0.1:9", "https://127.0.0.1:9"):
        answer = admin_client.post(address(account, "login"), good | {"auth_url": wrong})
        assert "Must start with https://" in text_of(answer)
    admin_client.post(address(account, "login"), good | {"auth_url": "https://auth.dhan.co"})
    assert LoginCredentials.objects.get().auth_url == "https://auth.dhan.co"


def test_another_address_wants_every_secret_anew(admin_client, account, written):
    moved = {"auth_url": "http://127.0.0.1:9"}
    shown = text_of(admin_client.post(address(account, "login"), moved))
    assert shown.count("write this again") == 4
    written.refresh_from_db()
    assert written.auth_url != moved["auth_url"]


def test_new_secrets_let_stopped_logins_go_on(admin_client, account, written, exchange):
    LoginCredentials.objects.update(stopped_at=timezone.now(), stopped_text="Invalid Pin")
    values = {"auth_url": exchange.url, "pin": PIN}
    admin_client.post(address(account, "login"), values)
    assert LoginCredentials.objects.get().stopped_at is None


# --- the login in a browser -----------------------------------------------------------------


def at_the_broker(answer: Any) -> str:
    """Press the broker's button; the address that it sends the browser back to."""
    assert answer.status_code == 302
    back = requests.post(answer.headers["Location"], timeout=5, allow_redirects=False)
    assert back.status_code == 302, back.text
    return str(back.headers["Location"])


def back_at(location: str) -> dict[str, str]:
    parts = urlsplit(location)
    assert parts.path == CALLBACK
    return {name: values[0] for name, values in parse_qs(parts.query).items()}


@pytest.fixture
def registered(written: Any, exchange: Any) -> None:
    url = f"http://testserver{CALLBACK}"
    exchange.control("login", client_id=CLIENT, redirect_url=url)


def begin(client: Client, account: Any) -> Any:
    return client.post(address(account, "ask"), {"way": "browser"})


def test_a_login_in_the_browser_from_end_to_end(admin_client, account, registered, exchange):
    query = back_at(at_the_broker(begin(admin_client, account)))
    page = text_of(admin_client.get(CALLBACK, query))
    assert "The broker has let you in for the account <b>alpha</b>" in page
    assert account.token().value == "token-1", "looking completes nothing"
    done = text_of(admin_client.post(CALLBACK, query, follow=True))
    assert "The new token is in force until" in done
    assert account.token().source == "CONSENT"
    assert works(account)
    assert asked(exchange, "consume_consent") == 1


def test_it_is_completed_once(admin_client, account, registered, exchange):
    query = back_at(at_the_broker(begin(admin_client, account)))
    admin_client.post(CALLBACK, query)
    again = text_of(admin_client.post(CALLBACK, query))
    assert "completed already" in again
    assert asked(exchange, "consume_consent") == 1


def test_an_answer_that_nobody_here_has_begun_is_turned_away(
    admin_client, account, registered, exchange
):
    for method in (admin_client.get, admin_client.post):
        assert "not begun by you" in text_of(method(CALLBACK, {"tokenId": "stolen"}))
    assert asked(exchange, "consume_consent") == 0


def test_another_persons_browser_cannot_complete_it(admin_client, account, registered, exchange):
    query = back_at(at_the_broker(begin(admin_client, account)))
    other = Client()
    other.force_login(User.objects.create_superuser("other", password="x"))
    other.get("/admin/")
    session = other.session
    session["broker_login_state"] = admin_client.session["broker_login_state"]
    session["entry_began"] = session["entry_seen"] = timezone.now().timestamp()
    session.save()
    assert "not begun by you" in text_of(other.post(CALLBACK, query))
    assert asked(exchange, "consume_consent") == 0


def test_it_can_be_completed_for_ten_minutes(admin_client, account, registered, exchange):
    query = back_at(at_the_broker(begin(admin_client, account)))
    Consent.objects.update(asked_at=timezone.now() - dt.timedelta(minutes=10, seconds=1))
    assert "older than 10 minutes" in text_of(admin_client.post(CALLBACK, query))
    assert asked(exchange, "consume_consent") == 0


def test_a_token_id_that_the_broker_does_not_know(admin_client, account, registered, exchange):
    at_the_broker(begin(admin_client, account))
    shown = text_of(admin_client.post(CALLBACK, {"tokenId": "made-up"}, follow=True))
    assert "There is no new token: the broker gave no token: Invalid token id" in shown
    assert account.token().value == "token-1"
    assert not sessions.is_refused(account)


def test_the_state_is_kept_as_a_hash(admin_client, account, registered):
    begin(admin_client, account)
    state = admin_client.session["broker_login_state"]
    assert len(state) > 40
    assert Consent.objects.get().state_hash != state


def test_a_wrong_app_is_said_before_anybody_leaves(admin_client, account, exchange):
    values = {"app_id": APP_ID, "app_secret": "wrong"}
    logins.store_login(account, exchange.url, values)
    assert "Invalid app id or secret" in press(admin_client, account, "browser")
    assert not Consent.objects.exists()


def test_a_token_by_hand_while_the_desk_asks_is_refused_by_field(admin_client, account):
    with turn_if_free(f"session:{account.name}") as mine:
        assert mine
        form = form_of(account, token="by-hand")
        asking = OnTheSide(admin_client.post, address(account, "change"), form)
        assert "try again in a few seconds" in text_of(asking.over())
    assert AccessToken.objects.count() == 1
