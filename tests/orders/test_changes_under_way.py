"""Changes of terms: sent once, settled once, whoever freezes, dies or waits."""

from __future__ import annotations

import time

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers.models import WireCall
from apps.brokers.port import Refused
from apps.orders import changes, lifecycle, services, sweep
from apps.orders.dispatch import call_time_out
from apps.orders.ingest import FEED, apply_report
from apps.orders.models import Change, Modification
from apps.orders.reconcile import reconcile
from apps.risk import book, gate
from apps.risk.models import Hold
from tests.orders.telling import PARTLY, OnTheSide, report, settled, shown

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def calls() -> list[str]:
    sent = WireCall.objects.filter(verb="MODIFY").order_by("id")
    return list(sent.values_list("outcome", flat=True))


def aged(change: Modification) -> None:
    """As if it had been claimed so long ago that its sender must be dead."""
    Modification.objects.filter(pk=change.pk).update(
        claimed_at=timezone.now() - call_time_out() - call_time_out()
    )


@pytest.fixture
def order(working):
    return working(quantity=5)


@pytest.fixture
def change(order, trader) -> Modification:
    change = services.modify(order, trader, "more", quantity=7)
    assert change.status == Change.APPROVED, change.reason
    return change


def test_a_429_is_tried_again_after_its_pause_and_sent_once(order, change, account, exchange):
    exchange.fault("http_429", "modify", times=1)
    changes.send_change(change.pk)
    change.refresh_from_db()
    assert change.status == "APPROVED"
    assert change.not_before > timezone.now()
    changes.send_change(change.pk)
    assert calls() == ["NOT_SENT"]
    Modification.objects.filter(pk=change.pk).update(not_before=timezone.now())
    changes.send_change(change.pk)
    settled(account)
    change.refresh_from_db()
    assert (change.status, calls()) == ("APPLIED", ["NOT_SENT", "ACCEPTED"])
    assert shown(order).quantity == 7


def test_the_sweep_leaves_a_freshly_claimed_change_to_its_sender(
    order, change, exchange, monkeypatch
):
    """Asked for long ago, tried and turned away, claimed again just now."""
    exchange.fault("http_429", "modify", times=1)
    changes.send_change(change.pk)
    long_ago = timezone.now() - 10 * call_time_out()
    Modification.objects.filter(pk=change.pk).update(
        requested_at=long_ago, not_before=timezone.now()
    )
    modify = gate.modify

    def swept_first(*args):
        sweep._settle_changes()
        changes.send_change(change.pk)
        assert Modification.objects.get(pk=change.pk).status == "SENDING"
        return modify(*args)

    monkeypatch.setattr(gate, "modify", swept_first)
    changes.send_change(change.pk)
    change.refresh_from_db()
    assert (change.status, calls()) == ("ACCEPTED", ["NOT_SENT", "ACCEPTED"])


def test_of_two_senders_one_sends(order, change, exchange):
    senders = [OnTheSide(changes.send_change, change.pk) for _ in range(4)]
    assert [sender.over() for sender in senders] == [None] * 4
    assert calls() == ["ACCEPTED"]


def test_a_sender_that_died_before_writing_hands_the_change_back(order, change, exchange):
    Modification.objects.filter(pk=change.pk).update(status=Change.SENDING)
    aged(change)
    sweep._settle_changes()
    change.refresh_from_db()
    assert change.status == "APPROVED"
    changes.send_change(change.pk)
    assert calls() == ["ACCEPTED"]


def test_a_sender_that_died_after_the_call_leaves_it_to_the_books(
    order, change, account, exchange, monkeypatch
):
    monkeypatch.setattr(changes, "_settle", lambda *_: None)
    changes.send_change(change.pk)
    aged(change)
    sweep._settle_changes()
    change.refresh_from_db()
    assert change.status == "UNKNOWN"
    changes.send_change(change.pk)
    settled(account)
    change.refresh_from_db()
    assert (change.status, len(calls())) == ("APPLIED", 1)


