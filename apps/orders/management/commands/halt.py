"""manage.py halt"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.management.asking import find_account, show_example
from apps.orders import killing
from apps.orders.killing import CannotKill
from apps.orders.services import Actor
from apps.people.acting import acting, add_as
from apps.risk.models import DESK, KillAccount, KillRun, KillStage
from apps.risk.switch import NoRiskState, halt

ENDED = (KillStage.LOCKED, KillStage.CLEARING, KillStage.CLEARED)
EXAMPLE = """\
python manage.py halt paper-1 --reason "wrong prices"
      python manage.py halt --all --flatten --wait --reason "the feed is wrong\""""


class Command(BaseCommand):
    """Stop entries at once; with --cancel or --flatten, everything."""

    help = (
        "Halt one account or the whole desk: entries stop at once, exits and cancels go on. "
        "--cancel and --flatten pull the kill switch. Exit code 1 when --wait ends too early."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, EXAMPLE)
        parser.add_argument("account", nargs="?", help="name of the account")
        parser.add_argument("--all", action="store_true", help="the whole desk")
        parser.add_argument("--cancel", action="store_true", help="cancel every order, and lock")
        parser.add_argument("--flatten", action="store_true", help="cancel and close, and lock")
        parser.add_argument("--drill", action="store_true", help="simulated accounts alone")
        parser.add_argument("--wait", action="store_true", help="show progress until it is locked")
        parser.add_argument("--timeout", type=float, default=300, help="seconds to wait")
        parser.add_argument("--reason", required=True, help="why, for the record")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Turn the switch and say what it is now."""
        if bool(options["account"]) == options["all"]:
            raise CommandError("Name one account, or say --all for the whole desk.")
        kills = options["cancel"] or options["flatten"]
        if (options["drill"] or options["wait"]) and not kills:
            raise CommandError("--drill and --wait need --cancel or --flatten.")
        name, person = acting(options["as_user"], "risk.change_tradingstate")
        scope = DESK if options["all"] else find_account(options["account"]).name
        actor = Actor(name=name, user=person)
        if kills:
            self._kill(scope, actor, options)
        else:
            self._halt(scope, actor, options["reason"])

    def _halt(self, scope: str, actor: Actor, reason: str) -> None:
        try:
            change = halt(scope, reason, actor.name, actor.user)
        except NoRiskState as error:
            raise CommandError(f"{error}: nothing can be sent for it anyway.") from None
        where = "The whole desk" if scope == DESK else scope
        said = "is halted" if change else "was halted already"
        self.stdout.write(f"{where} {said}. Entries stop; exits and cancels go on.")

    def _kill(self, scope: str, actor: Actor, options: dict[str, Any]) -> None:
        closes, drill = options["flatten"], options["drill"]
        try:
            run = killing.kill(scope, actor, options["reason"], with_positions=closes, drill=drill)
        except (CannotKill, NoRiskState) as error:
            raise CommandError(f"{error}.") from None
        self.stdout.write(f"Halted. Kill switch {run}; the desk shows its progress.")
        if options["wait"] and not self._wait(run, options["timeout"]):
            raise CommandError("Not locked yet; it goes on.", returncode=1)

    def _wait(self, run: KillRun, timeout: float) -> bool:
        """Print every change until all accounts are locked; False when the time is up."""
        deadline, shown = time.monotonic() + timeout, dict[int, str]()
        while True:
            rows = list(run.rows)
            for row in rows:
                said = f"{row.account.name}: {row.get_stage_display()}. {row.note}"
                if shown.get(row.pk) != said:
                    shown[row.pk] = said
                    self.stdout.write(said)
            if all(row.stage in ENDED for row in rows):
                self._report(run, rows)
                return True
            if time.monotonic() > deadline:
                return False
            pause(0.5)

    def _report(self, run: KillRun, rows: list[KillAccount]) -> None:
        for row in rows:
            times = {"stopped": row.stopped_at, "proved": row.proved_at, "locked": row.locked_at}
            said = [f"{what} after {_seconds(run, at)}" for what, at in times.items() if at]
            self.stdout.write(f"{row.account.name}: {', '.join(said)}")


def _seconds(run: KillRun, at: dt.datetime) -> str:
    return f"{(at - run.started_at).total_seconds():.1f} s"


def pause(seconds: float) -> None:
    """Between two looks."""
    time.sleep(seconds)
