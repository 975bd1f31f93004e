"""What was claimed is settled or claimed again: said at least once, in the usual case not twice."""

from __future__ import annotations

import datetime as dt

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from apps.alerts import composing, outbox
from apps.alerts.acknowledging import acknowledge
from apps.alerts.delivering import say, work_off
from apps.alerts.models import Alert, Channel, Delivery, Message, Severity
from apps.alerts.raising import raise_alert
from apps.alerts.spreading import forget_routine, post, spread
from apps.chat.listening import bots
from tests.alerts import bot_api as api
from tests.alerts.conftest import make_channel, states

pytestmark = pytest.mark.django_db(transaction=True)
SECOND = dt.timedelta(seconds=1)


def tell(text="look", severity=Severity.WARNING, key=""):
    raise_alert(key or text, text, severity)
    spread()


def now(channel):
    """Nothing waits any longer."""
    Channel.objects.filter(pk=channel.pk).update(not_before=None)
    Delivery.objects.filter(state="SENDING").update(next_try_at=timezone.now())


def fresh(channel):
    return Channel.objects.get(pk=channel.pk)


def test_an_alert_arrives_with_its_number_and_time(telegram, bot_api):
    tell("the feed is silent", Severity.CRITICAL)
    assert work_off(telegram.pk)
    assert states() == ["DELIVERED"]
    text = bot_api.texts[0]
    assert text.startswith("CRITICAL: the feed is silent\n")
    assert f"Alert {Alert.objects.get().pk}, first " in text
    assert not work_off(telegram.pk)
    assert len(bot_api.sent) == 1


def test_a_storm_is_one_message(telegram, bot_api):
    for number in range(1000):
        raise_alert(f"key {number}", f"order {number} is lost")
    while spread():
        pass
    assert work_off(telegram.pk)
    assert work_off(telegram.pk)
    assert not work_off(telegram.pk)
    assert set(states()) == {"DELIVERED"}
    assert [text.splitlines()[0] for text in bot_api.texts] == ["500 alerts:", "500 alerts:"]
    assert all(len(text) <= 3500 for text in bot_api.texts)


def test_the_worst_of_a_storm_comes_first(telegram, bot_api, monkeypatch):
    monkeypatch.setattr("apps.alerts.spreading.BATCH", 20)
    for number in range(60):
        raise_alert(f"key {number}", f"order {number} waits " + "long " * 30)
    raise_alert("worst", "a position has no stop", Severity.CRITICAL)
    spread()  # in the first batch, though it was raised last
    assert Message.objects.filter(text="a position has no stop").exists()
    while spread():
        pass
    work_off(telegram.pk)
    first, worst = bot_api.texts[0].splitlines()[:2]
    assert first == "61 alerts, 1 CRITICAL:"
    assert worst.startswith("CRITICAL: a position has no stop")


def test_who_only_puts_us_off_for_long_is_dead(telegram, bot_api):
    bot_api.always["sendMessage"] = api.too_many(60)
    tell("look", Severity.CRITICAL)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(5):
            work_off(telegram.pk)
            clock.shift(62 * SECOND)
        assert fresh(telegram).failures == 0
        assert fresh(telegram).dead_since is not None
        assert "is dead" in dead_alert(telegram).text
        del bot_api.always["sendMessage"]
        clock.shift(62 * SECOND)
        work_off(telegram.pk)
    assert fresh(telegram).dead_since is None
    assert dead_alert(telegram) is None


def test_an_hour_of_waiting_is_told_at_once(telegram, bot_api):
    bot_api.next(api.too_many(3600))
    tell()
    work_off(telegram.pk)
    assert "is dead" in dead_alert(telegram).text


def test_a_critical_alert_is_said_when_the_channel_is_back_after_a_night(telegram, bot_api):
    bot_api.always["sendMessage"] = api.bad_gateway
    tell("the feed is silent", Severity.CRITICAL)
    tell("a small thing")
    work_off(telegram.pk)
    del bot_api.always["sendMessage"]
    with time_machine.travel(timezone.now() + 9 * 3600 * SECOND):
        work_off(telegram.pk)
    assert [text.splitlines()[0] for text in bot_api.texts] == ["CRITICAL: the feed is silent"]


