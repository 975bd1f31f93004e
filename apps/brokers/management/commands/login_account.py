"""manage.py login_account"""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers import tokens
from apps.brokers.management.asking import find_account, show_example, token_line
from apps.brokers.models import AccessToken, BrokerAccount
from apps.people.acting import acting, add_as

WAITS = 35.0  # seconds that the command waits by itself: the next one-time code comes before


class Command(BaseCommand):
    """Log in with the stored PIN and TOTP secret."""

    help = (
        "Get a new access token with the PIN and TOTP secret that are stored on the account's page."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, "python manage.py login_account main")
        parser.add_argument("name", help="name of the account")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Log in once; waits for the next one-time code when this one was used."""
        by, _ = acting(options["as_user"], "brokers.obtain_token")
        account = find_account(options["name"])
        try:
            token = self._log_in(account, by)
        except (tokens.NotNow, tokens.NoToken) as why:
            raise CommandError(f"{account.name} was not logged in: {why}.") from None
        self.stdout.write(token_line(account, token))

    def _log_in(self, account: BrokerAccount, by: str) -> AccessToken:
        try:
            return tokens.log_in(account, by)
        except tokens.NotNow as later:
            if later.seconds is None or later.seconds > WAITS:
                raise
            self.stdout.write(f"Waiting {later.seconds:.0f} s: {later}.")
            time.sleep(later.seconds + 0.5)
        return tokens.log_in(account, by)
