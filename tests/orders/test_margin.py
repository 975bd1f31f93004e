"""Margin by the broker's own calculator, over the real SDK, before an entry."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.brokers import margins, reporting
from apps.brokers.models import FundsReport, MarginEstimate, WireCall
from apps.brokers.port import Intent, OrderType, Product, Side
from apps.orders import changes, services
from apps.orders.models import Order
from apps.risk.models import Decision, Hold
from tests.orders.telling import sent, settled
from tests.orders.test_market_orders import policy

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = Decimal(1400)
PER_SHARE = 280  # 20 % of an intraday share, by the exchange's rule
MONEY = 1_000_000


@pytest.fixture(autouse=True)
def _checked(account: Any, exchange: Any) -> None:
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    policy(account, check_margin=True, max_order_value=10**9, max_order_quantity=10**6)


def calls() -> int:
    return WireCall.objects.filter(what="margin").count()


def inputs() -> dict[str, Any]:
    return Decision.objects.order_by("-id")[0].inputs


def test_an_entry_within_the_money_passes_and_holds_its_margin(place):
    order = place(quantity=100)
    assert order.status == "APPROVED", order.reason
    assert Hold.objects.get().margin == 100 * PER_SHARE
    estimate = MarginEstimate.objects.get()
    assert (estimate.required, estimate.available) == (100 * PER_SHARE, MONEY)
    assert estimate.raw["totalMargin"] == 100 * PER_SHARE
    seen = inputs()
    assert (seen["margin_required"], seen["margin_available"]) == ("28000", "1000000")
    assert seen["margin_age"] < 5


def test_an_entry_beyond_the_money_is_denied_with_the_figures(place):
    order = place(quantity=4000)
    assert order.status == "DENIED"
    assert "margin ₹1,120,000.00 is above ₹1,000,000.00" in order.reason
    assert not WireCall.objects.filter(verb="PLACE").exists()


def test_the_same_terms_within_seconds_cost_one_call(place, account):
    for _ in range(3):
        place(quantity=10)
    assert calls() == 1
    MarginEstimate.objects.update(as_of=timezone.now() - dt.timedelta(seconds=11))
    place(quantity=10)
    assert calls() == 2


def test_other_terms_are_asked_for(place):
    for terms in (
        {"quantity": 11},
        {"price": Decimal(1401)},
        {"side": Side.SELL},
        {"product": Product.DELIVERY},
    ):
        place(**terms)
    assert calls() == 4
    assert MarginEstimate.objects.count() == 4


def test_a_market_order_is_weighed_at_its_limit(place):
    order = place(quantity=10, order_type=OrderType.MARKET, price=None)
    assert order.price == 1414
    assert Hold.objects.get().margin == Decimal("2828.00")


@pytest.mark.parametrize("fault", ["http_500", "garbage", "wrong_schema", "drop_before_accept"])
def test_a_calculator_that_fails_makes_it_unknown(place, exchange, fault):
    exchange.fault(fault, "margin")
    order = place()
    assert order.status == "DENIED"
    assert "the margin is not known: the broker's calculator did not answer" in order.reason


def test_the_policy_may_let_the_unknown_pass(place, exchange, account):
    policy(account, refuse_unknown_margin=False)
    exchange.fault("http_500", "margin")
    assert place().status == "APPROVED"
    assert Hold.objects.get().margin is None


def test_an_old_answer_serves_while_the_calculator_is_silent(place, exchange):
    place()
    MarginEstimate.objects.update(as_of=timezone.now() - dt.timedelta(seconds=60))
    exchange.fault("http_500", "margin")
    assert place().status == "APPROVED"
    MarginEstimate.objects.update(as_of=timezone.now() - dt.timedelta(seconds=121))
    assert "it was last read 121 s ago" in place().reason


def test_a_policy_without_the_check_asks_nobody(place, account):
    policy(account, check_margin=False)
    assert place(quantity=4000).status == "APPROVED"
    assert calls() == 0


def test_an_exit_asks_nobody(working, place, account, exchange):
    entry = working(quantity=10)
    exchange.control("fill", orderId=entry.broker_order_id)
    settled(account)
    before = calls()
    exchange.fault("http_500", "margin")
    order = place(side=Side.SELL, quantity=10, intent=Intent.EXIT, price=Decimal(1390))
    assert order.status == "APPROVED", order.reason
    assert calls() == before
    assert Hold.objects.latest("id").margin is None


# ---- what is promised to orders that the broker has not counted

ALMOST_ALL = 3000  # shares: 840,000 of 1,000,000 rupees
REST = 600  # shares: 168,000; more than the 160,000 that are left


def test_an_order_on_its_way_is_counted(place):
    assert place(quantity=ALMOST_ALL).status == "APPROVED"
    order = place(quantity=REST)
    assert order.status == "DENIED"
    assert (
        "margin ₹168,000.00 is above ₹160,000.00 (free ₹1,000,000.00 less ₹840,000.00 promised"
        in order.reason
    )


def fits(place: Any, quantity: int) -> bool:
    return place(quantity=quantity).status == "APPROVED"


def test_one_that_the_broker_has_counted_is_not_counted_twice(place, account):
    order = sent(place(quantity=ALMOST_ALL))
    settled(account)
    order.refresh_from_db()
    assert order.status == "OPEN"
    reporting.store_funds(account)
    assert FundsReport.objects.get().available == MONEY - ALMOST_ALL * PER_SHARE
    assert fits(place, 570)
    assert inputs()["margin_reserved"] == "0"
    assert not fits(place, 20)  # the 570 are promised now


def sent_id(order: Order) -> str:
    order.refresh_from_db()
    return order.broker_order_id


def test_one_that_was_cancelled_is_promised_nothing(place, account, trader):
    order = place(quantity=ALMOST_ALL)
    services.cancel(order, trader, "no longer")
    assert fits(place, REST)


def test_one_that_was_rejected_is_promised_nothing(place, account, exchange):
    order = sent(place(quantity=ALMOST_ALL))
    exchange.control("reject", orderId=sent_id(order))
    settled(account)
    assert fits(place, REST)


# ---- changes of terms


def test_new_terms_are_weighed_for_what_they_tie_up_more(working, trader, account):
    order = working(quantity=ALMOST_ALL)
    reporting.store_funds(account)
    too_much = services.modify(order, trader, "more", quantity=ALMOST_ALL + REST)
    assert too_much.status == "DENIED"
    assert "margin ₹168,000.00 is above ₹160,000.00" in too_much.reason
    some = services.modify(order, trader, "more", quantity=ALMOST_ALL + 500)
    assert some.status == "APPROVED", some.reason
    hold = Hold.objects.get()
    assert (hold.margin, hold.reached_mark) == ((ALMOST_ALL + 500) * PER_SHARE, None)
    changes.send_change(some.pk)
    settled(account)
    hold.refresh_from_db()
    assert hold.reached_mark is not None


def test_fewer_need_nothing_more(working, trader, account):
    order = working(quantity=ALMOST_ALL)
    change = services.modify(order, trader, "fewer", quantity=10)
    assert change.status == "APPROVED", change.reason
    assert inputs()["margin_required"] == "0"
    assert Hold.objects.get().margin == ALMOST_ALL * PER_SHARE


def test_old_answers_are_forgotten(place):
    place()
    MarginEstimate.objects.update(as_of=timezone.now() - dt.timedelta(days=3))
    assert margins.forget_old() == 1
