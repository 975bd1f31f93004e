"""The real process: it delivers, survives its death, and a channel that hangs harms nobody."""

from __future__ import annotations

import signal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.alerts.models import Channel, Delivery, Heartbeat, Severity
from apps.alerts.raising import raise_alert
from apps.orders import services
from apps.orders.dispatch import dispatch
from apps.orders.models import Source
from tests.alerts import bot_api as api
from tests.alerts.conftest import mail_channel, make_channel, silent_server, states, until

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_process_delivers_and_shows_that_it_lives(telegram, bot_api, deliverer):
    with deliverer() as process:
        raise_alert("a", "look")
        bot_api.until(lambda: bot_api.sent)
        assert Heartbeat.objects.filter(name="alerts").exists()
        process.terminate()
        assert process.wait(5) == 0


def test_channels_come_and_go_while_it_runs(bot_api, deliverer, db):
    with deliverer():
        until(lambda: Heartbeat.objects.filter(name="alerts").exists())
        channel = make_channel("late")
        raise_alert("a", "one")
        bot_api.until(lambda: len(bot_api.sent) == 1)
        Channel.objects.update(enabled=False)
        raise_alert("b", "two")
        until(lambda: channel.deliveries.model.objects.count() == 1)
        Channel.objects.update(enabled=True)
        raise_alert("c", "three")
        bot_api.until(lambda: len(bot_api.sent) == 2)
    assert "three" in bot_api.texts[1]


def test_killed_in_the_middle_of_sending_another_process_says_it(telegram, bot_api, deliverer):
    bot_api.next(api.hang)
    raise_alert("a", "look")
    with deliverer() as process:
        bot_api.until(lambda: not bot_api.acts)  # its message has come, and is not answered
        process.send_signal(signal.SIGKILL)
        process.wait(5)
    assert states() == ["SENDING"]
    with deliverer():
        until(lambda: states() == ["DELIVERED"], 30)
    assert len(bot_api.sent) == 1
    assert Delivery.objects.get().attempts == 2


def test_dead_channels_slow_neither_orders_nor_other_channels(
    bot_api, deliverer, account, intent, trader, no_bells, exchange
):
    """Both hang as badly as a channel can: they take what is said and never answer."""
    phone = make_channel("hangs", chat="666")
    bot_api.always["sendMessage"] = api.in_chat("666", api.hang)
    make_channel("well", chat="777")
    with silent_server() as (port, peers), deliverer():
        mail_channel(port)
        raise_alert("first", "before any order")
        until(lambda: peers and states(phone) == ["SENDING"], 30)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 300")
        orders = []
        for number in range(5):
            with CaptureQueriesContext(
                connection,
            ) as asked:
                raise_alert("again", f"again {number}", Severity.CRITICAL)
            assert len(asked) == 1
            order = services.place(intent(), trader, Source.ADMIN)
            dispatch(order.pk)
            orders.append(order)
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
        bot_api.until(lambda: any("again" in text for text in bot_api.texts))
        until(lambda: Channel.objects.filter(dead_since__isnull=False).count() == 2, 90)
        bot_api.until(lambda: any("hangs is dead" in text for text in bot_api.texts))
    for order in orders:
        assert len(exchange.accepted(order.correlation_id)) == 1
    assert {row["chat_id"] for row in bot_api.sent} == {"777"}
