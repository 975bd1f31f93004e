"""The live page in a real browser: rows move by themselves, and silence is never hidden."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from apps.orders.models import Order
from apps.orders.states import Event
from tests.desk.conftest import happens, unknown, working

pytestmark = pytest.mark.django_db(transaction=True)


def live(page):
    expect(page.locator("#desk-state")).to_have_attribute("data-state", "live", timeout=8000)
    page.evaluate("window.neverReloaded = true")


def rows(page):
    return page.eval_on_selector_all(
        "#desk-rows tr",
        "rows => rows.map(row => { const twin = row.cloneNode(true);"
        " twin.classList.remove('desk-fresh', 'desk-selected');"
        " twin.querySelectorAll('time').forEach(time => time.textContent = '');"
        " return twin.outerHTML.replace(/\\s+/g, ' ') })",
    )


def status_of(page, order):
    return page.locator(f"#order-{order.pk} .desk-status")


def test_rows_appear_and_change_in_place(sign_in, operator, new_order):
    page = sign_in("olivia")
    live(page)
    expect(page.locator("#desk-empty")).to_be_visible()
    order = new_order(strategy="<b>momentum</b>")
    expect(status_of(page, order)).to_have_text("Approved")
    working(order)
    expect(status_of(page, order)).to_have_text("Open")
    happens(order, Event.PARTIAL, filled_quantity=4)
    expect(page.locator(f"#order-{order.pk} .desk-filled")).to_have_text("4")
    lost = new_order()
    new_order()
    unknown(lost)
    expect(page.locator("#desk-rows tr").first).to_have_id(f"order-{lost.pk}")
    assert page.evaluate("window.neverReloaded")
    expect(page.locator("#desk-rows tr")).to_have_count(3)
    old = rows(page)
    page.reload()
    live(page)
    assert old == rows(page)


def test_a_dead_server_is_shown_and_caught_up_with(sign_in, operator, new_order, web):
    order = new_order()
    page = sign_in("olivia")
    live(page)
    web.kill()
    expect(page.locator("#desk-state-text")).to_contain_text("Reconnecting", timeout=4000)
    expect(page.locator("#desk-state-text")).to_contain_text("Stale since", timeout=9000)
    expect(page.locator("#desk-live")).to_have_class("desk desk-stale")
    happens(order, Event.WITHDRAW)
    late = new_order()
    web.start()
    live(page)
    expect(status_of(page, order)).to_have_text("Cancelled")
    expect(status_of(page, late)).to_have_text("Approved")


def test_cancel_from_the_row_needs_a_reason(sign_in, operator, new_order):
    order = working(new_order())
    page = sign_in("olivia")
    live(page)
    page.keyboard.press("j")
    page.keyboard.press("c")
    dialog = page.locator("#desk-cancel")
    expect(dialog).to_contain_text("BUY 10 RELIANCE on paper-one")
    dialog.get_by_role("button", name="Cancel order").click()
    expect(dialog.locator("[data-error]")).to_contain_text("required")
    page.keyboard.type("wrong side")
    dialog.locator("input[name=reason]").fill("wrong side")
    page.keyboard.press("Enter")
    expect(page.locator(f"#order-{order.pk}")).to_contain_text("cancel asked")
    expect(dialog).not_to_be_visible()
    assert Order.objects.get(pk=order.pk).events.get(event="WANT_CANCEL").text == "wrong side"


def test_a_filter_holds_for_news_too(sign_in, operator, new_order):
    order, other = new_order(), working(new_order())
    page = sign_in("olivia")
    live(page)
    page.select_option("#desk-filters [name=group]", "working")
    happens(order, Event.WITHDRAW)
    expect(page.locator(f"#order-{order.pk}")).to_have_count(0)
    expect(page.locator(f"#order-{other.pk}")).to_have_count(1)
    assert "group=working" in page.url
    page.keyboard.press("/")
    page.keyboard.type("nothing like this")
    expect(page.locator("#desk-empty")).to_be_visible()


def test_keys_open_an_order_and_the_help(sign_in, operator, new_order):
    first, second = new_order(), new_order()
    page = sign_in("olivia")
    live(page)
    page.keyboard.press("?")
    expect(page.locator("#desk-help")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    expect(page.locator(f"#order-{first.pk}")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/order/{second.pk}/")


def test_a_lost_session_leads_to_the_login(sign_in, operator, new_order, web):
    page = sign_in("olivia")
    live(page)
    Session.objects.all().delete()
    web.kill()
    web.start()
    page.wait_for_url("**/admin/login/**", timeout=20000)


def test_placing_by_hand(sign_in, operator, account, reliance):
    page = sign_in("olivia")
    page.goto("/admin/place/")
    page.select_option("[name=account]", str(account.pk))
    page.fill("[name=instrument]", "relian")
    page.locator("#desk-suggestions li").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("[name=instrument]")).to_have_value("NSE_EQ:2885:RELIANCE")
    page.select_option("[name=side]", "BUY")
    page.fill("[name=quantity]", "10")
    page.fill("[name=price]", "2500.50")
    page.fill("[name=reason]", "morning plan")
    page.get_by_role("button", name="Review order").click()
    expect(page.locator("#content")).to_contain_text("₹25,005.00")
    page.get_by_role("button", name="Send order").dblclick()
    page.wait_for_url("**/admin/live/order/**")
    expect(page.locator("#content")).to_contain_text("Denied by risk")
    assert Order.objects.count() == 1
