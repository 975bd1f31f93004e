"""The board in a real browser: it turns red and green by itself, and a keyboard keeps its place."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from apps.alerts.raising import sign_of_life
from apps.brokers.models import AccessToken, InstrumentImport
from apps.orders.models import BooksRun
from apps.people import roles
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def board(sign_in, account):
    member("victor", roles.VIEWER)
    InstrumentImport.objects.create(broker="dhan", source="x", outcome="APPLIED")

    def alive():
        sign_of_life(f"feed:{account.name}")
        now = timezone.now()
        BooksRun.objects.update_or_create(
            account=account, defaults={"began_at": now, "agreed_at": now}
        )

    alive()
    page = sign_in("victor", first="/admin/ready/")
    page.evaluate("window.neverReloaded = true")
    return page, alive


def test_it_turns_red_and_green_again_without_a_reload(board):
    page, alive = board
    sum_of_all = page.locator(".desk-health-sum")
    expect(sum_of_all).to_contain_text("Every account takes entries")
    AccessToken.objects.update(retired_at=timezone.now())
    alive()
    expect(sum_of_all).to_contain_text("No account takes entries", timeout=9000)
    expect(page.locator('tr[data-check="token"]')).to_contain_text("There is no access token")
    AccessToken.objects.update(retired_at=None)
    alive()
    expect(sum_of_all).to_contain_text("Every account takes entries", timeout=9000)
    assert page.evaluate("window.neverReloaded")


def test_the_way_that_a_keyboard_is_on_stays_under_it(board):
    page, _ = board
    AccessToken.objects.update(retired_at=timezone.now())
    way = page.locator('tr[data-check="token"] a')
    expect(way).to_be_visible(timeout=9000)
    way.focus()
    before = page.locator(".desk-health-sum small").inner_text()
    expect(page.locator(".desk-health-sum small")).not_to_have_text(before, timeout=9000)
    assert page.evaluate("document.activeElement.textContent") == "Session"
    page.keyboard.press("Enter")
    page.wait_for_url("**/session/")


def test_a_web_process_that_is_gone_makes_it_old(board, web):
    page, _ = board
    web.kill()
    expect(page.locator(".desk-health-sum")).to_contain_text("does not answer", timeout=15000)
    expect(page.locator("#desk-watch")).to_have_class("desk-stale")
