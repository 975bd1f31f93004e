"""A worker killed between slices, and in the middle of one: nothing forgotten, nothing twice."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from apps.orders import services, slices
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Slicing, Source
from apps.orders.sweep import sweep
from tests.orders.sweeping import sweep_and_send
from tests.orders.test_crash_table import ROOT, environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def whole(intent, trader, reliance, no_bells) -> Slicing:
    """Ten in slices of four; the first one is at the exchange."""
    reliance.freeze_quantity = 4
    reliance.save()
    first = services.place(intent(quantity=10), trader, Source.COMMAND)
    dispatch(first.pk)
    assert first.parent is not None
    return first.parent


def kill_at(whole: Slicing, place: str) -> None:
    command = [sys.executable, "-m", "tests.orders.slices_victim", str(whole.pk), place]
    done = subprocess.run(command, env=environment(), cwd=ROOT, timeout=60, check=False)
    assert done.returncode == -9, "the worker was meant to die by SIGKILL"


def go_on(whole: Slicing, seconds: float = 20) -> list[Order]:
    """What beat, the sweeps and the workers do, until the whole is no longer being placed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        sweep()
        for due in slices.due():
            slices.advance(due.pk)
        sweep_and_send()
        whole.refresh_from_db()
        doubt = whole.slices.filter(status__in=["SENDING", "UNKNOWN"]).exists()
        if whole.status != "PLACING" and not doubt:
            return list(whole.slices.order_by("slice_number"))
        time.sleep(0.1)
    raise AssertionError(f"still {whole.status}: {list(whole.slices.values_list('status'))}")


@pytest.mark.parametrize("place", ["before_the_second", "while_storing", "between_slices"])
def test_killed_where_nothing_is_on_the_wire_the_sweep_goes_on(whole, exchange, place):
    kill_at(whole, place)
    orders = go_on(whole)
    assert [order.quantity for order in orders] == [4, 4, 2]
    assert whole.status == "PLACED"
    for order in orders:
        assert len(exchange.accepted(order.correlation_id)) == 1
    assert exchange.report()["orders"] == 3


@pytest.mark.parametrize("place", ["after_bytes_left", "before_settle"])
def test_killed_after_a_slice_left_it_is_found_and_the_rest_follows(whole, exchange, place):
    kill_at(whole, place)
    orders = go_on(whole)
    assert [order.quantity for order in orders] == [4, 4, 2]
    assert whole.status == "PLACED"
    assert exchange.report()["orders"] == 3


def test_killed_before_the_bytes_left_it_stops_with_what_is_proved_absent(whole, exchange, trader):
    kill_at(whole, "after_call_written")
    orders = go_on(whole)
    assert [order.status for order in orders][1:] == ["NEVER_ARRIVED"]
    assert whole.status == "STOPPED"
    assert exchange.report()["orders"] == 1
    slices.resume(whole, trader, "it never got there")
    orders = go_on(whole)
    assert [order.quantity for order in orders] == [4, 4, 4, 2]
    assert exchange.report()["orders"] == 3
    assert exchange.accepted(orders[1].correlation_id) == []


def test_killed_again_and_again(whole, exchange):
    for _ in range(2):
        kill_at(whole, "between_slices")
    orders = go_on(whole)
    assert [order.quantity for order in orders] == [4, 4, 2]
    assert exchange.report()["orders"] == 3
