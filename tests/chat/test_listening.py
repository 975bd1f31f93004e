"""A restart neither loses nor repeats a command, and nothing that comes in stops the listening."""

from __future__ import annotations

import signal
import time

import pytest
import time_machine
from django.db import Error, OperationalError
from django.utils import timezone

from apps.alerts.models import Alert, Channel, Heartbeat
from apps.alerts.trouble import Trouble
from apps.chat import answering, commands, hearing, listening
from apps.chat.answering import answer
from apps.chat.hearing import hear
from apps.chat.listening import Ear, bots
from apps.chat.models import TelegramBot, TelegramCommand
from apps.risk.models import StateChange
from tests.alerts import bot_api as api
from tests.alerts.bot_api import BOT_ID, TOKEN
from tests.alerts.conftest import make_channel, running, until
from tests.chat.conftest import ALICE, last

pytestmark = pytest.mark.django_db
DAY = timezone.timedelta(days=1)


def heard():
    return TelegramCommand.objects.count()


class TestOnce:
    def test_a_message_that_comes_again_is_acted_on_once(self, ear, bot_api, rita, account):
        """The process died after storing, before Telegram knew that it had been heard."""
        number = bot_api.writes("/halt paper-one x")
        ear.turn(TOKEN, 0)
        TelegramBot.objects.update(offset=number)
        assert ear.turn(TOKEN, 0) == 1
        assert (heard(), len(bot_api.sent), StateChange.objects.count()) == (1, 1, 1)

    def test_what_was_stored_but_not_acted_on_is_done_by_the_next(
        self, ear, bot_api, rita, account
    ):
        bot_api.writes("/halt paper-one x")
        (update,) = bot_api.get_updates({})
        hear(BOT_ID, update)
        assert StateChange.objects.count() == 0
        Ear(BOT_ID).turn(TOKEN, 0)
        assert StateChange.objects.count() == 1
        assert "is HALTED" in bot_api.texts[0]
        assert heard() == 1

    def test_stored_but_found_much_later_it_is_too_old(self, ear, bot_api, rita, account):
        bot_api.writes("/halt paper-one x")
        (update,) = bot_api.get_updates({})
        hear(BOT_ID, update)
        with time_machine.travel(timezone.now() + timezone.timedelta(minutes=5)):
            ear.turn(TOKEN, 0)
        assert StateChange.objects.count() == 0
        assert "you sent this 5 min ago" in bot_api.texts[0]

    def test_acted_on_but_not_told_is_told_and_not_done_again(self, ear, bot_api, rita, account):
        bot_api.next(api.bad_gateway)
        bot_api.writes("/halt paper-one x")
        ear.turn(TOKEN, 0)
        assert (last().outcome, last().told_at) == ("DONE", None)
        ear.turn(TOKEN, 0)
        assert "is HALTED" in bot_api.texts[0]
        ear.turn(TOKEN, 0)
        assert (len(bot_api.sent), StateChange.objects.count()) == (1, 1)

    def test_doing_and_its_record_are_one(self, ear, bot_api, rita, account, monkeypatch):
        """Whatever dies between the halt and its record takes the halt with it."""

        def dies(*_):
            raise OperationalError("the server went away")

        bot_api.writes("/halt paper-one x")
        (update,) = bot_api.get_updates({})
        command = hear(BOT_ID, update)
        with monkeypatch.context() as patched:
            patched.setattr(answering, "_close", dies)
            with pytest.raises(Error):
                answer(command, "")
        assert StateChange.objects.count() == 0
        ear.turn(TOKEN, 0)
        assert StateChange.objects.count() == 1

    def test_an_answered_command_is_not_answered_twice(self, ear, bot_api, rita, account):
        bot_api.writes("/help")
        ear.turn(TOKEN, 0)
        answer(last().pk, "")
        assert last().outcome == "DONE"

    def test_after_a_week_of_silence_lower_numbers_are_heard(self, ear, bot_api, rita, account):
        bot_api.writes("/help")
        ear.turn(TOKEN, 0)
        TelegramBot.objects.update(heard_at=timezone.now() - 8 * DAY)
        bot_api._next = 5
        bot_api.writes("/status")
        ear.turn(TOKEN, 0)
        assert TelegramBot.objects.get().offset == 7
        bot_api.writes("/orders")
        ear.turn(TOKEN, 0)
        assert heard() == 3