def test_many_long_alerts_say_how_many_more_there_are(telegram, bot_api):
    for number in range(30):
        raise_alert(f"key {number}", f"{number} " + "long " * 200)
    spread()
    work_off(telegram.pk)
    last = bot_api.texts[0].splitlines()[-1]
    shown = len(bot_api.texts[0].splitlines()) - 2
    assert last == f"… and {30 - shown} more on the desk"


def test_a_process_that_died_while_sending_is_followed_by_another(telegram, bot_api):
    tell()
    assert outbox.claim(telegram.pk)
    assert states() == ["SENDING"]
    assert not work_off(telegram.pk)  # somebody has it
    now(telegram)
    assert work_off(telegram.pk)
    assert states() == ["DELIVERED"]
    assert Delivery.objects.get().attempts == 2


def test_what_waits_survives_a_restart(telegram, bot_api):
    bot_api.next(api.bad_gateway)
    tell()
    work_off(telegram.pk)
    assert states() == ["WAITING"]
    now(telegram)
    work_off(telegram.pk)
    assert (states(), len(bot_api.sent)) == (["DELIVERED"], 1)


def test_failures_pause_the_channel_longer_and_longer_with_jitter(telegram, bot_api):
    bot_api.always["sendMessage"] = api.bad_gateway
    tell()
    pauses = []
    for _ in range(9):
        now(telegram)
        assert work_off(telegram.pk)
        pauses.append((fresh(telegram).not_before - timezone.now()).total_seconds())
    for number, pause in enumerate(pauses):
        whole = min(5 * 2**number, 300)
        assert 0.7 * whole < pause < 1.3 * whole
    assert not work_off(telegram.pk)
    assert len({round(pause, 3) for pause in pauses}) == len(pauses)


def test_new_alerts_do_not_hammer_a_channel_that_pauses(telegram, bot_api):
    bot_api.always["sendMessage"] = api.bad_gateway
    for number in range(10):
        tell(f"look {number}")
        work_off(telegram.pk)
    assert bot_api.calls.count("sendMessage") == 1
    del bot_api.always["sendMessage"]
    now(telegram)
    work_off(telegram.pk)
    assert set(states()) == {"DELIVERED"}
    assert bot_api.texts[0].startswith("10 alerts:")


def test_too_many_requests_is_waited_out_and_is_no_failure(telegram, bot_api):
    bot_api.next(api.too_many(30))
    tell()
    work_off(telegram.pk)
    channel = fresh(telegram)
    assert (channel.failures, channel.dead_since) == (0, None)
    assert 30 < (channel.not_before - timezone.now()).total_seconds() < 32
    with time_machine.travel(timezone.now() + 32 * SECOND):
        work_off(telegram.pk)
    assert states() == ["DELIVERED"]


def dead_alert(channel):
    return Alert.objects.filter(key=channel.own_alert, acknowledged_at=None).first()


def test_a_channel_that_fails_three_times_is_dead_until_it_delivers(telegram, bot_api):
    other = make_channel("other", chat="222")
    bot_api.always["sendMessage"] = api.garbage
    tell()
    for failures in (1, 2):
        now(telegram)
        work_off(telegram.pk)
        assert (fresh(telegram).failures, dead_alert(telegram)) == (failures, None)
    now(telegram)
    work_off(telegram.pk)
    assert dead_alert(telegram).severity == Severity.CRITICAL
    assert "phone is dead" in dead_alert(telegram).text
    now(telegram)
    work_off(telegram.pk)
    assert dead_alert(telegram).times == 1
    spread()
    told = Message.objects.get(alert=dead_alert(telegram))
    assert [row.channel for row in told.deliveries.all()] == [other]
    del bot_api.always["sendMessage"]
    now(telegram)
    work_off(telegram.pk)
    assert dead_alert(telegram) is None
    channel = fresh(telegram)
    assert (channel.failures, channel.dead_since, channel.last_error) == (0, None, "")


