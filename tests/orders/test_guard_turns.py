"""The guard's own pass: it survives what breaks, exits go first, and nobody is rung."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from apps.alerts.models import Alert, Heartbeat
from apps.brokers.port import Intent, Side
from apps.orders import cancels, changes, guard, look, reconcile, services, sweep
from apps.orders.models import Order
from tests.orders.telling import sent, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def unrung(order: Order) -> Order:
    """As if approved a while ago: nobody heard the bell."""
    earlier = timezone.now() - timedelta(seconds=5)
    Order.objects.filter(pk=order.pk).update(approved_at=earlier)
    return order


def broken(*_, **__):
    raise RuntimeError("broken on purpose")


@pytest.fixture
def leaving(working, place, account, exchange) -> Order:
    """An approved exit that nobody has sent."""
    entry = working(quantity=5)
    exchange.control("fill", orderId=entry.broker_order_id)
    settled(account)
    order = place(side=Side.SELL, quantity=5, intent=Intent.EXIT)
    assert order.status == "APPROVED", order.reason
    return unrung(order)


@pytest.fixture
def turns(settings):
    """Stops the guard after that many turns."""
    settings.SWEEP_EVERY = 0.01

    def stop_after(count: int):
        left = iter(range(count))
        return lambda: next(left, None) is None

    return stop_after


STEPS = ["_lapse", "_hand_back", "_lose", "_withdraw", "_outlive"]
LATER = ["_send_cancels", "_settle_changes", "_look"]


@pytest.mark.parametrize("step", [*STEPS, *LATER])
def test_a_step_that_breaks_is_told_and_the_exit_still_goes(leaving, exchange, monkeypatch, step):
    broken.__name__ = step
    monkeypatch.setattr(sweep, step, broken)
    guard.act()
    assert len(exchange.accepted(leaving.correlation_id)) == 1
    assert Alert.objects.filter(key=f"sweep:{step}").exists()


def test_a_step_that_loses_the_database_does_not_stop_the_others(leaving, exchange, monkeypatch):
    def lost():
        raise OperationalError("gone")

    monkeypatch.setattr(sweep, "_lapse", lost)
    guard.act()
    assert len(exchange.accepted(leaving.correlation_id)) == 1


def test_the_guard_lives_on_after_a_turn_that_broke(leaving, account, exchange, monkeypatch, turns):
    acted = []

    def act():
        acted.append(1)
        if len(acted) == 1:
            broken()

    monkeypatch.setattr(guard, "act", act)
    Heartbeat.objects.filter(name=sweep.SWEEP).delete()
    guard.watch(turns(3))
    assert len(acted) == 3


def test_the_guard_lives_on_although_the_books_break(leaving, exchange, monkeypatch, turns):
    monkeypatch.setattr(reconcile, "reconcile", broken)
    monkeypatch.setattr(reconcile, "accounts_due", lambda: [None])
    guard.watch(turns(2))
    assert len(exchange.accepted(leaving.correlation_id)) == 1


def test_exits_leave_before_cancels_changes_looks_and_books(
    leaving, working, place, exchange, trader, account, monkeypatch
):
    services.cancel(working(quantity=2), trader, "stop")
    exchange.fault("drop_before_accept", "place", times=1)
    assert sent(place(quantity=3)).status == "UNKNOWN"
    change = services.modify(working(quantity=4), trader, "more", quantity=6)
    changes.send_change(change.pk)
    done = []

    def noted(module, name):
        real = getattr(module, name)

        def note(*args, **named):
            done.append(name)
            return real(*args, **named)

        monkeypatch.setattr(module, name, note)

    noted(sweep, "dispatch")
    noted(cancels, "send_cancel")
    noted(changes, "resolve")
    noted(look, "look")
    noted(reconcile, "reconcile")
    account.reconcile_wanted = True
    account.save(update_fields=["reconcile_wanted"])
    guard.act()
    assert done[0] == "dispatch"
    first = list(dict.fromkeys(done))
    assert first == ["dispatch", "send_cancel", "resolve", "look", "reconcile"]
    assert len(exchange.accepted(leaving.correlation_id)) == 1


def test_the_guard_rings_nobody(leaving, working, place, trader, exchange, account, no_bells):
    services.cancel(working(quantity=2), trader, "stop")
    services.modify(working(quantity=4), trader, "more", quantity=6)
    unrung(place(quantity=3))
    exchange.fault("drop_after_accept", "place", times=1)
    assert sent(place(quantity=1)).status == "UNKNOWN"
    no_bells.clear()
    for _ in range(2):
        guard.act()
    assert no_bells == []
