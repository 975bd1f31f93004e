"""Reading the books: what can be applied is, and what could not is read again."""

from __future__ import annotations

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers.dhan.reporting import DhanReporting
from apps.brokers.models import BrokerAccount
from apps.brokers.port import BrokerState, Known, OrderReport
from apps.orders.reconcile import accounts_due, reconcile
from tests.orders.telling import FILLED, report, trade

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def marked(account) -> bool:
    account.refresh_from_db()
    return account.reconcile_wanted


def unstorable() -> OrderReport:
    """News of a stranger with a name that no row can hold."""
    return OrderReport(broker_order_id="9" * 60, state=BrokerState.WORKING, state_word="Pending")


def test_the_order_book_counts_although_the_trade_book_fails(working, account, exchange):
    order = working(quantity=1)
    exchange.control("fill", orderId=order.broker_order_id)
    exchange.fault("http_500", "trades")
    reconcile(account)
    order.refresh_from_db()
    assert (order.status, order.fills.count()) == ("FILLED", 0)
    assert marked(account)
    assert account in accounts_due()
    assert Alert.objects.filter(key=f"books:{account.name}").exists()
    exchange.heal()
    reconcile(account)
    assert order.fills.count() == 1
    assert not marked(account)


def test_an_order_book_that_fails_leaves_the_account_marked(working, account, exchange):
    exchange.fault("http_500", "book")
    reconcile(account)
    assert marked(account)


@pytest.mark.parametrize("which", ["order_book", "trade_book"])
def test_a_mark_that_is_set_while_the_books_are_read_survives(
    working, account, exchange, monkeypatch, which
):
    real = getattr(DhanReporting, which)

    def read(self):
        known = real(self)
        BrokerAccount.objects.filter(pk=account.pk).update(reconcile_wanted=True)
        return known

    with monkeypatch.context() as patched:
        patched.setattr(DhanReporting, which, read)
        reconcile(account)
    assert marked(account)
    reconcile(account)
    assert not marked(account)


def test_one_report_that_cannot_be_stored_does_not_stop_the_others(
    working, account, exchange, monkeypatch
):
    order = working(quantity=1)
    news = [unstorable(), report(order, FILLED, quantity=1, filled_quantity=1)]
    known = Known(news, timezone.now())
    monkeypatch.setattr(DhanReporting, "order_book", lambda self: known)
    reconcile(account)
    order.refresh_from_db()
    assert order.status == "FILLED"
    assert Alert.objects.filter(key=f"row:{account.name}:{'9' * 60}").exists()


def test_the_trades_are_read_although_a_report_could_not_be_stored(
    working, account, exchange, monkeypatch
):
    order = working(quantity=1)
    monkeypatch.setattr(
        DhanReporting, "order_book", lambda self: Known([unstorable()], timezone.now())
    )
    trades = Known([trade(order, 1, 1400)], timezone.now())
    monkeypatch.setattr(DhanReporting, "trade_book", lambda self: trades)
    reconcile(account)
    assert order.fills.count() == 1


def test_the_same_books_again_change_nothing(working, account, exchange):
    order = working(quantity=1)
    exchange.control("fill", orderId=order.broker_order_id)
    reconcile(account)
    order.refresh_from_db()
    before = (order.live_seq, order.events.count(), order.fills.count())
    for _ in range(2):
        reconcile(account)
    order.refresh_from_db()
    assert (order.live_seq, order.events.count(), order.fills.count()) == before
