"""Two requests about one working order at the same moment: neither is a deadlock's victim."""

from __future__ import annotations

import time

import pytest
from django.utils import timezone

from apps.brokers.models import WireCall
from apps.brokers.port import Accepted
from apps.orders import changes, services, sweep
from apps.orders.dispatch import call_time_out
from apps.orders.models import Change, Modification
from apps.risk import gate
from apps.risk.models import Hold
from tests.orders.telling import OnTheSide, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def order(working):
    return working(quantity=5)


@pytest.fixture
def change(order, trader) -> Modification:
    return services.modify(order, trader, "more", quantity=7)


def test_a_stale_sender_of_a_change_leaves_what_another_settled(
    order, change, account, exchange, monkeypatch
):
    modify = gate.modify

    def frozen(*args):
        monkeypatch.setattr(gate, "modify", modify)
        Modification.objects.filter(pk=change.pk).update(
            claimed_at=timezone.now() - 2 * call_time_out()
        )
        sweep._settle_changes()
        changes.send_change(change.pk)
        assert Modification.objects.get(pk=change.pk).status == "ACCEPTED"
        return modify(*args)

    monkeypatch.setattr(gate, "modify", frozen)
    changes.send_change(change.pk)
    change.refresh_from_db()
    assert change.status == "ACCEPTED"
    assert Hold.objects.get().quantity == 7
    settled(account)
    change.refresh_from_db()
    assert change.status == "APPLIED"


def test_settling_a_change_and_asking_for_another_at_the_same_moment(
    order, change, trader, monkeypatch
):
    call = gate.modify(change.request(), change.decision_id, changes._claim(change.pk)).call
    now = timezone.now()
    Modification.objects.filter(pk=change.pk).update(status=Change.SENDING, claimed_at=now)
    change.refresh_from_db()
    note = changes._note

    def slowly(*args):
        time.sleep(0.6)
        note(*args)

    monkeypatch.setattr(changes, "_note", slowly)
    began = []
    answer = gate.Sent(call, Accepted(order.broker_order_id))

    def once():
        began.append(1)
        changes._settle(change, answer)

    one = OnTheSide(changes.insist, once)
    time.sleep(0.2)
    two = OnTheSide(services.modify, order, trader, "again", quantity=9)
    results = (one.over(), two.over())
    assert results[0] is None
    assert isinstance(results[1], services.TooLate), results[1]
    assert len(began) == 1


def test_sending_a_change_and_asking_for_another_at_the_same_moment(
    order, change, trader, monkeypatch
):
    open_call, review = gate.open_call, gate.review

    def slow_call(*args, **named):
        time.sleep(0.5)
        return open_call(*args, **named)

    def slow_review(*args):
        time.sleep(0.5)
        return review(*args)

    monkeypatch.setattr(gate, "open_call", slow_call)
    monkeypatch.setattr(gate, "review", slow_review)
    one = OnTheSide(changes.send_change, change.pk)
    two = OnTheSide(services.modify, order, trader, "again", quantity=9)
    results = (one.over(), two.over())
    change.refresh_from_db()
    assert WireCall.objects.filter(verb="MODIFY").count() == 1
    assert results[0] is None
    assert isinstance(results[1], services.TooLate), results[1]
