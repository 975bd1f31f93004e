"""manage.py telegram"""

from __future__ import annotations

from collections.abc import Callable

from apps.alerts.management.lasting import LastingCommand
from apps.chat.listening import listen


class Command(LastingCommand):
    """Hear commands over Telegram."""

    help = "Take commands over every Telegram channel that allows it. Runs until stopped."

    def work(self, should_stop: Callable[[], bool]) -> None:
        """One ear per bot; idle while there is none."""
        listen(should_stop)
