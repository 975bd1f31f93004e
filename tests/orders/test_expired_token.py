"""A token that ends in the middle of the day: entries stop, exits wait for the next one, once."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers import logins, readiness, reporting, sessions, tending, totp
from apps.brokers.accounts import store_token
from apps.brokers.models import BrokerSession, LoginCredentials, WireCall
from apps.brokers.port import Intent, Side
from apps.orders import feed, services
from apps.orders.models import Modification, Order, Source
from apps.orders.reconcile import reconcile
from apps.risk.models import Hold
from tests.brokers.asking import PIN, TOTP_SECRET, asked, forget_pauses
from tests.brokers.payloads import payload
from tests.brokers.stub import Stub, answer
from tests.orders.sweeping import sweep_and_send
from tests.orders.telling import OnTheSide, sent, settled

pytestmark = pytest.mark.django_db(transaction=True)
CLIENT = "1000000001"


@pytest.fixture(autouse=True)
def codes_to_the_last_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totp, "LATE", 0)


@pytest.fixture
def login(account: Any, exchange: Any) -> LoginCredentials:
    return logins.store_login(account, exchange.url, {"pin": PIN, "totp_secret": TOTP_SECRET})


@pytest.fixture
def held(working, exchange, account) -> Order:
    """Four shares held, so that there is something to get out of."""
    order = working(quantity=4)
    exchange.control("fill", orderId=order.broker_order_id)
    settled(account)
    reporting.store_positions(account)
    return order


@pytest.fixture
def leave(place):
    def make(quantity: int = 4, **different: Any) -> Order:
        return place(side=Side.SELL, quantity=quantity, intent=Intent.EXIT, **different)

    return make


def end_token(exchange: Any) -> None:
    exchange.control("token", client_id=CLIENT, expires_in=0)


def sent_until(order: Order, *statuses: str, seconds: float = 60) -> Order:
    deadline = time.monotonic() + seconds
    while order.status not in statuses:
        assert time.monotonic() < deadline, [str(event) for event in order.events.all()]
        Order.objects.filter(pk=order.pk, status="APPROVED").update(not_before=timezone.now())
        sweep_and_send()
        order.refresh_from_db()
        time.sleep(0.05)
    return order


def test_an_order_caught_by_the_end_of_the_token_goes_once_with_the_next_one(
    place, account, login, exchange
):
    order = place()
    end_token(exchange)
    assert sent(order).status == "APPROVED"
    assert "does not accept the token" in order.reason
    assert Hold.objects.get().released_at is None
    tending.tend(account)
    sent_until(order, "SUBMITTED", "OPEN")
    assert len(exchange.accepted(order.correlation_id)) == 1
    outcomes = list(WireCall.objects.filter(verb="PLACE").values_list("outcome", flat=True))
    assert set(outcomes) == {"NOT_SENT", "ACCEPTED"}
    assert outcomes.count("ACCEPTED") == 1
    assert asked(exchange, "place") == 2


def test_an_order_whose_decision_ran_out_meanwhile_is_not_sent(place, account, login, exchange):
    order = place()
    end_token(exchange)
    sent(order)
    Order.objects.filter(pk=order.pk).update(decide_by=timezone.now())
    tending.tend(account)
    sweep_and_send()
    order.refresh_from_db()
    assert order.status == "LAPSED"
    assert exchange.accepted(order.correlation_id) == []


def test_entries_stop_by_readiness_and_start_again_by_themselves(
    place, account, login, exchange, held
):
    end_token(exchange)
    reconcile(account)
    denied = place()
    assert denied.status == "DENIED"
    assert "the account is not ready: token: the broker refuses the token" in denied.reason
    tending.tend(account)
    assert readiness.reasons_against(account) == ()
    assert place().status == "APPROVED"


def test_exits_are_reviewed_without_asking_and_sent_once_the_token_is_new(
    leave, account, login, exchange, held
):
    end_token(exchange)
    reconcile(account)
    order = leave()
    assert order.status == "APPROVED"
    assert sent(order).status == "APPROVED"
    tending.tend(account)
    sent_until(order, "SUBMITTED", "OPEN")
    assert len(exchange.accepted(order.correlation_id)) == 1


def test_one_login_and_one_alert_however_many_orders_are_caught(
    place, leave, account, login, exchange, held
):
    orders = [place(quantity=number) for number in range(1, 6)]
    end_token(exchange)
    for order in orders:
        sent(order)
    for _ in range(3):
        reconcile(account)
        sweep_and_send()
    sides = [OnTheSide(tending.tend, account) for _ in range(4)]
    for side in sides:
        assert side.over() is None
    assert asked(exchange, "generate_token") == 1
    (alert,) = Alert.objects.all()
    assert (alert.key, alert.times) == ("session:alpha", 1)
    for order in orders:
        sent_until(order, "SUBMITTED", "OPEN", "LAPSED")
        assert len(exchange.accepted(order.correlation_id)) == (order.status != "LAPSED")
    assert exchange.report()["doubled"] == []


def test_without_a_login_a_person_brings_the_token_and_the_exit_goes(
    leave, account, exchange, held
):
    order = leave()
    end_token(exchange)
    assert sent(order).status == "APPROVED"
    for _ in range(5):
        tending.tend(account)
        forget_pauses(account)
        reconcile(account)
    (alert,) = Alert.objects.all()
    assert (alert.severity, alert.times) == ("CRITICAL", 1)
    assert asked(exchange, "place") == 2  # the one that was filled, and one refusal
    exchange.control("token", client_id=CLIENT, token="by-hand")
    store_token(account, "by-hand")
    sent_until(order, "SUBMITTED", "OPEN")
    assert len(exchange.accepted(order.correlation_id)) == 1


def test_a_change_and_a_cancel_wait_for_the_token_too(working, trader, account, login, exchange):
    order = working()
    end_token(exchange)
    services.modify(order, trader, "better price", price=order.price - 1)
    sweep_and_send()
    assert Modification.objects.get().status == "APPROVED"
    services.cancel(order, trader, "no longer wanted")
    sweep_and_send()
    tending.tend(account)
    deadline = time.monotonic() + 60
    while order.status != "CANCELLED":
        assert time.monotonic() < deadline, [str(event) for event in order.events.all()]
        Order.objects.filter(pk=order.pk).update(next_cancel_at=timezone.now())
        sweep_and_send()
        reconcile(account)
        order.refresh_from_db()
    assert WireCall.objects.filter(verb="CANCEL", outcome="ACCEPTED").exists()


def test_what_is_not_provably_nothing_is_looked_for_and_not_sent_again(
    intent, trader, no_bells, make_account, exchange
):
    """An order error that speaks of a token may come from further in than the door."""
    body = {"errorType": "Order_Error", "errorCode": "DH-906", "errorMessage": "Invalid Token"}
    with Stub(answer(200, payload("fundlimit.response")), answer(400, body)) as stub:
        account = make_account("beta", "1000000002", rest_url=stub.url)
        order = services.place(intent(account=account), trader, Source.COMMAND)
        assert order.status == "APPROVED", order.reason
        assert sent(order).status == "UNKNOWN"
        assert sum(b"POST /orders" in request for request in stub.requests) == 1


def test_a_wrong_address_stops_entries_until_it_is_right(place, leave, account, exchange, held):
    exchange.control("address", client_id=CLIENT, allowed=False)
    order = place()
    assert sent(order).status == "REJECTED"
    assert "Invalid IP" in order.reason
    denied = place()
    assert denied.status == "DENIED"
    assert "takes no orders from our address" in denied.reason
    assert leave().status == "APPROVED"
    (alert,) = Alert.objects.all()
    assert alert.key == "address:alpha"
    exchange.control("address", client_id=CLIENT, allowed=True)
    forget_pauses(account)
    BrokerSession.objects.update(address_checked_at=None)
    account.tokens.update(learned_at=timezone.now())
    tending.tend(account)
    assert place().status == "APPROVED"


def test_the_feed_and_the_books_do_not_tell_again_what_the_session_told(account, exchange):
    end_token(exchange)
    reconcile(account)
    listener = feed._Listener(account)
    listener.lost("the broker ended the order feed (807)")
    assert [alert.key for alert in Alert.objects.all()] == ["session:alpha"]
    sessions.start_afresh(account)
    exchange.control("token", client_id=CLIENT, token="by-hand")
    store_token(account, "by-hand")
    listener.lost("the order feed has not answered for 6 s")
    assert Alert.objects.filter(key="feed:alpha").exists()
