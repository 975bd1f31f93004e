"""Asking for the release of an order in doubt, and what the pages say of it."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.urls import reverse

from apps.desk.doubts import OF_AN_EARLIER_DAY
from apps.orders import releasing
from apps.orders.models import Order, trading_day
from apps.orders.states import Event
from apps.people import roles
from apps.risk import approvals
from apps.risk.models import Approval
from tests.desk.conftest import happens, unknown, working
from tests.desk.sockets import signed_in
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)
JSON = {"headers": {"accept": "application/json"}}
WHY = "not in the order history"


@pytest.fixture(autouse=True)
def _at_once(settings):
    settings.RELEASE_AFTER = 0


@pytest.fixture
def tara():
    return member("tara", roles.TRADER)


@pytest.fixture
def rita():
    return member("rita", roles.RISK)


@pytest.fixture
def old(new_order):
    """UNKNOWN since yesterday."""
    order = unknown(new_order())
    yesterday = trading_day() - dt.timedelta(days=1)
    Order.objects.filter(pk=order.pk).update(trading_day=yesterday)
    order.refresh_from_db()
    return order


def address(order):
    return f"/admin/live/order/{order.pk}/release/"


def page_of(user, order):
    return signed_in(user).get(f"/admin/live/order/{order.pk}/").content.decode()


def offered(page, order):
    return f'href="{address(order)}"' in page


def test_asked_in_the_dialog_and_approved_on_the_approvals_page(old, tara, rita):
    assert 'id="desk-release"' in page_of(tara, old)
    answer = signed_in(tara).post(address(old), {"reason": WHY}, **JSON)
    assert answer.json()["ok"]
    assert "A second person decides until" in answer.json()["text"]
    checker = signed_in(rita)
    page = checker.get("/admin/approvals/").content.decode()
    for text in ("Release BUY 10 RELIANCE at 2500.5", WHY, "tara", old.correlation_id):
        assert text in page, text
    asked = Approval.objects.get()
    yes = {"answer": "approve", "reason": "seen"}
    page = checker.post(f"/admin/approvals/{asked.pk}/decide/", yes, follow=True)
    assert "Approved. released" in page.content.decode()
    old.refresh_from_db()
    assert old.status == "NEVER_ARRIVED"
    page = page_of(tara, old)
    assert "Two people released it on the broker&#x27;s own statement" in page
    assert "books prove that it never got there" not in page
    assert "released by tara and rita" in page


def test_asked_without_scripts(old, tara):
    client = signed_in(tara)
    assert "Ask a second person" in client.get(address(old)).content.decode()
    assert client.post(address(old), {"reason": WHY})["Location"].endswith(f"/{old.pk}/")
    assert Approval.objects.get().reason == WHY


def test_it_needs_a_reason(old, tara):
    answer = signed_in(tara).post(address(old), {"reason": " "}, **JSON)
    assert answer.status_code == 422
    assert "reason" in answer.json()["errors"]
    page = signed_in(tara).post(address(old), {"reason": ""}).content.decode()
    assert "This field is required" in page
    assert not Approval.objects.exists()


@pytest.mark.parametrize("role", roles.ROLES)
def test_only_who_may_cancel_is_offered_it(old, role):
    person = member("xaver", role)
    may = role != roles.VIEWER
    assert offered(page_of(person, old), old) == may
    assert offered(signed_in(person).get("/admin/").content.decode(), old) == may
    assert signed_in(person).get(address(old)).status_code == (200 if may else 403)
    answer = signed_in(person).post(address(old), {"reason": WHY})
    assert (answer.status_code, Approval.objects.exists()) == (302 if may else 403, may)


def test_only_an_order_in_doubt_is_offered(new_order, tara):
    for order in (working(new_order()), happens(new_order(), Event.WITHDRAW)):
        assert not offered(page_of(tara, order), order)
        assert "Only an order that is UNKNOWN" in (
            signed_in(tara).get(address(order)).content.decode()
        )
        page = signed_in(tara).post(address(order), {"reason": WHY}).content.decode()
        assert f"the order is {order.status}; only one that is UNKNOWN" in page
    assert not Approval.objects.exists()


def test_too_early_it_says_when(new_order, tara, settings):
    settings.RELEASE_AFTER = 120
    order = unknown(new_order())
    page = page_of(tara, order)
    assert not offered(page, order)
    assert re.search(r"looking by itself; it may be asked from \d\d \w{3} \d\d:\d\d:\d\d", page)
    assert not offered(signed_in(tara).get("/admin/").content.decode(), order)
    answer = signed_in(tara).post(address(order), {"reason": WHY}, **JSON)
    assert answer.status_code == 422
    assert "it may be asked from" in str(answer.json()["errors"])
    assert not Approval.objects.exists()


def test_once_asked_the_page_says_who_decides(old, tara, rita):
    releasing.ask(old, tara, WHY)
    for person in (tara, rita):
        page = page_of(person, old)
        assert not offered(page, old)
        assert "tara asks for its release" in page
        assert reverse("desk:approvals") in page
    again = signed_in(rita).post(address(old), {"reason": WHY}).content.decode()
    assert "waiting for an approval already" in again


def test_its_maker_sees_that_somebody_else_must_decide(old, rita):
    asked = releasing.ask(old, rita, WHY)
    client = signed_in(rita)
    assert "you asked for it yourself" in client.get("/admin/approvals/").content.decode()
    client.post(f"/admin/approvals/{asked.pk}/decide/", {"answer": "approve", "reason": "x"})
    old.refresh_from_db()
    assert old.status == "UNKNOWN"


def test_an_order_of_an_earlier_day_has_its_own_words(old, new_order, tara):
    today = unknown(new_order())
    said = OF_AN_EARLIER_DAY.replace("'", "&#x27;")
    page = signed_in(tara).get("/admin/").content.decode()
    assert page.count(said) == 1
    assert "2 in doubt" in page
    assert said in page_of(tara, old)
    assert said not in page_of(tara, today)
    assert "will not send it again" in page_of(tara, today)


def test_looking_asks_for_nothing(old, tara):
    before = old.events.count()
    for part in ("", "release/", "release/?reason=x"):
        assert signed_in(tara).get(f"/admin/live/order/{old.pk}/{part}").status_code == 200
    assert not Approval.objects.exists()
    assert old.events.count() == before


def test_who_may_only_see_reads_why_it_stays(old, tara):
    releasing.ask(old, tara, WHY)
    approvals.withdraw(Approval.objects.get().pk, "tara", "x")
    assert OF_AN_EARLIER_DAY.replace("'", "&#x27;") in page_of(member("v", roles.VIEWER), old)
