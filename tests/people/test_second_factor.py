"""The second factor with real codes, and every way around it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from apps.people.models import PersonChange
from tests.desk.sockets import socket_of
from tests.desk.test_live_socket import closes_with, talk
from tests.people.conftest import by_password, code_of, entered, fresh, with_phone
from tradingops.checks import everybody_needs_a_second_factor
from tradingops.routing import websocket_urlpatterns

pytestmark = pytest.mark.django_db(transaction=True)
SET_UP, VERIFY = "/admin/second-factor/", "/admin/second-factor/verify/"
OPEN = {"/admin/login/", "/admin/logout/", "/healthz", SET_UP, VERIFY}


@pytest.fixture(autouse=True)
def _required(settings):
    settings.REQUIRE_SECOND_FACTOR = True


def set_up(client):
    """Scan, type the code; the recovery codes from the page."""
    client.get(SET_UP)
    device = TOTPDevice.objects.get(user=client.session["_auth_user_id"])
    page = client.post(SET_UP, {"code": code_of(device)}).content.decode()
    return device, re.findall(r"<code>((?:[a-z2-7]{4}-){3}[a-z2-7]{4})</code>", page)


def test_setting_up_from_the_password_to_the_desk(viewer):
    client, _ = by_password("victor")
    assert client.get("/admin/live/")["Location"] == f"{SET_UP}?next=%2Fadmin%2Flive%2F"
    page = client.get(SET_UP).content.decode()
    device = TOTPDevice.objects.get(user=viewer)
    assert "<svg" in page
    assert "http://" not in re.sub(r"http://(www.w3.org|testserver)", "", page)
    key = re.search(r'<code class="desk-key">([A-Z2-7 ]+)</code>', page)[1].replace(" ", "")
    assert key in device.config_url
    assert not device.confirmed
    _, codes = set_up(client)
    assert len(set(codes)) == 10
    assert client.get("/admin/live/").status_code == 200
    assert codes[0] not in client.get(SET_UP).content.decode()
    assert "10 recovery codes left" in client.get(SET_UP).content.decode()


def test_a_wrong_code_confirms_nothing(viewer):
    client = entered(viewer)
    client.get(SET_UP)
    device = TOTPDevice.objects.get(user=viewer)
    wrong = f"{(int(code_of(device)) + 1) % 1_000_000:06d}"
    assert "not right" in client.post(SET_UP, {"code": wrong}).content.decode()
    assert client.get("/admin/live/").status_code == 302


def test_signing_in_again_asks_for_a_code_and_goes_on_to_the_page(viewer):
    device = with_phone(viewer)
    client, _ = by_password("victor")
    where = client.get("/admin/switches/?a=1")["Location"]
    assert where == f"{VERIFY}?next=%2Fadmin%2Fswitches%2F%3Fa%3D1"
    before = client.session.session_key
    answer = client.post(VERIFY, {"code": code_of(device), "next": "/admin/switches/?a=1"})
    assert answer["Location"] == "/admin/switches/?a=1"
    assert client.session.session_key != before
    assert client.get("/admin/switches/").status_code == 200


def test_it_never_leads_to_another_site(viewer):
    device = with_phone(viewer)
    answer = entered(viewer).post(VERIFY, {"code": code_of(device), "next": "//evil.example/"})
    assert answer["Location"] == "/admin/"


def test_a_used_code_is_of_no_use(viewer):
    device = with_phone(viewer)
    code = code_of(device)
    assert entered(viewer).post(VERIFY, {"code": code}).status_code == 302
    other = entered(viewer)
    assert "used before" in other.post(VERIFY, {"code": code}).content.decode()
    assert other.get("/admin/live/").status_code == 302


def test_the_code_that_set_it_up_does_not_sign_in(viewer):
    client = entered(viewer)
    client.get(SET_UP)
    code = code_of(TOTPDevice.objects.get(user=viewer))
    client.post(SET_UP, {"code": code})
    assert entered(viewer).post(VERIFY, {"code": code}).status_code == 200


def test_guessing_is_slowed_down_even_for_the_right_code(viewer):
    device = with_phone(viewer)
    client = entered(viewer)
    for _ in range(3):
        client.post(VERIFY, {"code": "000000"})
    assert "Too many wrong codes" in client.post(VERIFY, {"code": code_of(device)}).content.decode()
    with time_machine.travel(timezone.now() + timedelta(seconds=30)):
        assert client.post(VERIFY, {"code": code_of(device)}).status_code == 302


def test_recovery_codes_work_once_and_only_for_their_person(viewer, tara):
    _, codes = set_up(entered(viewer))
    with_phone(tara)
    assert entered(tara).post(VERIFY, {"code": codes[0]}).status_code == 200
    assert entered(viewer).post(VERIFY, {"code": codes[0].upper()}).status_code == 302
    assert entered(viewer).post(VERIFY, {"code": codes[0]}).status_code == 200
    assert StaticToken.objects.count() == 9
    stored = set(StaticToken.objects.values_list("token", flat=True))
    assert not stored & {code.replace("-", "") for code in codes}
    assert PersonChange.objects.filter(person=viewer, what="recovery code used").exists()


def test_the_key_is_not_shown_to_who_has_only_the_password(viewer):
    with_phone(viewer)
    thief = entered(viewer)
    assert thief.get(SET_UP)["Location"].startswith(VERIFY)
    assert thief.post(SET_UP, {"code": "123456"})["Location"].startswith(VERIFY)
    assert TOTPDevice.objects.filter(user=viewer).count() == 1


def test_somebody_elses_device_in_the_session_opens_nothing(viewer, tara):
    with_phone(viewer)
    client = entered(viewer)
    session = client.session
    session["otp_device_id"] = with_phone(tara).persistent_id
    session.save()
    assert client.get("/admin/live/").status_code == 302


def test_who_set_it_up_is_asked_even_where_it_is_not_required(viewer, settings):
    settings.REQUIRE_SECOND_FACTOR = False
    assert entered(viewer).get("/admin/live/").status_code == 200
    with_phone(viewer)
    assert entered(viewer).get("/admin/live/")["Location"].startswith(VERIFY)


def addresses(resolver=None, before="/"):
    """Every address of the product, with numbers where it wants something."""
    for pattern in (resolver or get_resolver()).url_patterns:
        text = re.sub(r"<[^>]+>|\(\?P<[^)]*\)", "1", str(pattern.pattern)).strip("^$")
        text = text.replace(r"\Z", "").replace("\\", "")
        if hasattr(pattern, "url_patterns"):
            yield from addresses(pattern, before + text)
        else:
            yield before + text


@pytest.mark.parametrize("phone", [True, False])
def test_no_address_opens_without_it(phone, owner):
    if phone:
        with_phone(owner)
    client, where = entered(owner), VERIFY if phone else SET_UP
    found = [address for address in set(addresses()) if address not in OPEN | {"/"}]
    assert len(found) > 80
    for address in found:
        for answer in (client.get(address), client.post(address)):
            assert answer.status_code in {302, 404}, address
            if answer.status_code == 302:
                assert answer["Location"].startswith(where), (address, answer["Location"])


def test_a_page_that_asks_for_json_is_refused_without_a_detour(owner):
    answer = entered(owner).get("/admin/live/", headers={"accept": "application/json"})
    assert answer.status_code == 403


def test_health_and_the_sign_in_stay_open(owner):
    assert entered(owner).get("/healthz").status_code in {200, 503}
    assert Client().get("/healthz").status_code in {200, 503}
    assert Client().get("/admin/login/").status_code == 200


@pytest.mark.parametrize("phone", [True, False])
def test_every_socket_is_closed_with_4403(phone, owner):
    if phone:
        with_phone(owner)
    assert len(websocket_urlpatterns) >= 1

    async def scenario():
        socket = socket_of(entered_before)
        await socket.connect()
        assert await closes_with(socket) == 4403
        await socket.disconnect()

    entered_before = entered(owner)
    talk(scenario)


def test_taking_it_away_needs_somebody_else_a_right_and_a_reason(viewer, tara, adam, settings):
    with_phone(viewer)
    admins_phone = with_phone(adam)
    client = entered(adam)
    client.post(VERIFY, {"code": code_of(admins_phone)})
    address = f"/admin/people/{viewer.pk}/second-factor/"
    assert "required" in client.post(address, {"reason": ""}).content.decode()
    assert (
        client.post(f"/admin/people/{adam.pk}/second-factor/", {"reason": "x"}).status_code == 403
    )
    assert client.post(address, {"reason": "lost phone"}).status_code == 302
    assert not TOTPDevice.objects.filter(user=viewer).exists()
    row = PersonChange.objects.get(what="second factor taken away")
    assert (row.person, row.by, row.reason) == (viewer, adam, "lost phone")
    settings.REQUIRE_SECOND_FACTOR = False
    assert entered(tara).post(address, {"reason": "x"}).status_code == 403
    assert entered(fresh(viewer)).get(address).status_code == 403


def test_an_administrator_does_not_take_it_from_a_superuser(adam, owner, settings):
    settings.REQUIRE_SECOND_FACTOR = False
    with_phone(owner)
    address = f"/admin/people/{owner.pk}/second-factor/"
    assert entered(adam).post(address, {"reason": "x"}).status_code == 403
    assert User.objects.get(pk=owner.pk).totpdevice_set.exists()


def test_a_deployment_without_it_is_warned(settings):
    assert everybody_needs_a_second_factor() == []
    settings.REQUIRE_SECOND_FACTOR = False
    assert [message.id for message in everybody_needs_a_second_factor()] == ["desk.W002"]
