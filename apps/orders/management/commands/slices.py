"""manage.py slices"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.management.asking import show_example
from apps.orders import slices
from apps.orders.management.asking import find_whole, operator, shown_whole, whole_sentences
from apps.orders.services import TooLate
from apps.people.acting import add_as

ACTS = {"resume": slices.resume, "drop": slices.drop, "cancel": slices.cancel}
RIGHTS = {
    "resume": "orders.place_order",
    "drop": "orders.place_order",
    "cancel": "orders.cancel_order",
}


class Command(BaseCommand):
    """Show an order that is sent in slices; resume, drop or cancel it."""

    help = (
        "Show an order that is sent in slices. Of one that has stopped, resume places what is left"
        " and drop gives it up; cancel also cancels the slices at work."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        example = 'slices resume 3f9a0c5d7e1b2a4c6d8e --as tara --reason "limit raised"'
        show_example(parser, f"python manage.py {example}")
        parser.add_argument("act", choices=["show", *ACTS], help="what to do")
        parser.add_argument("whole", help="its id, or the correlation id of one of its slices")
        parser.add_argument("--reason", default="", help="why, for the record")
        parser.add_argument(
            "--stop", type=int, help="only while it is in its first, second, … stop"
        )
        add_as(parser)
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Do it, and show what became of it."""
        whole, act = find_whole(options["whole"]), options["act"]
        if act != "show":
            if not options["as_user"] or not options["reason"].strip():
                raise CommandError(f"To {act} it, say --as USERNAME and --reason WHY.")
            actor = operator(options["as_user"], RIGHTS[act])
            seen = {"stop": options["stop"]} if options["stop"] and act != "cancel" else {}
            try:
                ACTS[act](whole, actor, options["reason"], **seen)
            except TooLate as error:
                raise CommandError(f"Not done: {error}.") from None
            whole.refresh_from_db()
        told = json.dumps(shown_whole(whole)) if options["json"] else whole_sentences(whole)
        self.stdout.write(told)
