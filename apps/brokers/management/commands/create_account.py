"""manage.py create_account"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandParser

from apps.brokers.accounts import create_account, expiry
from apps.brokers.management.asking import read_token, refusal, show_example
from apps.brokers.models import BrokerAccount, BrokerKind, CalendarKind

EXAMPLE = """\
python manage.py create_account main --broker dhan --client-id 1000000001 \\
      --rest-url https://api.dhan.co/v2 --feed-url wss://api-order-update.dhan.co < token.txt"""


_HOURS = {
    CalendarKind.EXCHANGE: "with the exchange's hours",
    CalendarKind.ALWAYS_OPEN: "open at any hour",
}


class Command(BaseCommand):
    """Add an account; the token comes from standard input."""

    help = "Add an account at a broker. The access token is read from standard input."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, EXAMPLE)
        parser.add_argument("name", help="short name: letters, digits, - and _")
        parser.add_argument("--broker", default="dhan", help=", ".join(BrokerKind.values))
        parser.add_argument("--client-id", required=True, help="your id at the broker")
        parser.add_argument("--rest-url", required=True, help="https://api.dhan.co/v2")
        parser.add_argument("--feed-url", required=True, help="wss://api-order-update.dhan.co")
        parser.add_argument(
            "--market-feed-url",
            default="",
            help="wss://api-feed.dhan.co, on the one account that gives the desk its prices",
        )
        parser.add_argument(
            "--stamp-zone", default="Asia/Kolkata", help="zone of the broker's time stamps"
        )
        parser.add_argument(
            "--calendar",
            default=CalendarKind.EXCHANGE,
            help=f"{' or '.join(CalendarKind.values)}: the latter for a simulated exchange alone",
        )
        parser.add_argument("--token-expires", help="ISO time; without offset it is Indian time")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Check every input, then save the account with its token."""
        columns = ("name", "broker", "client_id", "rest_url", "feed_url", "market_feed_url")
        account = BrokerAccount(
            **{name: options[name] for name in (*columns, "stamp_zone", "calendar")}
        )
        try:
            create_account(account, read_token(), expiry(options["token_expires"]))
        except ValidationError as error:
            raise refusal(error) from None
        self.stdout.write(
            f"Account {account.name} ({account.environment}) is there, "
            f"{_HOURS[CalendarKind(account.calendar)]}. "
            f"Check it: python manage.py check_account {account.name}"
        )
