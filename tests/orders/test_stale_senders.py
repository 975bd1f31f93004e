"""A sender that froze wakes up when the order is in other hands: those go on undisturbed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from apps.brokers.models import WireCall
from apps.brokers.port import NotSent
from apps.orders import lifecycle, sweep
from apps.orders.dispatch import call_time_out, dispatch, send_claimed, settle
from apps.orders.ingest import FEED, apply_report
from apps.orders.models import Order
from apps.risk import gate
from apps.risk.models import Hold
from tests.orders.telling import report, sent, swept_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]

NOTHING_SENT = {
    "deferred": lambda: gate.Deferred(timezone.now()),
    "stopped": lambda: gate.Stopped("the account is HALTED: only exits may go"),
    "expired": lambda: gate.Stopped("the decision expired", expired=True),
}


class Handover:
    """Freeze the first sender after the gate's answer; a second one claims and sends."""

    def __init__(self, order: Order, answer: Any, *, settles: bool) -> None:
        self.order, self.answer, self.settles = order, answer, settles
        self.send = gate.send
        self.claim: uuid.UUID | None = None

    def __call__(self, request: Any, claim_id: uuid.UUID) -> Any:
        time.sleep(0.25)
        sweep._hand_back()
        self.claim = lifecycle.claim(self.order.pk).claim_id
        assert self.claim not in {None, claim_id}
        result = self.send(request, self.claim)
        assert isinstance(result, gate.Sent)
        if self.settles:
            settle(self.order, result.call, result.outcome, self.claim)
        return self.answer()


@pytest.fixture(params=sorted(NOTHING_SENT))
def answer(request) -> Callable[[], Any]:
    return NOTHING_SENT[request.param]


def test_a_stale_answer_leaves_what_another_sender_settled(order, exchange, answer, monkeypatch):
    monkeypatch.setattr(gate, "send", Handover(order, answer, settles=True))
    assert sent(order).status == "SUBMITTED"
    assert [event.event for event in order.events.all()][-1] == "ACCEPT"
    assert Hold.objects.get().released_at is None
    assert len(exchange.accepted(order.correlation_id)) == 1


def test_a_stale_answer_leaves_what_a_dead_sender_left_and_the_look_finds_it(
    order, exchange, answer, monkeypatch
):
    handover = Handover(order, answer, settles=False)
    with monkeypatch.context() as patched:
        patched.setattr(gate, "send", handover)
        assert sent(order).status == "SENDING"
    assert order.claim_id == handover.claim
    swept_until(order, "SUBMITTED", "OPEN")
    assert len(exchange.accepted(order.correlation_id)) == 1
    assert WireCall.objects.filter(verb="PLACE").count() == 1


def test_a_429_that_is_told_after_the_sweep_gave_up_waiting_does_not_free_the_order(
    order, exchange
):
    exchange.fault("http_429", "place", times=1)
    claim = lifecycle.claim(order.pk).claim_id
    result = gate.send(order.request(), claim)
    assert isinstance(result.outcome, NotSent)
    time.sleep(call_time_out().total_seconds() + 0.1)
    sweep._lose()
    settle(order, result.call, result.outcome, claim)
    order.refresh_from_db()
    assert order.status == "UNKNOWN"
    dispatch(order.pk)
    swept_until(order, "NEVER_ARRIVED")
    assert exchange.accepted(order.correlation_id) == []


def test_a_claim_that_was_handed_back_opens_no_gate(order, exchange):
    stale = lifecycle.claim(order.pk).claim_id
    time.sleep(0.25)
    sweep._hand_back()
    assert isinstance(gate.send(order.request(), stale), gate.NotYours)
    fresh = lifecycle.claim(order.pk).claim_id
    assert isinstance(gate.send(order.request(), stale), gate.NotYours)
    send_claimed(order, fresh)
    assert len(exchange.accepted(order.correlation_id)) == 1


def test_news_while_sending_takes_the_claim_away_so_nothing_is_sent(order, exchange, account):
    claim = lifecycle.claim(order.pk).claim_id
    apply_report(account, report(order), FEED)
    order.refresh_from_db()
    assert (order.status, order.broker_order_id) == ("OPEN", "42")
    assert Hold.objects.get().claim_id is None
    assert isinstance(gate.send(order.request(), claim), gate.NotYours)
    send_claimed(order, claim)
    order.refresh_from_db()
    assert order.status == "OPEN"
    assert exchange.accepted(order.correlation_id) == []
