"""manage.py telegram"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from apps.chat.listening import listen


class Command(BaseCommand):
    """Hear commands over Telegram."""

    help = "Take commands over every Telegram channel that allows it. Runs until stopped."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Run until told to stop."""
        self.stopping = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        listen(lambda: self.stopping)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
