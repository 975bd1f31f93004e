"""Which alert is said on which channel, and when again."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from apps.alerts.acknowledging import acknowledge
from apps.alerts.models import Alert, Channel, Delivery, Message, Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.alerts.spreading import spread
from tests.alerts.conftest import make_channel

pytestmark = pytest.mark.django_db(transaction=True)
INFO, WARNING, CRITICAL = Severity
MINUTE = dt.timedelta(minutes=1)


def said():
    """(channel, step, text) of every delivery, oldest first."""
    rows = Delivery.objects.order_by("id").select_related("message", "channel")
    return [(row.channel.name, row.message.step, row.message.text) for row in rows]


def names():
    return sorted(name for name, _, _ in said())


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


def test_an_alert_is_said_once_on_every_channel_that_listens():
    make_channel("all", min_severity=INFO)
    make_channel("some", min_severity=WARNING)
    make_channel("worst", min_severity=CRITICAL)
    make_channel("off", min_severity=INFO, enabled=False)
    make_channel("later", min_severity=INFO, step=1)
    raise_alert("a", "look", WARNING)
    assert [spread(), spread()] == [1, 0]
    assert names() == ["all", "some"]


def test_raising_inside_a_transaction_that_is_undone_says_nothing():
    make_channel("all")
    with transaction.atomic():
        raise_alert("a", "look")
        transaction.set_rollback(True)
    assert spread() == 0


def test_repeats_with_the_same_words_are_not_said_again(clock):
    make_channel("all")
    for _ in range(50):
        raise_alert("a", "look")
        spread()
        clock.shift(MINUTE)
    assert len(said()) == 1


def test_new_words_are_said_again_after_a_pause_that_doubles(clock):
    make_channel("all")
    minutes = []
    for minute in range(200):
        raise_alert("a", f"try {minute}")
        if spread():
            minutes.append(minute)
        clock.shift(MINUTE)
    assert minutes == [0, 5, 15, 35, 75, 155]


def test_an_alert_that_becomes_worse_is_said_at_once_and_never_becomes_milder():
    make_channel("all")
    make_channel("worst", min_severity=CRITICAL)
    raise_alert("a", "look", WARNING)
    spread()
    raise_alert("a", "look", CRITICAL)
    assert spread() == 1
    raise_alert("a", "look", INFO)
    assert Alert.objects.get().severity == CRITICAL
    assert names() == ["all", "all", "worst"]


def test_nobody_acknowledges_so_more_people_hear_of_it_step_by_step(steps, clock):
    for number in (0, 1, 2):
        make_channel(f"step-{number}", step=number)
    raise_alert("a", "fire", CRITICAL)
    spread()
    assert names() == ["step-0"]
    clock.shift(4 * MINUTE)
    assert spread() == 0
    clock.shift(MINUTE)
    assert spread() == 1
    assert names() == ["step-0", "step-0", "step-1"]
    clock.shift(9 * MINUTE)
    assert spread() == 0
    clock.shift(MINUTE)
    assert spread() == 1
    assert names()[-1] == "step-2"
    clock.shift(600 * MINUTE)
    assert spread() == 0
    assert [row.step for row in Message.objects.order_by("id")] == [0, 1, 2]


def test_acknowledging_ends_the_escalation(steps, clock):
    make_channel("all")
    raise_alert("a", "fire", CRITICAL)
    spread()
    acknowledge([Alert.objects.get().pk], User.objects.create_user("rita"), "seen")
    clock.shift(60 * MINUTE)
    assert spread() == 0


@pytest.mark.parametrize("severity", [INFO, WARNING])
def test_only_critical_alerts_escalate(steps, clock, severity):
    make_channel("all", min_severity=INFO)
    raise_alert("a", "look", severity)
    spread()
    clock.shift(600 * MINUTE)
    assert spread() == 0


def test_new_words_do_not_put_the_escalation_off(steps, clock):
    make_channel("all")
    make_channel("boss", step=1)
    for minute in range(12):
        raise_alert("a", f"fire {minute}", CRITICAL)
        spread()
        clock.shift(MINUTE)
    assert "boss" in names()


def test_an_old_warning_that_becomes_critical_gets_its_full_time(steps, clock):
    make_channel("all")
    raise_alert("a", "smoke", WARNING)
    spread()
    clock.shift(60 * MINUTE)
    raise_alert("a", "fire", CRITICAL)
    assert spread() == 1
    assert spread() == 0
    clock.shift(5 * MINUTE)
    assert spread() == 1


def test_steps_that_were_skipped_by_a_dead_process_come_one_after_the_other(steps, clock):
    make_channel("all")
    raise_alert("a", "fire", CRITICAL)
    spread()
    clock.shift(600 * MINUTE)
    assert [spread(), spread()] == [1, 0]


def test_a_settled_alert_is_closed_without_a_name_and_said_anew_when_it_comes_back():
    make_channel("all")
    raise_alert("a", "look")
    spread()
    settle_alert("a", "gone")
    closed = Alert.objects.get()
    assert (closed.open, closed.acknowledged_by) == (False, None)
    assert closed.acknowledged_reason == "gone"
    raise_alert("a", "look")
    assert spread() == 1


def test_the_first_to_acknowledge_stays():
    raise_alert("a", "look")
    pk = Alert.objects.get().pk
    rita, ruben = User.objects.create_user("rita"), User.objects.create_user("ruben")
    assert acknowledge([pk], rita, "mine") == 1
    assert acknowledge([pk], ruben, "late") == 0
    alert = Alert.objects.get()
    assert (alert.acknowledged_by, alert.acknowledged_reason) == (rita, "mine")


def test_the_alert_of_a_dead_channel_does_not_go_through_it():
    dead, other = make_channel("dead"), make_channel("other")
    raise_alert(dead.own_alert, "it is dead", CRITICAL)
    spread()
    assert names() == ["other"]
    assert other.own_alert != dead.own_alert


def test_without_any_channel_the_desk_still_has_the_alert():
    raise_alert("a", "look", CRITICAL)
    assert spread() == 1
    make_channel("new")
    assert spread() == 0


def test_two_processes_say_it_once():
    make_channel("all")
    raise_alert("a", "look")
    start = threading.Barrier(2)

    def run():
        start.wait()
        spread()
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said()) == 1


def test_raising_again_does_not_wait_while_the_alert_is_being_spread():
    """A spreading process that stops in the middle of its work holds up nobody."""
    make_channel("all")
    raise_alert("a", "look")
    alert = Alert.objects.get()
    with transaction.atomic():
        Message.objects.create(
            purpose="ALERT", slot="x", alert=alert, text="x", expires_at=timezone.now()
        )
        raised = threading.Event()

        def again():
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = 500")
            raise_alert("a", "look again", CRITICAL)
            raised.set()
            connection.close()

        thread = threading.Thread(target=again)
        thread.start()
        thread.join()
    assert raised.is_set()


def test_spreading_does_not_wait_for_a_transaction_that_has_raised():
    make_channel("all")
    raise_alert("a", "look")
    done = threading.Event()
    with transaction.atomic():
        raise_alert("a", "look again", CRITICAL)

        def spreads():
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = 500")
            spread()
            done.set()
            connection.close()

        thread = threading.Thread(target=spreads)
        thread.start()
        thread.join()
    assert done.is_set()


def test_a_channel_is_not_deleted_with_its_history():
    channel = make_channel("all")
    raise_alert("a", "look")
    spread()
    with pytest.raises(Exception, match="protected"):
        channel.delete()
    assert Channel.objects.count() == 1
