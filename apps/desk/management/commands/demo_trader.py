"""manage.py demo_trader"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.desk.demo import trade


class Command(BaseCommand):
    """Keep the live page moving."""

    help = "Trade small amounts on the simulated accounts through the gate, until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        parser.add_argument("--desk", default="", help="send some orders as signals here")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Run until told to stop."""
        self.stopping = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        trade(lambda: self.stopping, options["desk"])

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
