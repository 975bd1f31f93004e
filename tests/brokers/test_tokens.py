"""Asking for tokens, against the simulated exchange: one at a time, within limits, in no doubt."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import time
from contextlib import suppress
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers import logins, tokens, totp
from apps.brokers.accounts import put_token, store_token
from apps.brokers.jwt import claimed_end
from apps.brokers.locks import turn_if_free
from apps.brokers.models import AccessToken, BrokerSession, LoginCredentials, WireCall
from apps.brokers.port import ReadFailed
from apps.brokers.reporting import reports_of
from tests.brokers.asking import (
    APP_ID,
    APP_SECRET,
    PIN,
    TOTP_SECRET,
    asked,
    forget_pauses,
    session_of,
)
from tests.brokers.stub import Stub, answer
from tests.orders.telling import OnTheSide
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def codes_to_the_last_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totp, "LATE", 0)


@pytest.fixture
def login(account: Any, exchange: Any) -> LoginCredentials:
    written = {"pin": PIN, "totp_secret": TOTP_SECRET}
    return logins.store_login(account, exchange.url, written)


@pytest.fixture
def no_spacing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "LOGIN_SPACING", dt.timedelta(0))


def works(account: Any) -> bool:
    try:
        reports_of(account, retries=False).order_book()
    except ReadFailed:
        return False
    return True


def about_a_day(token: AccessToken) -> bool:
    assert token.expires_at is not None
    return abs((token.expires_at - timezone.now()).total_seconds() - 24 * 3600) < 90


# --- renewal --------------------------------------------------------------------------------


def test_a_renewal_puts_the_new_token_in_force_and_retires_the_old_one(account, exchange):
    old = account.token()
    new = tokens.renew(account)
    assert account.token() == new
    assert (new.source, new.value == old.value) == ("RENEWED", False)
    assert about_a_day(new)
    old.refresh_from_db()
    assert old.retired_at is not None
    assert works(account)
    assert session_of(account).minting is None


def test_a_renewal_is_in_the_journal_without_a_secret(account):
    old, new = str(account.token().value), str(tokens.renew(account).value)
    (call,) = WireCall.objects.filter(verb="TOKEN")
    assert (call.what, call.outcome, call.http_status) == ("renew token", "ACCEPTED", 200)
    kept = json.dumps([call.request, call.response, call.text, call.endpoint])
    assert old not in kept
    assert new not in kept


@pytest.mark.parametrize("made", ["PIN", "APP"])
def test_a_token_of_another_kind_is_asked_about_once(account, exchange, made):
    exchange.control("token", client_id="1000000001", made=made)
    with pytest.raises(tokens.NoToken, match="not allowed for this token type"):
        tokens.renew(account)
    with pytest.raises(tokens.NotNow, match="does not renew this kind"):
        tokens.renew(account)
    assert asked(exchange, "renew") == 1
    assert works(account)


def test_the_renewal_of_a_dead_token_is_told_once(account, exchange):
    AccessToken.objects.filter(account=account).update(value="dead")
    for _ in range(3):
        with pytest.raises(tokens.NoToken, match="Invalid Token"):
            tokens.renew(account)
    (alert,) = Alert.objects.all()
    assert (alert.key, alert.times) == ("session:alpha", 1)
    assert "store_token alpha" in alert.text


def test_without_a_token_there_is_nothing_to_renew(account, exchange):
    AccessToken.objects.update(retired_at=timezone.now())
    with pytest.raises(tokens.NotNow, match="no token to renew"):
        tokens.renew(account)
    assert asked(exchange, "renew") == 0


def test_a_token_of_another_client_is_not_taken(at):
    body = {"dhanClientId": "9", "token": "a-new-token", "expiryTime": "2099-01-01T00:00:00"}
    with Stub(answer(200, body)) as stub:
        account = at(stub.url)
        before = account.token()
        with pytest.raises(tokens.NoToken, match="another client id"):
            tokens.renew(account)
    assert account.token() == before


@pytest.mark.parametrize(
    ("expiry", "known"),
    [
        ("2020-01-01T00:00:00", False),
        ("2999-01-01T00:00:00", False),
        ("soon", False),
        (None, False),
        ("tomorrow", True),
    ],
    ids=["past", "far", "no stamp", "nothing", "tomorrow"],  # the same in every process
)
def test_a_stamp_that_makes_no_sense_is_not_believed(at, expiry, known):
    if expiry == "tomorrow":  # Indian time, without saying so
        india = dt.datetime.now(dt.UTC) + dt.timedelta(hours=29, minutes=30)
        expiry = india.isoformat()[:19]
    with Stub(answer(200, {"accessToken": "a-new-token", "expiryTime": expiry})) as stub:
        token = tokens.renew(at(stub.url))
    assert (token.expires_at is not None) is known
    if known:
        assert about_a_day(token)


def test_nobody_asks_inside_a_transaction(account, exchange):
    with transaction.atomic(), pytest.raises(RuntimeError):
        tokens.renew(account)
    assert asked(exchange, "renew") == 0


# --- a lost answer --------------------------------------------------------------------------

LOST = [
    ("drop_before_accept", {}),
    ("drop_after_accept", {}),
    ("http_500", {"accept": True}),
    ("html", {"accept": True}),
    ("garbage", {"accept": True}),
    ("wrong_schema", {"accept": True}),
    ("redirect_307", {}),
]


@pytest.mark.parametrize(("fault", "options"), LOST)
def test_after_a_lost_answer_nobody_asks_again_before_somebody_has_looked(
    account, exchange, fault, options
):
    exchange.fault(fault, "renew", times=1, **options)
    old = account.token()
    with pytest.raises(tokens.NoToken, match="nobody knows"):
        tokens.renew(account)
    assert account.token() == old
    assert session_of(account).minting == WireCall.objects.get(verb="TOKEN")
    for way in (tokens.renew, tokens.renew):
        with pytest.raises(tokens.NotNow, match="which token counts is open"):
            way(account)
    assert asked(exchange, "renew") == 1


def test_a_person_may_end_the_doubt_by_storing_a_token(account, exchange):
    exchange.fault("drop_after_accept", "renew", times=1)
    with pytest.raises(tokens.NoToken):
        tokens.renew(account)
    exchange.control("token", client_id="1000000001", token="by-hand")
    store_token(account, "by-hand")
    assert session_of(account).minting is None
    assert works(account)
    assert tokens.renew(account).source == "RENEWED"


def test_what_never_left_leaves_no_doubt(at):
    account = at("http://127.0.0.1:9/v2")
    with pytest.raises(tokens.NoToken, match="was not asked"):
        tokens.renew(account)
    session = session_of(account)
    assert session.minting is None
    assert session.failures == 1
    assert session.next_try_at > timezone.now()


def test_a_token_that_was_stored_meanwhile_is_the_last_word(account, exchange):
    exchange.fault("slow", "renew", times=1, seconds=0.5)
    asking = OnTheSide(tokens.renew, account)
    time.sleep(0.2)
    stored = put_token(account, "by-hand")
    asking.over()
    assert account.token() == stored
    assert Alert.objects.filter(key="session:alpha", text__contains="stored while").exists()


def test_a_person_waits_while_the_desk_asks(account, exchange):
    exchange.fault("slow", "renew", times=1, seconds=0.6)
    asking = OnTheSide(tokens.renew, account)
    time.sleep(0.2)
    with pytest.raises(ValidationError, match="try again in a few seconds"):
        store_token(account, "by-hand")
    with pytest.raises(tokens.NotNow, match="just now"):
        tokens.renew(account)
    assert asking.over().source == "RENEWED"


# --- PIN and one-time code ------------------------------------------------------------------


def test_a_login_puts_its_token_in_force(account, login, exchange):
    token = tokens.log_in(account)
    assert (token.source, about_a_day(token)) == ("LOGIN", True)
    assert works(account)
    (call,) = WireCall.objects.filter(verb="TOKEN")
    assert (call.what, call.endpoint) == ("log in", exchange.url)


def test_a_code_is_used_once(account, login, exchange, no_spacing):
    tokens.log_in(account)
    with pytest.raises(tokens.NotNow, match="counts once") as caught:
        tokens.log_in(account)
    assert 0 < caught.value.seconds <= 35
    assert asked(exchange, "generate_token") == 1


def test_a_wrong_pin_stops_logins_until_a_person_writes_another(account, login, exchange):
    exchange.control("login", client_id="1000000001", pin="778899")
    with pytest.raises(tokens.NoToken, match="Invalid Pin"):
        tokens.log_in(account)
    forget_pauses(account)
    for _ in range(5):
        with pytest.raises(tokens.NotNow, match="logins are stopped"):
            tokens.log_in(account)
    assert asked(exchange, "generate_token") == 1
    (alert,) = Alert.objects.all()
    assert (alert.severity, alert.times) == ("CRITICAL", 1)
    assert "Invalid Pin" in alert.text
    assert PIN not in alert.text
    logins.store_login(account, exchange.url, {"pin": "778899"})
    with pytest.raises(tokens.NotNow, match="next try may be at"):
        tokens.log_in(account)


def test_the_right_pin_works_after_the_wrong_one(account, login, exchange, no_spacing):
    exchange.control("login", client_id="1000000001", pin="778899")
    with pytest.raises(tokens.NoToken):
        tokens.log_in(account)
    logins.store_login(account, exchange.url, {"pin": "778899"})
    forget_pauses(account)
    assert tokens.log_in(account).source == "LOGIN"


def test_a_refused_code_is_tried_once_more(account, login, exchange, no_spacing):
    exchange.control(
        "login", client_id="1000000001", totp_secret="GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    )
    for _ in range(2):
        forget_pauses(account)
        with pytest.raises(tokens.NoToken, match="Invalid TOTP"):
            tokens.log_in(account)
    forget_pauses(account)
    with pytest.raises(tokens.NotNow, match="logins are stopped"):
        tokens.log_in(account)
    assert asked(exchange, "generate_token") == 2


def test_two_logins_keep_their_distance(account, login, exchange):
    tokens.log_in(account)
    forget_pauses(account)
    with pytest.raises(tokens.NotNow, match="next try may be at") as caught:
        tokens.log_in(account)
    assert 100 < caught.value.seconds <= 125
    assert asked(exchange, "generate_token") == 1


def test_too_soon_for_the_broker_stops_nothing(account, login, exchange, no_spacing):
    tokens.log_in(account)
    forget_pauses(account)
    with pytest.raises(tokens.NoToken, match="once every 2 minutes"):
        tokens.log_in(account)
    login.refresh_from_db()
    assert login.stopped_at is None
    assert works(account)
    assert session_of(account).failures == 1


def test_tries_an_hour_are_counted_for_all(account, login, exchange, no_spacing, settings):
    settings.TOKEN_TRIES_PER_HOUR = 2
    for _ in range(2):  # the broker refuses the second one: too soon
        forget_pauses(account)
        with suppress(tokens.NoToken):
            tokens.log_in(account)
    forget_pauses(account)
    with pytest.raises(tokens.NotNow, match="it was tried 2 times"):
        tokens.log_in(account)
    assert asked(exchange, "generate_token") == 2


def test_a_login_without_secrets_asks_nobody(account, exchange):
    with pytest.raises(tokens.NotNow, match="nothing is stored"):
        tokens.log_in(account)
    logins.store_login(account, exchange.url, {"app_id": APP_ID, "app_secret": APP_SECRET})
    with pytest.raises(tokens.NotNow, match="no PIN"):
        tokens.log_in(account)
    assert asked(exchange, "generate_token") == 0


def test_a_code_follows_the_brokers_clock(account, login, exchange):
    exchange.control("clock", shift_seconds=400)
    BrokerSession.objects.update_or_create(
        account=account, defaults={"clock_offset": 400.0, "clock_at": timezone.now()}
    )
    assert tokens.log_in(account).source == "LOGIN"


@pytest.mark.parametrize(
    ("now", "used", "step", "wait"),
    [
        (1000 * 30 + 5, None, 1000, 0),
        (1000 * 30 + 27, None, 1001, 3),
        (1000 * 30 + 5, 1000, 1001, 25),
        (1000 * 30 + 5, 1001, 1002, 55),
        (1000 * 30 + 5, 999, 1000, 0),
        (1000 * 30 + 5, 5_000_000, 1000, 0),
    ],
)
def test_when_the_next_code_may_be_used(monkeypatch, now, used, step, wait):
    monkeypatch.setattr(totp, "LATE", 4)
    monkeypatch.setattr(time, "time", lambda: float(now))
    assert totp.next_step(0.0, used) == (step, pytest.approx(wait))


def test_codes_are_those_of_the_standard():
    secret = base64.b32encode(b"12345678901234567890").decode()
    assert [totp.code_at(secret, at // 30) for at in (59, 1111111109, 20000000000)] == [
        "287082",
        "081804",
        "353130",
    ]


# --- the login in a browser, from our side --------------------------------------------------


def test_consents_are_counted_by_the_day(account, exchange, monkeypatch):
    monkeypatch.setattr(tokens, "CONSENTS_A_DAY", 2)
    logins.store_login(account, exchange.url, {"app_id": APP_ID, "app_secret": APP_SECRET})
    for _ in range(2):
        assert tokens.ask_consent(account).startswith(f"{exchange.url}/login/consentApp-login?")
    with pytest.raises(tokens.NotNow, match="next try may be at"):
        tokens.ask_consent(account)
    assert asked(exchange, "generate_consent") == 2


def test_a_wrong_app_secret_is_said(account, exchange):
    logins.store_login(account, exchange.url, {"app_id": APP_ID, "app_secret": "wrong"})
    with pytest.raises(tokens.NoToken, match="Invalid app id or secret"):
        tokens.ask_consent(account)


# --- what a token says of itself ------------------------------------------------------------


def jwt(claims: Any) -> str:
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    parts = (b'{"alg":"HS512"}', body, b"signature")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def in_hours(hours: float) -> int:
    return int(time.time() + hours * 3600)


@pytest.mark.parametrize(
    "token",
    [
        "token-1",
        "a.b.c",
        "a.!!!.c",
        jwt({}),
        jwt([1]),
        jwt({"exp": "soon"}),
        jwt({"exp": True}),
        jwt({"exp": None}),
        jwt({"exp": 10**30}),
        jwt({"exp": -1}),
        jwt({"exp": in_hours(500 * 24)}),
        jwt(b"\xff\xfe"),
        jwt(b'{"exp": NaN}'),
        jwt(b"[" * 3000),
    ],
    ids=range(14),  # one of them holds the time: the names must be the same in every process
)
def test_what_makes_no_sense_is_no_claim(token):
    assert claimed_end(token) is None


def test_the_earlier_of_two_ends_counts(account):
    token = jwt({"exp": in_hours(3)})
    with transaction.atomic():
        stored = AccessToken.put_in_force(account, token, timezone.now() + dt.timedelta(hours=9))
    assert abs(stored.expires_at.timestamp() - in_hours(3)) < 5
    with transaction.atomic():
        stored = AccessToken.put_in_force(account, token, timezone.now() + dt.timedelta(hours=1))
    assert abs(stored.expires_at.timestamp() - in_hours(1)) < 5


def test_a_token_that_says_it_has_ended_is_not_stored(account):
    with pytest.raises(ValidationError, match="By its own word"):
        store_token(account, jwt({"exp": in_hours(-1)}))
    assert account.token().value == "token-1"


def test_the_turn_is_free_again_afterwards(account):
    tokens.renew(account)
    with turn_if_free(f"session:{account.name}") as free:
        assert free


# --- commands -------------------------------------------------------------------------------


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_the_command_renews_and_says_until_when(account):
    said = run("renew_token", "alpha")
    assert said.startswith("The new token of alpha is in force until ")
    assert str(account.token().value) not in said


def test_the_command_logs_in(account, login):
    assert run("login_account", "alpha").startswith("The new token of alpha is in force until ")
    LoginCredentials.objects.update(totp_step=None)
    with pytest.raises(CommandError, match="alpha was not logged in: it was tried 1 times"):
        run("login_account", "alpha")


def test_the_command_waits_for_the_next_code(account, login, monkeypatch):
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        LoginCredentials.objects.update(totp_step=None)

    monkeypatch.setattr("apps.brokers.management.commands.login_account.time.sleep", sleep)
    LoginCredentials.objects.update(totp_step=int(time.time() // 30))
    said = run("login_account", "alpha")
    assert said.startswith("Waiting ")
    assert "is in force" in said
    assert 0 < waited[0] <= 31


@pytest.mark.parametrize("command", ["renew_token", "login_account"])
def test_a_person_needs_the_right_and_is_on_record(account, login, exchange, command):
    for name, role in (("vera", "viewer"), ("adam", "administrator")):
        member(name, role)
    with pytest.raises(CommandError, match="may not do that"):
        run(command, "alpha", "--as", "vera")
    assert not WireCall.objects.exists()
    run(command, "alpha", "--as", "adam")
    assert WireCall.objects.get(verb="TOKEN").request["by"].startswith("adam, by ")


@pytest.mark.parametrize("command", ["renew_token", "login_account"])
def test_the_command_says_why_nothing_came_of_it(account, command):
    AccessToken.objects.update(retired_at=timezone.now())
    with pytest.raises(CommandError, match=r"alpha was not .*: (there is no token|nothing is)"):
        run(command, "alpha")
    with pytest.raises(CommandError, match="There is no account"):
        run(command, "nobody")
