"""manage.py import_holidays"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from apps.brokers import calendar_edits, holiday_files
from apps.brokers.calendar_edits import Editor
from apps.brokers.holiday_files import BadFile, Imported
from apps.brokers.management.asking import show_example
from apps.brokers.models import Holiday
from apps.people.acting import acting, add_as

EXAMPLE = """\
python manage.py import_holidays nse-2027.csv --source "NSE CMTR80001"
  segments,date,kind,name,opens
  NSE_EQ NSE_FNO BSE_EQ BSE_FNO,26-Jan-2027,CLOSED,Republic Day,
  MCX_COMM,22-Mar-2027,MORNING_CLOSED,Holi,17:00"""


class Command(BaseCommand):
    """Take a holiday list in, whole or not at all."""

    help = (
        "Import holidays and special sessions from CSV or JSON. The whole file or nothing; what it "
        "does not name stays. A year counts once a person has confirmed it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, EXAMPLE)
        parser.add_argument("file", type=Path, help=f"columns: {', '.join(holiday_files.COLUMNS)}")
        parser.add_argument("--source", default="", help="source of lines that name none")
        parser.add_argument(
            "--confirm", action="store_true", help="confirm the years in the name of --as"
        )
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Read, store, say what changed, and confirm when asked to."""
        right = "brokers.confirm_calendaryear" if options["confirm"] else "brokers.add_holiday"
        name, person = acting(options["as_user"], right)
        if options["confirm"] and person is None:
            raise CommandError("--confirm needs --as: only a person can confirm a year.")
        try:
            content = options["file"].read_bytes()
            days = holiday_files.read(content, options["source"])
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}.") from None
        except BadFile as error:
            raise CommandError(f"{options['file']}: nothing was stored.\n{error}") from None
        done = self._store(days, Editor(name, person), person if options["confirm"] else None)
        self.stdout.write(f"{done}.")
        self._say_what_waits(done)

    @transaction.atomic
    def _store(self, days: list[Holiday], editor: Editor, confirming: User | None) -> Imported:
        """The days and, when a person confirms them, their years; all or nothing."""
        done = holiday_files.store(days, editor)
        try:
            if confirming is not None:
                for year in done.years:
                    calendar_edits.confirm(year, confirming)
        except ValidationError as error:
            raise CommandError(f"nothing was stored. {' '.join(error.messages)}") from None
        return done

    def _say_what_waits(self, done: Imported) -> None:
        for year in done.years:
            year.refresh_from_db()
        waiting = [str(year) for year in done.years if year.confirmed_at is None]
        if waiting:
            self.stdout.write(
                f"Entries are refused until a person confirms: {', '.join(waiting)} "
                "(Calendar, or --confirm --as USERNAME)."
            )