class TestTrouble:
    def test_an_answer_that_cannot_be_told_holds_up_no_other_command(
        self, ear, bot_api, rita, account
    ):
        bot_api.always["sendMessage"] = api.bad_gateway
        bot_api.writes("/status")
        ear.turn(TOKEN, 0)
        bot_api.writes("/halt paper-one x")
        ear.turn(TOKEN, 0)
        assert StateChange.objects.count() == 1

    def test_who_blocked_the_bot_is_not_told_again_and_again(self, ear, bot_api, rita, account):
        bot_api.next(api.blocked)
        bot_api.writes("/help")
        ear.turn(TOKEN, 0)
        ear.turn(TOKEN, 0)
        assert "blocked" in last().not_told
        assert bot_api.calls.count("sendMessage") == 1

    def test_an_answer_nobody_waits_for_any_more_is_given_up(self, ear, bot_api, rita, account):
        bot_api.always["sendMessage"] = api.garbage
        bot_api.writes("/help")
        ear.turn(TOKEN, 0)
        with time_machine.travel(timezone.now() + timezone.timedelta(minutes=11)):
            ear.turn(TOKEN, 0)
        assert last().not_told

    def test_a_command_that_breaks_is_recorded_and_the_next_one_goes_on(
        self, ear, bot_api, rita, account, monkeypatch
    ):
        def breaks(*_):
            raise ZeroDivisionError

        broken = commands.Command("", "breaks", "", breaks)
        monkeypatch.setitem(commands.COMMANDS, "status", broken)
        bot_api.writes("/status")
        bot_api.writes("/orders")
        ear.turn(TOKEN, 0)
        assert "nothing was done" in bot_api.texts[0]
        assert "may still trade" in bot_api.texts[1]
        assert [row.outcome for row in TelegramCommand.objects.order_by("id")] == ["FAILED", "DONE"]

    def test_trouble_of_telegram_is_trouble_of_the_turn(self, ear, bot_api):
        bot_api.next(api.conflict, "getUpdates")
        with pytest.raises(Trouble, match="terminated by other getUpdates"):
            ear.turn(TOKEN, 0)

    def test_deaf_for_long_raises_one_alert_that_ends_by_itself(
        self, ear, bot_api, monkeypatch, settings
    ):
        settings.TELEGRAM_POLL = 0
        monkeypatch.setattr(listening, "LONGEST_PAUSE", 0.0)
        bot_api.next(api.conflict, "getUpdates", times=5)
        for _ in range(5):
            assert ear._once()
        alert = Alert.objects.get(key=f"telegram:{BOT_ID}")
        assert (alert.open, alert.times) == (True, 1)
        assert TOKEN not in alert.text
        assert ear._once()
        alert.refresh_from_db()
        assert not alert.open

    def test_the_ear_ends_with_its_channel(self, ear, channel, settings):
        settings.TELEGRAM_POLL = 0
        assert ear._once()
        Channel.objects.update(commands=False)
        assert not ear._once()


@pytest.mark.parametrize(
    "change",
    [
        {"edited_message": {"text": "/halt all x"}, "message": None},
        {"message": "text"},
        {"message": {}},
        {"message": {"text": "/halt all x"}},
    ],
)
def test_what_is_no_message_of_a_person_is_passed_over(ear, bot_api, rita, account, change):
    bot_api.update(**change)
    bot_api.writes("/help")
    ear.turn(TOKEN, 0)
    assert (heard(), last().text) == (1, "/help")


