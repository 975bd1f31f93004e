"""A sender that froze wakes up when the order is in other hands: those go on undisturbed."""

from __future__ import annotations

import time
import uuid

import pytest
from django.db import transaction

from apps.brokers.models import WireCall
from apps.brokers.port import NotSent
from apps.orders import lifecycle, sweep
from apps.orders.dispatch import call_time_out, dispatch
from apps.orders.ingest import FEED, apply_report
from apps.orders.models import Order
from apps.risk import gate
from apps.risk.models import Hold
from tests.orders.sending import Sender
from tests.orders.telling import OnTheSide, report, swept_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def test_a_second_sender_finds_nothing_to_send(order, exchange):
    first = Sender(order)
    assert lifecycle.take(order.pk) is None
    dispatch(order.pk)
    first.go_on()
    order.refresh_from_db()
    assert order.status == "SUBMITTED"
    assert len(exchange.accepted(order.correlation_id)) == 1


def test_two_senders_at_once_are_one_order(order, exchange):
    senders = [OnTheSide(dispatch, order.pk) for _ in range(4)]
    for sender in senders:
        sender.over()
    assert len(exchange.accepted(order.correlation_id)) == 1
    assert [event.event for event in order.events.all()].count("CLAIM") == 1


def test_a_sender_that_wakes_past_its_deadline_sends_nothing_and_leaves_the_look_its_order(
    order, exchange
):
    sender = Sender(order)
    time.sleep(call_time_out().total_seconds() + 0.1)
    sweep._lose()
    sender.go_on()
    order.refresh_from_db()
    assert order.status == "UNKNOWN"
    swept_until(order, "NEVER_ARRIVED")
    assert exchange.accepted(order.correlation_id) == []


def test_a_429_that_is_told_after_the_sweep_gave_up_waiting_does_not_free_the_order(
    order, exchange
):
    exchange.fault("http_429", "place", times=1)
    sender = Sender(order)
    sent = sender.speak()
    assert isinstance(sent.outcome, NotSent)
    time.sleep(call_time_out().total_seconds() + 0.1)
    sweep._lose()
    sender.settle(sent)
    order.refresh_from_db()
    assert order.status == "UNKNOWN"
    dispatch(order.pk)
    swept_until(order, "NEVER_ARRIVED")
    assert exchange.accepted(order.correlation_id) == []


def test_a_not_sent_of_an_earlier_claim_does_not_hand_back_a_later_one(order, exchange):
    exchange.fault("http_429", "place", times=1)
    first = Sender(order)
    sent = first.speak()
    first.settle(sent)
    Order.objects.filter(pk=order.pk).update(not_before=None)
    second = Sender(order)
    first.settle(sent)
    order.refresh_from_db()
    assert (order.status, order.claim_id) == ("SENDING", second.claim_id)
    second.go_on()
    assert len(exchange.accepted(order.correlation_id)) == 1


def test_a_hold_that_another_claim_has_opens_no_gate(order):
    Hold.objects.update(claim_id=uuid.uuid4())
    turn = gate.Turn(order.correlation_id)
    with transaction.atomic():
        answer = turn.write_down(order.request(), uuid.uuid4())
    assert isinstance(answer, gate.NotYours)
    assert not WireCall.objects.filter(verb="PLACE").exists()


def test_news_while_sending_takes_the_claim_away_but_the_call_is_already_written(
    order, exchange, account
):
    sender = Sender(order)
    apply_report(account, report(order), FEED)
    order.refresh_from_db()
    assert (order.status, order.broker_order_id) == ("OPEN", "42")
    assert Hold.objects.get().claim_id is None
    assert sender.call.outcome == ""
