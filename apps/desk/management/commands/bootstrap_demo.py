"""manage.py bootstrap_demo"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.desk import demo


class Command(BaseCommand):
    """Make a first run usable."""

    help = "Create what a first run needs and has not: administrator, accounts, instruments."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Create what is missing and print how to sign in."""
        if settings.SIMEXCHANGE_URL:
            try:
                demo.import_instruments()
            except demo.NoExchange as error:
                raise CommandError(str(error)) from None
            demo.make_accounts()
            demo.make_source()
        made = demo.make_administrator()
        if made is None:
            self.stdout.write("Sign in with the user and password of the first start.")
            self.stdout.write("Lost it? .venv/bin/python manage.py changepassword admin")
            return
        name, password = made
        self.stdout.write(f"User      {name}")
        self.stdout.write(f"Password  {password}   (shown only this once)")
        for name, password in demo.make_people():
            self.stdout.write(f"Also      {name}  {password}")
