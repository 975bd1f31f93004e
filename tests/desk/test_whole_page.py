"""The page of a sliced order: what it says, what can be asked of it, and by whom."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from apps.desk import blotter, rights
from apps.desk.blotter import Filters
from apps.desk.rows import html_of
from apps.orders import services, slices
from apps.orders.models import Order, Slicing
from apps.orders.states import Event
from apps.people import roles
from tests.desk.conftest import happens, person
from tests.desk.sockets import signed_in
from tests.desk.test_place_page import confirm_page, filled_in, key_in  # noqa: F401 - fixture
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tara(db):
    return signed_in(member("tara", roles.TRADER))


def address(whole, act="", stop=None):
    end = f"{act}/" + (f"{stop}/" if stop is not None else "") if act else ""
    return f"/admin/live/slices/{whole.pk}/{end}"


def text_of(client, where):
    answer = client.get(where)
    assert answer.status_code == 200, answer.content
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_it_says_what_is_filled_at_work_and_left(tara, sliced):
    first = sliced.slices.get(slice_number=1)
    happens(first, Event.PARTIAL, filled_quantity=4, average_price=Decimal("2500.10"))
    said = text_of(tara, address(sliced))
    assert "BUY 25 RELIANCE at ₹2,500.50 in 3 orders" in said
    assert "Filled 4 of 25" in said
    assert "Average price ₹2,500.10" in said
    assert "At work 6" in said
    assert "Left 15" in said
    assert "slice 2 is lapsed (the decision expired)" in said
    assert "Stop slice 2 is lapsed (the decision expired) 15 3 desk" in said


def test_the_average_is_not_known_while_a_fill_has_no_price(tara, sliced):
    first, second = sliced.slices.order_by("slice_number")
    Order.objects.filter(pk=first.pk).update(filled_quantity=10, average_price=None)
    Order.objects.filter(pk=second.pk).update(filled_quantity=5, average_price=Decimal(100))
    assert "Average price – " in text_of(tara, address(sliced))
    Order.objects.filter(pk=first.pk).update(average_price=Decimal(130))
    assert "Average price ₹120.00" in text_of(tara, address(sliced))


def test_while_it_is_placed_it_shows_what_is_still_to_come(tara, sliced):
    slices.resume(sliced, services.Actor(name="x"), "go")
    said = text_of(tara, address(sliced))
    assert "3 of 4 Not placed yet 0 / 10 –" in said
    assert "4 of 4 Not placed yet 0 / 5" in said
    assert "Resume…" not in said


def test_resumed_on_the_page_with_a_reason(tara, sliced, no_bells):
    where = address(sliced, "resume", 1)
    assert "15 left" in text_of(tara, where)
    assert tara.post(where, {"reason": ""}).status_code == 200
    sliced.refresh_from_db()
    assert sliced.status == "STOPPED"
    assert tara.post(where, {"reason": "margin is there"})["Location"] == address(sliced)
    sliced.refresh_from_db()
    assert (sliced.status, sliced.plan) == ("PLACING", [10, 10, 10, 5])
    assert sliced.events.get(event="RESUME").actor == "tara"
    again = tara.post(where, {"reason": "twice"}, headers={"accept": "application/json"})
    assert again.status_code == 422
    assert "Not done: the whole is placing, not stopped" in again.content.decode()


def test_dropped_and_cancelled_on_the_page(tara, sliced, no_bells):
    assert tara.post(address(sliced, "drop", 1), {"reason": "enough"}).status_code == 302
    sliced.refresh_from_db()
    assert (sliced.status, sliced.dropped) == ("DROPPED", 15)
    assert tara.post(address(sliced, "cancel"), {"reason": "all of it"}).status_code == 302
    assert sliced.slices.get(slice_number=1).cancel_wanted_at is not None
    assert "Cancel…" not in text_of(tara, address(sliced))


def test_looking_changes_nothing(tara, sliced):
    for where in (address(sliced, "resume", 1), address(sliced, "drop", 1), address(sliced)):
        assert tara.get(where).status_code == 200
    assert tara.get(address(sliced, "cancel")).status_code == 200
    sliced.refresh_from_db()
    assert (sliced.status, sliced.cancel_wanted_at) == ("STOPPED", None)


@pytest.mark.parametrize("act", ["resume", "drop", "cancel"])
def test_only_who_may(viewer, stranger, sliced, act):
    stop = None if act == "cancel" else 1
    for user, code in ((viewer, 403), (stranger, 403)):
        answer = signed_in(user).post(address(sliced, act, stop), {"reason": "x"})
        assert answer.status_code == code
    sliced.refresh_from_db()
    assert sliced.status == "STOPPED"
    assert "Resume…" not in text_of(signed_in(viewer), address(sliced))
    assert signed_in(stranger).get(address(sliced)).status_code == 403


def test_who_may_only_cancel_sees_only_that(sliced):
    only = person("carl", "orders.view_order", "orders.cancel_order")
    said = text_of(signed_in(only), address(sliced))
    assert "Cancel…" in said
    assert "Resume…" not in said
    assert "Drop…" not in said


def test_the_slices_page_leads_to_the_whole(tara, sliced):
    second = sliced.slices.get(slice_number=2)
    page = tara.get(f"/admin/live/order/{second.pk}/").content.decode()
    assert f'<a href="{address(sliced)}">2 of 3, of 25 units in all</a>' in page


def test_the_live_row_says_which_slice_and_stays_true_after_a_resume(tara, sliced):
    """A row that no change of its order touches must read the same when the page is read anew."""
    its = rights.Rights(may_view=True)
    found = {unit.orders[0].slice_number: unit for unit in blotter.read(Filters()).units}
    before = {number: html_of(unit, its) for number, unit in found.items()}
    assert "slice 1/3" in before[1]
    assert address(sliced) in before[1]
    slices.resume(sliced, services.Actor(name="x"), "go")
    from apps.desk import rows

    rows._drawn.cache_clear()
    for unit in blotter.read(Filters()).units:
        assert html_of(unit, its) == before[unit.orders[0].slice_number]


def test_found_by_the_id_of_the_whole(tara, sliced, new_order):
    new_order()
    found = blotter.read(Filters.parse({"text": sliced.public_id[:8]})).units
    assert {unit.orders[0].parent_id for unit in found} == {sliced.pk}
    assert len(found) == 2
    seen = {sliced.account_id: 0}
    shown = blotter.changes(Filters.parse({"text": sliced.public_id}), seen)
    assert sum(yes for _, yes in shown.units) == 2
    listed = tara.get("/admin/orders/order/", {"q": sliced.public_id}).content.decode()
    assert listed.count("BUY") >= 2


def test_the_list_of_wholes_finds_one_by_a_slice_and_opens_its_page(tara, sliced):
    slice_id = sliced.slices.first().correlation_id
    listed = tara.get("/admin/orders/slicing/", {"q": slice_id}).content.decode()
    assert sliced.public_id in listed
    opened = tara.get(f"/admin/orders/slicing/{sliced.pk}/change/")
    assert opened["Location"] == address(sliced)
    assert tara.get("/admin/orders/slicing/add/").status_code == 403


def test_the_question_says_in_how_many_orders_it_is_sent(tara, filled_in, reliance):  # noqa: F811
    reliance.freeze_quantity = 4
    reliance.save()
    assert "3 orders: 2 of 4, one of 2" in confirm_page(tara, filled_in)
    assert "₹25,005.00" in confirm_page(tara, filled_in)
    assert "2 orders of 4" in confirm_page(tara, filled_in | {"quantity": "8"})
    assert "Sent as" not in confirm_page(tara, filled_in | {"quantity": "4"})
    most = confirm_page(tara, filled_in | {"quantity": "2000000000"})
    assert "50,00,00,000 orders of 4" in most


def test_sent_it_leads_to_the_whole(tara, filled_in, reliance):  # noqa: F811
    reliance.freeze_quantity = 4
    reliance.save()
    form = filled_in | {"confirmed": "1", "request_key": key_in(confirm_page(tara, filled_in))}
    answer = tara.post("/admin/place/", form)
    whole = Slicing.objects.get()
    assert answer["Location"] == address(whole)
    assert tara.post("/admin/place/", form)["Location"] == address(whole)
    assert Slicing.objects.count() == 1
    assert whole.status == "REFUSED"  # nothing was ever read from this account
    too_many = filled_in | {"quantity": "4000", "confirmed": "1", "request_key": "a" * 32}
    assert "would take 1000 orders" in tara.post("/admin/place/", too_many).content.decode()
