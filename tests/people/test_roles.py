"""Every role through every way in: what opens, what acts, and nothing for a stranger."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import NoReverseMatch, reverse

from apps.alerts.models import Alert
from apps.desk import feeding
from apps.orders.states import Event
from apps.people import roles
from apps.risk import resuming, switch
from apps.risk.models import DESK, Approval
from tests.desk.conftest import (  # noqa: F401 - fixtures of the desk's tests
    account,
    desk_switch,
    happens,
    new_order,
    reliance,
    working,
)
from tests.desk.sockets import socket_of
from tests.desk.test_live_socket import closes_with, talk
from tests.people.conftest import entered, member

pytestmark = pytest.mark.django_db(transaction=True)
V, T, R, A = roles.ROLES
EVERYBODY = {V, T, R, A}
WHO = ["stranger", *roles.ROLES]

PAGES = {
    "/admin/": {*EVERYBODY, "stranger"},
    "/admin/live/": EVERYBODY,
    "/admin/live/order/{pk}/": EVERYBODY,
    "/admin/live/order/{pk}/cancel/": {T, R, A},
    "/admin/live/order/{pk}/modify/": {T, A},
    "/admin/live/order/{pk}/release/": {T, R, A},
    "/admin/live/order/{pk}/exit/": {T, A},
    "/admin/place/": {T, A},
    "/admin/place/instruments/": {T, A},
    "/admin/switches/": EVERYBODY,
    "/admin/approvals/": EVERYBODY,
    "/admin/calendar/": EVERYBODY,
    "/admin/health/": EVERYBODY,
    "/admin/brokers/brokeraccount/{account}/session/": EVERYBODY,
    "/admin/brokers/brokeraccount/{account}/session/login/": {A},
    "/admin/brokers/brokeraccount/consent/": {A},
}
POSTS = {
    "/admin/live/order/{pk}/cancel/": ({"reason": "x"}, {T, R, A}),
    "/admin/live/order/{pk}/release/": ({"reason": "x"}, {T, R, A}),
    "/admin/live/order/{pk}/modify/": ({"quantity": 9, "price": 2500, "reason": "x"}, {T, A}),
    "/admin/place/": ({"side": "BUY"}, {T, A}),
    "/admin/prices/{account}/watch/": ({"instrument": "RELIANCE"}, EVERYBODY),
    "/admin/switches/turn/": ({"scope": "paper-one", "to": "halt", "reason": "x"}, {R, A}),
    "/admin/alerts/acknowledge/{alert}/": ({}, {R, A}),
    "/admin/approvals/{asked}/decide/": ({"answer": "refuse", "reason": "x"}, {R, A}),
    "/admin/calendar/confirm/": ({"year": 2026}, {A}),
    "/admin/calendar/withdraw/": ({"year": 2026}, {A}),
    "/admin/calendar/import/": ({"source": "x"}, {A}),
    "/admin/brokers/holiday/add/": ({"name": ""}, {A}),
    "/admin/brokers/sessionrule/add/": ({"source": ""}, {A}),
    "/admin/risk/riskpolicy/add/": ({"reason": ""}, {R, A}),
    "/admin/brokers/brokeraccount/add/": ({"name": ""}, {A}),
    "/admin/brokers/brokeraccount/{account}/change/": ({"name": ""}, {A}),
    "/admin/brokers/brokeraccount/{account}/session/ask/": ({"way": ""}, {A}),
    "/admin/brokers/brokeraccount/{account}/session/login/": ({"pin": "x"}, {A}),
    "/admin/brokers/brokeraccount/consent/": ({"tokenId": "x"}, {A}),
    "/admin/brokers/instrument/add/": ({"symbol": ""}, {A}),
    "/admin/alerts/channel/add/": ({"name": ""}, {A}),
    "/admin/alerts/escalationstep/add/": ({"number": ""}, {A}),
    "/admin/chat/telegramuser/add/": ({"telegram_id": ""}, {A}),
    "/admin/chat/telegramcommand/add/": ({"text": "/halt all x"}, set()),
    "/admin/auth/user/add/": ({"username": ""}, {A}),
    "/admin/auth/user/{person}/change/": ({"username": ""}, {A}),
    "/admin/auth/user/{person}/password/": ({"password1": ""}, {A}),
    "/admin/people/{person}/second-factor/": ({"reason": ""}, {A}),
    "/admin/auth/group/add/": ({"name": "x"}, set()),
}
HIDDEN = {
    "auth.user": {A},
    "auth.group": {A},
    "people.personchange": {A},
    "chat.telegramuser": {A},
}


def somebody(who):
    if who == "stranger":
        return User.objects.create_user("stella", password="x", is_staff=True)
    return member("somebody", who)


@pytest.fixture
def places(new_order, account, owner):  # noqa: F811
    switch.halt(DESK, "x", "x")
    order = happens(working(new_order()), Event.PARTIAL, filled_quantity=4)
    return {
        "pk": order.pk,
        "account": account.pk,
        "asked": resuming.ask(DESK, owner, "x").pk,
        "person": member("paul", V).pk,
        "alert": Alert.objects.earliest("pk").pk,
    }


@pytest.mark.parametrize("who", WHO)
def test_pages(who, places):
    client = entered(somebody(who))
    for address, allowed in PAGES.items():
        answer = client.get(address.format(**places))
        assert answer.status_code == (200 if who in allowed else 403), (who, address)
        assert "/admin/login/" in Client().get(address.format(**places))["Location"]


@pytest.mark.parametrize("who", WHO)
def test_actions(who, places):
    client = entered(somebody(who))
    for address, (form, allowed) in POSTS.items():
        answer = client.post(address.format(**places), form)
        assert (answer.status_code in {200, 302}) == (who in allowed), (who, address)
        assert answer.status_code in {200, 302, 403}, (who, address)


@pytest.mark.parametrize("who", WHO)
def test_change_lists_and_their_rows(who, places):
    client = entered(somebody(who))
    for model in admin.site._registry:
        label = model._meta.label_lower
        allowed = {A} if model._meta.app_label == "axes" else HIDDEN.get(label, EVERYBODY)
        try:
            address = reverse(f"admin:{label.replace('.', '_')}_changelist")
        except NoReverseMatch:
            continue
        answer = client.get(address)
        assert answer.status_code == (200 if who in allowed else 403), (who, label)
        row = model.objects.first()
        if row is not None and who in allowed:
            page = client.get(reverse(f"admin:{label.replace('.', '_')}_change", args=[row.pk]))
            assert page.status_code in {200, 302}, (who, label)


@pytest.mark.parametrize("who", WHO)
def test_the_action_on_alerts(who, places):
    page = entered(somebody(who)).get("/admin/alerts/alert/")
    shown = b"Acknowledge: I have seen these" in page.content
    assert shown == (who in {R, A})


@pytest.mark.parametrize("who", WHO)
def test_the_socket(who, places):
    client = entered(somebody(who))
    rights = feeding.rights_of({"session": client.session})
    assert rights.may_view == (who in EVERYBODY)
    assert rights.may_cancel == (who in {T, R, A})
    assert rights.may_modify == rights.may_place == (who in {T, A})
    assert rights.may_halt == (who in {R, A})
    if who != "stranger":
        return

    async def scenario():
        socket = socket_of(client)
        await socket.connect()
        assert await closes_with(socket) == 4403
        await socket.disconnect()

    talk(scenario)


@pytest.mark.parametrize("who", WHO)
def test_the_commands(who, places, account):  # noqa: F811
    name = somebody(who).username
    commands = {
        ("halt", account.name, "--reason", "x"): {R, A},
        ("resume", account.name, "--reason", "x"): {R, A},
        ("cancel_order", "{order}"): {T, R, A},
        ("release_order", "{order}", "--reason", "x"): {T, R, A},
        ("place_order", account.name, "--instrument", "RELIANCE", "--side", "BUY"): {T, A},
    }
    order = working_order(places)
    for words, allowed in commands.items():
        said = [word.format(order=order) for word in words]
        if words[0] == "place_order":
            said += ["--quantity", "1", "--price", "2500"]
        try:
            call_command(*said, "--as", name)
            refused = False
        except CommandError as error:
            refused = "may not do that" in str(error)
        assert refused == (who not in allowed), (who, words)


def working_order(places):
    from apps.orders.models import Order

    return Order.objects.get(pk=places["pk"]).correlation_id


def test_the_sidebar_shows_only_what_opens(places):
    for who in WHO:
        User.objects.filter(username__in=["somebody", "stella"]).delete()
        client = entered(somebody(who))
        page = client.get("/admin/switches/")
        for section in page.context["sidebar_navigation"] if page.status_code == 200 else []:
            for item in section["items"]:
                assert client.get(str(item["link"])).status_code == 200, (who, item["title"])


def test_every_permission_a_role_names_exists_and_syncing_is_safe_to_repeat(db):
    for named in (*roles.OF_TRADER, *roles.OF_RISK, *roles.OF_ADMINISTRATOR):
        app, codename = named.split(".")
        assert Permission.objects.filter(content_type__app_label=app, codename=codename).exists()
    held = {group.name: group.permissions.count() for group in Group.objects.all()}
    assert set(held) == set(roles.ROLES)
    Group.objects.get(name=V).permissions.clear()
    roles.on_migrate("default")
    assert {group.name: group.permissions.count() for group in Group.objects.all()} == held


def test_a_viewer_can_change_nothing_at_all(db):
    names = roles.permissions_of(V).values_list("codename", flat=True)
    assert all(name.startswith("view_") for name in names)
    assert "view_accesstoken" not in names
    assert not any("user" in name or "person" in name for name in names)


def test_refusing_an_approval_is_recorded_with_its_person(places, rita):
    asked = Approval.objects.get(pk=places["asked"])
    entered(rita).post(f"/admin/approvals/{asked.pk}/decide/", POSTS_OF_REFUSAL)
    asked.refresh_from_db()
    assert (asked.decision, asked.decided_by) == ("REFUSED", rita)


POSTS_OF_REFUSAL = {"answer": "refuse", "reason": "not yet"}
