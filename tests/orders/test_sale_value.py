"""A sale's limit is its floor: what it may bring is judged by the market, or it may not go."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.brokers.models import Instrument, Quote
from apps.brokers.port import OrderType, Side
from apps.orders import services
from apps.risk.models import Decision

pytestmark = pytest.mark.django_db(transaction=True)
LIMIT = 500_000  # rupees, the policy of a new account
FLOOR = Decimal(1300)  # far below the market, and inside the day's band


@pytest.fixture
def price(exchange) -> int:
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    return 1400


@pytest.fixture
def no_quote(exchange) -> None:
    exchange.fault("http_500", "quotes")


@pytest.fixture
def upper_limit(reliance) -> int:
    Instrument.objects.filter(pk=reliance.pk).update(upper_limit=1500)
    reliance.refresh_from_db()
    return 1500


def value_seen() -> Decimal:
    return Decimal(Decision.objects.order_by("-id")[0].inputs["value"])


def test_a_sale_far_below_the_market_is_valued_at_the_last_price(place, price):
    order = place(side=Side.SELL, quantity=5000, price=FLOOR)
    assert (order.status, value_seen()) == ("DENIED", 5000 * price)
    assert "value limit" in order.reason


def test_a_small_sale_far_below_the_market_may_go(place, price):
    order = place(side=Side.SELL, quantity=100, price=FLOOR)
    assert (order.status, value_seen()) == ("APPROVED", 100 * price)


def test_a_sale_above_the_market_is_valued_at_its_limit(place, price):
    assert place(side=Side.SELL, quantity=100, price=Decimal(1500)).status == "APPROVED"
    assert value_seen() == 150_000


def test_without_a_price_a_sale_is_valued_at_the_upper_limit(place, no_quote, upper_limit):
    most = LIMIT // upper_limit
    assert place(side=Side.SELL, quantity=most, price=Decimal(1)).status == "APPROVED"
    assert value_seen() == most * upper_limit
    assert place(side=Side.SELL, quantity=most + 1, price=Decimal(1)).status == "DENIED"


def test_with_neither_a_price_nor_a_limit_a_sale_is_refused(place, no_quote):
    order = place(side=Side.SELL, quantity=1, price=Decimal(1400))
    assert order.status == "DENIED"
    assert "there is no fresh price" in order.reason


def test_a_market_sale_without_a_price_is_refused(place, no_quote, upper_limit):
    order = place(side=Side.SELL, quantity=1, order_type=OrderType.MARKET, price=None)
    assert order.status == "DENIED"


def test_a_buy_is_valued_at_its_limit_and_needs_no_price(place, no_quote):
    assert place(quantity=300, price=Decimal(1600)).status == "APPROVED"
    assert value_seen() == 480_000


def test_new_terms_of_a_sale_are_valued_alike(working, price, trader):
    order = working(side=Side.SELL, quantity=1, price=Decimal(1500))
    more = services.modify(order, trader, "all", quantity=4000, price=FLOOR)
    assert (more.status, value_seen()) == ("DENIED", 4000 * price)
    few = services.modify(order, trader, "some", quantity=2, price=FLOOR)
    assert (few.status, value_seen()) == ("APPROVED", 2 * price)


def test_new_terms_of_a_sale_without_any_price_are_refused(working, price, exchange, trader):
    order = working(side=Side.SELL, quantity=1, price=Decimal(1500))
    exchange.fault("http_500", "quotes")
    Quote.objects.all().delete()
    change = services.modify(order, trader, "lower", price=Decimal("0.05"))
    assert change.status == "DENIED"
    assert "there is no fresh price" in change.reason
