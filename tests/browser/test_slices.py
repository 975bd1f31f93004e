"""A sliced order in a real browser: placed, resumed by keyboard, and kept true by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from apps.orders.states import Event
from apps.people import roles
from tests.desk.conftest import happens
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("width", [1440, 390])
def test_resumed_by_keyboard(sign_in, sliced, width):
    member("tara", roles.TRADER)
    page = sign_in("tara", width=width)
    page.goto(f"/admin/live/slices/{sliced.pk}/")
    page.keyboard.press("r")
    dialog = page.locator("#desk-resume")
    expect(dialog).to_contain_text("15 of BUY 25 RELIANCE on paper-one (PAPER) are left.")
    expect(dialog.locator("input[name=reason]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.locator("[data-error]")).to_contain_text("required")
    page.keyboard.type("margin is there")
    page.keyboard.press("Enter")
    expect(page.locator("#whole-head")).to_contain_text("Placing")
    expect(page.locator("#whole-slices")).to_contain_text("Not placed yet")
    sliced.refresh_from_db()
    assert sliced.plan == [10, 10, 10, 5]
    beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(beyond) <= 0


def test_an_open_page_becomes_what_a_fresh_one_shows(sign_in, sliced):
    member("tara", roles.TRADER)
    page = sign_in("tara")
    page.goto(f"/admin/live/slices/{sliced.pk}/")
    expect(page.locator("#whole-facts")).to_contain_text("0 of 25")
    happens(sliced.slices.get(slice_number=1), Event.FILL, filled_quantity=10)
    expect(page.locator("#whole-facts")).to_contain_text("10 of 25")
    kept = page.locator("#desk-parts").inner_text()
    page.reload()
    assert page.locator("#desk-parts").inner_text() == kept


def test_cancelled_and_dropped_in_dialogs(sign_in, sliced):
    member("tara", roles.TRADER)
    page = sign_in("tara", width=390)
    page.goto(f"/admin/live/slices/{sliced.pk}/")
    page.get_by_role("link", name="Drop…").click()
    page.locator("#desk-drop input[name=reason]").fill("enough")
    page.get_by_role("button", name="Drop the rest").click()
    expect(page.locator("#whole-head")).to_contain_text("Rest dropped")
    page.get_by_role("link", name="Cancel…").click()
    expect(page.locator("#desk-stop")).to_contain_text("0 filled, 10 at work, 0 left.")
    page.locator("#desk-stop input[name=reason]").fill("all")
    page.get_by_role("button", name="Cancel all slices").click()
    expect(page.locator("#whole-head")).to_contain_text("cancel asked")


def test_the_live_desk_leads_to_the_whole(sign_in, sliced):
    member("tara", roles.TRADER)
    page = sign_in("tara")
    page.goto("/admin/live/")
    page.get_by_role("link", name="slice 2/3").click()
    expect(page.locator("#whole-head")).to_contain_text("RELIANCE")
