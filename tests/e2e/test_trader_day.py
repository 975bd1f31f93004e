"""A trader's day in a real browser, on the whole house: broker, workers, feed, socket."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import fill_in, live, running_chromium

pytestmark = [pytest.mark.desk, pytest.mark.browser, pytest.mark.xdist_group("house")]
SOON = 20_000  # milliseconds within which the house must have moved
RESTING = ("--side", "BUY", "--quantity", "2", "--type", "LIMIT", "--price", "1300")


@pytest.fixture(autouse=True)
def market(house):
    house.until_healthy()
    house.exchange("walk", on=False)
    price_is(house, 1400)


def price_is(house, price):
    house.exchange("price", segment="NSE_EQ", securityId="2885", price=price)


@pytest.fixture(scope="module")
def browser():
    with running_chromium() as running:
        yield running


@pytest.fixture
def enter(browser, house):
    """A signed-in person's page; the house printed the passwords once."""
    said = (house.var / "supervisor.log").read_text()
    contexts = []

    def go(name, first="/admin/live/", wrong_first=False):
        context = browser.new_context(base_url=house.url, viewport={"width": 1440, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SOON)
        page.goto(first)
        if wrong_first:
            fill_in(page, name, "not the password")
            expect(page.locator("#page")).to_contain_text("Wrong name or password")
        fill_in(page, name, re.search(rf"Also\s+{name}\s+(\S+)", said)[1])
        page.wait_for_url(f"**{first}")
        return page

    yield go
    for context in contexts:
        context.close()


def row_of(page, correlation_id, house):
    """The order's row, found as a person would: by its id in the search box."""
    page.fill("#desk-filters [name=text]", correlation_id)
    rows = page.locator("#desk-orders tbody tr")
    expect(rows).to_have_count(1, timeout=SOON)
    return page.locator(f"#{rows.get_attribute('id')}")


def placed_by_hand(page):
    """Fill in the form, look at it once more, send; the answer is the correlation id."""
    page.keyboard.press("p")
    page.wait_for_url("**/admin/place/")
    page.select_option("[name=account]", label="paper-1 (PAPER)")
    page.fill("[name=instrument]", "NSE_EQ:2885:RELIANCE")
    page.select_option("[name=side]", "BUY")
    page.fill("[name=quantity]", "2")
    page.fill("[name=price]", "1300")
    page.fill("[name=reason]", "morning plan")
    page.get_by_role("button", name="Review order").click()
    page.get_by_role("button", name="Send order").click()
    page.wait_for_url("**/admin/live/order/**")
    return page.locator("#desk-correlation").inner_text()


def test_place_change_watch_it_fill_and_exit(house, enter):
    page = enter("trader", wrong_first=True)
    live(page)
    correlation_id = placed_by_hand(page)
    page.goto("/admin/live/")
    live(page)
    row = row_of(page, correlation_id, house)
    expect(row.locator(".c-status")).to_contain_text("Open", timeout=SOON)

    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("m")
    page.fill("#desk-modify [name=price]", "1310")
    page.fill("#desk-modify [name=reason]", "a little more")
    page.keyboard.press("Enter")
    expect(page.locator("#desk-said")).to_contain_text("on their way")
    expect(row.locator(".c-price")).to_contain_text("₹1,310.00", timeout=SOON)
    assert house.order(correlation_id)["status"] == "OPEN"

    price_is(house, 1305)
    expect(row.locator(".c-status")).to_contain_text("Filled", timeout=SOON)
    expect(row.locator(".c-quantity")).to_contain_text("2 / 2")
    expect(row.locator("[data-act=cancel]")).to_have_count(0)
    assert page.evaluate("window.neverReloaded")

    page.keyboard.press("e")
    page.wait_for_url("**/exit/")
    expect(page.locator("[name=side]")).to_have_value("SELL")
    page.fill("[name=quantity]", "2")
    page.fill("[name=price]", "1300")
    page.fill("[name=reason]", "enough for today")
    page.get_by_role("button", name="Review order").click()
    page.get_by_role("button", name="Send order").click()
    page.wait_for_url("**/admin/live/order/**")
    out = page.locator("#desk-correlation").inner_text()
    assert house.until(out, {"FILLED"}, 20)["filled_quantity"] == 2
    assert len(house.accepted(correlation_id)) == len(house.accepted(out)) == 1


def test_cancel_from_the_row(house, enter):
    page = enter("trader")
    live(page)
    order = house.place(*RESTING, "--wait")
    row = row_of(page, order["correlation_id"], house)
    row.locator("[data-act=cancel]").click()
    page.fill("#desk-cancel [name=reason]", "changed my mind")
    page.keyboard.press("Enter")
    expect(page.locator("#desk-said")).to_contain_text("Cancel asked for")
    expect(row.locator(".c-status")).to_contain_text("Cancelled", timeout=SOON)
    assert house.order(order["correlation_id"])["status"] == "CANCELLED"


def test_a_lost_web_process_is_said_and_what_happened_meanwhile_is_there_after(house, enter):
    page = enter("trader")
    live(page)
    assert house.kill("daphne") == 1
    expect(page.locator("#desk-state-text")).to_contain_text(
        re.compile("Reconnecting|Stale"), timeout=SOON
    )
    order = house.place(*RESTING, "--wait")
    house.until_healthy()
    expect(page.locator("#desk-state")).to_have_attribute("data-state", "live", timeout=SOON)
    row = row_of(page, order["correlation_id"], house)
    expect(row.locator(".c-status")).to_contain_text("Open", timeout=SOON)
    assert page.evaluate("window.neverReloaded")


def test_an_order_in_doubt_is_on_top_of_the_start_page_until_it_is_known(house, enter):
    page = enter("risk", first="/admin/")
    house.exchange("feed", action="silence")
    house.exchange("faults", fault="lookup_404", endpoint="by_correlation", seconds=15)
    house.exchange("faults", fault="http_500", endpoint="book", times=8)
    house.exchange("faults", fault="drop_after_accept", endpoint="place", times=1)
    order = house.place(*RESTING)
    doubts = page.locator("#start-doubts")
    expect(doubts).to_contain_text("BUY 2 RELIANCE on paper-1", timeout=SOON)
    expect(doubts).to_contain_text("It may exist at the broker")
    house.exchange("feed", action="resume")
    house.until(order["correlation_id"], {"OPEN"}, 60)
    expect(doubts).to_contain_text("knows the state of every order", timeout=SOON)
    assert len(house.accepted(order["correlation_id"])) == 1
