"""What got well again closes its own alert; what a person must look at stays."""

from __future__ import annotations

import datetime as dt
import threading
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.alerts.models import Alert, Severity
from apps.alerts.raising import STEADY, raise_alert, seconds_since, settle_alert, sign_of_life
from apps.brokers import sessions, tending
from apps.brokers.accounts import store_token
from apps.brokers.dhan.reporting import DhanReporting
from apps.brokers.models import BrokerSession
from apps.brokers.port import Known
from apps.orders import feed, guard
from apps.orders.reconcile import reconcile
from apps.orders.sweep import SWEEP
from tests.brokers.feed_stub import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
CLIENT = "1000000001"


def alert(key):
    return Alert.objects.filter(key=key).order_by("id").last()


def grown_old(key):
    """As if it had last been raised a while ago."""
    earlier = timezone.now() - STEADY - dt.timedelta(seconds=1)
    Alert.objects.filter(key=key).update(last_raised=earlier)


@pytest.fixture
def listening(account, settings, monkeypatch):
    """The account's order feed at the simulated exchange, with short times."""
    settings.FEED_PING_EVERY, settings.FEED_PONG_WITHIN = 0.2, 2.0
    monkeypatch.setattr("apps.brokers.dhan.listening.FIRST_PAUSE", 0.05)
    stopping = threading.Event()

    def run():
        try:
            feed.listen(account, stopping.is_set)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()


def test_the_alert_of_a_lost_feed_ends_when_the_feed_is_heard_again(account, exchange, listening):
    until(lambda: seconds_since("feed:alpha") is not None)
    exchange.control("feed", action="disconnect")
    until(lambda: alert("feed:alpha"))
    assert alert("feed:alpha").open
    grown_old("feed:alpha")
    until(lambda: not alert("feed:alpha").open)
    settled = alert("feed:alpha")
    assert (settled.acknowledged_reason, settled.acknowledged_by) == ("it is heard again", None)


def test_a_feed_that_comes_and_goes_stays_one_open_alert(account):
    listener = feed._Listener(account)
    for _ in range(3):
        listener.lost("the order feed was cut off")
        listener.last_written = 0.0
        listener.alive()
    assert (alert("feed:alpha").open, alert("feed:alpha").times) == (True, 3)
    assert Alert.objects.count() == 1


def test_what_the_feed_said_and_nobody_understood_waits_for_a_person(account):
    listener = feed._Listener(account)
    listener.trouble("a frame of type 99, which means nothing to us")
    grown_old("feed:alpha:odd")
    listener.alive()
    assert alert("feed:alpha:odd").open


def test_the_alert_of_unread_books_ends_when_they_are_read(account, exchange):
    exchange.fault("http_500", "book")
    reconcile(account)
    assert alert("books:alpha").open
    exchange.heal()
    reconcile(account)
    assert alert("books:alpha").open  # it may come and go
    grown_old("books:alpha")
    reconcile(account)
    assert alert("books:alpha").acknowledged_reason == "they can be read again"


def test_books_that_are_half_read_settle_nothing(account, exchange):
    exchange.fault("http_500", "trades")
    reconcile(account)
    grown_old("books:alpha")
    before = alert("books:alpha").times
    reconcile(account)
    assert alert("books:alpha").open
    assert alert("books:alpha").times == before + 1


def test_the_guards_alert_ends_when_the_workers_sweep_again(account, no_bells):
    guard._turn(acting=False)
    sign_of_life(SWEEP)
    grown_old(guard.ALERT)
    assert not guard._turn(acting=True)
    assert alert(guard.ALERT).acknowledged_reason == "the workers sweep again"


def test_the_alert_of_a_refused_token_ends_with_the_next_token(account, exchange):
    exchange.control("token", client_id=CLIENT, token="another-one")
    reconcile(account)
    assert alert("session:alpha").open
    store_token(account, "wrong-again")
    tending.tend(account)
    assert (alert("session:alpha").open, alert("session:alpha").times) == (True, 2)
    store_token(account, "another-one")
    BrokerSession.objects.update(probed_at=None)
    tending.tend(account)
    assert alert("session:alpha").acknowledged_reason == "the broker accepts another token"
    assert Alert.objects.count() == 1


def test_a_broker_that_refuses_and_accepts_a_token_by_turns_is_one_alert(account):
    held = sessions.held(account)
    for _ in range(3):
        sessions.refused(account, held.token_id, "HTTP 401")
        sessions.heard(account, sessions.held(account), sessions.Hearing(let_in=True))
    assert (alert("session:alpha").times, Alert.objects.count()) == (3, 1)
    sessions.refused(account, held.token_id, "HTTP 401")
    grown_old("session:alpha")
    sessions.heard(account, sessions.held(account), sessions.Hearing(let_in=True))
    assert not alert("session:alpha").open


def test_the_alert_of_a_refused_address_ends_when_orders_are_taken(account):
    sessions.address_refused(account, "DH-905 Invalid IP")
    sessions.address_accepted(account)
    assert alert("address:alpha").open  # it may come and go
    sessions.address_refused(account, "DH-905 Invalid IP")
    assert (alert("address:alpha").times, Alert.objects.count()) == (2, 1)
    grown_old("address:alpha")
    sessions.address_accepted(account)
    assert not alert("address:alpha").open


def test_what_is_raised_again_after_it_settled_is_news(db):
    raise_alert("a", "down", Severity.CRITICAL)
    settle_alert("a", "up")
    raise_alert("a", "down")
    assert [(row.open, row.severity) for row in Alert.objects.order_by("id")] == [
        (False, "CRITICAL"),
        (True, "WARNING"),
    ]


def test_settling_takes_nothing_from_who_acknowledged(db, django_user_model):
    raise_alert("a", "down")
    person = django_user_model.objects.create_user("rita")
    at = timezone.now()
    Alert.objects.update(acknowledged_at=at, acknowledged_by=person, acknowledged_reason="on it")
    time.sleep(0.01)
    settle_alert("a", "up")
    row = Alert.objects.get()
    assert (row.acknowledged_at, row.acknowledged_reason) == (at, "on it")


def test_the_alert_of_an_order_book_with_gaps_ends_with_a_whole_one(
    account, working, exchange, monkeypatch
):
    working()
    raise_alert("book:alpha", "it lacks 1 order", Severity.CRITICAL)
    grown_old("book:alpha")
    with monkeypatch.context() as patched:
        patched.setattr(DhanReporting, "order_book", lambda _: Known([], timezone.now()))
        reconcile(account)
    assert alert("book:alpha").open
    reconcile(account)
    assert not alert("book:alpha").open


@pytest.mark.parametrize("which", ["order_book", "trade_book"])
def test_the_alert_of_a_row_that_cannot_be_stored_ends_when_it_is(
    account, working, exchange, monkeypatch, which
):
    order = working()
    key = f"{'row' if which == 'order_book' else 'trade'}:alpha:{order.broker_order_id}"
    exchange.control("fill", orderId=order.broker_order_id)
    real = getattr(DhanReporting, which)
    spoilt: dict[str, Any] = {"average_price": Decimal(10) ** 20}
    if which == "trade_book":
        spoilt = {"exchange_trade_id": "9" * 80}

    def unstorable(self):
        known = real(self)
        return replace(known, value=[replace(row, **spoilt) for row in known.value])

    with monkeypatch.context() as patched:
        patched.setattr(DhanReporting, which, unstorable)
        reconcile(account)
    assert alert(key).open
    reconcile(account)
    assert not alert(key).open
