"""A sleeper whose change came back from a 429 wakes and sends it: the change must not lapse."""

from __future__ import annotations

import pytest
from django.utils import timezone

from apps.orders import changes, services, sweep
from apps.orders.dispatch import call_time_out
from apps.orders.models import Modification
from apps.risk import gate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def test_a_change_that_a_sleeper_sent_after_anothers_429_does_not_lapse(
    working, trader, account, exchange, monkeypatch
):
    order = working(quantity=5)
    change = services.modify(order, trader, "more", quantity=7)
    exchange.fault("http_429", "modify", times=1)
    modify = gate.modify

    def frozen(*args):
        monkeypatch.setattr(gate, "modify", modify)
        long_ago = timezone.now() - 2 * call_time_out()
        Modification.objects.filter(pk=change.pk).update(claimed_at=long_ago)
        sweep._settle_changes()
        changes.send_change(change.pk)
        return modify(*args)

    monkeypatch.setattr(gate, "modify", frozen)
    changes.send_change(change.pk)
    Modification.objects.filter(pk=change.pk).update(not_before=timezone.now())
    changes.send_change(change.pk)
    change.refresh_from_db()
    assert change.status in {"ACCEPTED", "UNKNOWN", "APPLIED"}
