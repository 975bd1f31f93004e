"""Listen to every bot that takes commands, by long polling, for ever.

The place in the queue of messages is a row: a restart neither loses nor repeats a command.
"""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import Error, connection
from django.utils import timezone

from apps.alerts import telegram
from apps.alerts.addresses import telegram_of
from apps.alerts.models import Channel, Kind
from apps.alerts.raising import raise_alert, settle_alert, sign_of_life
from apps.alerts.trouble import Trouble
from apps.chat.answering import answer
from apps.chat.hearing import hear, next_offset
from apps.chat.models import TelegramCommand

log = structlog.get_logger(__name__)
OWN_NAME = "telegram"
DEAF_AFTER = 3  # failures in a row
LONGEST_PAUSE = 60.0  # seconds
WORTH_TELLING = dt.timedelta(minutes=10)
AGAIN = 2.0  # seconds until an answer that was not told is tried again

ShouldStop = Callable[[], bool]


def listen(should_stop: ShouldStop) -> None:
    """Keep one ear per bot until ``should_stop``. Without a bot it looks for one now and then."""
    ears: dict[int, threading.Thread] = {}
    while not should_stop():
        try:
            sign_of_life(OWN_NAME)
            for bot_id in bots():
                if bot_id not in ears or not ears[bot_id].is_alive():
                    ears[bot_id] = threading.Thread(
                        target=Ear(bot_id).run, args=[should_stop], daemon=True
                    )
                    ears[bot_id].start()
        except Error:
            log.warning("the database does not answer; the ears stay as they are")
            connection.close()
        time.sleep(settings.HEARTBEAT_EVERY)


def bots() -> dict[int, str]:
    """The bots that take commands, with their tokens."""
    found: dict[int, str] = {}
    for channel in Channel.objects.filter(kind=Kind.TELEGRAM, enabled=True, commands=True):
        try:
            to = telegram_of(channel)
        except Trouble:
            continue  # the channel says so itself
        found[to.bot_id] = to.token
    return found


class Ear:
    """One bot: asks for messages, has them answered, tells the answers."""

    def __init__(self, bot_id: int) -> None:
        self.bot_id = bot_id
        self.failures = 0
        self.well = False
        self.name = ""
        self.named_for = ""

    def run(self, should_stop: ShouldStop) -> None:
        """Until told to stop, or nobody uses this bot any more."""
        try:
            while not should_stop() and self._once():
                pass
        finally:
            connection.close()

    def _once(self) -> bool:
        try:
            token = bots().get(self.bot_id)
            if token is None:
                return False
            self.turn(token, settings.TELEGRAM_POLL)
            self._well()
        except Trouble as trouble:
            self._failed(str(trouble), trouble.wait)
        except Exception as error:
            log.exception("listening broke", bot=self.bot_id)
            connection.close_if_unusable_or_obsolete()
            self._failed(type(error).__name__)
        return True

    def turn(self, token: str, wait: float) -> int:
        """Ask once, for up to ``wait`` seconds; how many messages came. Raises ``Trouble``.

        What a process that died has left behind comes first. An answer that cannot be told holds
        up neither the next command nor what it does.
        """
        if self.named_for != token:
            self.name, self.named_for = telegram.name_of(token), token
        all_told = self._answer_all(token)
        offset = next_offset(self.bot_id)
        updates = telegram.get_updates(token, offset, wait if all_told else min(wait, AGAIN))
        if [update for update in updates if hear(self.bot_id, update) is not None]:
            self._answer_all(token)
        return len(updates)

    def _answer_all(self, token: str) -> bool:
        """Act on what waits, then tell; True when nothing is left to tell."""
        mine = TelegramCommand.objects.filter(bot=self.bot_id, told_at=None, not_told="")
        for command_id in mine.filter(outcome="").order_by("id").values_list("pk", flat=True):
            try:
                answer(command_id, self.name)
            except Error:
                log.exception("command waits for the database", command=command_id)
                connection.close_if_unusable_or_obsolete()
        told = [_tell(command, token) for command in mine.exclude(outcome="").order_by("id")]
        return all(told)

    def _well(self) -> None:
        if self.failures >= DEAF_AFTER or not self.well:
            settle_alert(f"telegram:{self.bot_id}", "they are heard again")
        self.failures, self.well = 0, True

    def _failed(self, why: str, wait: float | None = None) -> None:
        self.failures += 1
        log.warning("bot not heard", bot=self.bot_id, why=why, failures=self.failures)
        if self.failures == DEAF_AFTER:
            self._complain(why)
        pause = wait or 2.0 ** min(self.failures - 1, 10) * random.uniform(0.5, 1.0)  # noqa: S311
        time.sleep(min(pause, LONGEST_PAUSE))

    def _complain(self, why: str) -> None:
        try:
            text = f"Commands over Telegram are not heard (bot {self.bot_id}): {why}"
            raise_alert(f"telegram:{self.bot_id}", text)
        except Error:
            log.warning("not written", bot=self.bot_id)


def _tell(command: TelegramCommand, token: str) -> bool:
    """Say the answer where the command came from. False when it should be tried again."""
    row = TelegramCommand.objects.filter(pk=command.pk)
    chat, within = str(command.chat_id), settings.ALERT_SEND_TIMEOUT
    try:
        telegram.send_message(token, chat, command.answer, within)
    except Trouble as trouble:
        answered = command.answered_at or timezone.now()
        over = trouble.permanent or timezone.now() - answered > WORTH_TELLING
        if over:
            row.update(not_told=str(trouble))
        return over
    row.update(told_at=timezone.now())
    return True
