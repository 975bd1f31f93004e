"""Opening accounts and putting tokens in force, for the command line and the admin alike."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.brokers import sessions
from apps.brokers.jwt import claimed_end
from apps.brokers.locks import turn_if_free
from apps.brokers.models import AccessToken, BrokerAccount

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}", re.ASCII)
_INDIA = ZoneInfo("Asia/Kolkata")


def create_account(
    account: BrokerAccount, token: str, token_expires: dt.datetime | None = None
) -> BrokerAccount:
    """Save a new account with its first token. Raises ``ValidationError`` by field."""
    problems = _problems(account.full_clean) | _problems(lambda: check_token(token, token_expires))
    if problems:
        raise ValidationError(problems)
    with transaction.atomic():
        account.save(force_insert=True)
        AccessToken.put_in_force(account, token, token_expires)
    return account


def _problems(check: Callable[[], None]) -> dict[str, list[str]]:
    try:
        check()
    except ValidationError as error:
        return error.message_dict
    return {}


def store_token(
    account: BrokerAccount, token: str, token_expires: dt.datetime | None = None
) -> AccessToken:
    """Put a new token in force and retire the old one. Raises ``ValidationError`` by field."""
    check_token(token, token_expires)
    check_nobody_asks(account)
    return put_token(account, token, token_expires)


@transaction.atomic
def put_token(
    account: BrokerAccount, token: str, token_expires: dt.datetime | None = None
) -> AccessToken:
    """The same for a token that was checked. A person's word ends any doubt about the last one."""
    BrokerAccount.objects.select_for_update().get(pk=account.pk)
    stored = AccessToken.put_in_force(account, token, token_expires)
    sessions.start_afresh(account)
    return stored


def check_nobody_asks(account: BrokerAccount) -> None:
    """Refuse while the desk asks for a token: the two would end each other."""
    with turn_if_free(f"session:{account.name}") as free:
        if not free:
            raise ValidationError(
                {"token": "The desk asks for a new token just now; try again in a few seconds."}
            )


def check_token(token: str, token_expires: dt.datetime | None) -> None:
    """Refuse what cannot be a token, without showing it. Raises ``ValidationError`` by field."""
    if not token:
        raise ValidationError({"token": "The access token is empty."})
    if not _TOKEN.fullmatch(token):
        raise ValidationError(
            {"token": "An access token is one word of at most 4096 plain characters."}
        )
    if token_expires is not None and token_expires <= timezone.now():
        raise ValidationError({"token_expires": "This time has passed: get a new token."})
    ends = claimed_end(token)
    if ends is not None and ends <= timezone.now():
        at = timezone.localtime(ends)
        raise ValidationError(
            {"token": f"By its own word this token ended {at:%d %b %Y %H:%M}: get a new one."}
        )


def expiry(text: str | None) -> dt.datetime | None:
    """An ISO time; without an offset it is Indian time. Raises ``ValidationError``."""
    if not text:
        return None
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValidationError(
            {"token_expires": "Not an ISO time; for example 2026-09-23T08:00+05:30."}
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=_INDIA)
