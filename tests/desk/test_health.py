"""Every part that must live is named when it does not."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from django.utils import timezone

from apps.alerts.models import Channel, Heartbeat
from apps.alerts.raising import sign_of_life

pytestmark = pytest.mark.django_db(transaction=True)
LOOPS = ["beat", "sweep", "signals", "alerts"]
BEATS = ["worker:worker", "worker:exits", "worker:house", *LOOPS, "feed:paper-one"]


@pytest.fixture
def all_alive(account):
    for name in BEATS:
        sign_of_life(name)


def look(client):
    begun = time.monotonic()
    answer = client.get("/healthz")
    assert time.monotonic() - begun < 1
    assert "no-store" in answer["Cache-Control"]
    return answer.status_code, answer.json()


def test_all_alive_is_200(client, all_alive):
    status, said = look(client)
    assert (status, said["status"], said["failing"]) == (200, "ok", [])
    assert set(said["parts"]) == {
        "database",
        "redis",
        "worker",
        "exits",
        "house",
        *LOOPS,
        "feed:paper-one",
    }
    assert all(set(part) == {"ok", "age", "detail"} for part in said["parts"].values())


@pytest.mark.parametrize("name", BEATS)
def test_a_stale_part_is_named(client, all_alive, name):
    Heartbeat.objects.filter(name=name).update(at=timezone.now() - dt.timedelta(seconds=16))
    status, said = look(client)
    part = name.removeprefix("worker:")
    assert (status, said["status"], said["failing"]) == (503, "failing", [part])
    assert "ago" in said["parts"][part]["detail"]
    assert said["parts"][part]["age"] >= 16


@pytest.mark.parametrize("name", BEATS)
def test_a_part_that_never_lived_is_named(client, all_alive, name):
    Heartbeat.objects.filter(name=name).delete()
    status, said = look(client)
    assert (status, said["failing"]) == (503, [name.removeprefix("worker:")])


def test_a_feed_may_be_silent_a_little_longer(client, all_alive):
    Heartbeat.objects.filter(name="feed:paper-one").update(
        at=timezone.now() - dt.timedelta(seconds=12)
    )
    assert look(client)[0] == 200


def test_a_disabled_account_needs_no_feed(client, all_alive, account):
    Heartbeat.objects.filter(name="feed:paper-one").delete()
    account.enabled = False
    account.save()
    assert look(client)[0] == 200


def test_what_hears_commands_must_live_only_while_a_channel_takes_them(client, all_alive):
    fields = {"kind": "telegram", "address": "tgram://x", "commands": True}
    channel = Channel.objects.create(name="phone", **fields)
    assert look(client)[1]["failing"] == ["telegram"]
    sign_of_life("telegram")
    assert look(client)[0] == 200
    Heartbeat.objects.filter(name="telegram").delete()
    Channel.objects.filter(pk=channel.pk).update(commands=False)
    assert look(client)[0] == 200


def test_an_account_that_gives_quotes_must_be_heard(client, all_alive, account):
    type(account).objects.update(market_feed_url="ws://127.0.0.1:9/market-feed")
    assert look(client)[1]["failing"] == ["quotes:paper-one"]
    sign_of_life("quotes:paper-one")
    assert look(client)[0] == 200
    Heartbeat.objects.filter(name="quotes:paper-one").update(
        at=timezone.now() - dt.timedelta(seconds=16)
    )
    assert look(client)[1]["failing"] == ["quotes:paper-one"]
    type(account).objects.update(enabled=False)
    assert look(client)[0] == 200


def test_a_sign_of_life_from_the_future_is_none(client, all_alive):
    Heartbeat.objects.filter(name="beat").update(at=timezone.now() + dt.timedelta(seconds=60))
    assert look(client)[1]["failing"] == ["beat"]


def test_redis_down_is_named(client, all_alive, settings):
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    status, said = look(client)
    assert (status, said["failing"]) == (503, ["redis"])


def test_database_down_is_503_and_not_500(client, all_alive, settings):
    settings.DATABASES = {"default": settings.DATABASES["default"] | {"HOST": "/nowhere"}}
    status, said = look(client)
    assert status == 503
    assert said["failing"][0] == "database"
    assert not said["parts"]["worker"]["ok"]
    assert said["parts"]["redis"]["ok"]


def test_a_server_that_hangs_is_named_in_time(client, all_alive, monkeypatch):
    monkeypatch.setattr("apps.desk.health._ping_redis", lambda: time.sleep(1.5))
    assert look(client)[1]["failing"] == ["redis"]


def test_the_page_shows_the_same(client, all_alive, operator):
    Heartbeat.objects.filter(name="sweep").delete()
    client.force_login(operator)
    page = client.get("/admin/health/").content.decode()
    assert "1 failing: sweep" in page
    rows = client.get("/admin/health/?rows=1").content.decode()
    assert "1 failing: sweep" in rows
    assert "<html" not in rows
