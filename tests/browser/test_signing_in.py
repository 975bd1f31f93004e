"""Signing in and out in a real browser."""

from __future__ import annotations

import re

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from tests.browser.conftest import fill_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(browser, web):
    context = browser.new_context(base_url=web.url)
    page = context.new_page()
    page.set_default_timeout(8000)
    yield page
    context.close()


def test_a_wrong_password_is_said_and_the_right_one_opens_the_page_that_was_wanted(page, operator):
    page.goto("/admin/switches/")
    fill_in(page, "olivia", "wrong")
    expect(page.locator("#page")).to_contain_text("Wrong name or password")
    assert page.locator("[name=password]").input_value() == ""
    fill_in(page, "olivia")
    page.wait_for_url("**/admin/switches/")


def test_ten_wrong_passwords_lock_the_name_out(page, operator):
    page.goto("/admin/login/")
    for _ in range(10):
        fill_in(page, "olivia", "wrong")
    expect(page.locator("#page")).to_contain_text("Locked out")
    expect(page.locator("#page")).to_contain_text(re.compile(r"Try again in \d+ minute"))
    page.get_by_role("link", name="Back to the sign-in").click()
    fill_in(page, "olivia")
    expect(page.locator("#page")).to_contain_text("Locked out")


def test_signing_out_says_that_orders_go_on(sign_in, operator):
    page = sign_in("olivia", first="/admin/")
    page.locator("#nav-sidebar, nav").get_by_text("olivia").first.click()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("#page")).to_contain_text("Orders that are on their way go on")
    page.goto("/admin/")
    page.wait_for_url("**/admin/login/**")


@pytest.mark.parametrize("address", ["/admin/", "/admin/health/"])
def test_a_page_that_asks_by_itself_leads_to_the_sign_in_when_the_session_is_over(
    sign_in, operator, address
):
    page = sign_in("olivia", first=address)
    Session.objects.all().delete()
    page.wait_for_url("**/admin/login/**", timeout=9000)
