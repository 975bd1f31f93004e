"""The rate budget counted from the journal."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from apps.brokers.budget import Budget, Priority, used, wait_needed
from apps.brokers.models import WireCall
from apps.orders import services
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source

pytestmark = pytest.mark.django_db(transaction=True)


def calls(account, count: int, seconds_ago: float, budget: Budget = Budget.READ) -> None:
    at = timezone.now() - dt.timedelta(seconds=seconds_ago)
    WireCall.objects.bulk_create(
        WireCall(
            account=account,
            verb="READ",
            what="test",
            budget=budget,
            created_at=at,
            send_by=at,
            boot_at=0,
        )
        for _ in range(count)
    )


def test_calls_are_counted_in_each_window(account):
    for count, ago in ((2, 0.1), (3, 30), (5, 1000), (7, 40_000), (11, 100_000)):
        calls(account, count, ago, Budget.ORDER)
    assert used(account, Budget.ORDER, timezone.now()) == {1: 2, 60: 5, 3600: 10, 86400: 17}


def test_another_account_and_another_class_do_not_count(account, make_account):
    other = make_account("beta", "1000000002")
    calls(other, 50, 0.1, Budget.ORDER)
    calls(account, 50, 0.1, Budget.QUOTE)
    assert wait_needed(account, Budget.ORDER) is None


@pytest.mark.parametrize(
    ("made", "priority", "may_go"),
    [
        (6, Priority.ENTRY, True),
        (7, Priority.ENTRY, False),
        (8, Priority.CANCEL, True),
        (9, Priority.CANCEL, False),
        (9, Priority.EXIT, True),
        (10, Priority.EXIT, False),
    ],
)
def test_slots_are_kept_for_exits_and_cancels(account, made, priority, may_go):
    calls(account, made, 0.1, Budget.ORDER)
    assert (wait_needed(account, Budget.ORDER, priority) is None) is may_go


@pytest.mark.parametrize(("made", "ago"), [(175, 30), (700, 1800), (4900, 40_000)])
def test_the_longer_windows_hold_entries_back_too(account, made, ago):
    calls(account, made, ago, Budget.ORDER)
    assert wait_needed(account, Budget.ORDER, Priority.ENTRY) is not None
    assert wait_needed(account, Budget.ORDER, Priority.EXIT) is None


def test_an_order_over_the_budget_waits_and_is_sent_later(account, intent, trader, no_bells):
    calls(account, 7, 0.1, Budget.ORDER)
    order = services.place(intent(), trader, Source.COMMAND)
    dispatch(order.pk)
    order.refresh_from_db()
    assert order.status == "APPROVED"
    assert order.not_before > timezone.now()
    assert not WireCall.objects.filter(verb="PLACE").exists()
    Order.objects.filter(pk=order.pk).update(not_before=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("apps.risk.gate.wait_needed", lambda *_: None)
        dispatch(order.pk)
    order.refresh_from_db()
    assert order.status == "SUBMITTED"


def test_a_burst_brings_no_429_from_the_exchange(account, intent, trader, exchange, no_bells):
    exchange.control("limits", on=True)
    orders = [services.place(intent(), trader, Source.COMMAND) for _ in range(20)]
    for order in orders:
        dispatch(order.pk)
    assert exchange.report()["rate_limited"] == 0


def limits(text: str) -> dict[int, int]:
    from tradingops.settings import _windows

    return _windows(text)


def test_the_order_limits_are_read_from_the_environment():
    assert limits("1:10, 60:250") == {1: 10, 60: 250}


@pytest.mark.parametrize("text", ["", "10", "1:x", "0:5", "1:0", "60:1,1:1", "1:1,1:2", "1:-5"])
def test_order_limits_that_make_no_sense_stop_the_start(text):
    with pytest.raises(ImproperlyConfigured, match="ORDER_LIMITS"):
        limits(text)
