"""manage.py renew_token"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers import tokens
from apps.brokers.management.asking import find_account, show_example, token_line
from apps.people.acting import acting, add_as


class Command(BaseCommand):
    """Exchange the token in force for a new one."""

    help = "Renew the access token of an account. The old one ends at once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, "python manage.py renew_token main")
        parser.add_argument("name", help="name of the account")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Ask the broker once."""
        by, _ = acting(options["as_user"], "brokers.obtain_token")
        account = find_account(options["name"])
        try:
            token = tokens.renew(account, by)
        except (tokens.NotNow, tokens.NoToken) as why:
            raise CommandError(f"{account.name} was not renewed: {why}.") from None
        self.stdout.write(token_line(account, token))
