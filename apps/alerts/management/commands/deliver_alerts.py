"""manage.py deliver_alerts"""

from __future__ import annotations

from collections.abc import Callable

from apps.alerts.delivering import deliver
from apps.alerts.management.lasting import LastingCommand


class Command(LastingCommand):
    """Say alerts on every channel."""

    help = "Deliver alerts, heartbeats and reports to all channels. Runs until stopped."

    def work(self, should_stop: Callable[[], bool]) -> None:
        """One thread per channel."""
        deliver(should_stop)
