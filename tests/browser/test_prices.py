"""The last price in a real browser: it comes with the instrument, follows the market, and ages."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from apps.brokers import quotes
from apps.brokers.models import Quote
from apps.brokers.port import Market
from tests.desk.conftest import working

pytestmark = pytest.mark.django_db(transaction=True)


def heard(instrument, price, age=0.0):
    at = timezone.now() - dt.timedelta(seconds=age)
    Quote.objects.update_or_create(
        instrument=instrument,
        market="SIMULATED",
        defaults={"last_price": Decimal(price), "as_of": at},
    )


def test_the_place_form_shows_the_price_of_what_is_chosen(sign_in, operator, account, reliance):
    heard(reliance, "1402.10")
    page = sign_in("olivia")
    page.goto("/admin/place/")
    line = page.locator("#desk-last-price")
    expect(line).to_be_hidden()
    page.select_option("[name=account]", str(account.pk))
    page.fill("[name=instrument]", "")
    page.locator("[name=instrument]").press_sequentially("reli")
    page.locator("#desk-suggestion-0").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(line).to_contain_text("Last price ₹1,402.10")
    assert quotes.wishes(Market.SIMULATED).get().instrument == reliance
    heard(reliance, "1399.00")
    expect(line).to_contain_text("₹1,399.00")
    heard(reliance, "1399.00", age=30)
    expect(line).to_contain_text("too old to act on")
    expect(line).to_have_class("desk-hint desk-old")


def test_prices_are_asked_for_only_where_the_type_has_them(sign_in, operator, account, reliance):
    page = sign_in("olivia")
    page.goto("/admin/place/")
    for kind, price, trigger in (
        ("LIMIT", True, False),
        ("MARKET", False, False),
        ("STOP_LIMIT", True, True),
        ("STOP_MARKET", False, True),
    ):
        page.select_option("[name=order_type]", kind)
        assert page.locator("[name=price]").is_enabled() == price
        assert page.locator("[name=trigger_price]").is_enabled() == trigger


def test_an_orders_page_follows_the_market(sign_in, operator, new_order, reliance):
    heard(reliance, "2499.00")
    order = working(new_order())
    page = sign_in("olivia")
    page.goto(f"/admin/live/order/{order.pk}/")
    expect(page.locator("#desk-last-price")).to_contain_text("₹2,499.00")
    heard(reliance, "2498.50")
    expect(page.locator("#desk-last-price")).to_contain_text("₹2,498.50")
