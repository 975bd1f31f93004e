"""manage.py describe_order_life"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from apps.orders.life import as_markdown


class Command(BaseCommand):
    """Print the life of an order as a document."""

    help = "Print the table of order statuses and events as Markdown."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Print it."""
        self.stdout.write(as_markdown(), ending="")
