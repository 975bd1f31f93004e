"""Sessions kept alive by beat: renewed in time, replaced when refused, looked at when in doubt."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers import logins, readiness, sessions, tending, tokens, totp
from apps.brokers.models import AccessToken, BrokerSession, WireCall
from apps.brokers.port import ReadFailed
from apps.brokers.reporting import reports_of
from apps.brokers.tasks import tend_session
from tests.brokers.asking import (
    APP_ID,
    APP_SECRET,
    PIN,
    TOTP_SECRET,
    asked,
    ends_in,
    forget_pauses,
    session_of,
)
from tests.brokers.stub import Stub, answer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def codes_to_the_last_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totp, "LATE", 0)


@pytest.fixture
def login(account: Any, exchange: Any) -> Any:
    return logins.store_login(account, exchange.url, {"pin": PIN, "totp_secret": TOTP_SECRET})


def works(account: Any) -> bool:
    try:
        reports_of(account, retries=False).order_book()
    except ReadFailed:
        return False
    return True


def kill_token(exchange: Any) -> None:
    """As if another program had made itself a token: ours is dead, and nobody has told us."""
    exchange.control("token", client_id="1000000001", token=f"another-{time.monotonic_ns()}")


def tend_until_over(account: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while session_of(account).minting_id is not None:
        assert time.monotonic() < deadline, "the doubt did not end"
        forget_pauses(account)
        tending.tend(account)
        time.sleep(0.1)


# --- learning and renewing ------------------------------------------------------------------


def test_the_life_of_a_token_is_learned_from_the_profile_once(account, exchange):
    assert tending.due() == [account.pk]
    tend_session(account.pk)
    token = account.token()
    assert abs((token.expires_at - timezone.now()).total_seconds() - 24 * 3600) < 90
    assert session_of(account).egress == "127.0.0.1"
    assert tending.due() == []
    tend_session(account.pk)
    assert asked(exchange, "profile") == 1


def test_an_earlier_end_that_is_known_stays(account):
    ends_in(account, hours=5)
    AccessToken.objects.update(learned_at=None)
    tending.tend(account)
    left = account.token().expires_at - timezone.now()
    assert dt.timedelta(hours=4.9) < left < dt.timedelta(hours=5.1)


def test_a_token_is_renewed_before_its_end(account, exchange):
    tending.tend(account)
    ends_in(account, hours=3)
    assert tending.due() == []
    ends_in(account, hours=1.9)
    assert tending.due() == [account.pk]
    tend_session(account.pk)
    assert account.token().source == "RENEWED"
    assert works(account)
    forget_pauses(account)
    tend_session(account.pk)
    assert asked(exchange, "renew") == 1


def test_who_can_log_in_does_not_ask_for_a_renewal(account, login, exchange):
    ends_in(account, minutes=30)
    tending.tend(account)
    assert account.token().source == "LOGIN"
    assert (asked(exchange, "renew"), asked(exchange, "generate_token")) == (0, 1)


def test_a_renewal_that_fails_is_tried_again_with_growing_pauses(account, exchange):
    ends_in(account, minutes=90)
    exchange.fault("http_429", "renew", times=2)
    tending.tend(account)
    first = session_of(account)
    assert first.failures == 1
    assert tending.due() == []
    BrokerSession.objects.update(next_try_at=None)
    tending.tend(account)
    second = session_of(account)
    pauses = [row.next_try_at - timezone.now() for row in (second, first)]
    assert second.failures == 2
    assert pauses[0] > pauses[1] * 1.5
    BrokerSession.objects.update(next_try_at=None)
    tending.tend(account)
    assert account.token().source == "RENEWED"
    assert session_of(account).failures == 0
    assert not Alert.objects.exists()


def test_a_token_of_a_browser_login_is_not_renewed_but_told_about(account, exchange):
    AccessToken.objects.update(source="CONSENT")
    logins.store_login(account, exchange.url, {"app_id": APP_ID, "app_secret": APP_SECRET})
    told = []
    for minutes in (61, 59, 58, 16, 14, 13, -0.01, -1):
        ends_in(account, minutes=minutes)
        if minutes < 0:
            exchange.control("token", client_id="1000000001", expires_in=0)
        for _ in range(2):
            tending.tend(account)
        alert = Alert.objects.first()
        told.append(alert.times if alert else 0)
    assert told == [0, 1, 1, 1, 2, 2, 3, 3]
    (alert,) = Alert.objects.all()
    assert (alert.key, alert.severity) == ("session:alpha", "CRITICAL")
    assert asked(exchange, "renew") == 0


def test_a_warning_says_why_nothing_came_of_it(account, exchange):
    ends_in(account, minutes=50)
    exchange.fault("http_429", "renew")
    tending.tend(account)
    alert = Alert.objects.get()
    assert alert.severity == "WARNING"
    assert "DH-904" in alert.text
    assert "store_token alpha" in alert.text


def test_an_ended_token_is_replaced_without_asking_whether_it_ended(account, login, exchange):
    ends_in(account, seconds=-1)
    tending.tend(account)
    assert account.token().source == "LOGIN"
    assert asked(exchange, "profile") == 0


def test_an_end_that_was_wrong_is_corrected_by_the_broker(account, exchange):
    """A person may have stored the wrong time; nobody can log in, but the broker still takes it."""
    ends_in(account, seconds=-1)
    assert readiness.reasons_against(account) != ()
    tending.tend(account)
    assert account.token().value == "token-1"
    assert readiness.reasons_against(account) == ()


def test_a_token_that_has_really_ended_is_asked_about_twice_at_most(account, exchange):
    exchange.control("token", client_id="1000000001", expires_in=0)
    ends_in(account, seconds=-1)
    for _ in range(6):
        BrokerSession.objects.update(probed_at=None)
        tending.tend(account)
    assert asked(exchange, "profile") <= 2
    assert sessions.is_refused(account)


def test_an_account_without_a_token_logs_in(account, login):
    AccessToken.objects.update(retired_at=timezone.now())
    assert tending.due() == [account.pk]
    tending.tend(account)
    assert works(account)


# --- refused --------------------------------------------------------------------------------


def test_a_refused_token_is_confirmed_and_then_replaced(account, login, exchange):
    kill_token(exchange)
    assert not works(account)
    (alert,) = Alert.objects.all()
    assert (alert.key, alert.severity) == ("session:alpha", "WARNING")
    assert "logs in again by itself" in alert.text
    tending.tend(account)
    assert account.token().source == "LOGIN"
    assert works(account)
    assert not sessions.is_refused(account)
    assert (asked(exchange, "profile"), asked(exchange, "generate_token")) == (1, 1)


def test_one_refusal_that_was_a_mistake_costs_no_token(at):
    bad = {"errorType": "X", "errorCode": "DH-901", "errorMessage": "no"}
    good = {"dhanClientId": "1100003626", "tokenValidity": "01/01/2099 10:00"}
    with Stub(answer(401, bad), answer(200, good)) as stub:
        account = at(stub.url)
        logins.store_login(account, stub.url, {"pin": PIN, "totp_secret": TOTP_SECRET})
        before = account.token()
        assert not works(account)
        assert sessions.is_refused(account)
        tending.tend(account)
    assert account.token() == before
    assert not sessions.is_refused(account)
    assert not WireCall.objects.filter(verb="TOKEN").exists()


def test_a_refused_token_that_nobody_can_replace_is_told_once_and_left_alone(account, exchange):
    kill_token(exchange)
    for _ in range(20):
        works(account)
        tending.tend(account)
    (alert,) = Alert.objects.all()
    assert (alert.severity, alert.times) == ("CRITICAL", 1)
    assert asked(exchange, "renew") == asked(exchange, "generate_token") == 0
    reads = asked(exchange, "book") + asked(exchange, "profile")
    assert reads <= 3, "a refused token rests between reads"


def test_sends_wait_while_the_token_is_refused_and_reads_find_out(account, exchange):
    kill_token(exchange)
    works(account)
    works(account)
    BrokerSession.objects.update(refused_last=timezone.now() - dt.timedelta(seconds=16))
    exchange.control("token", client_id="1000000001", token="token-1")
    assert works(account)
    assert not sessions.is_refused(account)


def test_a_login_that_brings_no_peace_is_bounded(account, login, exchange, monkeypatch):
    """Another program on the same account takes the token away again and again."""
    monkeypatch.setattr(tokens, "LOGIN_SPACING", dt.timedelta(0))
    exchange.control("limits", on=False)
    for _ in range(12):
        kill_token(exchange)
        works(account)
        forget_pauses(account)
        exchange.control("login", client_id="1000000001", totp_secret=TOTP_SECRET)
        tending.tend(account)
    exchange.control("limits", on=True)
    assert asked(exchange, "generate_token") <= 5
    assert Alert.objects.count() == 1


# --- in doubt -------------------------------------------------------------------------------

pytest_quick = pytest.mark.usefixtures("quick_times")


@pytest_quick
@pytest.mark.parametrize("fault", ["drop_after_accept", "html", "garbage", "wrong_schema"])
def test_a_renewal_whose_answer_was_lost_ends_in_a_login(account, login, exchange, fault):
    login.delete()
    exchange.fault(fault, "renew", times=1, **({} if "drop" in fault else {"accept": True}))
    ends_in(account, minutes=90)
    tending.tend(account)
    assert session_of(account).minting_id is not None
    logins.store_login(account, exchange.url, {"pin": PIN, "totp_secret": TOTP_SECRET})
    tend_until_over(account)
    forget_pauses(account)
    tending.tend(account)
    assert account.token().source == "LOGIN"
    assert works(account)
    assert asked(exchange, "renew") == 1


@pytest_quick
def test_a_lost_renewal_that_nobody_can_repair_is_one_alert_and_no_storm(account, exchange):
    exchange.fault("drop_after_accept", "renew", times=1)
    ends_in(account, minutes=90)
    for _ in range(15):
        tending.tend(account)
        forget_pauses(account)
    (alert,) = Alert.objects.all()
    assert (alert.key, alert.severity, alert.times) == ("session:alpha", "CRITICAL", 1)
    assert "its answer was lost" in alert.text
    assert asked(exchange, "renew") == 1
    assert sessions.is_refused(account)


@pytest_quick
def test_a_renewal_that_never_arrived_leaves_the_old_token_and_is_tried_again(account, exchange):
    exchange.fault("drop_before_accept", "renew", times=1)
    ends_in(account, minutes=90)
    tending.tend(account)
    forget_pauses(account)
    tending.tend(account)
    assert session_of(account).minting_id is not None, "it might arrive yet"
    tend_until_over(account)
    session = session_of(account)
    assert (session.failures, session.next_try_at > timezone.now()) == (1, True)
    assert works(account)
    assert not Alert.objects.exists()
    forget_pauses(account)
    tending.tend(account)
    assert account.token().source == "RENEWED"


@pytest_quick
def test_while_the_broker_cannot_be_reached_the_doubt_stays(account, exchange):
    exchange.fault("drop_after_accept", "renew", times=1)
    ends_in(account, minutes=90)
    tending.tend(account)
    exchange.fault("http_500", "profile")
    time.sleep(1.2)
    for _ in range(3):
        forget_pauses(account)
        tending.tend(account)
    assert session_of(account).minting_id is not None
    assert not Alert.objects.exists()
    exchange.heal()
    tend_until_over(account)
    assert sessions.is_refused(account)


# --- the address ----------------------------------------------------------------------------


def test_an_address_that_is_right_again_ends_the_trouble(account, exchange):
    tending.tend(account)
    exchange.control("address", client_id="1000000001", allowed=False)
    sessions.address_refused(account, "DH-905: Invalid IP")
    sessions.address_refused(account, "DH-905: Invalid IP")
    (alert,) = Alert.objects.all()
    assert (alert.key, alert.times) == ("address:alpha", 1)
    assert "127.0.0.1" in alert.text
    forget_pauses(account)
    tending.tend(account)
    assert session_of(account).address_refused_at is not None
    exchange.control("address", client_id="1000000001", allowed=True)
    forget_pauses(account)
    assert tending.due() == [account.pk]
    tending.tend(account)
    assert session_of(account).address_refused_at is None
    assert tending.due() == []


@pytest.mark.parametrize(
    ("body", "right"),
    [
        ({"primaryIP": "1.2.3.4", "detectedIP": "1.2.3.4"}, True),
        ({"primaryIP": "1.2.3.4", "secondaryIP": "5.6.7.8", "detectedIP": "5.6.7.8"}, True),
        ({"primaryIP": "1.2.3.4", "detectedIP": "5.6.7.8"}, False),
        ({"primaryIP": "1.2.3.4", "detectedIP": "1.2.3.4", "ordersAllowed": False}, False),
        ({"primaryIP": "1.2.3.4", "secondaryIP": "5.6.7.8"}, False),
        ({"ordersAllowed": "yes"}, False),
        ({}, False),
        ([{"message": "no", "status": "ERROR"}], False),
    ],
)
def test_what_the_list_of_addresses_proves(at, body, right):
    with Stub(answer(200, body)) as stub:
        account = at(stub.url)
        AccessToken.objects.update(learned_at=timezone.now())
        sessions.address_refused(account, "Invalid IP")
        tending.tend(account)
    assert (session_of(account).address_refused_at is None) is right
