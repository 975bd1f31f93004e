"""Messages to a bot become rows, once: the row and the place in the queue in one transaction."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.alerts.raising import raise_alert
from apps.chat.models import Outcome, TelegramBot, TelegramCommand, TelegramUser

STRANGERS = "telegram:strangers"
MOST_STRANGERS = 50  # rows an hour; beyond that the alert counts on
LONGEST = 500  # characters of a command that are kept
# After a week of silence Telegram may number messages anew, lower than before.
OFFSET_COUNTS_FOR = dt.timedelta(days=6)


@dataclass(frozen=True)
class Heard:
    """What a message says that could be a command."""

    telegram_id: int
    chat_id: int
    name: str
    text: str
    sent_at: dt.datetime


def next_offset(bot_id: int) -> int:
    """From which message on to ask; 0 is the oldest that Telegram still has."""
    bot = TelegramBot.objects.filter(pk=bot_id).first()
    if bot is None or bot.heard_at is None or bot.heard_at < timezone.now() - OFFSET_COUNTS_FOR:
        return 0
    return bot.offset


@transaction.atomic
def hear(bot_id: int, update: dict[str, Any]) -> int | None:
    """Store one message; the id of its row if it waits for an answer. A repeat is heard once."""
    TelegramBot.objects.get_or_create(pk=bot_id)
    bot = TelegramBot.objects.select_for_update().get(pk=bot_id)
    number = update["update_id"]
    bot.offset, bot.heard_at = number + 1, timezone.now()
    bot.save(update_fields=["offset", "heard_at"])
    heard = read(update)
    if heard is None or bot.commands.filter(update_id=number).exists():
        return None
    linked = TelegramUser.objects.filter(
        telegram_id=heard.telegram_id, chat_id=heard.chat_id, enabled=True
    ).first()
    if linked is None:
        _stranger(bot, number, heard)
        return None
    command = TelegramCommand(user_id=linked.user_id, **_columns(bot, number, heard))
    command.save(force_insert=True)
    return command.pk


def read(update: dict[str, Any]) -> Heard | None:
    """None for all that is no text of a person: edits, pictures, forwarded words, other bots."""
    message = update.get("message")
    if not isinstance(message, dict) or {"forward_origin", "via_bot"} & set(message):
        return None
    sender, chat = message.get("from"), message.get("chat")
    text, date = message.get("text"), message.get("date")
    if not (isinstance(sender, dict) and isinstance(chat, dict) and isinstance(text, str)):
        return None
    numbers = (sender.get("id"), chat.get("id"))
    if not (isinstance(date, int) and 0 <= date < 2**33):  # a time that a calendar has
        return None
    if sender.get("is_bot") is not False or not all(_fits(number) for number in numbers):
        return None
    name = str(sender.get("username") or sender.get("first_name") or "")
    return Heard(
        sender["id"],
        chat["id"],
        _on_one_line(_storable(name))[:80],
        _storable(text)[:LONGEST],
        dt.datetime.fromtimestamp(message["date"], dt.UTC),
    )


def _fits(number: object) -> bool:
    """An id as Telegram documents them: at most 52 bits."""
    return isinstance(number, int) and abs(number) < 2**52


def _stranger(bot: TelegramBot, number: int, heard: Heard) -> None:
    """No answer: a stranger learns nothing. People of the desk hear of it."""
    lately = timezone.now() - dt.timedelta(hours=1)
    if bot.commands.filter(outcome=Outcome.STRANGER, heard_at__gt=lately).count() < MOST_STRANGERS:
        now = timezone.now()
        TelegramCommand.objects.create(
            outcome=Outcome.STRANGER,
            answered_at=now,
            not_told="strangers get no answer",
            **_columns(bot, number, heard),
        )
    where = "" if heard.chat_id == heard.telegram_id else f" in chat {heard.chat_id}"
    raise_alert(
        STRANGERS,
        f"Telegram user {heard.telegram_id} ({heard.name}){where} wrote to the bot and is nobody "
        "of the desk. They got no answer. If they should: Telegram users, in the admin.",
    )


def _columns(bot: TelegramBot, number: int, heard: Heard) -> dict[str, Any]:
    return {
        "bot": bot,
        "update_id": number,
        "telegram_id": heard.telegram_id,
        "chat_id": heard.chat_id,
        "said_name": heard.name,
        "text": heard.text,
        "sent_at": heard.sent_at,
    }


def _on_one_line(name: str) -> str:
    """A name stands in an alert: it must not look like another line of it."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def _storable(text: str) -> str:
    """PostgreSQL stores neither NUL nor half a surrogate pair."""
    clean = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return clean.encode("utf-8", "replace").decode()
