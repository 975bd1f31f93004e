"""manage.py stream_quotes"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers import quotes
from apps.brokers.management.asking import find_account, show_example
from apps.brokers.management.children import Stopping, keep_one_each
from apps.orders.prices import listen


class Command(BaseCommand):
    """Listen to prices."""

    help = (
        "Listen to the prices that the desk needs, on the token of an account with a market feed "
        "address, or keep one listener per such account."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, "python manage.py stream_quotes main")
        parser.add_argument("account", nargs="?", help="name of the account")
        parser.add_argument("--all", action="store_true", help="one process per such account")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Run until told to stop."""
        stopping = Stopping()
        if options["all"]:
            keep_one_each("stream_quotes", _sources, stopping)
            return
        if not options["account"]:
            raise CommandError("Name an account, or say --all.")
        account = find_account(options["account"])
        if not account.gives_quotes:
            raise CommandError(
                f"Account {account.name} has no market feed address. Set it on the account's page; "
                "DhanHQ's is wss://api-feed.dhan.co."
            )
        listen(account, stopping)


def _sources() -> list[str]:
    return [account.name for account in quotes.sources()]
