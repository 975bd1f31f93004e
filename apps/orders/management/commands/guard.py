"""manage.py guard"""

from __future__ import annotations

from collections.abc import Callable

from django.core.management.base import CommandParser

from apps.alerts.management.lasting import LastingCommand
from apps.brokers.management.asking import show_example
from apps.orders.guard import watch


class Command(LastingCommand):
    """Sweep and send exits when nobody else does."""

    help = "Keep the sweep and exits going when Redis or the workers are gone. Runs until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, "python manage.py guard")

    def work(self, should_stop: Callable[[], bool]) -> None:
        """One turn a second."""
        watch(should_stop)