@pytest.mark.parametrize(
    "odd",
    [
        {"from": {"id": ALICE, "is_bot": True, "first_name": "x"}},
        {"from": {"id": str(ALICE), "is_bot": False}},
        {"from": {"id": 2**70, "is_bot": False}},
        {"from": None},
        {"chat": {"id": 2**70}},
        {"date": 2**70},
        {"date": -5},
        {"date": "now"},
        {"text": None},
        {"text": {"x": 1}},
        {"forward_origin": {"type": "user"}},
        {"via_bot": {"id": 5}},
    ],
)
def test_an_odd_message_halts_nothing_and_stops_nothing(ear, bot_api, rita, account, odd):
    bot_api.writes("/halt all x", odd=odd)
    bot_api.writes("/help")
    ear.turn(TOKEN, 0)
    assert StateChange.objects.count() == 0
    assert last().text == "/help"
    assert last().outcome == "DONE"


@pytest.mark.parametrize("text", ["/halt paper-one \x00\ud83d x", "/help " + "😀" * 3000])
def test_text_that_no_database_stores_is_made_storable(ear, bot_api, rita, account, text):
    bot_api.writes(text)
    ear.turn(TOKEN, 0)
    assert last().outcome == "DONE"


def test_only_telegram_channels_that_allow_it_take_commands(db, bot_api):
    make_channel("no")
    make_channel("off", commands=True, enabled=False)
    assert bots() == {}
    make_channel("broken", commands=True)
    Channel.objects.filter(name="broken").update(address="tgram://nothing")
    make_channel("yes", commands=True)
    make_channel("again", chat="222", commands=True)
    assert bots() == {BOT_ID: TOKEN}


def test_strangers_beyond_the_limit_still_move_the_queue_on(ear, bot_api, monkeypatch):
    monkeypatch.setattr(hearing, "MOST_STRANGERS", 1)
    for _ in range(3):
        number = bot_api.writes("/start", user=666)
    ear.turn(TOKEN, 0)
    assert TelegramBot.objects.get().offset == number + 1


@pytest.mark.django_db(transaction=True)
class TestTheProcess:
    def run(self, bot_api, **more):
        quick = {"TELEGRAM_API_URL": bot_api.url, "TELEGRAM_POLL": "5", "HEARTBEAT_EVERY": "0.2"}
        return running("telegram", **(quick | {"REQUIRE_SECOND_FACTOR": "False"} | more))

    def test_it_idles_without_a_bot_and_starts_when_there_is_one(self, bot_api, rita, account):
        with self.run(bot_api) as process:
            until(lambda: Heartbeat.objects.filter(name="telegram").exists())
            assert bot_api.calls == []
            make_channel("phone", commands=True)
            bot_api.writes("/halt paper-one x")
            bot_api.until(lambda: bot_api.sent)
            process.terminate()
            assert process.wait(5) == 0
        assert "paper-one is HALTED" in bot_api.texts[0]

    def test_killed_at_any_moment_every_command_is_answered_once(
        self, bot_api, channel, rita, account
    ):
        for number in range(12):
            bot_api.writes(f"/ack {1000 + number}")
            if number % 4 == 0:
                with self.run(bot_api) as process:
                    bot_api.until(lambda: len(bot_api.polls) > 0, 20)
                    time.sleep(0.05 * number)
                    process.send_signal(signal.SIGKILL)
                    process.wait(5)
                bot_api.polls.clear()
        with self.run(bot_api):
            until(
                lambda: TelegramCommand.objects.filter(told_at=None).count() == 0 and heard() == 12
            )
        told = [row.text for row in TelegramCommand.objects.order_by("id")]
        assert told == [f"/ack {1000 + number}" for number in range(12)]
        answers = [text for text in bot_api.texts if "no open alert" in text]
        assert len(set(answers)) == 12

    def test_the_token_is_in_no_log(self, bot_api, channel, rita, account, capfd):
        bot_api.next(api.bad_gateway, "getUpdates", times=2)
        with self.run(bot_api, LOG_LEVEL="DEBUG"):
            bot_api.writes("/help")
            bot_api.until(lambda: bot_api.sent)
        told = capfd.readouterr().err
        assert '"event": "command"' in told
        assert TOKEN.partition(":")[2] not in told
