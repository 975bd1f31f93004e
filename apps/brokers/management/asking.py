"""What the commands of this app share: a token from standard input, and errors by field."""

from __future__ import annotations

import argparse
import getpass
import sys

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from apps.brokers.models import AccessToken, BrokerAccount


def show_example(parser: CommandParser, example: str) -> None:
    """Print the example under the help text as it is written."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"example:\n  {example}"


def read_token() -> str:
    """The token from standard input, so that it is in no process list and no shell history."""
    if sys.stdin.isatty():
        return getpass.getpass("Access token (not shown): ").strip()
    return sys.stdin.read().strip()


def find_account(name: str) -> BrokerAccount:
    """The account of that name, or an error that names those that exist."""
    account = BrokerAccount.objects.filter(name=name).first()
    if account is None:
        names = ", ".join(BrokerAccount.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"There is no account {name!r}. Accounts: {names}.")
    return account


def token_line(account: BrokerAccount, token: AccessToken) -> str:
    """That a new token is in force, and until when; never the token."""
    until = f" until {timezone.localtime(token.expires_at):%d %b %H:%M}" if token.expires_at else ""
    return f"The new token of {account.name} is in force{until}."


def refusal(error: ValidationError) -> CommandError:
    """One line per wrong input, by the name it has on the command line."""
    lines: list[str] = []
    for field, messages in error.message_dict.items():
        where = "" if field == "__all__" else f"{field.replace('_', '-')}: "
        lines.extend(f"{where}{message}" for message in messages)
    return CommandError("\n".join(lines))
