"""Placing by hand: fill in, confirm, once."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from apps.brokers.models import Instrument
from apps.orders.models import Order
from tests.desk.sockets import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def olivia(operator):
    return signed_in(operator)


@pytest.fixture
def filled_in(account, reliance):
    return {
        "account": account.pk,
        "instrument": "RELIANCE",
        "side": "BUY",
        "quantity": "10",
        "order_type": "LIMIT",
        "price": "2500.50",
        "trigger_price": "",
        "product": "INTRADAY",
        "validity": "DAY",
        "intent": "ENTRY",
        "strategy": "momentum",
        "reason": "morning plan",
    }


def confirm_page(client, form):
    return client.post("/admin/place/", form).content.decode()


def key_in(page):
    return re.search(r'name="request_key" value="([0-9a-f]{32})"', page)[1]


def send(client, form):
    key = key_in(confirm_page(client, form))
    return client.post("/admin/place/", form | {"confirmed": "1", "request_key": key})


def test_the_order_is_shown_before_it_is_sent(olivia, filled_in):
    page = confirm_page(olivia, filled_in | {"quantity": "1000"})
    assert "PAPER" in page
    assert "₹25,00,500.00" in page
    assert not Order.objects.exists()


def test_a_live_account_is_said_loudly(olivia, filled_in, account):
    account.rest_url, account.calendar = "https://api.dhan.co/v2", "exchange"
    account.save()
    assert "Real money" in confirm_page(olivia, filled_in)


def test_sending_leads_to_the_order_with_every_refusal(olivia, filled_in):
    answer = send(olivia, filled_in)
    order = Order.objects.get()
    assert answer["Location"] == f"/admin/live/order/{order.pk}/"
    assert (order.actor, order.source, order.cause) == ("olivia", "ADMIN", "morning plan")
    assert (order.quantity, order.price) == (10, Decimal("2500.50"))
    page = olivia.get(answer["Location"]).content.decode()
    assert order.status == "DENIED"  # nothing was ever read from this account
    for refusal in order.events.get(event="DENY").decision.refusals:
        assert refusal["rule"] in page


def test_sent_twice_is_placed_once(olivia, filled_in):
    key = key_in(confirm_page(olivia, filled_in))
    form = filled_in | {"confirmed": "1", "request_key": key}
    first, second = (olivia.post("/admin/place/", form)["Location"] for _ in range(2))
    assert first == second
    assert Order.objects.count() == 1
    assert "placed before" in olivia.get(second).content.decode()


@pytest.mark.parametrize("key", ["", "x", "0" * 31, "G" * 32])
def test_without_a_key_it_asks_again(olivia, filled_in, key):
    page = confirm_page(olivia, filled_in | {"confirmed": "1", "request_key": key})
    assert "Send this order?" in page
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"instrument": "NOSUCH"}, "o tradable instrument"),
        ({"instrument": "NSE_EQ:1:NOSUCH"}, "o tradable instrument"),
        ({"quantity": "0"}, "greater than or equal to 1"),
        ({"quantity": "1.5"}, "whole number"),
        ({"quantity": "9" * 12}, "is too large"),
        ({"price": ""}, "This type of order needs it"),
        ({"price": "Infinity"}, "Enter a number"),
        ({"price": "1.00001"}, "no more than 4 decimal"),
        ({"order_type": "MARKET"}, "leave it empty"),
        ({"order_type": "STOP_LIMIT"}, "This type of order needs it"),
        ({"reason": ""}, "This field is required"),
        ({"side": "HOLD"}, "valid choice"),
        ({"account": "99999"}, "valid choice"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(olivia, filled_in, wrong, text):
    sure = {"confirmed": "1", "request_key": "a" * 32}
    assert text in olivia.post("/admin/place/", filled_in | wrong | sure).content.decode()
    assert not Order.objects.exists()


def test_looking_changes_nothing(olivia, filled_in):
    olivia.get("/admin/place/", filled_in | {"confirmed": "1", "request_key": "a" * 32})
    assert not Order.objects.exists()


def test_instruments_are_found_by_every_word(olivia, reliance):
    Instrument.objects.create(
        segment="NSE_FNO",
        security_id="40001",
        symbol="NIFTY-30DEC2036-24500-CE",
        name="NIFTY 30 DEC 24500 CALL",
        kind="OPTIDX",
        lot_size=75,
        tick_size=Decimal("0.05"),
        underlying="NIFTY",
        expiry="2036-12-30",
        strike=24500,
        option_type="CE",
    )

    def found(text):
        rows = olivia.get("/admin/place/instruments/", {"q": text}).json()["instruments"]
        return [row["value"] for row in rows]

    assert found("nifty 24500 ce") == ["NSE_FNO:40001:NIFTY-30DEC2036-24500-CE"]
    assert found("industries") == ["NSE_EQ:2885:RELIANCE"]
    assert found("") == []


def test_a_chosen_instrument_is_exact(olivia, filled_in, reliance):
    twin = Instrument.objects.get(pk=reliance.pk)
    twin.pk, twin.segment = None, "BSE_EQ"
    twin.save()
    assert "is not unique" in confirm_page(olivia, filled_in)
    page = confirm_page(olivia, filled_in | {"instrument": "BSE_EQ:2885:RELIANCE"})
    assert "BSE_EQ" in page
    assert "Send this order?" in page
