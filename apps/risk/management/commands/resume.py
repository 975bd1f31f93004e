"""manage.py resume"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.management.asking import find_account, show_example
from apps.people.acting import acting, add_as
from apps.risk import resuming
from apps.risk.approvals import NotAllowed, NotOpen
from apps.risk.models import DESK
from apps.risk.switch import NoRiskState


class Command(BaseCommand):
    """Ask that entries may go again."""

    help = "Ask to resume one account or the whole desk. A second person approves it on the desk."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(
            parser, 'python manage.py resume paper-1 --as anna --reason "prices are right"'
        )
        parser.add_argument("account", nargs="?", help="name of the account")
        parser.add_argument("--all", action="store_true", help="the whole desk")
        parser.add_argument("--reason", required=True, help="why, for the record")
        add_as(parser, required=True)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Open the request; nothing is turned here."""
        if bool(options["account"]) == options["all"]:
            raise CommandError("Name one account, or say --all for the whole desk.")
        scope = DESK if options["all"] else find_account(options["account"]).name
        _, person = acting(options["as_user"], "risk.change_tradingstate")
        if person is None:
            raise CommandError("Say --as USERNAME: a second person must know who asks.")
        try:
            approval = resuming.ask(scope, person, options["reason"])
        except (NoRiskState, NotAllowed, NotOpen) as error:
            raise CommandError(f"{error}.") from None
        self.stdout.write(f"Asked (approval {approval.pk}). A second person approves on the desk.")
