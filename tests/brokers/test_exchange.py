"""The real adapter against the simulated exchange, a separate process: the contract of both."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from apps.brokers.budget import Budget
from apps.brokers.dhan.stream import DhanOrderStream
from apps.brokers.dhan.trading import DhanTrading
from apps.brokers.port import (
    Accepted,
    BrokerState,
    ModifyRequest,
    NotSent,
    OrderType,
    ReadFailed,
    Refused,
    Segment,
    Side,
    Unknown,
    Validity,
)
from apps.brokers.reporting import reports_of
from tests.brokers.feed_stub import Listener, until


@pytest.fixture
def account(at: Any, exchange: Any) -> Any:
    from apps.brokers.models import AccessToken

    account = at(exchange.rest_url, client_id="1000000001", feed_url=exchange.feed_url)
    AccessToken.put_in_force(account, "token-1")
    return account


@pytest.fixture
def place(account: Any, new_call: Any, order_request: Any) -> Any:
    def send(**different: Any) -> Any:
        fields = {"correlation_id": "abc123", "price": Decimal("1400.10")} | different
        return DhanTrading(new_call(account)).place(order_request(**fields))

    return send


def settled(books: Any, broker_order_id: str) -> Any:
    until(lambda: books.order(broker_order_id).value.state is not BrokerState.IN_TRANSIT)
    return books.order(broker_order_id).value


def test_an_order_from_placement_to_cancel(
    account: Any, place: Any, new_call: Any, exchange: Any
) -> None:
    books = reports_of(account)
    outcome = place()
    assert isinstance(outcome, Accepted)
    report = settled(books, outcome.broker_order_id)
    assert (report.state, report.correlation_id) == (BrokerState.WORKING, "abc123")
    assert (report.segment, report.security_id) == (Segment.NSE_EQ, "2885")
    assert (report.side, report.quantity, report.price) == (Side.BUY, 5, Decimal("1400.10"))
    assert report.filled_quantity == 0

    changed = DhanTrading(new_call(account)).modify(
        ModifyRequest(
            account=account.name,
            correlation_id="abc123",
            broker_order_id=outcome.broker_order_id,
            quantity=7,
            order_type=OrderType.LIMIT,
            price=Decimal("1400.20"),
            trigger_price=None,
            validity=Validity.DAY,
        )
    )
    assert isinstance(changed, Accepted)
    found = books.order_by_correlation("abc123").value
    assert found is not None
    assert (found.quantity, found.price) == (7, Decimal("1400.2"))

    cancelled = DhanTrading(new_call(account)).cancel(outcome.broker_order_id)
    assert isinstance(cancelled, Accepted)
    until(lambda: books.order(outcome.broker_order_id).value.state is BrokerState.CANCELLED)
    assert len(exchange.accepted("abc123")) == 1


def test_a_fill_in_every_book(account: Any, place: Any, exchange: Any) -> None:
    books = reports_of(account)
    before = books.funds()
    outcome = place()
    settled(books, outcome.broker_order_id)
    exchange.control("fill", orderId=outcome.broker_order_id, quantity=2)
    (report,) = books.order_book().value
    assert (report.state, report.filled_quantity) == (BrokerState.PARTIALLY_FILLED, 2)
    assert report.average_price
    (fill,) = books.trade_book().value
    assert (fill.broker_order_id, fill.quantity) == (outcome.broker_order_id, 2)
    assert fill.price == report.average_price
    (position,) = books.positions().value
    assert (position.net_quantity, position.buy_quantity) == (2, 2)
    after = books.funds()
    assert after.value.available < before.value.available
    assert after.as_of > before.as_of


def test_who_we_are_and_what_it_costs(account: Any) -> None:
    books = reports_of(account)
    profile = books.profile().value
    assert profile.client_id == "1000000001"
    (quote,) = books.quotes(lambda: [(Segment.NSE_EQ, "2885")]).value
    assert quote.last_price > 0


def test_orders_that_nobody_placed(account: Any) -> None:
    books = reports_of(account)
    assert books.order("99999999").value is None
    assert books.order_by_correlation("neverplaced").value is None
    assert books.order_book().value == []


def test_an_unknown_instrument_is_refused_at_once(place: Any) -> None:
    assert isinstance(place(security_id="424242424"), Refused)


def test_an_order_off_the_tick_is_taken_and_rejected_later(account: Any, place: Any) -> None:
    outcome = place(price=Decimal("1400.03"))
    assert isinstance(outcome, Accepted)
    report = settled(reports_of(account), outcome.broker_order_id)
    assert report.state is BrokerState.REJECTED
    assert report.reason
    assert report.exchange_order_id is None


def test_a_wrong_token(account: Any, place: Any) -> None:
    from apps.brokers.models import AccessToken

    AccessToken.put_in_force(account, "not-the-token")
    outcome = place()
    assert isinstance(outcome, NotSent)
    assert outcome.about_session
    with pytest.raises(ReadFailed) as caught:
        reports_of(account).order_book()
    assert (caught.value.kind, caught.value.transient) == ("token", False)


def test_the_stream_tells_what_the_books_tell(account: Any, place: Any, exchange: Any) -> None:
    with Listener(DhanOrderStream(account)) as heard:
        until(lambda: heard.lives)
        outcome = place()
        until(lambda: any(r.state is BrokerState.WORKING for r in heard.reports))
        exchange.control("fill", orderId=outcome.broker_order_id)
        until(lambda: any(r.state is BrokerState.FILLED for r in heard.reports))
    last = heard.reports[-1]
    booked = reports_of(account).order(outcome.broker_order_id).value
    assert booked is not None
    for name in ("broker_order_id", "correlation_id", "segment", "security_id", "side", "state"):
        assert getattr(last, name) == getattr(booked, name)
    assert (last.filled_quantity, last.average_price) == (5, booked.average_price)
    assert not heard.troubles


def test_the_stream_with_a_wrong_token(account: Any) -> None:
    from apps.brokers.models import AccessToken

    AccessToken.put_in_force(account, "not-the-token")
    with Listener(DhanOrderStream(account)) as heard:
        until(lambda: heard.losses)
    assert "807" in heard.losses[0]
    assert not heard.lives


def test_budgets_hold_at_the_exchange_too(account: Any) -> None:
    books = reports_of(account)
    for _ in range(22):
        books.order_book()
    from apps.brokers.models import WireCall

    reads = WireCall.objects.filter(budget=Budget.READ)
    assert not reads.exclude(outcome="ANSWERED").exists()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("drop_before_accept", Unknown),
        ("drop_after_accept", Unknown),
        ("http_500", Unknown),
        ("http_429", NotSent),
        ("html", Unknown),
    ],
)
def test_faults_of_the_exchange(fault: str, expected: Any, place: Any, exchange: Any) -> None:
    answer = exchange.fault(fault, "place", times=1)
    if "id" not in answer:
        pytest.skip(f"the exchange has no fault of this name: {answer}")
    assert isinstance(place(), expected)
