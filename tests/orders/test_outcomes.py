"""What each way of answering a placement does to the order."""

from __future__ import annotations

import time

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers.models import WireCall
from apps.brokers.port import BrokerState, OrderReport
from apps.orders import services
from apps.orders.dispatch import dispatch
from apps.orders.ingest import FEED, apply_report
from apps.orders.models import Order, Source, Unattributed
from apps.orders.reconcile import reconcile
from apps.risk.models import Hold
from tests.orders.sending import Sender
from tests.orders.sweeping import sweep_and_send

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def order(intent, trader, no_bells) -> Order:
    return services.place(intent(), trader, Source.COMMAND)


def sent(order: Order) -> Order:
    dispatch(order.pk)
    order.refresh_from_db()
    return order


def looked_until(order: Order, *statuses: str) -> Order:
    deadline = time.monotonic() + 20
    while order.status not in statuses and time.monotonic() < deadline:
        time.sleep(0.15)
        sweep_and_send()
        order.refresh_from_db()
    assert order.status in statuses, [str(event) for event in order.events.all()]
    return order


UNCLEAR = [
    ("drop_before_accept", {}, 0),
    ("drop_after_accept", {}, 1),
    ("hang", {"accept": True, "seconds": 3}, 1),
    ("hang", {"accept": False, "seconds": 3}, 0),
    ("http_500", {"accept": True}, 1),
    ("http_500", {"accept": False}, 0),
    ("html", {"accept": True}, 1),
    ("garbage", {"accept": True}, 1),
    ("wrong_schema", {"accept": True}, 1),
    ("redirect_307", {}, 0),
]


@pytest.mark.parametrize(("fault", "options", "at_exchange"), UNCLEAR)
def test_what_may_have_left_is_unknown_until_the_books_have_spoken(
    order, exchange, fault, options, at_exchange
):
    exchange.fault(fault, "place", times=1, **options)
    assert sent(order).status == "UNKNOWN"
    assert Hold.objects.get().released_at is None
    dispatch(order.pk)
    looked_until(order, *(["SUBMITTED", "OPEN"] if at_exchange else ["NEVER_ARRIVED"]))
    assert len(exchange.accepted(order.correlation_id)) == at_exchange
    assert WireCall.objects.filter(verb="PLACE").count() == 1


def test_a_429_placed_nothing_and_is_tried_again_with_a_fresh_permit(order, exchange):
    exchange.fault("http_429", "place", times=2)
    assert sent(order).status == "APPROVED"
    assert order.not_before is not None
    looked_until(order, "SUBMITTED", "OPEN")
    assert len(exchange.accepted(order.correlation_id)) == 1
    calls = WireCall.objects.filter(verb="PLACE")
    assert [call.outcome for call in calls.order_by("id")] == ["NOT_SENT", "NOT_SENT", "ACCEPTED"]
    assert len({call.permit for call in calls}) == 3


def test_a_refusal_is_rejected_with_the_brokers_words(order, exchange):
    exchange.control("address", client_id="1000000001", allowed=False)
    assert sent(order).status == "REJECTED"
    assert "DH-905: Invalid IP" in order.reason
    assert Hold.objects.get().released_at is not None


def test_a_decision_that_ran_out_lapses_instead_of_being_sent(order, exchange):

    Order.objects.filter(pk=order.pk).update(decide_by=timezone.now())
    sweep_and_send()
    order.refresh_from_db()
    assert order.status == "LAPSED"
    assert exchange.accepted(order.correlation_id) == []


def test_feed_news_before_a_lost_reply_leaves_nothing_unknown(order, exchange, account):

    exchange.fault("hang", "place", times=1, accept=True, seconds=3)
    sender = Sender(order)
    report = OrderReport(
        broker_order_id="42",
        state=BrokerState.WORKING,
        state_word="Pending",
        correlation_id=order.correlation_id,
    )
    apply_report(account, report, FEED)
    order.refresh_from_db()
    assert order.status == "OPEN"
    sender.go_on()
    order.refresh_from_db()
    assert order.status == "OPEN"


def test_the_same_fact_by_reply_feed_and_book_is_one_event(order, exchange, account):

    sent(order)
    time.sleep(0.1)
    for _ in range(3):
        reconcile(account)
    assert [event.event for event in order.events.all()].count("WORK") == 1


def test_an_unknown_word_changes_nothing_and_alerts(order, exchange, account):

    sent(order)
    report = OrderReport(
        broker_order_id=order.broker_order_id,
        state=BrokerState.UNRECOGNISED,
        state_word="Frobnicated",
        filled_quantity=1,
    )
    apply_report(account, report, FEED)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("SUBMITTED", 0)
    assert Alert.objects.filter(key="word:dhan:Frobnicated").exists()


def test_news_of_a_stranger_is_kept_and_changes_no_order(order, exchange, account):

    report = OrderReport(broker_order_id="7", state=BrokerState.WORKING, state_word="Pending")
    assert apply_report(account, report, FEED) is None
    assert Unattributed.objects.get().broker_order_id == "7"


def test_the_same_request_key_is_the_same_order(intent, trader, no_bells, exchange):
    first = services.place(intent(), trader, Source.ADMIN, request_key="abc")
    second = services.place(intent(), trader, Source.ADMIN, request_key="abc")
    assert first.pk == second.pk
    assert Order.objects.count() == 1
