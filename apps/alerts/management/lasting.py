"""A command that runs until it is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand


class LastingCommand(BaseCommand):
    """Ends on SIGTERM or Ctrl-C, when its work next asks whether to stop."""

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Run until told to stop."""
        self.stopping = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        self.work(lambda: self.stopping)

    def work(self, should_stop: Callable[[], bool]) -> None:
        """What the command is for."""
        raise NotImplementedError

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
