"""manage.py halt"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.management.asking import find_account, show_example
from apps.people.acting import acting, add_as
from apps.risk.models import DESK
from apps.risk.switch import NoRiskState, halt


class Command(BaseCommand):
    """Stop entries at once."""

    help = "Halt one account or the whole desk: entries stop at once, exits and cancels go on."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, 'python manage.py halt paper-1 --reason "wrong prices"')
        parser.add_argument("account", nargs="?", help="name of the account")
        parser.add_argument("--all", action="store_true", help="the whole desk")
        parser.add_argument("--reason", required=True, help="why, for the record")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Turn the switch and say what it is now."""
        if bool(options["account"]) == options["all"]:
            raise CommandError("Name one account, or say --all for the whole desk.")
        name, person = acting(options["as_user"], "risk.change_tradingstate")
        scope = DESK if options["all"] else find_account(options["account"]).name
        try:
            change = halt(scope, options["reason"], name, person)
        except NoRiskState as error:
            raise CommandError(f"{error}: nothing can be sent for it anyway.") from None
        where = "The whole desk" if scope == DESK else scope
        said = "is halted" if change else "was halted already"
        self.stdout.write(f"{where} {said}. Entries stop; exits and cancels go on.")
