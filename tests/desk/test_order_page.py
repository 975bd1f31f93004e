"""One order's page: its timeline, cancel and change of terms."""

from __future__ import annotations

import html
import json
import re
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.brokers.journal import close_call, open_call
from apps.brokers.models import CallOutcome, FundsReport, Verb
from apps.orders.models import Fill, Modification, Order, OrderEvent
from apps.orders.states import Event
from apps.risk.models import Decision
from tests.desk.conftest import happens, unknown, working
from tests.desk.sockets import signed_in

pytestmark = pytest.mark.django_db(transaction=True)
JSON = {"headers": {"accept": "application/json"}}


def page_of(client, order):
    return client.get(f"/admin/live/order/{order.pk}/").content.decode()


@pytest.fixture
def olivia(operator):
    return signed_in(operator)


def test_the_timeline_joins_everything(olivia, new_order, account):
    order = new_order(cause="morning plan")
    decision = Decision.objects.create(
        correlation_id=order.correlation_id,
        account=account,
        action="PLACE",
        allowed=False,
        request={},
        inputs={"open_orders": 7, "limits": {"max_open_orders": 5}, "funds_age": None},
        refusals=[{"rule": "open orders", "reason": "7 are open, 5 are allowed"}],
        expires_at=order.created_at,
    )
    call = open_call(
        account,
        Verb.CANCEL,
        "cancel order",
        budget="ORDER",
        correlation_id=order.correlation_id,
        request={"broker_order_id": "<b>1</b>"},
    )
    close_call(call, outcome=CallOutcome.REFUSED, http_status=400, response={"errorCode": "DH-906"})
    working(order)
    Fill.objects.create(
        order=order,
        account=account,
        trading_day=order.trading_day,
        segment="NSE_EQ",
        broker_order_id="112233",
        exchange_trade_id="T-77",
        quantity=4,
        price=Decimal("2500.10"),
    )
    Modification.objects.create(
        order=order, quantity=12, status="DENIED", decision=decision, actor="olivia", cause="more"
    )
    page = page_of(olivia, order)
    for text in (
        "morning plan",
        "7 are open, 5 are allowed",
        "limits: max open orders",
        "not known",
        "Cancel order: refused",
        "DH-906",
        "Sending → Submitted",
        "4 at ₹2,500.10",
        "T-77",
        "12 at",
        order.correlation_id,
        "0 of 25 changes used",
    ):
        assert text in page, text
    assert "<b>1</b>" not in page


def test_what_was_not_applied_is_marked(olivia, new_order):
    order = happens(working(new_order()), Event.FILL)
    happens(order, Event.CANCEL, key="late")
    assert OrderEvent.objects.filter(order=order, applied=False).exists()
    assert "not applied" in page_of(olivia, order)


def test_unknown_is_explained(olivia, new_order):
    assert "will not send it again" in page_of(olivia, unknown(new_order()))


def test_cancel_from_the_dialog(olivia, new_order):
    order = working(new_order())
    answer = olivia.post(f"/admin/live/order/{order.pk}/cancel/", {"reason": "wrong side"}, **JSON)
    assert answer.json()["ok"]
    order.refresh_from_db()
    assert order.cancel_wanted_at is not None
    event = order.events.get(event=Event.WANT_CANCEL)
    assert (event.actor, event.text) == ("olivia", "wrong side")


def test_cancel_needs_a_reason(olivia, new_order):
    order = working(new_order())
    answer = olivia.post(f"/admin/live/order/{order.pk}/cancel/", {"reason": " "}, **JSON)
    assert answer.status_code == 422
    assert "reason" in answer.json()["errors"]
    order.refresh_from_db()
    assert order.cancel_wanted_at is None


def test_cancel_of_a_finished_order_says_too_late(olivia, new_order):
    order = happens(new_order(), Event.WITHDRAW)
    address = f"/admin/live/order/{order.pk}/cancel/"
    answer = olivia.post(address, {"reason": "wrong side"}, **JSON)
    assert answer.status_code == 422
    assert "Too late" in str(answer.json())
    assert "Too late" in olivia.post(address, {"reason": "wrong side"}).content.decode()


def test_cancel_without_scripts(olivia, new_order):
    order = new_order()
    address = f"/admin/live/order/{order.pk}/cancel/"
    assert "Cancel order" in olivia.get(address).content.decode()
    assert olivia.post(address, {"reason": "enough"})["Location"].endswith(f"/{order.pk}/")
    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_a_change_is_shown_before_it_is_sent(olivia, new_order):
    order = working(new_order())
    address = f"/admin/live/order/{order.pk}/modify/"
    terms = {"quantity": 20, "price": "2510", "reason": "more"}
    assert "Send these new terms?" in olivia.post(address, terms).content.decode()
    assert not Modification.objects.exists()
    assert olivia.post(address, terms | {"confirmed": "1"}).status_code == 302
    change = Modification.objects.get()
    assert (change.quantity, change.price, change.cause) == (20, Decimal(2510), "more")


