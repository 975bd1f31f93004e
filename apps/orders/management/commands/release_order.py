"""manage.py release_order"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.management.asking import show_example
from apps.orders import releasing
from apps.orders.management.asking import find_order
from apps.orders.services import BadOrder
from apps.people.acting import acting, add_as
from apps.risk.approvals import NotAllowed, NotOpen


class Command(BaseCommand):
    """Ask that an order in doubt be released."""

    help = (
        "Ask to release an UNKNOWN order that the broker's own statement does not show. "
        "A second person approves it on the desk."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        example = 'release_order 3f9a0c5d7e1b2a4c6d8e --as anna --reason "not in the statement"'
        show_example(parser, f"python manage.py {example}")
        parser.add_argument("order", help="correlation id or broker id")
        parser.add_argument(
            "--reason", required=True, help="what the broker's own statement shows of it"
        )
        add_as(parser, required=True)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Open the request; nothing is released here."""
        order = find_order(options["order"])
        _, person = acting(options["as_user"], releasing.ASK)
        if person is None:
            raise CommandError("Say --as USERNAME: a second person must know who asks.")
        try:
            approval = releasing.ask(order, person, options["reason"])
        except (BadOrder, NotAllowed, NotOpen) as error:
            raise CommandError(f"{error}.") from None
        self.stdout.write(f"Asked (approval {approval.pk}). A second person approves on the desk.")
