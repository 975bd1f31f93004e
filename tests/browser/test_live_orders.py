"""The live page in a real browser: rows move by themselves, and silence is never hidden."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from apps.orders.models import Modification, Order
from apps.orders.states import Event
from apps.risk.models import TradingState
from tests.browser.conftest import live
from tests.desk.conftest import happens, unknown, working

pytestmark = pytest.mark.django_db(transaction=True)


def rows(page):
    return page.eval_on_selector_all(
        "#desk-orders tbody tr",
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
    expect(page.locator("#desk-orders tbody tr").first).to_have_id(f"order-{lost.pk}")
    assert page.evaluate("window.neverReloaded")
    expect(page.locator("#desk-orders tbody tr")).to_have_count(3)
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


def test_new_terms_from_the_row_need_a_reason(sign_in, operator, new_order):
    order = working(new_order())
    page = sign_in("olivia")
    live(page)
    page.keyboard.press("j")
    page.keyboard.press("m")
    dialog = page.locator("#desk-modify")
    expect(dialog).to_contain_text("BUY 10 RELIANCE on paper-one (PAPER)")
    expect(dialog.locator("[name=quantity]")).to_be_focused()
    expect(dialog.locator("[name=price]")).to_have_value("2500.50")
    expect(dialog.locator("[name=trigger_price]")).to_be_hidden()
    dialog.locator("[name=price]").fill("2499")
    dialog.get_by_role("button", name="Send new terms").click()
    expect(dialog.locator("[data-error]")).to_contain_text("required")
    assert not Modification.objects.exists()
    dialog.locator("[name=reason]").fill("closer")
    page.keyboard.press("Enter")
    expect(dialog.locator("[data-error]")).to_contain_text("New terms refused")
    change = Modification.objects.get()
    assert (change.order, change.quantity, str(change.price)) == (order, 10, "2499.0000")
    assert change.cause == "closer"


def test_a_dialog_that_is_open_outlives_the_news(sign_in, operator, new_order):
    order = working(new_order())
    page = sign_in("olivia")
    live(page)
    page.locator(f"#order-{order.pk} [data-act=modify]").click()
    page.locator("#desk-modify [name=price]").fill("2499")
    page.locator("#desk-modify [name=reason]").fill("closer")
    Order.objects.filter(pk=order.pk).update(quantity=20)
    happens(order, Event.NOTE, text="the broker changed it")
    expect(page.locator(f"#order-{order.pk} .c-quantity")).to_contain_text("0 / 20")
    expect(page.locator("#desk-modify [name=price]")).to_have_value("2499")
    page.locator("#desk-modify [type=submit]").click()
    expect(page.locator("#desk-modify [data-error]")).to_contain_text("changed while you looked")
    assert not Modification.objects.exists()


def test_halting_the_account_of_a_row(sign_in, operator, new_order):
    new_order()
    page = sign_in("olivia")
    live(page)
    page.keyboard.press("h")
    dialog = page.locator("#desk-halt")
    expect(dialog.locator("[name=scope]")).to_have_value("desk")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("h")
    expect(dialog.locator("[name=scope]")).to_have_value("paper-one")
    page.keyboard.type("wrong prices")
    page.keyboard.press("Enter")
    expect(page.locator("#desk-said")).to_contain_text("paper-one is halted")
    expect(page.locator("#desk-banner")).to_contain_text("paper-one is HALTED", timeout=6000)
    state = TradingState.objects.get(scope="paper-one")
    assert (state.switch, state.reason) == ("HALTED", "wrong prices")
    assert TradingState.objects.get(scope="desk").switch == "ACTIVE"


def test_the_way_out_is_the_place_form_filled_in(sign_in, operator, new_order):
    order = happens(working(new_order()), Event.PARTIAL, filled_quantity=4)
    page = sign_in("olivia")
    live(page)
    page.keyboard.press("j")
    page.keyboard.press("e")
    page.wait_for_url(f"**/order/{order.pk}/exit/")
    expect(page.locator("[name=side]")).to_have_value("SELL")
    expect(page.locator("[name=quantity]")).to_have_value("4")
    expect(page.locator("[name=intent]")).to_have_value("EXIT")
    page.fill("[name=price]", "2510")
    page.fill("[name=reason]", "enough")
    page.get_by_role("button", name="Review order").click()
    expect(page.locator("#content")).to_contain_text("INTRADAY, DAY, EXIT")


def test_keys_do_nothing_that_the_row_does_not_offer(sign_in, viewer, new_order):
    working(new_order())
    page = sign_in("victor")
    live(page)
    page.keyboard.press("j")
    for key in "mcehp":
        page.keyboard.press(key)
    assert page.locator("dialog[open]").count() == 0
    assert page.url.endswith("/admin/live/")
    page.keyboard.press("?")
    expect(page.locator("#desk-help")).to_contain_text("open it")
    expect(page.locator("#desk-help")).not_to_contain_text("cancel it")


FORGED = {
    "/admin/live/order/{pk}/cancel/": {"reason": "x"},
    "/admin/live/order/{pk}/modify/": {
        "quantity": "20", "price": "1", "reason": "x", "confirmed": "1",
    },
    "/admin/switches/turn/": {"scope": "desk", "to": "halt", "reason": "x"},
    "/admin/place/": {"quantity": "1"},
}  # fmt: skip


def test_a_viewer_sees_no_buttons_and_forges_nothing(sign_in, viewer, new_order):
    order = happens(working(new_order()), Event.PARTIAL, filled_quantity=4)
    page = sign_in("victor")
    live(page)
    expect(page.locator(f"#order-{order.pk}")).to_be_visible()
    assert page.locator("[data-act], #desk-place-link").count() == 0
    token = page.context.cookies()
    token = next(cookie["value"] for cookie in token if cookie["name"] == "csrftoken")
    for address, form in FORGED.items():
        where = address.format(pk=order.pk)
        asked = "([where, form, token]) => fetch(where, {method: 'POST', headers:"
        asked += " {'X-CSRFToken': token}, body: new URLSearchParams(form)}).then(a => a.status)"
        assert page.evaluate(asked, [where, form, token]) == 403, where
    order.refresh_from_db()
    assert order.cancel_wanted_at is None
    assert not Modification.objects.exists()
    assert TradingState.objects.get(scope="desk").switch == "ACTIVE"


def test_rights_that_are_taken_away_take_the_buttons_away(sign_in, operator, new_order):
    order = working(new_order())
    page = sign_in("olivia")
    live(page)
    expect(page.locator(f"#order-{order.pk} [data-act=cancel]")).to_be_visible()
    operator.user_permissions.remove(*operator.user_permissions.filter(codename="cancel_order"))
    page.locator(f"#order-{order.pk} [data-act=cancel]").click()
    page.locator("#desk-cancel [name=reason]").fill("too late")
    page.locator("#desk-cancel [type=submit]").click()
    expect(page.locator("#desk-cancel [data-error]")).to_contain_text("you may not do this")
    page.keyboard.press("Escape")
    page.select_option("#desk-filters [name=group]", "working")
    expect(page.locator(f"#order-{order.pk} [data-act=cancel]")).to_have_count(0)
    expect(page.locator(f"#order-{order.pk} [data-act=modify]")).to_have_count(1)


def test_filters_survive_a_reload(sign_in, operator, new_order, account):
    mine, other = working(new_order(strategy="momentum"), "1"), new_order(strategy="breakout")
    page = sign_in("olivia")
    live(page)
    page.select_option("#desk-filters [name=strategy]", "momentum")
    page.select_option("#desk-filters [name=source]", "ADMIN")
    page.select_option("#desk-filters [name=account]", str(account.pk))
    page.fill("#desk-filters [name=text]", "reli")
    expect(page.locator(f"#order-{other.pk}")).to_have_count(0)
    page.wait_for_url("**text=reli**")
    page.reload()
    live(page)
    expect(page.locator(f"#order-{mine.pk}")).to_be_visible()
    expect(page.locator("#desk-orders tbody tr")).to_have_count(1)
    for name, value in (("strategy", "momentum"), ("source", "ADMIN"), ("text", "reli")):
        expect(page.locator(f"#desk-filters [name={name}]")).to_have_value(value)
    late = new_order(strategy="late comer")
    expect(page.locator("#desk-orders tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Show all").click()
    live(page)
    expect(page.locator(f"#order-{late.pk}")).to_be_visible()
    fresh = new_order(strategy="newest")
    expect(page.locator(f"#order-{fresh.pk}")).to_be_visible()
    page.select_option("#desk-filters [name=strategy]", "newest")
    expect(page.locator("#desk-orders tbody tr")).to_have_count(1)


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
