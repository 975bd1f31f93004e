"""Asked for at the market: reviewed, sent and shown as the protected limit that it is."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.brokers import quotes, reporting
from apps.brokers.models import Quote, WireCall
from apps.brokers.port import Intent, OrderType, Side
from apps.orders import services
from apps.orders.models import Order
from apps.orders.services import BadOrder
from apps.risk.models import Decision, RiskPolicy
from tests.orders.telling import sent, settled

pytestmark = pytest.mark.django_db(transaction=True)
MARKET = {"order_type": OrderType.MARKET, "price": None}


def pin(exchange: Any, price: float) -> None:
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=price)


@pytest.fixture
def at_1400(exchange: Any) -> None:
    pin(exchange, 1400)


@pytest.fixture
def no_quote(exchange: Any) -> None:
    exchange.fault("http_500", "quotes")


def policy(account: Any, **changed: Any) -> None:
    last = RiskPolicy.in_force(account)
    assert last is not None
    last.pk, last.version = None, last.version + 1
    for name, value in changed.items():
        setattr(last, name, value)
    last.save(force_insert=True)


def received(exchange: Any, order: Order) -> Any:
    (row,) = exchange.accepted(order.correlation_id)
    return row


def body_sent(exchange: Any) -> Any:
    import requests

    log = requests.get(f"{exchange.url}/_sim/requests?since=0", timeout=5).json()
    return [row["body"] for row in log if row["endpoint"] == "place"][-1]


@pytest.mark.parametrize(("side", "limit"), [(Side.BUY, 1414), (Side.SELL, 1386)])
def test_what_is_reviewed_is_what_is_sent(place, at_1400, exchange, side, limit):
    order = sent(place(side=side, **MARKET))
    assert (order.status, order.order_type, order.asked_type) == ("SUBMITTED", "LIMIT", "MARKET")
    assert order.price == limit
    reviewed = Decision.objects.get().request
    assert (reviewed["order_type"], reviewed["price"]) == ("LIMIT", str(limit))
    assert reviewed["asked_type"] == "MARKET"
    body = body_sent(exchange)
    assert (body["orderType"], body["price"]) == ("LIMIT", limit)
    assert received(exchange, order)


def test_it_trades_at_once(place, at_1400, exchange, account):
    exchange.control("auto", on=True)
    order = sent(place(**MARKET))
    settled(account)
    order.refresh_from_db()
    assert (order.status, order.average_price) == ("FILLED", 1400)


def test_the_policy_says_how_far(place, at_1400, account):
    policy(account, protection_percent=Decimal("0.25"))
    assert place(**MARKET).price == Decimal("1403.50")


def test_the_limit_stays_in_the_day_as_it_is_quoted(place, exchange):
    pin(exchange, 1540)
    assert place(**MARKET).price == Decimal("1542.20")


def test_without_a_fresh_price_nothing_is_sent_and_the_reason_says_so(place, no_quote):
    order = place(**MARKET)
    assert (order.status, order.price) == ("DENIED", None)
    assert "no fresh one is known (none was heard)" in order.reason
    assert not WireCall.objects.filter(verb="PLACE").exists()


def heard(reliance: Any, age: float, price: int = 1400) -> None:
    Quote.objects.update_or_create(
        instrument=reliance,
        market="SIMULATED",
        defaults={"last_price": price, "as_of": timezone.now() - dt.timedelta(seconds=age)},
    )


def test_an_old_price_is_none_for_an_entry(place, no_quote, reliance):
    heard(reliance, 60)
    order = place(**MARKET)
    assert order.status == "DENIED"
    assert "60 s old, at most 10 s is fresh" in order.reason


def test_a_price_of_the_real_market_is_none_on_paper(place, no_quote, reliance):
    heard(reliance, 0.1)
    Quote.objects.update(market="REAL")
    assert place(**MARKET).status == "DENIED"


def test_a_fresh_price_on_the_socket_spares_the_call(place, no_quote, reliance):
    heard(reliance, 0.1)
    assert place(**MARKET).status == "APPROVED"
    assert not WireCall.objects.filter(what="quotes").exists()


@pytest.fixture
def held(working: Any, account: Any, exchange: Any) -> None:
    entry = working(quantity=10)
    exchange.control("fill", orderId=entry.broker_order_id)
    settled(account)
    reporting.store_positions(account)


def leave(place: Any, **different: Any) -> Order:
    terms = {"side": Side.SELL, "quantity": 10, "intent": Intent.EXIT} | MARKET
    return place(**(terms | different))


def test_an_exit_takes_an_older_price(held, place, no_quote, reliance):
    heard(reliance, 60)
    order = leave(place)
    assert (order.status, order.price) == ("APPROVED", 1386)


def test_an_exit_at_the_market_without_any_price_is_refused_with_the_reason(
    held, place, no_quote, reliance
):
    Quote.objects.all().delete()
    assert "no fresh one is known" in leave(place).reason


def test_an_exit_that_names_its_price_goes_when_quotes_are_silent(held, place, no_quote, account):
    Quote.objects.all().delete()
    policy(account, price_band_percent=Decimal(5), check_margin=True)
    order = leave(place, order_type=OrderType.LIMIT, price=Decimal(1300))
    assert order.status == "APPROVED", order.reason
    assert not WireCall.objects.filter(what="quotes").exists()


# ---- stops


def test_a_stop_without_a_limit_gets_one_beyond_its_trigger(place, at_1400, exchange):
    order = sent(place(order_type=OrderType.STOP_MARKET, price=None, trigger_price=Decimal(1410)))
    assert (order.order_type, order.asked_type) == ("STOP_LIMIT", "STOP_MARKET")
    assert (order.trigger_price, order.price) == (1410, Decimal("1438.20"))
    body = body_sent(exchange)
    assert (body["orderType"], body["price"], body["triggerPrice"]) == ("STOP_LOSS", 1438.2, 1410)


def test_its_exit_needs_no_quote(held, place, no_quote):
    Quote.objects.all().delete()
    order = leave(place, order_type=OrderType.STOP_MARKET, trigger_price=Decimal(1390))
    assert (order.status, order.price) == ("APPROVED", Decimal("1362.20"))


def test_a_stop_that_would_fire_at_once_is_refused(place, at_1400):
    order = place(order_type=OrderType.STOP_MARKET, price=None, trigger_price=Decimal(1390))
    assert "a BUY stop's trigger 1390 must be above the last price 1400" in order.reason


def test_a_stop_entry_without_a_price_is_refused(place, no_quote):
    order = place(order_type=OrderType.STOP_LIMIT, price=Decimal(1420), trigger_price=Decimal(1410))
    assert "no fresh price is known to set the trigger against" in order.reason


def test_a_stop_without_a_trigger_is_refused(place, at_1400):
    order = place(order_type=OrderType.STOP_MARKET, price=None)
    assert "STOP_MARKET needs a trigger price" in order.reason


# ---- what follows


@pytest.mark.parametrize("kind", [OrderType.MARKET, OrderType.STOP_MARKET])
def test_a_price_with_it_is_no_order(place, kind):
    with pytest.raises(BadOrder, match="the desk finds its limit"):
        place(order_type=kind, price=Decimal(1400))
    assert not Order.objects.exists()


def test_a_policy_that_forbids_it_forbids_it(place, at_1400, account):
    policy(account, order_types=["LIMIT"])
    assert "MARKET orders are not allowed" in place(**MARKET).reason


def test_without_a_policy_it_is_denied_and_not_lost(place, at_1400, account):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE risk_riskpolicy CASCADE")
    for kind in (OrderType.MARKET, OrderType.STOP_MARKET):
        order = place(order_type=kind, price=None, trigger_price=None)
        assert (order.status, order.asked_type) == ("DENIED", kind)


def test_it_can_be_changed_like_the_limit_that_it_is(working, at_1400, trader, exchange, account):
    order = working(**MARKET)
    change = services.modify(order, trader, "further", price=Decimal(1420))
    assert change.status == "APPROVED", change.reason
    from apps.orders import changes

    changes.send_change(change.pk)
    settled(account)
    order.refresh_from_db()
    assert (order.price, order.asked_type) == (1420, "MARKET")


def test_the_quote_wished_for_is_then_listened_to(place, at_1400, reliance, account):
    place(**MARKET)
    assert [wish.instrument for wish in quotes.wishes(account.market)] == [reliance]


# ---- the band around the last price


def test_an_entry_far_from_the_market_is_refused_with_the_values(place, at_1400, account):
    policy(account, price_band_percent=Decimal(5))
    assert place(price=Decimal(1470)).status == "APPROVED"
    order = place(price=Decimal("1470.05"))
    assert (
        "price 1470.05 is more than 5 % away from the last price 1400: 1330 to 1470 is allowed"
        in order.reason
    )


def test_with_a_band_an_entry_without_a_price_is_refused(place, no_quote, account):
    policy(account, price_band_percent=Decimal(5))
    assert "no fresh price is known to measure 1400 against" in place().reason


def test_the_day_as_quoted_outranks_the_instrument_file(place, at_1400, reliance, account):
    type(reliance).objects.update(lower_limit=1000, upper_limit=1300)
    reliance.refresh_from_db()
    assert "above the day's upper limit 1300" in place().reason
    policy(account, price_band_percent=Decimal(20))  # now a quote is read
    assert place().status == "APPROVED"
