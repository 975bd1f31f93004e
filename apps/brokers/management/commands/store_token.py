"""manage.py store_token"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandParser

from apps.brokers.accounts import expiry, store_token
from apps.brokers.management.asking import (
    find_account,
    read_token,
    refusal,
    show_example,
    token_line,
)


class Command(BaseCommand):
    """Put a new access token in force."""

    help = "Put a new access token in force. It is read from standard input and stored encrypted."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, "python manage.py store_token main < token.txt")
        parser.add_argument("name", help="name of the account")
        parser.add_argument("--token-expires", help="ISO time; without offset it is Indian time")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Check the token's form, then retire the old one and store this one."""
        account = find_account(options["name"])
        try:
            token = store_token(account, read_token(), expiry(options["token_expires"]))
        except ValidationError as error:
            raise refusal(error) from None
        self.stdout.write(token_line(account, token))
