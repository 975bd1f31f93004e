"""A cancel that was wished is neither forgotten nor asked for twice at once."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from django.utils import timezone

from apps.brokers.models import WireCall
from apps.orders import cancels, services, sweep, tasks
from apps.orders.dispatch import dispatch
from apps.orders.models import Order
from apps.orders.reconcile import reconcile
from apps.risk.models import Hold
from tests.orders.sending import Sender, claimed_without_a_call
from tests.orders.sweeping import sweep_and_send
from tests.orders.telling import OnTheSide, sent, settled, swept_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def wished(order, trader):
    """Claimed by a sender; then its cancel is wished."""
    sender = Sender(order)
    services.cancel(order, trader, "stop")
    assert order.status == "SENDING"
    return order, sender


def never_sent(order: Order, exchange) -> None:
    order.refresh_from_db()
    assert order.status == "CANCELLED"
    assert Hold.objects.get().released_at is not None
    for _ in range(3):
        sweep_and_send()
    dispatch(order.pk)
    order.refresh_from_db()
    assert order.status == "CANCELLED"
    assert exchange.accepted(order.correlation_id) == []


def test_wished_while_sending_and_then_a_429_it_ends_cancelled(wished, exchange):
    order, sender = wished
    exchange.fault("http_429", "place", times=1)
    sender.go_on()
    never_sent(order, exchange)


def test_wished_while_waiting_for_the_rate_budget_it_ends_cancelled(
    order, trader, exchange, monkeypatch
):
    with monkeypatch.context() as full:
        full.setattr("apps.risk.gate.wait_needed", lambda *_: dt.timedelta(seconds=1))
        dispatch(order.pk)
    order.refresh_from_db()
    assert (order.status, order.reason) == ("APPROVED", "waiting for the rate budget")
    services.cancel(order, trader, "stop")
    never_sent(order, exchange)


def test_a_claim_without_a_call_whose_cancel_is_wished_ends_cancelled(order, trader, exchange):
    claimed_without_a_call(order)
    services.cancel(order, trader, "stop")
    time.sleep(0.25)
    sweep._hand_back()
    never_sent(order, exchange)


def test_wished_by_a_desk_that_lost_the_race_it_is_withdrawn_by_the_sweep(order, exchange):
    Order.objects.filter(pk=order.pk).update(
        cancel_wanted_at=timezone.now(), next_cancel_at=timezone.now()
    )
    dispatch(order.pk)
    assert not WireCall.objects.filter(verb="PLACE").exists()
    sweep_and_send()
    never_sent(order, exchange)


def test_wished_while_sending_and_accepted_it_is_asked_for(wished, account, exchange, no_bells):
    order, sender = wished
    no_bells.clear()
    sender.go_on()
    assert ("orders.cancel", order.pk) in no_bells
    time.sleep(0.1)
    cancels.send_cancel(order.pk)
    settled(account)
    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_wished_while_sending_and_the_reply_lost_it_is_asked_for_once_found(
    wished, account, exchange
):
    order, sender = wished
    exchange.fault("drop_after_accept", "place", times=1)
    sender.go_on()
    swept_until(order, "SUBMITTED", "OPEN", "CANCELLED")
    deadline = time.monotonic() + 8
    while order.status != "CANCELLED" and time.monotonic() < deadline:
        sweep_and_send()
        settled(account)
        order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_four_bells_at_a_hanging_broker_are_one_cancel_and_hold_up_nobody(
    working, trader, exchange, settings
):
    order = working()
    services.cancel(order, trader, "stop")
    settings.CALL_TIMEOUT = 2.0
    exchange.fault("hang", "cancel", accept=False, seconds=30)
    bells = []
    for _ in range(4):
        bells.append(OnTheSide(tasks.cancel_order, order.pk))
        time.sleep(0.2)
    for bell in bells:
        bell.over()
    exchange.heal()
    assert WireCall.objects.filter(verb="CANCEL").count() == 1
    assert bells[0].seconds > 1.5
    assert max(bell.seconds for bell in bells[1:]) < 1.0


def test_a_bell_while_another_call_is_under_way_does_not_wait_and_comes_again(
    working, trader, exchange
):
    order = working()
    services.cancel(order, trader, "stop")
    busy = OnTheSide(_hold_the_line, order.correlation_id)
    time.sleep(0.2)
    bell = OnTheSide(cancels.send_cancel, order.pk)
    bell.over()
    assert bell.seconds < 0.8
    busy.over()
    assert not WireCall.objects.filter(verb="CANCEL").exists()
    order.refresh_from_db()
    assert order.next_cancel_at < timezone.now() + 2 * cancels.SOON


def _hold_the_line(correlation_id: str) -> None:
    from apps.brokers.locks import order_lock

    with order_lock(correlation_id):
        time.sleep(1.2)


def test_a_cancel_whose_answer_was_lost_is_asked_for_again_until_the_order_is_over(
    working, trader, account, exchange
):
    order = working()
    exchange.fault("drop_before_accept", "cancel", times=1)
    services.cancel(order, trader, "stop")
    cancels.send_cancel(order.pk)
    order.refresh_from_db()
    assert order.next_cancel_at > timezone.now()
    Order.objects.filter(pk=order.pk).update(next_cancel_at=timezone.now())
    sweep.sweep(direct=True)
    settled(account)
    reconcile(account)
    order.refresh_from_db()
    assert order.status == "CANCELLED"
    assert WireCall.objects.filter(verb="CANCEL").count() == 2


def test_an_order_that_was_sent_is_not_cancelled_by_the_desk_alone(order, trader, exchange):
    sent(order)
    services.cancel(order, trader, "stop")
    assert order.status == "SUBMITTED"
    assert Hold.objects.get().released_at is None
