"""Importing by hand and by the clock; what people see of it."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pytest
import redis
import time_machine
from celery import Celery
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from apps.brokers.importing import Wish, import_if_due, import_published
from apps.brokers.locks import turn_if_free
from apps.brokers.models import Instrument, InstrumentImport
from apps.orders.tasks import import_instruments, import_now
from apps.people import roles
from tests.brokers.master_rows import AMARA, RELIANCE, changed, shares, write
from tests.conftest import Exchange
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)

INDIA = dt.timezone(dt.timedelta(hours=5, minutes=30))


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("import_instruments", *words, stdout=out)
    return out.getvalue()


def test_a_file_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "master.csv", [RELIANCE, AMARA])
    said = run("--file", str(path))
    assert "master.csv (detailed)" in said
    assert "2 rows: 2 new, 0 changed, 0 unchanged, 0 gone, 0 ids reused" in said
    assert " MB at most" in said
    assert InstrumentImport.objects.get().actor == "command"


def test_a_refused_file_ends_with_1_and_the_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "master.csv", [RELIANCE, AMARA[:-4]])
    with pytest.raises(CommandError, match="nothing was changed: line 3: 32 fields") as error:
        run("--file", str(path))
    assert error.value.returncode == 1
    assert not Instrument.objects.exists()


def test_fewer_rows_when_a_person_says_so(tmp_path: Path) -> None:
    run("--file", str(write(tmp_path / "m.csv", shares(50))))
    less = str(write(tmp_path / "m.csv", shares(40)))
    with pytest.raises(CommandError, match="once with --even-if-fewer"):
        run("--file", less)
    assert "40 unchanged, 10 gone" in run("--file", less, "--even-if-fewer")


def test_the_published_file_and_another_address(exchange: Exchange, settings: Any) -> None:
    settings.SIMEXCHANGE_URL = exchange.url
    assert "api-scrip-master-detailed.csv (detailed)" in run()
    assert "api-scrip-master.csv (compact)" in run("--compact")
    address = f"{exchange.url}/api-data/api-scrip-master.csv"
    with pytest.raises(CommandError, match="this is the compact file, not the detailed one"):
        run("--url", address, "--detailed")


def test_a_file_and_an_address_are_too_much() -> None:
    with pytest.raises(CommandError, match="not allowed with"):
        run("--file", "x", "--url", "y")


# --- by the clock -------------------------------------------------------------------------------


@pytest.fixture
def broker(exchange: Exchange, settings: Any, account: Any) -> Exchange:
    settings.SIMEXCHANGE_URL = exchange.url
    settings.INSTRUMENTS_AT = dt.time(8, 30)
    return exchange


def fetched(broker: Exchange, at: str) -> int:
    """How many imports there are after a look at this time of 23 or 24 November 2026."""
    with time_machine.travel(dt.datetime.fromisoformat(at).replace(tzinfo=INDIA), tick=False):
        import_if_due()
    return InstrumentImport.objects.count()


def test_it_is_read_at_once_and_then_once_a_day(broker: Exchange) -> None:
    assert fetched(broker, "2026-11-23T06:00") == 1  # there never was one
    assert fetched(broker, "2026-11-23T08:29") == 1
    assert fetched(broker, "2026-11-23T08:31") == 2
    assert fetched(broker, "2026-11-23T15:00") == 2
    assert fetched(broker, "2026-11-24T08:29") == 2
    assert fetched(broker, "2026-11-24T10:00") == 3  # the desk was down at half past eight


def test_a_refused_one_is_tried_again_after_a_quarter_of_an_hour(broker: Exchange) -> None:
    broker.fault("http_500", "master", times=1)
    assert fetched(broker, "2026-11-23T08:31") == 1
    assert fetched(broker, "2026-11-23T08:40") == 1
    assert fetched(broker, "2026-11-23T08:47") == 2
    assert InstrumentImport.objects.first().outcome == "APPLIED"
    assert fetched(broker, "2026-11-23T09:30") == 2


def test_without_an_enabled_account_nothing_is_fetched(broker: Exchange, account: Any) -> None:
    type(account).objects.update(enabled=False)
    assert fetched(broker, "2026-11-23T09:00") == 0


def test_one_by_hand_in_the_morning_is_enough(broker: Exchange) -> None:
    with time_machine.travel(dt.datetime(2026, 11, 23, 9, 0, tzinfo=INDIA), tick=False):
        import_published(Wish())
    assert fetched(broker, "2026-11-23T09:05") == 1


def test_the_clock_rings_the_task(broker: Exchange) -> None:
    from tradingops.celery import app

    import_instruments()
    assert InstrumentImport.objects.get().actor == "schedule"
    app.loader.import_default_modules()
    app.finalize()
    row = app.conf.beat_schedule["orders.instruments"]
    assert row["schedule"] == django_settings.INSTRUMENTS_LOOK_EVERY
    assert row["task"] in app.tasks


# --- what people see ----------------------------------------------------------------------------


def test_the_history_is_shown_and_cannot_be_changed(admin_client: Client, tmp_path: Path) -> None:
    path = write(tmp_path / "master.csv", [RELIANCE, changed(AMARA, {"LOT_SIZE": "some"})])
    with pytest.raises(CommandError):
        run("--file", str(path))
    row = InstrumentImport.objects.get()
    page = admin_client.get(reverse("admin:brokers_instrumentimport_changelist"))
    assert "1 of 2 rows are not understood" in page.content.decode()
    change = reverse("admin:brokers_instrumentimport_change", args=[row.pk])
    assert "LOT_SIZE" in admin_client.get(change).content.decode()
    assert admin_client.post(change, {"rows": "7"}).status_code == 403
    delete = reverse("admin:brokers_instrumentimport_delete", args=[row.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403
    assert admin_client.get(reverse("admin:brokers_instrumentimport_add")).status_code == 403


def test_the_admin_shows_retired_instruments_and_why(admin_client: Client, tmp_path: Path) -> None:
    run("--file", str(write(tmp_path / "m.csv", [RELIANCE])))
    other = {"UNDERLYING_SYMBOL": "OTHER", "DISPLAY_NAME": "Other", "ISIN": "INE999A01018"}
    run("--file", str(write(tmp_path / "m.csv", [changed(RELIANCE, other)])))
    page = admin_client.get(reverse("admin:brokers_instrument_changelist")).content.decode()
    assert "its security id names another contract now" in page
    old = Instrument.every.exclude(retired_at=None).get()
    change = reverse("admin:brokers_instrument_change", args=[old.pk])
    assert admin_client.get(change).status_code == 200
    assert admin_client.post(change, {"blocked": "on"}).status_code == 403


def test_switching_does_not_undo_what_a_newer_file_says(
    admin_client: Client, tmp_path: Path
) -> None:
    run("--file", str(write(tmp_path / "m.csv", [RELIANCE])))
    stale = Instrument.objects.get()
    run("--file", str(write(tmp_path / "m.csv", [changed(RELIANCE, {"LOT_SIZE": "5.0"})])))
    stale.block(True)
    assert (Instrument.objects.get().lot_size, Instrument.objects.get().tradable) == (5, False)


@pytest.fixture
def queue(settings: Any) -> Any:
    """The workers' queue, empty; nobody listens to it here."""
    with redis.Redis.from_url(settings.REDIS_URL) as line:
        line.delete("housekeeping")
        yield line
        line.delete("housekeeping")


