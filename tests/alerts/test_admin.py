"""Alerts and channels in the admin: acknowledged by a button, addresses that never come out."""

from __future__ import annotations

import threading

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection

from apps.alerts.delivering import work_off
from apps.alerts.models import Alert, Channel, Delivery
from apps.alerts.raising import raise_alert
from apps.alerts.spreading import spread
from apps.people import roles
from tests.alerts import bot_api as api
from tests.alerts.bot_api import TOKEN
from tests.alerts.conftest import make_channel
from tests.people.conftest import entered, member

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = TOKEN.partition(":")[2]
ADDRESS = f"tgram://{TOKEN}/111"


@pytest.fixture
def admin():
    return entered(member("adam", roles.ADMINISTRATOR))


@pytest.fixture
def alert(db):
    raise_alert("a", "the <feed> is silent")
    return Alert.objects.get()


def form(**fields):
    given = {
        "name": "phone",
        "kind": "telegram",
        "min_severity": "WARNING",
        "step": "0",
        "enabled": "on",
        "new_address": ADDRESS,
    }
    return {name: value for name, value in (given | fields).items() if value is not None}


def add(client, **fields):
    return client.post("/admin/alerts/channel/add/", form(**fields))


def errors(answer):
    return dict(answer.context["adminform"].form.errors)


class TestAcknowledging:
    def test_the_page_has_a_button_and_says_who_was_told(self, alert, bot_api):
        channel = make_channel("phone")
        bot_api.next(api.blocked)
        spread()
        work_off(channel.pk)
        page = entered(member("rita", roles.RISK)).get(f"/admin/alerts/alert/{alert.pk}/change/")
        text = page.content.decode()
        assert "the &lt;feed&gt; is silent" in text
        assert "Acknowledge: I have seen this" in text
        assert "bot was blocked by the user" in text
        assert SECRET not in text

    def test_the_button_closes_it_in_this_persons_name_with_the_reason(self, alert):
        rita = member("rita", roles.RISK)
        address = f"/admin/alerts/alert/{alert.pk}/acknowledge/"
        entered(rita).post(address, {"reason": "called the exchange"})
        alert.refresh_from_db()
        assert (alert.acknowledged_by, alert.acknowledged_reason) == (rita, "called the exchange")
        entered(member("ruben", roles.RISK)).post(address, {"reason": "late"})
        alert.refresh_from_db()
        assert alert.acknowledged_by == rita

    def test_a_reason_is_not_needed_and_never_too_long(self, alert):
        client = entered(member("rita", roles.RISK))
        address = f"/admin/alerts/alert/{alert.pk}/acknowledge/"
        client.post(address, {"reason": "x" * 301})
        alert.refresh_from_db()
        assert alert.open
        client.post(address)
        alert.refresh_from_db()
        assert not alert.open

    def test_nothing_changes_on_get(self, alert):
        client = entered(member("rita", roles.RISK))
        answer = client.get(f"/admin/alerts/alert/{alert.pk}/acknowledge/")
        assert answer.status_code == 405
        alert.refresh_from_db()
        assert alert.open

    @pytest.mark.parametrize("role", [roles.VIEWER, roles.TRADER])
    def test_who_may_not_sees_no_button_and_gets_no_further(self, alert, role):
        client = entered(member("victor", role))
        page = client.get(f"/admin/alerts/alert/{alert.pk}/change/").content.decode()
        assert "I have seen this" not in page
        answer = client.post(f"/admin/alerts/alert/{alert.pk}/acknowledge/")
        assert answer.status_code == 403
        alert.refresh_from_db()
        assert alert.open

    def test_the_list_leads_to_the_button_and_can_be_filtered(self, alert):
        client = entered(member("rita", roles.RISK))
        page = client.get("/admin/alerts/alert/?severity__exact=WARNING&acknowledged_at__isempty=1")
        assert (
            f'href="/admin/alerts/alert/{alert.pk}/change/">Acknowledge…' in page.content.decode()
        )
        assert client.get("/admin/alerts/alert/x/change/").status_code == 404


