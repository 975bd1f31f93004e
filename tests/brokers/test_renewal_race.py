"""Several processes and one token: one renewal, one token in force, and a death survived."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers import logins, sessions, tending, totp
from apps.brokers.models import AccessToken, BrokerSession, WireCall
from apps.brokers.port import ReadFailed
from apps.brokers.reporting import reports_of
from tests.brokers.asking import (
    PIN,
    TOTP_SECRET,
    asked,
    ends_in,
    forget_pauses,
    go,
    session_of,
    start,
)

pytestmark = pytest.mark.django_db(transaction=True)
QUICK = {"SEND_WITHIN": "0.3", "CALL_TIMEOUT": "0.5", "CONNECT_TIMEOUT": "0.3"}


@pytest.fixture(autouse=True)
def codes_to_the_last_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totp, "LATE", 0)


def in_force(account: Any) -> int:
    return AccessToken.objects.filter(account=account, retired_at=None).count()


def read(account: Any) -> None:
    reports_of(account, retries=False).order_book()


def test_four_processes_renew_once(account, exchange):
    ends_in(account, minutes=30)
    exchange.fault("slow", "renew", seconds=0.4)
    results = go(*[start("tend", account) for _ in range(4)])
    assert [code for code, _ in results] == [0, 0, 0, 0], results
    assert asked(exchange, "renew") == 1
    assert (in_force(account), account.token().source) == (1, "RENEWED")
    assert WireCall.objects.filter(verb="TOKEN").count() == 1
    read(account)


def test_four_processes_log_in_once_when_the_token_is_refused(account, exchange):
    logins.store_login(account, exchange.url, {"pin": PIN, "totp_secret": TOTP_SECRET})
    exchange.control("token", client_id="1000000001", token="taken-away")
    with pytest.raises(ReadFailed):
        read(account)
    results = go(*[start("tend", account) for _ in range(4)])
    assert [code for code, _ in results] == [0, 0, 0, 0], results
    assert asked(exchange, "generate_token") == 1
    assert Alert.objects.filter(key="session:alpha", times=1).count() == 1
    read(account)


def test_many_stored_at_once_leave_one_in_force(account):
    results = go(*[start("store", account) for _ in range(4)])
    assert [code for code, _ in results] == [0, 0, 0, 0], results
    assert in_force(account) == 1
    assert AccessToken.objects.filter(account=account).count() == 81
    assert account.token() == AccessToken.objects.order_by("-pk").first()


def test_the_database_refuses_a_second_token_in_force(account):
    with pytest.raises(IntegrityError, match="one_token_in_force"), transaction.atomic():
        AccessToken.objects.create(account=account, value="another")


def test_readers_go_on_while_the_token_is_renewed_under_them(account, exchange):
    """Each read uses the token in force; one that was caught by the change is read again."""
    exchange.control("limits", on=False)
    process = start("tend", account)
    ends_in(account, minutes=30)
    process.stdin.write("go\n")
    process.stdin.flush()
    deadline, reads = time.monotonic() + 60, 0
    while process.poll() is None or reads < 20:
        reports_of(account).order_book()
        reads += 1
        assert time.monotonic() < deadline
    process.communicate()
    exchange.control("limits", on=True)
    assert account.token().source == "RENEWED"
    assert not Alert.objects.exists()


# --- a process that dies --------------------------------------------------------------------


@pytest.mark.usefixtures("quick_times")
@pytest.mark.parametrize("place", ["die_after_speaking", "die_before_commit"])
def test_a_death_between_answer_and_commit_is_repaired_by_a_login(account, exchange, place):
    ((code, _),) = go(start(place, account, **QUICK))
    assert code == -9
    assert account.token().value == "token-1"
    assert session_of(account).minting_id is not None
    logins.store_login(account, exchange.url, {"pin": PIN, "totp_secret": TOTP_SECRET})
    deadline = time.monotonic() + 60
    while account.token().source != "LOGIN":
        assert time.monotonic() < deadline
        forget_pauses(account)
        tending.tend(account)
        time.sleep(0.1)
    read(account)
    assert (asked(exchange, "renew"), asked(exchange, "generate_token")) == (1, 1)
    assert WireCall.objects.get(what="renew token").outcome == "UNKNOWN"


@pytest.mark.usefixtures("quick_times")
def test_a_death_that_lost_the_token_is_told_when_nobody_can_log_in(account, exchange):
    go(start("die_before_commit", account, **QUICK))
    for _ in range(10):
        forget_pauses(account)
        tending.tend(account)
        time.sleep(0.05)
    assert sessions.is_refused(account)
    (alert,) = Alert.objects.all()
    assert (alert.severity, alert.times) == ("CRITICAL", 1)
    assert asked(exchange, "renew") == 1


@pytest.mark.usefixtures("quick_times")
def test_a_death_before_the_first_byte_costs_nothing(account, exchange):
    ends_in(account, minutes=90)
    go(start("die_before_speaking", account, **QUICK))
    deadline = time.monotonic() + 60
    while account.token().source != "RENEWED":
        assert time.monotonic() < deadline
        forget_pauses(account)
        tending.tend(account)
        time.sleep(0.1)
    assert asked(exchange, "renew") == 1
    assert not Alert.objects.exists()


def test_an_open_request_of_the_dead_blocks_every_other_way(account, exchange):
    old = timezone.now() - dt.timedelta(hours=1)
    go(start("die_before_commit", account, **QUICK))
    BrokerSession.objects.update(probed_at=old)
    call = session_of(account).minting
    assert call is not None
    assert call.outcome == ""
    tending.tend(account)
    assert asked(exchange, "renew") == 1
