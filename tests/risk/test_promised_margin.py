"""What is promised to orders beyond what the broker had counted when it told what is free."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.brokers import margins
from apps.brokers.journal import moment
from apps.brokers.models import BrokerAccount, FundsReport, Instrument, MarginEstimate, Quote
from apps.brokers.port import (
    Intent,
    Market,
    OrderRequest,
    OrderType,
    Product,
    Segment,
    Side,
    Validity,
)
from apps.risk import book
from apps.risk.margin import facts
from apps.risk.models import Hold
from apps.risk.rules import Limits
from apps.risk.snapshot import look

pytestmark = pytest.mark.django_db
LIMITS = Limits(
    version=1,
    max_order_quantity=1,
    max_order_value=Decimal(1),
    max_open_orders=1,
    max_data_age=60,
    order_types=("LIMIT",),
    check_margin=True,
)


def request(**different: Any) -> OrderRequest:
    fields: dict[str, Any] = {
        "account": "a",
        "correlation_id": "new",
        "segment": Segment.NSE_EQ,
        "security_id": "1",
        "side": Side.BUY,
        "quantity": 10,
        "order_type": OrderType.LIMIT,
        "price": Decimal(5),
        "trigger_price": None,
        "product": Product.INTRADAY,
        "validity": Validity.DAY,
    }
    return OrderRequest(**(fields | different))


@pytest.fixture
def account() -> BrokerAccount:
    return BrokerAccount.objects.create(
        name="a", broker="dhan", client_id="1", rest_url="http://127.0.0.1:9", feed_url="ws://x"
    )


@pytest.fixture
def funds(account: BrokerAccount) -> FundsReport:
    """Read at a moment in the middle: ``BEFORE`` and ``AFTER`` lie around it."""
    marks = [moment() for _ in range(3)]
    return FundsReport.objects.create(
        account=account,
        as_of=timezone.now(),
        available=1000,
        utilised=0,
        opening=0,
        collateral=0,
        mark=marks[1],
    )


def promised(account: BrokerAccount, funds: FundsReport, **columns: Any) -> Decimal:
    for name in ("reached_mark", "released_mark"):
        if name in columns:
            columns[name] = funds.mark + columns[name]
    if "released_mark" in columns:
        columns["released_at"] = timezone.now()
    fields = {"margin": 100, "quantity": 10, "correlation_id": "other"} | columns
    Hold.objects.create(
        account=account, segment="NSE_EQ", security_id="1", product="INTRADAY", side="BUY",
        intent="ENTRY", **fields,
    )  # fmt: skip
    seen = facts(account, request(), LIMITS, None)
    assert seen["margin_available"] == 1000
    return seen["margin_reserved"]


BEFORE, AFTER = -1, 1


@pytest.mark.parametrize(
    ("hold", "counts"),
    [
        ({}, 100),
        ({"reached_mark": AFTER}, 100),
        ({"reached_mark": BEFORE}, 0),
        ({"reached_mark": AFTER, "released_mark": AFTER, "filled": 10}, 100),
        ({"reached_mark": AFTER, "released_mark": AFTER, "filled": 5}, 50),
        ({"released_mark": AFTER, "filled": 0}, 0),
        ({"reached_mark": BEFORE, "released_mark": AFTER, "filled": 10}, 0),
        ({"reached_mark": BEFORE, "released_mark": BEFORE, "filled": 10}, 0),
        ({"taken_at": timezone.now() - dt.timedelta(days=2)}, 0),
        ({"margin": None}, 0),
    ],
    ids=[
        "on its way",
        "shown after the read",
        "counted by the read",
        "filled since the read",
        "half filled and cancelled since",
        "refused since",
        "counted as an order, filled since",
        "counted as a position",
        "of another day",
        "of an exit",
    ],
)
def test_a_hold(account, funds, hold, counts):
    assert promised(account, funds, **hold) == counts


def test_the_newer_of_two_reads_says_what_is_free(account, funds):
    MarginEstimate.objects.create(
        account=account,
        terms=margins.digest(request()),
        asked={},
        required=7,
        available=500,
        as_of=timezone.now(),
        mark=funds.mark + 1,
    )
    seen = facts(account, request(), LIMITS, None)
    assert (seen["margin_required"], seen["margin_available"]) == (7, 500)
    MarginEstimate.objects.update(mark=funds.mark - 1)
    assert facts(account, request(), LIMITS, None)["margin_available"] == 1000


def test_nothing_read_is_nothing_known(account):
    seen = facts(account, request(), LIMITS, None)
    assert (seen["margin_required"], seen["margin_age"], seen["margin_available"]) == (None,) * 3


def test_an_answer_for_other_terms_is_none(account, funds):
    MarginEstimate.objects.create(
        account=account,
        terms=margins.digest(request(quantity=11)),
        asked={},
        required=7,
        as_of=timezone.now(),
        mark=1,
    )
    assert facts(account, request(), LIMITS, None)["margin_required"] is None


def test_exits_and_policies_without_the_check_look_at_nothing(account, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert facts(account, request(intent=Intent.EXIT), LIMITS, None) == {}
        assert facts(account, request(), None, None) == {}
        assert facts(account, request(), replace(LIMITS, check_margin=False), None) == {}


def test_a_look_at_the_margin_is_one_statement(account, funds, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert facts(account, request(), LIMITS, None)["margin_available"] == funds.available


@pytest.mark.parametrize("market", list(Market))
def test_a_review_reads_everything_else_in_one_statement(
    account, market, django_assert_num_queries
):
    host = "127.0.0.1:9" if market is Market.SIMULATED else "api.dhan.co"
    BrokerAccount.objects.update(rest_url=f"https://{host}")
    share = Instrument.objects.create(
        segment="NSE_EQ", security_id="1", symbol="X", kind="EQUITY", lot_size=1, tick_size=1
    )
    for number, name in enumerate(Market):
        Quote.objects.create(
            instrument=share, market=name, last_price=10 + number, as_of=timezone.now()
        )
    with django_assert_num_queries(1):
        seen = look(request())
    assert seen is not None
    assert seen.quote is not None
    assert (seen.quote.market, seen.account.market) == (market, market)


def test_the_same_terms_have_one_digest_whoever_asks():
    assert margins.digest(request()) == margins.digest(
        request(correlation_id="x", asked_type=OrderType.MARKET, price=Decimal("5.00"))
    )
    assert margins.digest(request()) != margins.digest(request(price=Decimal("5.05")))


def test_the_hold_follows_its_order_to_the_exchange_once(account):
    book.hold(account, request(), Decimal(50), margin=Decimal(10)).save()
    book.follow("new", quantity=10, filled=0, over=False)
    assert Hold.objects.get().reached_mark is None
    book.follow("new", quantity=10, filled=0, over=False, shown=True)
    reached = Hold.objects.get().reached_mark
    assert reached is not None
    book.follow("new", quantity=10, filled=5, over=False, shown=True)
    assert Hold.objects.get().reached_mark == reached
