"""From a stored command to its answer: once, in one transaction with what it does."""

from __future__ import annotations

import datetime as dt

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import Error, transaction
from django.utils import timezone

from apps.chat import commands
from apps.chat.commands import COMMANDS, Misread, Refused
from apps.chat.models import Outcome, TelegramCommand, TelegramUser
from apps.people import entry

log = structlog.get_logger(__name__)
BROKE = "It broke, and nothing was done. Look at the desk."


def answer(command_id: int, bot: str) -> None:
    """Act on a command and store what to say, both or neither. Being second does nothing."""
    try:
        with transaction.atomic():
            command = _unanswered(command_id)
            if command is not None:
                _close(command, *_act(command, bot))
    except Error:
        raise
    except Exception:
        log.exception("command broke", command=command_id)
        with transaction.atomic():
            command = _unanswered(command_id)
            if command is not None:
                _close(command, Outcome.FAILED, BROKE)


def _unanswered(command_id: int) -> TelegramCommand | None:
    rows = TelegramCommand.objects.select_for_update(of=("self",)).select_related("user")
    return rows.filter(pk=command_id, outcome="").first()


def _act(command: TelegramCommand, bot: str) -> tuple[Outcome, str]:
    try:
        name, said = commands.read(command.text, bot)
        age = timezone.now() - command.sent_at
        if age > dt.timedelta(seconds=settings.TELEGRAM_COMMAND_MAX_AGE):
            return Outcome.TOO_OLD, (
                f"Not done: you sent this {age.total_seconds() / 60:.0f} min ago. Send it again "
                "if you still want it."
            )
        person = _person(command, COMMANDS[name].permission)
        return Outcome.DONE, COMMANDS[name].run(person, said)
    except Misread as error:
        return Outcome.MISREAD, str(error)
    except Refused as error:
        return Outcome.REFUSED, f"Not done: {error}."


def _person(command: TelegramCommand, permission: str) -> User:
    """The person with the rights of this moment. Raises ``Refused``."""
    linked = TelegramUser.objects.filter(
        telegram_id=command.telegram_id, chat_id=command.chat_id, enabled=True
    ).first()
    person = User.objects.filter(pk=linked.user_id).first() if linked else None
    if person is None or not (person.is_active and person.is_staff):
        raise Refused("you may not use the desk")
    if settings.REQUIRE_SECOND_FACTOR and not entry.has_device(person):
        raise Refused("set up your second factor on the desk first")
    if permission and not person.has_perm(permission):
        raise Refused(f"you may not do that ({permission})")
    return person


def _close(command: TelegramCommand, outcome: Outcome, text: str) -> None:
    command.outcome, command.answer, command.answered_at = outcome, text, timezone.now()
    command.save(update_fields=["outcome", "answer", "answered_at"])
    log.info("command", person=str(command.user), text=command.text, outcome=outcome.value)
