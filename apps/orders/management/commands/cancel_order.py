"""manage.py cancel_order"""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.management.asking import show_example
from apps.orders.management.asking import find_order, operator, sentence, shown
from apps.orders.services import TooLate, cancel
from apps.people.acting import add_as


class Command(BaseCommand):
    """Wish an order cancelled."""

    help = "Cancel an order. The wish stands, and is asked again, until the order is over."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, "python manage.py cancel_order 3f9a0c5d7e1b2a4c6d8e --reason late")
        parser.add_argument("order", help="correlation id or broker id")
        parser.add_argument("--reason", default="cancelled by command", help="for the record")
        parser.add_argument("--wait", action="store_true", help="wait until the order is over")
        parser.add_argument("--timeout", type=float, default=60, help="seconds to wait")
        add_as(parser)
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Wish, wait if asked to, and show what became of it."""
        order = find_order(options["order"])
        actor = operator(options["as_user"], "orders.cancel_order")
        try:
            order = cancel(order, actor, options["reason"])
        except TooLate as error:
            raise CommandError(f"Nothing to cancel: {error}.") from None
        deadline = time.monotonic() + (options["timeout"] if options["wait"] else 0)
        while not order.over and time.monotonic() < deadline:
            time.sleep(0.1)
            order.refresh_from_db()
        self.stdout.write(json.dumps(shown(order)) if options["json"] else sentence(order))
        if options["wait"] and not order.over:
            raise CommandError("The order is not over yet; the desk goes on asking.")
