"""A bracket in a real browser: placed in the form, changed by keyboard, and kept true by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from apps.orders.models import Bracket
from apps.people import roles
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)
PICTURES = os.environ.get("PICTURES", "")
BEYOND = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
FAINT = (Path(__file__).parent / "faint.js").read_text()


def picture(page, name):
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


@pytest.mark.parametrize(
    ("width", "scheme"), [(1440, "dark"), (1440, "light"), (390, "dark"), (390, "light")]
)
def test_its_page_fits_and_reads(sign_in, bracket, width, scheme):
    member("tara", roles.TRADER)
    page = sign_in("tara", width=width, scheme=scheme)
    for name, address in (
        ("page", f"/admin/live/bracket/{bracket.pk}/"),
        ("change", f"/admin/live/bracket/{bracket.pk}/change/"),
        ("leave", f"/admin/live/bracket/{bracket.pk}/leave/"),
        ("order", f"/admin/live/order/{bracket.legs.get(leg='ENTRY').order_id}/"),
        ("live", "/admin/live/"),
        ("place", "/admin/place/"),
    ):
        page.goto(address)
        page.wait_for_timeout(150)
        picture(page, f"{name}-{width}-{scheme}")
        assert page.evaluate(BEYOND) <= 0, address
        assert not page.evaluate(FAINT), address


@pytest.mark.parametrize("width", [1440, 390])
def test_left_by_keyboard(sign_in, bracket, width):
    member("tara", roles.TRADER)
    page = sign_in("tara", width=width)
    page.goto(f"/admin/live/bracket/{bracket.pk}/")
    page.keyboard.press("c")
    dialog = page.locator("#desk-stop")
    expect(dialog).to_contain_text("BUY 10 RELIANCE at 2500.5, stop 2480, target 2550: 0 held.")
    page.keyboard.type("enough")
    page.keyboard.press("Enter")
    expect(page.locator("#bracket-head")).to_contain_text("enough")
    bracket.refresh_from_db()
    assert bracket.leaving_at is not None


def test_an_open_page_becomes_what_a_fresh_one_shows(sign_in, bracket):
    member("tara", roles.TRADER)
    page = sign_in("tara")
    page.goto(f"/admin/live/bracket/{bracket.pk}/")
    expect(page.locator("#bracket-legs")).to_contain_text("Awaited")
    bracket.legs.filter(leg="STOP_LOSS").update(status="WORKING", leg_order_id="4711")
    Bracket.objects.filter(pk=bracket.pk).update(status="HOLDING")
    bracket.note("guardian", "its stop is at work")
    expect(page.locator("#bracket-legs")).to_contain_text("4711")
    expect(page.locator("#bracket-history")).to_contain_text("its stop is at work")
    kept = page.locator("#desk-parts").inner_text()
    page.reload()
    assert page.locator("#desk-parts").inner_text() == kept
