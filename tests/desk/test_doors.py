"""Who may open what, CSRF on every POST, the switches, and history that cannot be edited."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from apps.alerts.models import Alert
from apps.alerts.raising import raise_alert
from apps.desk import navigation
from apps.orders.states import Event
from apps.risk import models as risk
from apps.risk.models import TradingState
from tests.desk.conftest import PASSWORD, happens, person, working
from tests.desk.sockets import signed_in

pytestmark = pytest.mark.django_db(transaction=True)

# address → permissions needed
PAGES = {
    "/admin/live/": ["orders.view_order"],
    "/admin/live/order/{pk}/": ["orders.view_order"],
    "/admin/live/order/{pk}/cancel/": ["orders.view_order", "orders.cancel_order"],
    "/admin/live/order/{pk}/release/": ["orders.view_order", "orders.cancel_order"],
    "/admin/live/order/{pk}/modify/": ["orders.view_order", "orders.modify_order"],
    "/admin/live/order/{pk}/exit/": ["orders.view_order", "orders.place_order"],
    "/admin/place/": ["orders.place_order"],
    "/admin/place/instruments/": ["orders.place_order"],
    "/admin/positions/": ["orders.view_ledgerposition"],
    "/admin/positions/enter/": ["orders.view_ledgerposition", "orders.add_openingentry"],
    "/admin/breaks/": ["orders.view_break"],
    "/admin/days/": ["orders.view_dayreport"],
    "/admin/switches/": ["risk.view_tradingstate"],
    "/admin/health/": ["alerts.view_heartbeat"],
}
POSTS = {
    "/admin/live/order/{pk}/cancel/": {"reason": "x"},
    "/admin/live/order/{pk}/release/": {"reason": "x"},
    "/admin/live/order/{pk}/modify/": {"quantity": 20, "price": 1, "reason": "x", "confirmed": 1},
    "/admin/place/": {},
    "/admin/prices/1/watch/": {"instrument": "RELIANCE"},
    "/admin/switches/turn/": {"scope": "paper-one", "to": "halt", "reason": "x"},
    "/admin/alerts/acknowledge/1/": {},
    "/admin/positions/enter/": {},
    "/admin/breaks/1/take-on/": {},
    "/admin/breaks/1/explain/": {"reason": "x"},
}


@pytest.mark.parametrize("address", PAGES)
def test_pages_open_with_exactly_their_permissions(address, new_order, stranger):
    order = happens(working(new_order()), Event.PARTIAL, filled_quantity=4)
    where = address.format(pk=order.pk)
    assert "/admin/login/" in Client().get(where)["Location"]
    assert signed_in(stranger).get(where).status_code == 403
    assert signed_in(person("anna", *PAGES[address])).get(where).status_code == 200
    outside = person("ossi", *PAGES[address], staff=False)
    assert "/admin/login/" in signed_in(outside).get(where)["Location"]


@pytest.mark.parametrize("address", [name for name, needed in PAGES.items() if len(needed) > 1])
def test_seeing_an_order_is_not_acting_on_it(address, new_order, viewer):
    order = working(new_order())
    answer = signed_in(viewer).post(address.format(pk=order.pk), {"reason": "x"})
    assert answer.status_code == 403
    order.refresh_from_db()
    assert order.cancel_wanted_at is None


@pytest.mark.parametrize("address", POSTS)
def test_every_post_needs_its_token(address, new_order, operator):
    order = working(new_order())
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    assert client.post(address.format(pk=order.pk), POSTS[address]).status_code == 403
    order.refresh_from_db()
    assert order.cancel_wanted_at is None
    assert risk.TradingState.objects.get(scope="paper-one").switch == "ACTIVE"


@pytest.mark.parametrize("address", ["/healthz", "/admin/", "/admin/live/", "/admin/health/"])
def test_pages_for_reading_take_no_post(address, operator):
    assert signed_in(operator).post(address).status_code == 405


def test_signing_in_by_form(operator):
    client = Client()
    form = {"username": "olivia", "password": PASSWORD, "next": "/admin/"}
    assert client.post("/admin/login/", form)["Location"] == "/admin/"


def test_halting_needs_a_reason_and_is_recorded(operator, account):
    client = signed_in(operator)
    page = client.post("/admin/switches/turn/", {"scope": "desk", "to": "halt", "reason": ""})
    assert "required" in page.content.decode()
    client.post("/admin/switches/turn/", {"scope": "desk", "to": "halt", "reason": "news"})
    change = risk.StateChange.objects.get()
    assert (change.scope, change.after, change.actor, change.user) == (
        "desk",
        "HALTED",
        "olivia",
        operator,
    )
    page = client.get("/admin/switches/").content.decode()
    assert "The whole desk is HALTED" in page
    assert "Ask to resume" in page


def test_halting_from_a_dialog(operator, account):
    asked = {"scope": "paper-one", "to": "halt", "reason": ""}
    json = {"headers": {"accept": "application/json"}}
    answer = signed_in(operator).post("/admin/switches/turn/", asked, **json)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["reason"])
    assert risk.TradingState.objects.get(scope="paper-one").switch == "ACTIVE"
    answer = signed_in(operator).post("/admin/switches/turn/", asked | {"reason": "news"}, **json)
    assert answer.json()["ok"]
    assert risk.TradingState.objects.get(scope="paper-one").switch == "HALTED"
    answer = signed_in(operator).post("/admin/switches/turn/", asked | {"reason": "news"}, **json)
    assert answer.json()["text"] == "paper-one is halted already."


def test_nobody_resumes_alone_superuser_included(owner, account):
    again = {"scope": "desk", "to": "resume", "reason": "all is well"}
    signed_in(owner).post("/admin/switches/turn/", again | {"to": "halt"})
    assert signed_in(owner).post("/admin/switches/turn/", again).status_code == 302
    asked = risk.Approval.objects.get()
    yes = {"answer": "approve", "reason": "me too"}
    signed_in(owner).post(f"/admin/approvals/{asked.pk}/decide/", yes)
    asked.refresh_from_db()
    assert asked.decision == ""
    assert risk.TradingState.objects.get(scope="desk").switch == "HALTED"


def test_who_may_not_turn_a_switch_cannot(account):
    watcher = signed_in(person("wanda", "risk.view_tradingstate"))
    assert "Halt…" not in watcher.get("/admin/switches/").content.decode()
    asked = {"scope": "desk", "to": "halt", "reason": "x"}
    assert watcher.post("/admin/switches/turn/", asked).status_code == 403
    assert watcher.get("/admin/switches/turn/").status_code == 403


def test_a_switch_that_does_not_exist_is_said(operator, account):
    asked = {"scope": "nowhere", "to": "halt", "reason": "x"}
    page = signed_in(operator).post("/admin/switches/turn/", asked).content.decode()
    assert "nowhere has no risk state" in page


HISTORY = [
    "orders_order",
    "orders_orderevent",
    "orders_fill",
    "orders_modification",
    "orders_unattributed",
    "risk_decision",
    "risk_statechange",
    "risk_hold",
    "risk_tradingstate",
    "alerts_alert",
    "alerts_heartbeat",
]


@pytest.mark.parametrize("name", HISTORY)
def test_history_is_read_only_even_for_the_owner(name, owner, new_order, rf):
    raise_alert("x", "something")
    working(new_order())
    client, address = signed_in(owner), f"/admin/{name.replace('_', '/')}/"
    assert client.get(address).status_code == 200
    assert client.get(f"{address}?q=x").status_code == 200
    assert client.get(f"{address}add/").status_code == 403
    (model,) = [m for m in admin.site._registry if m._meta.label_lower == name.replace("_", ".")]
    page, request = admin.site._registry[model], rf.get("/")
    request.user = owner
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)
    assert "delete_selected" not in page.get_actions(request)


def test_the_list_of_orders_speaks_as_the_desk_does(owner, new_order):
    working(new_order())
    page = signed_in(owner).get("/admin/orders/order/").content.decode()
    assert '<span class="desk-status desk-tone-work">Open</span>' in page
    assert "₹2,500.50" in page


def test_an_order_opens_on_its_own_page(owner, new_order):
    order = new_order()
    answer = signed_in(owner).get(f"/admin/orders/order/{order.pk}/change/")
    assert answer["Location"] == f"/admin/live/order/{order.pk}/"


def test_a_limit_changes_by_its_next_version(owner, account):
    client = signed_in(owner)
    limits = {
        "account": account.pk,
        "max_order_quantity": 50,
        "max_order_value": "100000",
        "max_open_orders": 5,
        "max_data_age": 60,
        "order_types": ["LIMIT"],
        "max_quote_age": 5,
        "protection_percent": "0.5",
        "stop_protection_percent": "2",
        "price_band_percent": "10",
        "check_margin": "on",
        "refuse_unknown_margin": "on",
        "on_outside_trade": "ALERT",
        "reason": "quiet day",
    }
    answer = client.post("/admin/risk/riskpolicy/add/", limits)
    assert answer.status_code == 302, answer.content.decode()
    newest = risk.RiskPolicy.objects.filter(account=account).first()
    assert (newest.version, newest.created_by, newest.order_types) == (2, "otto", ["LIMIT"])
    address = f"/admin/risk/riskpolicy/{newest.pk}/"
    assert client.post(f"{address}change/", limits).status_code == 403
    assert client.post(f"{address}delete/", {"post": "yes"}).status_code == 403


def test_acknowledging_an_alert(owner, account):
    raise_alert("x", "something")
    alert = Alert.objects.get()
    chosen = {"action": "acknowledge", "_selected_action": [alert.pk]}
    signed_in(owner).post("/admin/alerts/alert/", chosen)
    alert.refresh_from_db()
    assert alert.acknowledged_by == owner


def test_every_sidebar_link_opens(owner, new_order):
    new_order()
    client = signed_in(owner)

    for _, entries in navigation._SECTIONS:
        for title, _, address, _ in entries:
            assert client.get(reverse(address)).status_code == 200, title


@pytest.mark.parametrize("odd", ["²", "٣", "9" * 5000, "-1", "1e3", ""])
@pytest.mark.parametrize(
    "where",
    [
        "/admin/place/instruments/?q=INFY&account=",
        "/admin/risk/riskpolicy/add/?account=",
        "/admin/live/?account=",
        "/admin/calendar/?year=",
    ],
)
def test_a_number_that_is_none_is_no_crash(owner, account, where, odd):
    assert signed_in(owner).get(f"{where}{odd}").status_code == 200


@pytest.mark.parametrize("typed", ["² NOV", "1.2.3CE", "0 NOV", "32 NOV", "9" * 400 + "CE", "..PE"])
def test_what_cannot_be_an_instrument_finds_nothing_and_breaks_nothing(owner, account, typed):
    answer = signed_in(owner).get("/admin/place/instruments/", {"q": typed})
    assert (answer.status_code, answer.json()) == (200, {"instruments": []})


def test_a_refused_step_leaves_a_calendar_whose_links_work(owner, account):
    answer = signed_in(owner).post("/admin/calendar/confirm/", {"year": "2026"})
    page = answer.content.decode()
    assert '<form method="get" action="/admin/calendar/"' in page
    assert 'href="/admin/calendar/?year=2025#year"' in page
    assert 'href="?' not in page


def test_an_account_without_a_switch_is_said_to_have_none(owner, account):
    TradingState.objects.all().delete()
    assert "No switch" in signed_in(owner).get("/admin/").content.decode()
