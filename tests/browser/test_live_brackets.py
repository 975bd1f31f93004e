"""Brackets on the live page in a real browser: legs under their entry, live, by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from apps.orders.models import Bracket
from apps.orders.states import Event
from apps.people import roles
from tests.browser.conftest import live
from tests.browser.test_live_orders import rows
from tests.desk.conftest import happens, unknown, working
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)
BEYOND = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def desk(sign_in, story):
    """An open live page of a trader, and what went wrong in it."""
    member("tara", roles.TRADER)

    def enter(width=1440, **more):
        page = sign_in("tara", width=width, **more)
        page.wrong = []
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("console", lambda said: page.wrong.append(said.text) if said.type == "error" else 0)
        live(page)
        return page

    return enter


def leg(page, bracket, part):
    return page.locator(f"#leg-{bracket.legs.get(leg=part).pk}")


@pytest.mark.parametrize("width", [1440, 390])
def test_legs_stand_under_their_entry_and_come_alive_in_place(desk, story, width):
    page = desk(width)
    entry, target, stop = (
        leg(page, story.bracket, part) for part in ("ENTRY", "TARGET", "STOP_LOSS")
    )
    expect(target.locator(".desk-status")).to_have_text("Awaited")
    assert entry.bounding_box()["y"] < target.bounding_box()["y"] < stop.bounding_box()["y"]
    name, symbol = target.locator("b"), entry.locator("b")
    assert name.bounding_box()["x"] > symbol.bounding_box()["x"]
    story.entered()
    expect(entry.locator(".desk-status").first).to_have_text("Filled")
    expect(target.locator(".desk-status")).to_have_text("Open")
    expect(stop.locator(".c-price")).to_contain_text("trigger ₹2,480.00")
    story.trail(2490)
    expect(stop.locator(".c-price")).to_contain_text("trigger ₹2,490.00")
    story.stop_is_replaced()
    expect(stop.locator(".c-quantity")).to_contain_text("4 / 10")
    expect(stop).to_contain_text("order 2")
    assert page.evaluate(BEYOND) <= 0
    assert page.evaluate("window.neverReloaded")
    assert not page.wrong


def test_a_page_that_lived_through_it_all_is_what_a_fresh_one_shows(desk, story, new_order):
    new_order()
    page = desk()
    story.entered()
    story.trail(2490)
    new_order()
    story.stop_is_replaced()
    story.left()
    expect(leg(page, story.bracket, "ENTRY")).to_contain_text("bracket: over")
    expect(leg(page, story.bracket, "TARGET")).to_be_hidden()
    page.wait_for_timeout(1500)  # the flashes fade
    lived = rows(page)
    page.reload()
    live(page)
    assert rows(page) == lived


def test_folded_and_opened_from_the_keyboard(desk, story, new_order):
    story.entered()
    page = desk()
    entry, stop = leg(page, story.bracket, "ENTRY"), leg(page, story.bracket, "STOP_LOSS")
    newer = new_order()
    expect(page.locator(f"#order-{newer.pk}")).to_be_visible()
    for _ in range(4):
        page.keyboard.press("j")
    expect(stop).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(stop).to_be_hidden()
    expect(entry).to_be_focused()
    fold = entry.locator(".desk-fold")
    expect(fold).to_have_attribute("aria-expanded", "false")
    expect(entry).to_contain_text("Stop-loss: open")
    page.keyboard.press("k")
    expect(page.locator(f"#order-{newer.pk}")).to_be_focused()
    page.keyboard.press("j")
    story.trail(2490)
    expect(entry).to_be_focused()
    expect(stop).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(stop).to_contain_text("trigger ₹2,490.00")
    expect(stop).to_be_visible()
    fold.focus()
    page.keyboard.press("Space")
    expect(stop).to_be_hidden()
    story.trail(2495)
    page.wait_for_timeout(1000)
    expect(fold).to_be_focused()
    page.keyboard.press("Enter")
    expect(stop).to_contain_text("trigger ₹2,495.00")
    expect(stop).to_be_visible()
    assert re.fullmatch(r"leg-\d+ leg-\d+ ?", fold.get_attribute("aria-controls"))
    assert not page.wrong


def test_what_is_unknown_cannot_be_folded_away(desk, story, new_order):
    page = desk()
    leg(page, story.bracket, "ENTRY").locator(".desk-fold").click()
    expect(leg(page, story.bracket, "STOP_LOSS")).to_be_hidden()
    new_order()
    working(story.entry)
    lost = story.new_order(request_key=f"{story.bracket.name}:STOP_LOSS:1", side="SELL")
    unknown(lost)
    stop = leg(page, story.bracket, "STOP_LOSS")
    expect(stop).to_be_visible()
    expect(stop).to_have_class(re.compile("desk-pinned"))
    first = page.locator("#desk-orders tbody").first
    expect(first).to_have_attribute("data-unit", f"bracket-{story.bracket.pk}")


def test_a_filter_shows_the_leg_that_matches_with_its_parent(desk, story, new_order):
    story.entered()
    story.target_fills()
    other = new_order()
    page = desk()
    expect(leg(page, story.bracket, "TARGET")).to_be_hidden()
    page.fill("#desk-filters [name=text]", story.target.correlation_id)
    expect(page.locator(f"#order-{other.pk}")).to_have_count(0)
    expect(leg(page, story.bracket, "TARGET")).to_be_visible()
    expect(leg(page, story.bracket, "ENTRY")).to_be_visible()
    page.fill("#desk-filters [name=text]", "")
    expect(leg(page, story.bracket, "TARGET")).to_be_hidden()


def test_each_leg_is_acted_on_from_its_row(desk, story):
    story.entered()
    page = desk()
    for _ in range(2):
        page.keyboard.press("j")
    page.keyboard.press("c")
    dialog = page.locator("#desk-drop")
    expect(dialog).to_contain_text("BUY 10 RELIANCE on paper-one (PAPER)")
    page.keyboard.press("Enter")
    expect(dialog.locator("[data-error]")).to_contain_text("required")
    page.keyboard.type("let it run")
    page.keyboard.press("Enter")
    expect(page.locator("#desk-said")).to_contain_text("The target is being cancelled")
    assert Bracket.objects.get().target_price is None
    page.keyboard.press("k")
    page.keyboard.press("e")
    page.keyboard.type("enough")
    page.keyboard.press("Enter")
    expect(page.locator("#desk-said")).to_contain_text("It is being left")
    assert Bracket.objects.get().leaving_at is not None
    expect(leg(page, story.bracket, "ENTRY").locator("[data-act=stop]")).to_have_count(0)


@pytest.mark.parametrize(
    ("part", "field"), [("TARGET", "target_price"), ("STOP_LOSS", "stop_price")]
)
def test_new_prices_are_asked_for_at_the_leg(desk, story, part, field):
    story.entered()
    page = desk()
    row = leg(page, story.bracket, part)
    row.click(position={"x": 3, "y": 3})
    page.keyboard.press("m")
    page.wait_for_url(f"**/bracket/{story.bracket.pk}/change/?leg={part}")
    expect(page.locator(f"[name={field}]")).to_be_focused()
    page.fill(f"[name={field}]", "2500.03")
    page.fill("[name=reason]", "closer")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Send new prices").click()
    where = page.locator(".desk-field", has=page.locator(f"[name={field}]"))
    expect(where).to_contain_text("multiple of the tick")


def test_the_entry_is_changed_and_cancelled_on_the_brackets_page(desk, story):
    working(story.entry)
    page = desk()
    page.goto(f"/admin/live/bracket/{story.bracket.pk}/")
    page.keyboard.press("m")
    expect(page.locator("#desk-modify [name=price]")).to_have_value("2500.50")
    page.reload()
    page.keyboard.press("x")
    expect(page.locator("#desk-cancel")).to_be_visible()
    page.keyboard.type("changed my mind")
    page.keyboard.press("Enter")
    expect(page.locator("#bracket-legs")).to_contain_text("cancel asked")
    story.entry.refresh_from_db()
    assert story.entry.cancel_wanted_at is not None
    page.keyboard.press("t")
    page.wait_for_url("**/change/?leg=TARGET")


def test_the_page_of_a_part_hears_of_its_siblings(desk, story):
    story.entered()
    page = desk()
    page.goto(f"/admin/live/order/{story.target.pk}/")
    expect(page.locator(".desk-legs [aria-current]")).to_contain_text("this order")
    expect(page.locator(".desk-legs")).to_contain_text("₹2,480.00")
    expect(page.locator("#desk-changed")).to_be_hidden()
    happens(story.stop, Event.PARTIAL, filled_quantity=3)
    expect(page.locator("#desk-changed")).to_be_visible()