def test_a_finished_change_is_not_resurrected_by_its_slow_sender(
    order, change, account, exchange, monkeypatch
):
    modify = gate.modify

    def slow(*args):
        result = modify(*args)
        aged(change)
        sweep._settle_changes()
        settled(account)
        assert Modification.objects.get(pk=change.pk).status == "APPLIED"
        return result

    monkeypatch.setattr(gate, "modify", slow)
    changes.send_change(change.pk)
    change.refresh_from_db()
    assert (change.status, Hold.objects.get().quantity) == ("APPLIED", 7)


def test_a_change_that_never_took_effect_is_refused_by_the_books(
    order, change, account, exchange, settings
):
    exchange.fault("drop_before_accept", "modify", times=1)
    changes.send_change(change.pk)
    change.refresh_from_db()
    assert change.status == "UNKNOWN"
    reconcile(account)
    change.refresh_from_db()
    assert change.status == "UNKNOWN"
    time.sleep(settings.SEND_WITHIN + settings.CALL_TIMEOUT + settings.SETTLE_TIME)
    reconcile(account)
    change.refresh_from_db()
    assert (change.status, Hold.objects.get().quantity) == ("REFUSED", 5)


def test_finishing_a_change_and_a_fact_of_its_order_never_deadlock(
    order, trader, account, monkeypatch
):
    """Fifty times both at once; each pair must end without either having to give way."""
    for turn in range(50):
        change = Modification.objects.create(
            order=order,
            quantity=5 + turn,
            status=Change.SENDING,
            claimed_at=timezone.now(),
            decision_id=order.events.get(event="APPROVE").decision_id,
            actor="Alice",
        )
        news = report(order, PARTLY, quantity=5, reported_at=timezone.now())
        both = [
            OnTheSide(changes._finish, change, Change.REFUSED, "no"),
            OnTheSide(apply_report, account, news, FEED),
        ]
        results = [thread.over() for thread in both]
        assert not [result for result in results if isinstance(result, Exception)], results


def test_a_refusal_and_a_fill_at_the_same_moment_both_come_through(
    order, change, account, monkeypatch
):
    call = gate.modify(change.request(), change.decision_id, changes._claim(change.pk)).call
    now = timezone.now()
    Modification.objects.filter(pk=change.pk).update(status=Change.SENDING, claimed_at=now)
    change.refresh_from_db()
    settle_quantity = book.settle_quantity

    def slowly(*args):
        settle_quantity(*args)
        time.sleep(0.5)

    monkeypatch.setattr(book, "settle_quantity", slowly)
    answer = gate.Sent(call, Refused("DH-906", "no"))
    one = OnTheSide(changes.insist, lambda: changes._settle(change, answer))
    time.sleep(0.2)
    fill = lifecycle.Happening(event=lifecycle.Event.PARTIAL, origin=FEED, filled_quantity=2)
    two = OnTheSide(lifecycle.apply, order.pk, fill)
    assert (one.over(), two.over()) == (None, True)
    change.refresh_from_db()
    order.refresh_from_db()
    assert (change.status, order.filled_quantity, calls()) == ("REFUSED", 2, ["REFUSED"])


def test_a_change_that_the_book_shows_before_the_row_holds_the_larger_quantity(order, change):
    changes.send_change(change.pk)
    change.refresh_from_db()
    assert change.status == "ACCEPTED"
    new = lifecycle.Terms(quantity=7, price=order.price)
    changes.resolve(change, new, timezone.now())
    order.refresh_from_db()
    assert (order.quantity, change.status == "APPLIED") == (5, False)  # the object is an old one
    change.refresh_from_db()
    assert change.status == "APPLIED"
    assert Hold.objects.get().quantity == 7


def test_a_change_that_breaks_the_sweep_does_not_stop_the_others(working, trader, monkeypatch):
    made = [services.modify(working(quantity=5), trader, "more", quantity=7) for _ in range(2)]
    for change in made:
        changes.send_change(change.pk)
    seen = []

    def broken(change, *_):
        seen.append(change.pk)
        raise ZeroDivisionError

    monkeypatch.setattr(changes, "resolve", broken)
    sweep.sweep()
    assert seen == [change.pk for change in made]
    assert Alert.objects.filter(key__startswith="sweep:").count() == 2