def test_a_refusal_that_lasts_is_told_at_once_and_still_tried_again(telegram, bot_api):
    bot_api.next(api.blocked)
    tell()
    work_off(telegram.pk)
    assert "blocked by the user" in dead_alert(telegram).text
    assert states() == ["WAITING"]
    now(telegram)
    work_off(telegram.pk)
    assert states() == ["DELIVERED"]
    assert dead_alert(telegram) is None


def test_what_was_acknowledged_meanwhile_is_not_sent(telegram, bot_api):
    tell()
    acknowledge([Alert.objects.get().pk], User.objects.create_user("rita"))
    assert not work_off(telegram.pk)
    assert states() == ["DROPPED"]
    assert bot_api.sent == []


def test_trying_ends_when_nobody_needs_it_any_more(telegram, bot_api):
    bot_api.always["sendMessage"] = api.bad_gateway
    tell()
    work_off(telegram.pk)
    now(telegram)
    with time_machine.travel(timezone.now() + dt.timedelta(hours=6, minutes=1)):
        assert not work_off(telegram.pk)
    assert states() == ["FAILED"]
    assert "cannot be read" in Delivery.objects.get().error


def test_a_disabled_channel_says_nothing(telegram, bot_api):
    tell()
    Channel.objects.update(enabled=False)
    assert not work_off(telegram.pk)
    assert bot_api.sent == []


def test_routine_is_said_alone_and_after_alerts(telegram, bot_api):
    later = timezone.now() + dt.timedelta(minutes=5)
    for slot in ("one", "two"):
        routine = Message(purpose="HEARTBEAT", slot=slot, text=f"well {slot}", expires_at=later)
        assert post(routine, [telegram])
    again = Message(purpose="HEARTBEAT", slot="one", text="again", expires_at=later)
    assert not post(again, [telegram])
    tell()
    while work_off(telegram.pk):
        pass
    assert bot_api.texts[0].startswith("WARNING: look")
    assert bot_api.texts[1:] == ["well one", "well two"]


def test_old_routine_is_forgotten_and_alerts_are_not(telegram):
    tell()
    old = timezone.now() - dt.timedelta(days=31)
    post(Message(purpose="REPORT", slot="r", text="x", created_at=old, expires_at=old), [telegram])
    post(Message(purpose="REPORT", slot="s", text="x", expires_at=old), [telegram])
    Message.objects.filter(purpose="ALERT").update(created_at=old)
    forget_routine()
    assert sorted(Message.objects.values_list("purpose", flat=True)) == ["ALERT", "REPORT"]


def test_an_address_that_is_none_makes_the_channel_dead(telegram, bot_api):
    Channel.objects.update(address="tgram://nothing")
    tell()
    work_off(telegram.pk)
    assert "no Telegram address" in dead_alert(telegram).text


def lose_the_key(channel):
    with connection.cursor() as cursor:
        stored = Fernet(Fernet.generate_key()).encrypt(b"tgram://x").decode()
        cursor.execute("UPDATE alerts_channel SET address = %s WHERE id = %s", [stored, channel.pk])


def test_an_address_whose_key_is_gone_harms_that_channel_alone(telegram, bot_api):
    other = make_channel("other", chat="222")
    lose_the_key(telegram)
    tell()
    work_off(other.pk)
    assert [row["chat_id"] for row in bot_api.sent] == ["222"]
    work_off(telegram.pk)
    assert "not in CREDENTIAL_KEYS" in dead_alert(telegram).text
    assert list(bots()) == []


def test_a_fault_of_our_own_is_seen_and_tried_again(telegram, bot_api, monkeypatch):
    def breaks(messages):
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(composing, "text_of", breaks)
        tell()
        work_off(telegram.pk)
    assert "ZeroDivisionError" in Delivery.objects.get().error
    now(telegram)
    work_off(telegram.pk)
    assert states() == ["DELIVERED"]


def test_nothing_is_said_inside_a_transaction(telegram):
    with transaction.atomic(), pytest.raises(RuntimeError):
        say(telegram, [])
