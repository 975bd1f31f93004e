"""Brackets on the desk's pages: asked for in the form, shown, changed and left, and by whom."""

from __future__ import annotations

import re

import pytest

from apps.orders.models import Bracket, Order
from apps.people import roles
from tests.desk.sockets import signed_in
from tests.desk.test_place_page import confirm_page, filled_in, key_in  # noqa: F401 - fixture
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)
EXITS = {"stop_price": "2480", "target_price": "2550", "trailing_jump": "5"}


@pytest.fixture
def tara(db):
    return signed_in(member("tara", roles.TRADER))


def address(bracket, act=""):
    return f"/admin/live/bracket/{bracket.pk}/" + (f"{act}/" if act else "")


def text_of(client, where):
    answer = client.get(where)
    assert answer.status_code == 200, answer.content
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_the_form_with_a_stop_places_a_bracket_once(tara, filled_in):  # noqa: F811
    page = confirm_page(tara, filled_in | EXITS)
    for words in ("Stop-loss", "₹2,480.00", "₹2,550.00", "Super order, kept by the broker"):
        assert words in page
    assert not Bracket.objects.exists()
    answers = filled_in | EXITS | {"confirmed": "1", "request_key": key_in(page)}
    for _ in range(2):
        answer = tara.post("/admin/place/", answers)
    made = Bracket.objects.get()
    assert answer["Location"] == address(made)
    assert (made.stop_price, made.target_price, made.trailing_jump) == (2480, 2550, 5)
    assert Order.objects.get().request_key == f"bracket:{made.pk}:ENTRY:1"


@pytest.mark.parametrize(
    ("different", "says"),
    [
        ({"stop_price": ""}, "A target needs a stop"),
        ({"stop_price": "2600"}, "Must be below the entry"),
        ({"intent": "EXIT"}, "Only an entry can have a stop-loss"),
        ({"validity": "IOC"}, "must be Day"),
        ({"order_type": "STOP_LIMIT", "trigger_price": "2490"}, "LIMIT or a MARKET"),
    ],
    ids=["no stop", "wrong side", "exit", "ioc", "stop entry"],
)
def test_the_form_says_what_is_wrong(tara, filled_in, different, says):  # noqa: F811
    page = confirm_page(tara, filled_in | EXITS | different)
    assert says.lower() in page.lower()
    assert not Bracket.objects.exists()


def test_the_page_shows_every_leg(tara, bracket):
    said = text_of(tara, address(bracket))
    assert "BUY 10 RELIANCE at ₹2,500.50 with a stop and a target" in said
    for words in ("Entry", "Stop-loss", "Target", "Awaited", "asked for: BUY 10", "breakout"):
        assert words in said


def test_its_entry_leads_to_it_from_the_live_page_and_from_its_own(bracket, tara):
    order = Order.objects.get()
    assert f"entry of bracket {bracket.pk}" in text_of(tara, "/admin/live/")
    assert f"Bracket {bracket.pk}" in text_of(tara, f"/admin/live/order/{order.pk}/")


def test_leaving_needs_a_reason_and_is_kept(tara, bracket):
    assert tara.post(address(bracket, "leave"), {"reason": ""}).status_code == 200
    bracket.refresh_from_db()
    assert bracket.leaving_at is None
    tara.post(address(bracket, "leave"), {"reason": "lunch"})
    bracket.refresh_from_db()
    assert bracket.leaving_at is not None
    assert "lunch" in text_of(tara, address(bracket))


def test_the_target_can_be_dropped(tara, bracket):
    tara.post(address(bracket, "drop"), {"reason": "let it run"})
    bracket.refresh_from_db()
    assert bracket.target_price is None


def test_new_prices_are_shown_before_they_are_sent(tara, bracket):
    answers = {"stop_price": "2485", "target_price": "2550", "reason": "closer"}
    page = tara.post(address(bracket, "change"), answers).content.decode()
    assert "Send these new prices?" in page
    bracket.refresh_from_db()
    assert bracket.stop_price == 2480
    tara.post(address(bracket, "change"), answers | {"confirmed": "1"})
    bracket.refresh_from_db()
    assert (bracket.stop_price, bracket.target_price) == (2485, 2550)


def test_a_stop_on_the_wrong_side_is_said_at_its_field(tara, bracket):
    answers = {"stop_price": "2600", "target_price": "2650", "reason": "x", "confirmed": "1"}
    page = tara.post(address(bracket, "change"), answers).content.decode()
    assert "must be below the entry" in page


@pytest.mark.parametrize("act", ["leave", "drop", "change"])
def test_who_may_only_look_is_offered_nothing_and_refused(bracket, act):
    vera = signed_in(member("vera", roles.VIEWER))
    page = vera.get(address(bracket)).content.decode()
    assert address(bracket, act) not in page
    assert vera.post(address(bracket, act), {"reason": "x"}).status_code == 403


@pytest.mark.parametrize("act", ["leave", "drop", "change"])
def test_looking_changes_nothing(tara, bracket, act):
    before = Bracket.objects.filter(pk=bracket.pk).values().get()
    tara.get(address(bracket, act))
    assert Bracket.objects.filter(pk=bracket.pk).values().get() == before


def test_the_list_leads_to_the_page(tara, bracket):
    answer = tara.get(f"/admin/orders/bracket/{bracket.pk}/change/")
    assert answer["Location"] == address(bracket)
