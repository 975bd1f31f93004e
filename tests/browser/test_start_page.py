"""The start page in a real browser: it keeps itself right, and says when it cannot."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from apps.alerts.models import Alert, Severity
from apps.alerts.raising import raise_alert
from apps.orders.states import Event
from apps.people import roles
from apps.risk import switch
from apps.risk.models import TradingState
from tests.desk.conftest import happens, unknown, working
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rita():
    return member("rita", roles.RISK)


def start(sign_in, name, **size):
    page = sign_in(name, first="/admin/", **size)
    page.evaluate("window.neverReloaded = true")
    expect(page.locator("#desk-state-time")).not_to_be_empty(timeout=9000)
    return page


def parts(page):
    """What the page shows, without what ticks: ages, and how fresh each sign of life is."""
    return page.evaluate(
        "() => { const twin = document.getElementById('desk-parts').cloneNode(true);"
        " twin.querySelectorAll('time').forEach(time => time.textContent = '');"
        " twin.querySelectorAll('[title]').forEach(one => one.removeAttribute('title'));"
        " twin.querySelectorAll('#start-health .desk-status').forEach(one => one.textContent ="
        " one.textContent.split(':')[0]);"
        " return twin.innerHTML.replace(/\\s+/g, ' ') }"
    )


def test_what_happens_appears_and_equals_a_fresh_page(sign_in, rita, new_order):
    page = start(sign_in, "rita")
    expect(page.locator("#start-doubts")).to_contain_text("knows the state of every order")
    lost = unknown(new_order(strategy="<b>bold</b>"))
    happens(working(new_order(), "1"), Event.REJECT, text="no funds")
    raise_alert("x", "<i>something</i>", Severity.CRITICAL)
    switch.halt("paper-one", "limits look wrong", "olivia")
    doubts = page.locator("#start-doubts")
    expect(doubts.get_by_role("link", name="BUY 10 RELIANCE")).to_be_visible(timeout=9000)
    expect(page.locator("#desk-banner")).to_contain_text("paper-one is HALTED")
    expect(page.locator("#start-needs")).to_contain_text("1 in doubt")
    expect(page.locator("[data-name=Rejected]")).to_have_text("1")
    expect(page.locator("#desk-heard")).to_contain_text("1 in doubt")
    happens(lost, Event.WORK, broker_order_id="9")
    expect(doubts).to_contain_text("knows the state of every order", timeout=9000)
    assert page.evaluate("window.neverReloaded")
    old = parts(page)
    page.reload()
    assert old == parts(page)


def test_silence_is_said_and_caught_up_with(sign_in, rita, new_order, web):
    page = start(sign_in, "rita")
    web.kill()
    expect(page.locator("#desk-state-text")).to_contain_text(
        "Stale: the desk does not answer", timeout=9000
    )
    expect(page.locator("#desk-state")).to_have_attribute("data-state", "stale")
    unknown(new_order())
    web.start()
    expect(page.locator("#start-doubts")).to_contain_text("BUY 10 RELIANCE", timeout=15000)
    expect(page.locator("#desk-state")).to_have_attribute("data-state", "live")
    assert page.evaluate("window.neverReloaded")


def test_acknowledging_from_the_keyboard(sign_in, rita, account):
    raise_alert("x", "something")
    raise_alert("y", "something else")
    page = start(sign_in, "rita")
    page.locator("#start-alerts button").first.focus()
    raise_alert("y", "something else", Severity.CRITICAL)
    expect(page.locator("#start-alerts .desk-tone-alarm").first).to_be_visible(timeout=9000)
    expect(page.locator("#start-alerts button:focus")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#start-alerts li")).to_have_count(1)
    assert Alert.objects.filter(acknowledged_by=rita).count() == 1


def test_halting_from_the_start_page_outlives_its_refreshing(sign_in, rita, account):
    page = start(sign_in, "rita")
    page.locator("#start-accounts").get_by_role("link", name="Halt…").click()
    dialog = page.locator("#desk-halt")
    dialog.locator("[name=reason]").fill("wrong prices")
    raise_alert("x", "news that redraws the page")
    expect(page.locator("#start-alerts li")).to_have_count(1, timeout=9000)
    dialog.get_by_role("button", name="Halt", exact=True).click()
    expect(page.locator("#start-accounts")).to_contain_text("Halted", timeout=9000)
    state = TradingState.objects.get(scope="paper-one")
    assert (state.switch, state.reason) == ("HALTED", "wrong prices")


def test_each_role_finds_its_ways(sign_in, rita, new_order):
    raise_alert("x", "something")
    ways = {
        roles.VIEWER: ["Live desk"],
        roles.TRADER: ["Live desk", "Place order"],
        roles.RISK: ["Live desk", "Halt…"],
    }
    for role, expected in ways.items():
        name = member(f"some-{role[:4]}", role).username
        page = sign_in(name, first="/admin/")
        assert page.locator(".desk-ways a").all_inner_texts() == expected, role
        buttons = page.locator("#start-alerts button").count()
        assert buttons == (1 if role == roles.RISK else 0), role
