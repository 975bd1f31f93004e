"""manage.py import_instruments"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.importing import Busy, Wish, import_file, import_published, import_url
from apps.brokers.management.asking import show_example
from apps.brokers.models import BrokerKind, ImportOutcome, InstrumentImport

EXAMPLE = """\
python manage.py import_instruments
  python manage.py import_instruments --file api-scrip-master.csv
  python manage.py import_instruments --url https://images.dhan.co/api-data/api-scrip-master.csv"""


class Command(BaseCommand):
    """Import a broker's master file."""

    help = (
        "Import the broker's list of instruments: the published one, a file or another address. "
        "All of it or nothing; packed with gzip or not. Exit code 1 when it is refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, EXAMPLE)
        parser.add_argument("--broker", default="dhan", choices=BrokerKind.values)
        source = parser.add_mutually_exclusive_group()
        source.add_argument("--file", type=Path, help="a file of this machine")
        source.add_argument("--url", help="another address than the broker's own")
        layout = parser.add_mutually_exclusive_group()
        layout.add_argument(
            "--detailed",
            dest="layout",
            action="store_const",
            const="detailed",
            default="",
            help="the detailed file (with price limits, freeze quantities and ISINs); the default",
        )
        layout.add_argument(
            "--compact", dest="layout", action="store_const", const="compact", help="the short one"
        )
        parser.add_argument(
            "--even-if-fewer",
            action="store_true",
            help="accept a file without much of what the last one had, or in other units",
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Import, with progress, and say what changed."""
        wish = Wish(
            broker=options["broker"],
            layout=options["layout"],
            even_if_fewer=options["even_if_fewer"],
            actor="command",
        )
        tell = Progress()
        try:
            row = _import(options, wish, tell)
        except Busy as error:
            raise CommandError(f"{error}; try again when it is over.") from None
        finally:
            tell.end()
        self.stdout.write(summary(row))
        if row.outcome != ImportOutcome.APPLIED:
            raise CommandError(f"Refused; nothing was changed: {row.why}", returncode=1)


def _import(options: dict[str, Any], wish: Wish, tell: Progress) -> InstrumentImport:
    if options["file"]:
        return import_file(options["file"], wish, tell)
    if options["url"]:
        return import_url(options["url"], wish, tell)
    return import_published(wish, tell)


def summary(row: InstrumentImport) -> str:
    """What was read and changed, and what it cost this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    changes = (
        f"{row.rows:,} rows: {row.added:,} new, {row.changed:,} changed, "
        f"{row.unchanged:,} unchanged, {row.gone:,} gone, {row.reused:,} ids reused"
    )
    lines = [
        f"{row.source} ({row.layout or 'not read'})",
        f"  {changes}",
        f"  skipped: {row.left_out:,} left out, {row.doubtful:,} not understood",
        *(f"    {doubt}" for doubt in row.doubts),
        f"  {row.seconds:.1f} s, {peak:.0f} MB at most",
    ]
    return "\n".join(lines)


class Progress:
    """One line that changes on a terminal; elsewhere a line every few seconds."""

    EVERY = 3.0  # seconds

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = 0.0

    def __call__(self, text: str) -> None:
        """Say how far it is."""
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        elif time.monotonic() - self._last > self.EVERY:
            self._last = time.monotonic()
            sys.stderr.write(f"{text}\n")

    def end(self) -> None:
        """Leave a clean line."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