def test_the_page_of_a_change_carries_what_was_seen_unseen(olivia, new_order):
    order = working(new_order())
    page = olivia.get(f"/admin/live/order/{order.pk}/modify/").content.decode()
    assert re.search(r'type="hidden" name="seen" value="10 at 2500.5000"', page)
    assert ">Seen<" not in page


def test_a_change_from_the_dialog_says_what_risk_refused(olivia, new_order):
    order = working(new_order())
    terms = {"quantity": 20, "price": "2510", "reason": "more", "confirmed": "1"}
    answer = olivia.post(f"/admin/live/order/{order.pk}/modify/", terms, **JSON)
    assert answer.status_code == 422
    assert "New terms refused" in str(answer.json()["errors"])
    assert Modification.objects.get().status == "DENIED"  # nothing was ever read from this account


def test_a_change_from_the_dialog_goes_when_risk_allows_it(olivia, new_order, account):
    FundsReport.objects.create(
        account=account, as_of=timezone.now(), available=10**7, utilised=0, opening=0, collateral=0
    )
    order = working(new_order())
    terms = {"quantity": 20, "price": "2510", "reason": "more", "confirmed": "1"}
    answer = olivia.post(f"/admin/live/order/{order.pk}/modify/", terms, **JSON)
    assert answer.json() == {"ok": True, "text": "New terms approved and on their way."}
    assert Modification.objects.get().status == "APPROVED"


@pytest.mark.parametrize("name", ["quantity", "price"])
def test_terms_that_changed_meanwhile_are_not_written_over(olivia, new_order, name):
    order = working(new_order())
    page = olivia.get("/admin/live/").content.decode()
    seen = json.loads(html.unescape(re.search(r'data-terms="([^"]*)"', page)[1]))
    assert (seen["quantity"], seen["price"]) == ("10", "2500.50")
    terms = {"quantity": 10, "price": "2499", "reason": "why", "confirmed": "1"}
    Order.objects.filter(pk=order.pk).update(**{name: 20})
    answer = olivia.post(
        f"/admin/live/order/{order.pk}/modify/", terms | {"seen": seen["seen"]}, **JSON
    )
    assert answer.status_code == 422
    assert "It changed while you looked" in str(answer.json())
    assert not Modification.objects.exists()


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ({"quantity": 10, "price": "2500.50"}, "the new terms are the ones the order has"),
        ({"quantity": 4, "price": "2500.50"}, "must be above the 5 already filled"),
        ({"quantity": 0, "price": "2500.50"}, "greater than or equal to 1"),
        ({"quantity": 20, "price": "-1"}, "greater than or equal to 0"),
        ({"quantity": 20, "price": "NaN"}, "Enter a number"),
    ],
)
def test_bad_terms_are_named_at_their_field(olivia, new_order, terms, text):
    order = working(new_order())
    happens(order, Event.PARTIAL, filled_quantity=5)
    given = terms | {"reason": "why", "confirmed": "1"}
    page = olivia.post(f"/admin/live/order/{order.pk}/modify/", given).content.decode()
    assert text in page
    assert not Modification.objects.exists()


def test_a_finished_order_cannot_be_changed(olivia, new_order):
    order = happens(new_order(), Event.WITHDRAW)
    given = {"quantity": 20, "price": "2510", "reason": "why", "confirmed": "1"}
    page = olivia.post(f"/admin/live/order/{order.pk}/modify/", given).content.decode()
    assert "Too late" in page


def test_looking_changes_nothing(olivia, new_order):
    order = working(new_order())
    before = Order.objects.values().get(pk=order.pk), OrderEvent.objects.count()
    for part in ("", "cancel/", "modify/", "cancel/?reason=x", "modify/?confirmed=1&reason=x"):
        assert olivia.get(f"/admin/live/order/{order.pk}/{part}").status_code == 200
    assert (Order.objects.values().get(pk=order.pk), OrderEvent.objects.count()) == before


def test_an_order_made_outside_shows_so_and_can_only_be_cancelled(olivia, account, reliance):
    order = Order.objects.create(
        account=account, instrument=reliance, side="BUY", quantity=3, order_type="STOP_MARKET",
        product="INTRADAY", source="EXTERNAL", actor="W", status="OPEN", broker_order_id="900",
    )  # fmt: skip
    for page in (page_of(olivia, order), olivia.get("/admin/live/").content.decode()):
        assert "Outside the desk" in page
        assert f"/admin/live/order/{order.pk}/cancel/" in page
        assert f"/admin/live/order/{order.pk}/modify/" not in page
    assert (
        "made outside the desk"
        in olivia.post(
            f"/admin/live/order/{order.pk}/modify/",
            {"quantity": 5, "price": "1400", "reason": "more", "confirmed": 1},
            follow=True,
        ).content.decode()
    )
