"""manage.py deliver_alerts"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from apps.alerts.delivering import deliver


class Command(BaseCommand):
    """Say alerts on every channel."""

    help = "Deliver alerts, heartbeats and reports to all channels. Runs until stopped."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Run until told to stop."""
        self.stopping = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        deliver(lambda: self.stopping)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
