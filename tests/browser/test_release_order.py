"""Asking for a release in a real browser: by keyboard on a desk, by touch on a phone."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from playwright.sync_api import expect

from apps.people import roles
from apps.risk.models import Approval
from tests.desk.conftest import unknown
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)
WHY = "not in the order history"


@pytest.fixture
def lost(new_order):
    """In doubt for longer than the desk looks by itself, as the web process counts it."""
    with time_machine.travel(timezone.now() - timedelta(hours=1)):
        return unknown(new_order(after_market=True))


@pytest.mark.parametrize("width", [1440, 390])
def test_it_is_asked_for_by_keyboard_and_shown_on_the_page(sign_in, lost, width):
    member("tara", roles.TRADER)
    page = sign_in("tara", width=width)
    page.goto(f"/admin/live/order/{lost.pk}/")
    button = page.get_by_role("link", name="Release…")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#desk-release")
    expect(dialog).to_contain_text("BUY 10 RELIANCE on paper-one (PAPER)")
    expect(dialog.locator("input[name=reason]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.locator("[data-error]")).to_contain_text("required")
    assert not Approval.objects.exists()
    page.keyboard.type(WHY)
    page.keyboard.press("Enter")
    expect(page.get_by_text("tara asks for its release")).to_be_visible()
    expect(page.get_by_role("link", name="Release…")).to_have_count(0)
    assert Approval.objects.get().reason == WHY
    beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(beyond) <= 0


def test_a_second_person_decides_on_a_phone(sign_in, lost):
    member("tara", roles.TRADER)
    member("rita", roles.RISK)
    page = sign_in("tara")
    page.goto(f"/admin/live/order/{lost.pk}/release/")
    page.get_by_label("What the broker's own statement shows").fill(WHY)
    page.get_by_role("button", name="Ask a second person").click()
    expect(page.get_by_text("Asked. A second person decides until")).to_be_visible()
    page = sign_in("rita", width=390)
    page.goto("/admin/approvals/")
    expect(page.get_by_text(WHY).first).to_be_visible()
    page.get_by_text("Approve…").click()
    page.locator("details[open] input[name=reason]").fill("seen too")
    page.get_by_role("button", name="Yes, approve").click()
    expect(page.get_by_text("Approved. released")).to_be_visible()
    lost.refresh_from_db()
    assert lost.status == "NEVER_ARRIVED"
