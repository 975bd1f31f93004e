"""Exits together never take more than the position, whatever the clocks and the frames say."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.brokers import reporting
from apps.brokers.budget import Budget, Priority, wait_needed
from apps.brokers.models import PositionsReport, WireCall
from apps.brokers.port import Intent, Side
from apps.orders import changes, services
from apps.orders.ingest import FEED, apply_report
from apps.orders.models import Order
from apps.risk.models import Hold
from tests.orders.telling import CANCELLED, report, sent, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
TEN = 10


@pytest.fixture
def held(working, account, exchange) -> None:
    """Ten shares, bought, and seen by the desk."""
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    entry = working(quantity=TEN)
    exchange.control("fill", orderId=entry.broker_order_id)
    settled(account)
    reporting.store_positions(account)
    assert net(account) == TEN


@pytest.fixture
def leave(place):
    def leave(quantity: int = TEN, intent: Intent = Intent.EXIT) -> Order:
        return place(side=Side.SELL, quantity=quantity, intent=intent)

    return leave


@pytest.fixture
def left(leave, exchange, account) -> Order:
    """An exit of the whole position, filled."""
    exit_order = sent(leave())
    settled(account)
    exchange.control("fill", orderId=exit_order.broker_order_id)
    settled(account)
    exit_order.refresh_from_db()
    assert exit_order.status == "FILLED"
    return exit_order


def net(account) -> int:
    return sum(row.net_quantity for row in reporting.reports_of(account).positions().value)


def positions_dated(at: dt.datetime) -> None:
    PositionsReport.objects.update(as_of=at)


def in_ten_minutes() -> dt.datetime:
    return timezone.now() + dt.timedelta(minutes=10)


def test_a_position_dated_in_the_future_is_read_again_and_exits_do_not_overshoot(
    held, leave, exchange, account
):
    states = []
    for _ in range(3):
        positions_dated(in_ten_minutes())
        order = sent(leave())
        states.append(order.status)
        if order.broker_order_id:
            settled(account)
            exchange.control("fill", orderId=order.broker_order_id)
            settled(account)
    assert states == ["SUBMITTED", "DENIED", "DENIED"]
    assert net(account) == 0


def test_a_position_dated_in_the_future_that_cannot_be_read_again_is_not_known(
    held, leave, exchange
):
    positions_dated(in_ten_minutes())
    exchange.fault("http_500", "positions")
    order = leave()
    assert order.status == "DENIED"
    assert "not read lately enough" in order.reason


def test_a_later_read_replaces_a_position_dated_in_the_future(held, account):
    positions_dated(in_ten_minutes())
    assert reporting.store_positions(account).as_of <= timezone.now()


def test_a_clock_that_was_stepped_back_does_not_hide_an_exit_from_the_cap(
    held, left, leave, exchange
):
    """The old position looks younger than the exit that has taken it down since."""
    exchange.fault("http_500", "positions")
    assert leave(1).status == "DENIED"
    hour_ago = timezone.now() - dt.timedelta(hours=1)
    Hold.objects.update(released_at=hour_ago, taken_at=hour_ago)
    positions_dated(timezone.now())
    assert leave(1).status == "DENIED"


def test_a_position_read_after_an_exit_counts_it_once(held, leave, exchange, account):
    first = sent(leave(4))
    settled(account)
    exchange.control("fill", orderId=first.broker_order_id)
    settled(account)
    assert leave(7).status == "DENIED"
    assert leave(6).status == "APPROVED"


def test_a_cancelled_frame_without_fills_leaves_the_exit_in_the_cap(held, leave, exchange, account):
    exchange.fault("http_500", "positions")
    first = sent(leave())
    frame = report(first, CANCELLED, quantity=TEN)
    apply_report(account, frame, FEED)
    first.refresh_from_db()
    assert (first.status, first.filled_quantity) == ("CANCELLED", 0)
    assert leave(1).status == "DENIED"
    exchange.heal()
    assert leave(1).status == "DENIED"  # the book does not say that it ended
    exchange.control("hand/cancel", orderId=first.broker_order_id)
    second = leave()
    assert second.status == "APPROVED", second.reason


def test_an_entry_that_sells_counts_against_the_exits(held, leave, exchange, account):
    entry = sent(leave(TEN, Intent.ENTRY))
    assert entry.status == "SUBMITTED", entry.reason
    assert leave(1).status == "DENIED"
    settled(account)
    exchange.control("fill", orderId=entry.broker_order_id)
    settled(account)
    assert leave(1).status == "DENIED"
    assert net(account) == 0


def test_an_exit_that_was_denied_or_withdrawn_does_not_count_after_the_next_read(
    held, leave, trader
):
    services.cancel(leave(), trader, "not yet")
    assert leave(TEN + 1).status == "DENIED"
    assert leave().status == "APPROVED"


def test_a_partly_filled_exit_can_be_priced_anew_but_not_grown(
    held, leave, exchange, account, trader
):
    order = sent(leave())
    settled(account)
    exchange.control("fill", orderId=order.broker_order_id, quantity=4)
    settled(account)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("PARTIALLY_FILLED", 4)
    grown = services.modify(order, trader, "more", quantity=TEN + 1)
    assert grown.status == "DENIED"
    change = services.modify(order, trader, "closer", price=Decimal(1390))
    assert change.status == "APPROVED", change.reason
    changes.send_change(change.pk)
    settled(account)
    change.refresh_from_db()
    assert change.status == "APPLIED"
    assert leave(1).status == "DENIED"


def written(account, at: dt.datetime) -> None:
    WireCall.objects.bulk_create(
        WireCall(
            account=account,
            verb="READ",
            what="test",
            budget=Budget.ORDER,
            created_at=at,
            send_by=at,
            boot_at=0,
        )
        for _ in range(10)
    )


def test_calls_dated_in_the_future_do_not_use_up_the_budget(account):
    written(account, in_ten_minutes())
    assert wait_needed(account, Budget.ORDER, Priority.ENTRY) is None


def test_calls_dated_within_a_second_of_now_do(account):
    written(account, timezone.now() + dt.timedelta(seconds=0.5))
    assert wait_needed(account, Budget.ORDER, Priority.EXIT) is not None
