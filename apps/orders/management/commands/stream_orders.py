"""manage.py stream_orders"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.management.asking import find_account, show_example
from apps.brokers.management.children import Stopping, keep_one_each
from apps.brokers.models import BrokerAccount
from apps.orders.feed import listen


class Command(BaseCommand):
    """Listen to order updates."""

    help = "Listen to the order updates of one account, or keep one listener per enabled account."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, "python manage.py stream_orders main")
        parser.add_argument("account", nargs="?", help="name of the account")
        parser.add_argument("--all", action="store_true", help="one process per enabled account")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Run until told to stop."""
        stopping = Stopping()
        if options["all"]:
            keep_one_each("stream_orders", _enabled_accounts, stopping)
        elif options["account"]:
            listen(find_account(options["account"]), stopping)
        else:
            raise CommandError("Name an account, or say --all.")


def _enabled_accounts() -> list[str]:
    return list(BrokerAccount.objects.filter(enabled=True).values_list("name", flat=True))
