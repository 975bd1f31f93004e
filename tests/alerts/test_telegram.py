"""Our client of the Bot API on Telegram's good and bad days. No error carries the token."""

from __future__ import annotations

import logging
import time
import traceback

import pytest

from apps.alerts import telegram
from apps.alerts.trouble import Trouble
from tests.alerts import bot_api as api
from tests.alerts.bot_api import TOKEN

SECRET = TOKEN.partition(":")[2]


def fails(**kwargs):
    with pytest.raises(Trouble) as caught:
        telegram.send_message(TOKEN, "111", "hello", kwargs.pop("within", 1.0))
    assert SECRET not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_a_message_arrives_as_plain_text(bot_api):
    telegram.send_message(TOKEN, "-100777", "a <b> & _c_", 2)
    said = bot_api.sent[0]
    assert (said["chat_id"], said["text"]) == ("-100777", "a <b> & _c_")
    assert "parse_mode" not in said


@pytest.mark.parametrize("text", ["x" * 5000, "😀" * 3000, "😀" * 2047 + "x" + "😀" * 9])
def test_a_long_text_is_cut_to_what_telegram_takes(bot_api, text):
    telegram.send_message(TOKEN, "111", text, 2)
    said = bot_api.texts[0]
    assert said.endswith("…")
    assert "\N{REPLACEMENT CHARACTER}" not in said


@pytest.mark.parametrize("text", ["", "  \n", "half a pair \ud83d"])
def test_what_cannot_be_said_is_still_a_message(bot_api, text):
    telegram.send_message(TOKEN, "111", text, 2)
    assert bot_api.texts[0].strip()


@pytest.mark.parametrize("act", [api.blocked, api.moved])
def test_a_refusal_that_lasts_is_permanent_and_in_telegrams_words(bot_api, act):
    bot_api.next(act)
    trouble = fails()
    assert trouble.permanent
    assert ("blocked" in str(trouble)) or ("-100200300" in str(trouble))


def test_a_wrong_token_is_permanent(bot_api):
    wrong = TOKEN[:-1] + "Z"
    with pytest.raises(Trouble, match="Unauthorized") as caught:
        telegram.send_message(wrong, "111", "hello", 1)
    assert caught.value.permanent
    assert wrong not in str(caught.value)


def test_too_many_requests_says_how_long_to_wait(bot_api):
    bot_api.next(api.too_many(7))
    trouble = fails()
    assert not trouble.permanent
    assert 7 < trouble.wait <= 8


@pytest.mark.parametrize("act", [api.bad_gateway, api.garbage, api.odd, api.drop, api.redirect])
def test_a_bad_day_of_telegram_passes(bot_api, act):
    bot_api.next(act)
    trouble = fails()
    assert (trouble.permanent, trouble.wait) == (False, None)
    telegram.send_message(TOKEN, "111", "hello", 1)
    assert bot_api.texts == ["hello"]


@pytest.mark.parametrize("act", [api.hang, api.drip])
def test_a_call_ends_within_its_time(bot_api, act):
    bot_api.next(act)
    began = time.monotonic()
    assert "within 0.5 s" in str(fails(within=0.5))
    assert time.monotonic() - began < 3


def test_nobody_there(settings):
    settings.TELEGRAM_API_URL = "http://127.0.0.1:9"
    assert "cannot be reached" in str(fails())


def test_updates_come_once_confirmed_by_their_offset(bot_api):
    first, second = bot_api.writes("/help"), bot_api.writes("/status")
    found = telegram.get_updates(TOKEN, 0, 0)
    assert [row["update_id"] for row in found] == [first, second]
    assert [row["update_id"] for row in telegram.get_updates(TOKEN, second, 0)] == [second]
    assert telegram.get_updates(TOKEN, second + 1, 0) == []


def test_polling_waits_for_the_first_message(bot_api):
    assert telegram.get_updates(TOKEN, 0, 1) == []
    assert bot_api.polls[0]["allowed_updates"] == ["message"]


def test_a_list_that_cannot_be_read_is_trouble(bot_api):
    bot_api.next(lambda request: request.answer({"ok": True, "result": [{"x": 1}]}), "getUpdates")
    with pytest.raises(Trouble, match="cannot be read"):
        telegram.get_updates(TOKEN, 0, 0)


def test_logs_of_the_http_library_do_not_show_the_token(bot_api, caplog, capsys):
    from tradingops.logs import logging_config

    formatter = logging_config("DEBUG")["formatters"]["json"]
    shown = formatter.pop("()")(**formatter)
    with caplog.at_level(logging.DEBUG, logger="urllib3"):
        telegram.send_message(TOKEN, "111", "hello", 2)
    lines = [shown.format(record) for record in caplog.records if "urllib3" in record.name]
    assert any("sendMessage" in line for line in lines)
    assert SECRET not in "".join(lines)