class TestChannels:
    def test_an_address_is_stored_encrypted_and_never_shown(self, admin):
        assert add(admin).status_code == 302
        channel = Channel.objects.get()
        assert channel.address == ADDRESS
        with connection.cursor() as cursor:
            cursor.execute("SELECT address FROM alerts_channel")
            assert SECRET not in cursor.fetchone()[0]
        for path in ("", f"{channel.pk}/change/"):
            assert SECRET not in admin.get(f"/admin/alerts/channel/{path}").content.decode()
        assert SECRET not in repr(vars(channel))
        entries = [str(vars(entry)) for entry in LogEntry.objects.all()]
        assert entries
        assert SECRET not in "".join(entries)

    def test_an_empty_field_keeps_the_address(self, admin):
        add(admin)
        pk = Channel.objects.get().pk
        changed = form(new_address=None, step="2")
        assert admin.post(f"/admin/alerts/channel/{pk}/change/", changed).status_code == 302
        channel = Channel.objects.get()
        assert (channel.address, channel.step) == (ADDRESS, 2)

    def test_saving_does_not_undo_what_the_delivery_wrote_meanwhile(self, admin):
        add(admin)
        channel = Channel.objects.get()
        Channel.objects.update(failures=2, last_error="x")
        admin.post(f"/admin/alerts/channel/{channel.pk}/change/", form(step="1"))
        channel.refresh_from_db()
        assert (channel.failures, channel.step) == (2, 1)

    @pytest.mark.parametrize(
        ("fields", "field", "words"),
        [
            ({"new_address": None}, "new_address", "tgram://BOT-TOKEN/CHAT-ID"),
            ({"new_address": f"tgram://{TOKEN}"}, "new_address", "tgram://BOT-TOKEN/CHAT-ID"),
            ({"new_address": f"tgram://{TOKEN}/1/2"}, "new_address", "tgram://BOT-TOKEN/CHAT-ID"),
            ({"kind": "email"}, "new_address", "mailtos://"),
            ({"kind": "other"}, "new_address", "kind Telegram"),
            ({"kind": "other", "new_address": f"bogus://{SECRET}"}, "new_address", "understood"),
            ({"kind": "other", "new_address": SECRET}, "new_address", "understood"),
            ({"heartbeat_minutes": "0"}, "heartbeat_minutes", "greater than or equal to 1"),
        ],
    )
    def test_a_wrong_field_is_named_with_what_would_be_right(self, admin, fields, field, words):
        answer = add(admin, **fields)
        assert answer.status_code == 200
        assert words in str(errors(answer)[field])
        assert SECRET not in str(errors(answer))
        assert SECRET not in answer.content.decode()
        assert not Channel.objects.exists()

    def test_only_telegram_takes_commands(self, admin):
        mail = "mailtos://u:p@example.com?from=a@example.com&to=b@example.com"
        answer = add(admin, kind="email", new_address=mail, commands="on")
        assert "Only a Telegram bot" in str(errors(answer)["commands"])
        assert add(admin, kind="email", new_address=mail).status_code == 302

    def test_one_with_history_is_disabled_not_deleted(self, admin):
        channel = make_channel("phone")
        raise_alert("a", "look")
        spread()
        answer = admin.post(f"/admin/alerts/channel/{channel.pk}/delete/", {"post": "yes"})
        assert answer.status_code == 403

    def test_one_whose_key_is_gone_can_be_given_a_new_address(self, admin):
        channel = make_channel("phone")
        raise_alert("a", "look")
        spread()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE alerts_channel SET address = 'gone'")
        alert = Alert.objects.get()
        for path in (
            "channel",
            f"channel/{channel.pk}/change",
            "delivery",
            f"alert/{alert.pk}/change",
        ):
            assert admin.get(f"/admin/alerts/{path}/").status_code == 200, path
        admin.post(f"/admin/alerts/channel/{channel.pk}/change/", form())
        assert Channel.objects.get().address == ADDRESS


class TestTestMessages:
    def ask(self, client, channel, works=True):
        """Press the button while the channel's thread is at work."""
        stop = threading.Event()

        def line():
            while works and not stop.wait(0.1):
                work_off(channel.pk)
            connection.close()

        thread = threading.Thread(target=line)
        thread.start()
        try:
            answer = client.post(f"/admin/alerts/channel/{channel.pk}/test/", follow=True)
        finally:
            stop.set()
            thread.join()
        return [str(message) for message in answer.context["messages"]]

    def test_the_result_is_shown(self, admin, telegram, bot_api):
        (text,) = self.ask(admin, telegram)
        assert text.startswith("Delivered in ")
        assert "asked for by adam" in bot_api.texts[0]

    def test_a_failure_is_shown_in_words_and_not_tried_again(self, admin, telegram, bot_api):
        bot_api.next(api.blocked)
        (text,) = self.ask(admin, telegram)
        assert text == "Not delivered: Telegram: Forbidden: bot was blocked by the user."
        assert Delivery.objects.get().state == "FAILED"

    def test_a_channel_that_pauses_tries_at_once(self, admin, telegram, bot_api):
        bot_api.next(api.blocked)
        self.ask(admin, telegram)
        (text,) = self.ask(admin, telegram)
        assert text.startswith("Delivered in ")

    def test_nobody_delivers(self, admin, telegram, settings, monkeypatch):
        monkeypatch.setattr("apps.alerts.admin.channels.STARTING", 0)
        settings.ALERT_SEND_TIMEOUT = -1.5
        (text,) = self.ask(admin, telegram, works=False)
        assert "is deliver_alerts running" in text

    def test_nothing_is_sent_on_get(self, admin, telegram):
        answer = admin.get(f"/admin/alerts/channel/{telegram.pk}/test/")
        assert answer.status_code == 405
        assert not Delivery.objects.exists()

    @pytest.mark.parametrize("role", [roles.VIEWER, roles.TRADER])
    def test_who_may_not_cannot(self, telegram, role):
        client = entered(member("victor", role))
        page = client.get(f"/admin/alerts/channel/{telegram.pk}/change/").content.decode()
        assert "Send a test message" not in page
        answer = client.post(f"/admin/alerts/channel/{telegram.pk}/test/")
        assert answer.status_code == 403
        assert not Delivery.objects.exists()