NOW = "/admin/brokers/instrumentimport/now/"


def test_an_administrator_asks_for_an_import_on_a_page(
    client: Client, broker: Exchange, queue: Any
) -> None:
    client.force_login(member("anna", roles.ADMINISTRATOR))
    assert NOW in client.get("/admin/brokers/instrumentimport/").content.decode()
    page = client.get(NOW).content.decode()
    assert "A worker fetches the broker" in page
    assert queue.llen("housekeeping") == 0
    client.post(NOW, {"even_if_fewer": "on"})
    message = json.loads(queue.lindex("housekeeping", 0))
    assert message["headers"]["task"] == "orders.import_now"
    words = json.loads(base64.b64decode(message["body"]))[0]
    assert words == ["dhan", True, "anna"]
    import_now(*words)
    row = InstrumentImport.objects.get()
    assert (row.outcome, row.actor) == ("APPLIED", "anna")


@pytest.mark.parametrize("role", [roles.VIEWER, roles.TRADER, roles.RISK])
def test_others_see_the_imports_and_ask_for_none(client: Client, queue: Any, role: str) -> None:
    client.force_login(member("somebody", role))
    page = client.get("/admin/brokers/instrumentimport/")
    assert (page.status_code, NOW in page.content.decode()) == (200, False)
    assert client.get(NOW).status_code == 403
    assert client.post(NOW, {}).status_code == 403
    assert queue.llen("housekeeping") == 0


def test_an_import_that_is_under_way_is_shown(client: Client) -> None:
    client.force_login(member("anna", roles.ADMINISTRATOR))
    told = "An import is under way"
    assert told not in client.get("/admin/brokers/instrumentimport/").content.decode()
    with turn_if_free("instruments"):
        assert told in client.get("/admin/brokers/instrumentimport/").content.decode()
        assert told in client.get(NOW).content.decode()


def test_without_the_queue_it_is_said(
    client: Client, monkeypatch: pytest.MonkeyPatch, deaf: Celery
) -> None:
    monkeypatch.setattr("apps.brokers.importing.current_app", deaf)
    client.force_login(member("anna", roles.ADMINISTRATOR))
    page = client.post(NOW, {}, follow=True).content.decode()
    assert "The workers cannot be reached" in page


@pytest.fixture
def deaf(settings: Any) -> Celery:
    """A Celery whose queue is nowhere."""
    app = Celery("deaf", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_url = "redis+socket:///nowhere/valkey.sock"
    return app
