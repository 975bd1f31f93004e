"""A worker killed at every place of a placement: nothing lost, nothing doubled, nothing unclear."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from apps.alerts.models import Alert
from apps.brokers.models import WireCall
from apps.orders import lifecycle, services
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source
from apps.orders.reconcile import reconcile
from apps.orders.states import Event
from apps.risk.models import Hold
from tests.orders.sending import claimed_without_a_call
from tests.orders.sweeping import sweep_and_send

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
ROOT = Path(__file__).resolve().parents[2]


def environment(**extra: str) -> dict[str, str]:
    url = os.environ["DATABASE_URL"]
    own = str(connection.settings_dict["NAME"])
    base, _, query = url.partition("?")
    return os.environ | {
        "DATABASE_URL": f"{base.rsplit('/', 1)[0]}/{own}" + (f"?{query}" if query else ""),
        "SEND_WITHIN": "0.3",
        "CALL_TIMEOUT": "0.5",
        **extra,
    }


def start(order: Order, place: str, **extra: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.orders.victim", str(order.pk), place]
    return subprocess.Popen(
        command, env=environment(**extra), cwd=ROOT, text=True, stdout=subprocess.PIPE
    )


def kill_at(order: Order, place: str) -> None:
    with start(order, place) as process:
        code = process.wait(30)
    assert code == -9, "the worker was meant to die by SIGKILL"


def sweep_until(order: Order, statuses: set[str], seconds: float = 20) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        sweep_and_send()
        order.refresh_from_db()
        if order.status in statuses:
            return order.status
        time.sleep(0.1)
    raise AssertionError(f"still {order.status}: {[str(e) for e in order.events.all()]}")


@pytest.fixture
def order(intent, trader, no_bells) -> Order:
    order = services.place(intent(), trader, Source.COMMAND)
    assert order.status == "APPROVED", order.reason
    return order


def test_bell_lost_after_approval_the_sweep_sends(order, exchange):
    assert sweep_until(order, {"SUBMITTED", "OPEN"})
    assert len(exchange.accepted(order.correlation_id)) == 1


def test_killed_while_claiming_nothing_was_claimed_and_it_is_sent_once(order, exchange):
    kill_at(order, "while_claiming")
    order.refresh_from_db()
    assert order.status == "APPROVED"
    assert not WireCall.objects.filter(verb="PLACE").exists()
    sweep_until(order, {"SUBMITTED", "OPEN"})
    assert len(exchange.accepted(order.correlation_id)) == 1


def test_a_claim_without_a_call_is_handed_back_and_sent_once(order, exchange):
    claimed_without_a_call(order)
    sweep_until(order, {"SUBMITTED", "OPEN"})
    assert len(exchange.accepted(order.correlation_id)) == 1
    assert "HAND_BACK" in [event.event for event in order.events.all()]


def test_killed_after_the_call_was_written_it_is_looked_for_and_proved_absent(order, exchange):
    kill_at(order, "after_call_written")
    sweep_until(order, {"UNKNOWN"})
    assert Hold.objects.get().released_at is None
    sweep_until(order, {"NEVER_ARRIVED"})
    assert exchange.accepted(order.correlation_id) == []
    assert Hold.objects.get().released_at is not None
    assert "absent from a complete book" in order.reason


@pytest.mark.parametrize("place", ["after_bytes_left", "before_settle"])
def test_killed_after_the_bytes_left_it_is_found_and_adopted(order, exchange, place):
    kill_at(order, place)
    sweep_until(order, {"SUBMITTED", "OPEN"})
    taken = exchange.accepted(order.correlation_id)
    assert [row["orderId"] for row in taken] == [order.broker_order_id]
    assert WireCall.objects.get(verb="PLACE").outcome == "UNKNOWN"


def test_frozen_until_after_its_deadline_it_wakes_and_sends_nothing(order, exchange):
    with start(order, "frozen_before_first_byte", FREEZE="1.5") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "frozen\n"
        assert process.wait(30) == 0
    order.refresh_from_db()
    assert exchange.accepted(order.correlation_id) == []
    assert WireCall.objects.get(verb="PLACE").outcome == "NOT_SENT"
    assert order.status == "APPROVED"


def test_a_missed_fill_is_made_good_from_the_books(order, account, exchange):
    dispatch(order.pk)
    order.refresh_from_db()
    time.sleep(0.1)
    exchange.control("fill", orderId=order.broker_order_id)
    reconcile(account)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity, order.fills.count()) == ("FILLED", 1, 1)
    before = order.events.count()
    reconcile(account)
    assert order.events.count() == before


def test_an_order_that_shows_up_after_all_is_adopted_with_an_alert(
    order, account, exchange, settings
):
    exchange.fault("drop_after_accept", "place", times=1)
    exchange.fault("lookup_404", "by_correlation", seconds=30)
    exchange.fault("http_500", "book", times=1)
    dispatch(order.pk)
    order.refresh_from_db()
    assert order.status == "UNKNOWN"
    lifecycle.apply(order.pk, lifecycle.Happening(event=Event.PROVE_ABSENT, origin="test"))
    assert Hold.objects.get().released_at is not None
    exchange.heal()
    reconcile(account)
    order.refresh_from_db()
    assert order.status in {"SUBMITTED", "OPEN"}
    assert Hold.objects.get().released_at is None
    assert Alert.objects.filter(key__startswith="late:").exists()
