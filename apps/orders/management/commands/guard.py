"""manage.py guard"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.brokers.management.asking import show_example
from apps.orders.guard import watch


class Command(BaseCommand):
    """Sweep and send exits when nobody else does."""

    help = "Keep the sweep and exits going when Redis or the workers are gone. Runs until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, "python manage.py guard")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Run until told to stop."""
        self.stopping = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        watch(lambda: self.stopping)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
