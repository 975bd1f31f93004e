"""The last price on the desk's pages: live, with its age, of the right market, and never a lie."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from apps.brokers import quotes
from apps.brokers.models import MarginEstimate, Quote, QuoteWish
from apps.brokers.port import Market
from apps.orders.models import Order
from tests.desk.conftest import happens, person, working
from tests.desk.sockets import signed_in
from tests.desk.test_place_page import confirm_page, filled_in  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)
EVENT = "REJECT"


@pytest.fixture
def olivia(operator):
    return signed_in(operator)


def heard(instrument, price="1402.10", age=0.5, market="SIMULATED", **more):
    at = timezone.now() - dt.timedelta(seconds=age)
    Quote.objects.update_or_create(
        instrument=instrument,
        market=market,
        defaults={"last_price": Decimal(price), "as_of": at} | more,
    )


def watch(client, account, instrument="NSE_EQ:2885:RELIANCE"):
    return client.post(f"/admin/prices/{account.pk}/watch/", {"instrument": instrument})


def test_watching_tells_the_price_with_its_age_and_makes_the_desk_listen(olivia, account, reliance):
    heard(
        reliance,
        bids=[["1402.00", 120, 3]],
        asks=[["1402.10", 80, 1]],
        depth_as_of=timezone.now(),
    )
    told = watch(olivia, account).json()
    assert told["ok"]
    assert told["fresh"]
    assert told["text"].startswith("₹1,402.10, ")
    assert told["text"].endswith("s ago; bid ₹1,402.00 × 120, ask ₹1,402.10 × 80")
    (wish,) = quotes.wishes(Market.SIMULATED)
    assert wish.instrument == reliance
    assert timezone.now() < wish.until < timezone.now() + dt.timedelta(seconds=61)


def test_an_old_price_is_shown_as_old(olivia, account, reliance):
    heard(reliance, age=75)
    told = watch(olivia, account).json()
    assert not told["fresh"]
    assert "1 min 15 s ago; too old to act on" in told["text"]


def test_no_price_is_said_to_be_none(olivia, account, reliance):
    told = watch(olivia, account).json()
    assert (told["fresh"], told["text"]) == (False, "no price heard yet")


def test_a_real_price_is_not_shown_for_a_paper_account(olivia, account, reliance):
    heard(reliance, market="REAL")
    assert watch(olivia, account).json()["text"] == "no price heard yet"


def test_what_is_no_instrument_is_named(olivia, account, reliance):
    answer = watch(olivia, account, "NOSUCH")
    assert answer.status_code == 422
    assert "NOSUCH" in answer.json()["errors"]["instrument"]
    assert not QuoteWish.objects.exists()


def test_looking_is_not_watching_and_strangers_watch_nothing(olivia, account, reliance, stranger):
    assert olivia.get(f"/admin/prices/{account.pk}/watch/").status_code == 405
    assert watch(signed_in(stranger), account).status_code == 403
    assert "/admin/login/" in watch(Client(), account)["Location"]
    assert watch(olivia, type("Nobody", (), {"pk": 0})).status_code == 404
    assert not QuoteWish.objects.exists()


def test_a_viewer_may_watch(account, reliance):
    heard(reliance)
    assert watch(signed_in(person("vera", "orders.view_order")), account).json()["fresh"]


def test_the_place_form_has_a_line_for_it(olivia, account):
    assert 'data-watch="/admin/prices/0/watch/"' in olivia.get("/admin/place/").content.decode()


AT_MARKET = {"order_type": "MARKET", "price": ""}


def test_the_question_names_the_limit_that_will_be_sent(olivia, filled_in, reliance):  # noqa: F811
    heard(reliance, "1400")
    page = confirm_page(olivia, filled_in | AT_MARKET)
    assert "at market" in page
    assert "Sent as a limit, at ₹1,414.00 by what is known now" in page
    assert "₹14,140.00" in page  # ten shares at the worst
    assert "₹1,400.00, " in page  # the last price, with its age


def test_the_question_says_when_no_price_is_known(olivia, filled_in):  # noqa: F811
    page = confirm_page(olivia, filled_in | AT_MARKET)
    assert "No fresh price is known now" in page
    assert "not known: no price yet" in page


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"order_type": "STOP_MARKET", "price": ""}, "This type of order needs it"),
        ({"order_type": "STOP_MARKET", "trigger_price": "2600"}, "leave it empty"),
        ({"order_type": "MARKET", "price": "", "trigger_price": "5"}, "leave it empty"),
    ],
)
def test_a_stop_at_the_market_has_a_trigger_and_no_price(olivia, filled_in, wrong, text):  # noqa: F811
    sure = {"confirmed": "1", "request_key": "a" * 32}
    assert text in olivia.post("/admin/place/", filled_in | wrong | sure).content.decode()
    assert not Order.objects.exists()


def order_page(client, order):
    return client.get(f"/admin/live/order/{order.pk}/").content.decode()


def test_an_orders_page_shows_what_was_asked_for_and_what_is_sent(olivia, new_order):
    order = working(new_order(asked_type="MARKET", price=Decimal(1414)))
    page = order_page(olivia, order)
    assert "Market, sent as limit" in page
    assert "at ₹1,414.00" in page
    row = olivia.get("/admin/live/").content.decode()
    assert "Market, sent as limit" in row


def test_an_orders_page_watches_while_the_order_lives(olivia, new_order, reliance):
    heard(reliance, "2499.95")
    order = working(new_order())
    page = order_page(olivia, order)
    assert "₹2,499.95" in page
    assert f'data-instrument="{reliance.exact_name}"' in page
    happens(order, EVENT)
    assert "data-instrument" not in order_page(olivia, order)


def test_quotes_and_margins_are_listed_and_cannot_be_edited(owner, account, reliance):
    heard(
        reliance,
        bids=[["1402.00", 1, 1]],
        lower_circuit=1261,
        upper_circuit=1542,
        circuit_as_of=timezone.now(),
    )
    heard(reliance, "2900", market="REAL", age=-60)
    MarginEstimate.objects.create(
        account=account, terms="x", asked={"quantity": 1}, required=5, as_of=timezone.now(), mark=1
    )
    client = signed_in(owner)
    page = client.get("/admin/brokers/quote/").content.decode()
    for text in ("Simulated", "1402.1000", "s ago", "1402.00 / –", "1261", "Real", "in the future"):
        assert text in page
    assert "quantity" in client.get("/admin/brokers/marginestimate/").content.decode()
    for name, row in (
        ("quote", Quote.objects.first()),
        ("marginestimate", MarginEstimate.objects.get()),
    ):
        assert client.get(f"/admin/brokers/{name}/add/").status_code == 403
        assert client.get(f"/admin/brokers/{name}/{row.pk}/change/").status_code == 200
        assert client.post(f"/admin/brokers/{name}/{row.pk}/change/", {}).status_code == 403
        assert (
            client.post(f"/admin/brokers/{name}/{row.pk}/delete/", {"post": "yes"}).status_code
            == 403
        )
