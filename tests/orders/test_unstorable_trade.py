"""One trade that cannot be stored must not stop the others."""

from __future__ import annotations

import dataclasses

import pytest
from django.utils import timezone

from apps.brokers.dhan.reporting import DhanReporting
from apps.brokers.port import Known
from apps.orders.reconcile import reconcile
from tests.orders.telling import trade

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def test_one_trade_that_cannot_be_stored_does_not_stop_the_others(
    working, account, exchange, monkeypatch
):
    order = working(quantity=2)
    bad = dataclasses.replace(trade(order, 1, 1400), exchange_trade_id="9" * 80)
    trades = Known([bad, trade(order, 2, 1400)], timezone.now())
    monkeypatch.setattr(DhanReporting, "trade_book", lambda self: trades)
    reconcile(account)
    assert order.fills.count() == 1
