"""Sessions end: by age, by idleness, whatever an open page does by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from apps.desk import feeding
from tests.desk.sockets import socket_of
from tests.desk.test_live_socket import closes_with, talk
from tests.people.conftest import by_password, entered

pytestmark = pytest.mark.django_db(transaction=True)


def at(**ahead):
    return time_machine.travel(timezone.now() + timedelta(**ahead))


def signed_out(client):
    return client.get("/admin/live/")["Location"].startswith("/admin/login/")


def test_idle_for_too_long(viewer):
    client = entered(viewer)
    with at(minutes=29):
        assert client.get("/admin/live/").status_code == 200
    with at(minutes=58):
        assert client.get("/admin/live/").status_code == 200
    with at(minutes=89):
        assert signed_out(client)
    assert signed_out(client)


def test_too_old_however_busy(viewer):
    client = entered(viewer)
    for quarter in range(1, 32):
        with at(minutes=15 * quarter):
            assert client.get("/admin/live/").status_code == 200
    with at(hours=8, seconds=5):
        assert signed_out(client)


def test_the_times_are_settings(viewer, settings):
    settings.SESSION_IDLE_MINUTES = 1
    client = entered(viewer)
    with at(seconds=61):
        assert signed_out(client)


def test_a_page_that_asks_by_itself_is_no_activity(viewer):
    client = entered(viewer)
    for minute in (10, 20, 29):
        with at(minutes=minute):
            again = client.get("/admin/health/?rows=1", headers={"X-Asked-By-Itself": "1"})
            assert again.status_code == 200
    with at(minutes=31):
        assert signed_out(client)


def test_a_session_without_a_beginning_is_over(viewer):
    client = entered(viewer)
    session = client.session
    del session["entry_began"]
    session.save()
    assert signed_out(client)


def test_after_a_time_out_the_sign_in_says_why(viewer):
    client, _ = by_password("victor")
    with at(hours=1):
        page = client.get("/admin/live/", follow=True).content.decode()
    assert "too long without activity" in page


def test_a_socket_closes_with_its_session_and_is_no_activity(viewer):
    client = entered(viewer)
    session = client.session
    session["entry_seen"] -= 31 * 60
    session.save()

    async def scenario():
        socket = socket_of(client)
        await socket.connect()
        assert await closes_with(socket) == 4403
        await socket.disconnect()

    talk(scenario)


def test_reading_the_rights_of_a_socket_touches_nothing(viewer):
    client = entered(viewer)
    scope = {"session": client.session}
    before = client.session["entry_seen"]
    with at(minutes=20):
        assert feeding.rights_of(scope).may_view
    assert client.session["entry_seen"] == before
    with at(minutes=31):
        assert not feeding.rights_of(scope).may_view


def test_keys_on_the_live_page_are_activity_but_do_not_wake_what_is_over(viewer):
    client = entered(viewer)
    scope = {"session": client.session}
    with at(minutes=20):
        feeding.touch(scope)
    with at(minutes=45):
        assert feeding.rights_of(scope).may_view
    with at(minutes=60):
        feeding.touch(scope)
        assert signed_out(client)
    feeding.touch(scope)
    assert signed_out(client)


def test_nobody_is_nobody(db):
    assert signed_out(Client())
