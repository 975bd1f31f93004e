"""``manage.py rebuild_ledger``: make the position ledger anew from fills and entries."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.models import BrokerAccount, Instrument
from apps.orders import ledger
from apps.orders.ledger import Whose


class Command(BaseCommand):
    """Safe at any time: a row that is right stays as it is."""

    help = (
        "Count every owner's position anew from fills and opening entries, and say which rows "
        "were wrong. Example: manage.py rebuild_ledger --check"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The one option."""
        parser.add_argument(
            "--check", action="store_true", help="only compare; exit code 1 if a row is wrong"
        )

    def handle(self, *_: Any, check: bool, **__: Any) -> None:  # noqa: ANN401 - Django's own
        """Check or rebuild."""
        if not check:
            wrong = ledger.rebuild()
            for mine in wrong:
                self.stdout.write(f"{_named(mine)}: made anew")
            self.stdout.write(f"{len(wrong)} rows were wrong" if wrong else "every row was right")
            return
        found = ledger.check()
        for mine, figures in found:
            pairs = ", ".join(f"{name} {kept} is {true}" for name, (kept, true) in figures.items())
            self.stdout.write(f"{_named(mine)}: {pairs}")
        if found:
            raise CommandError(f"{len(found)} rows are wrong: manage.py rebuild_ledger mends them")
        self.stdout.write("every row is right")


def _named(mine: Whose) -> str:
    account = BrokerAccount.objects.get(pk=mine.account_id)
    instrument = Instrument.every.get(pk=mine.instrument_id)
    return f"{account} {instrument} {mine.product} of {mine.owner}"
