"""manage.py create_source"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandParser

from apps.brokers.management.asking import find_account, refusal, show_example
from apps.signals.models import SignalSource
from apps.signals.sources import open_source

EXAMPLE = "python manage.py create_source momentum --account paper-1 --strategy momentum"


class Command(BaseCommand):
    """Open a source of signals; its secret is printed this once."""

    help = "Open a source of signals. Prints its path and its secret, which is never shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, EXAMPLE)
        parser.add_argument("name", help="short name: letters, digits, - and _")
        parser.add_argument("--account", required=True, help="used when a signal names none")
        parser.add_argument("--other", action="append", default=[], help="account it may name too")
        parser.add_argument("--strategy", default="", help="when a signal brings none")
        parser.add_argument("--window", type=int, default=300, help="seconds a clock may differ")
        parser.add_argument(
            "--entry-lifetime", type=int, default=60, help="seconds until an entry is too old"
        )
        parser.add_argument(
            "--test-mode", action="store_true", help="its signals never reach a live account"
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Check every input, then save the source and print what its sender needs."""
        columns = ("name", "strategy", "window", "entry_lifetime", "test_mode")
        source = SignalSource(
            account=find_account(options["account"]), **{name: options[name] for name in columns}
        )
        others = [find_account(name) for name in options["other"]]
        try:
            secret = open_source(source)
        except ValidationError as error:
            raise refusal(error) from None
        source.others.set(others)
        self.stdout.write(f"Path    {source.path}")
        self.stdout.write(f"Secret  {secret}   (shown only this once)")
