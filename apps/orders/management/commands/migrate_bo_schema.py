"""manage.py migrate_bo_schema"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, connection

from apps.brokers.management.asking import show_example
from apps.brokers.management.commands.import_instruments import Progress
from apps.brokers.models import BrokerAccount
from apps.brokers.storable import clean_text
from apps.orders.bracket_check import check_brackets
from apps.orders.legacy.carrying import NotMapped, Wish, carry
from apps.orders.legacy.report import Report, as_csv, as_json
from apps.orders.legacy.rollback import imports_of, take_back
from apps.orders.legacy.source import Refused, fingerprint, is_of
from apps.orders.legacy.tables import new_ids, renew_statistics
from apps.orders.legacy.words import ROLES
from apps.orders.models import LegacyImport
from apps.people.acting import acting, add_as

EXAMPLE = """\
python manage.py migrate_bo_schema copy.sqlite3 --map leader=main --map follower=second --dry-run
  python manage.py migrate_bo_schema copy.sqlite3 --map leader=main --report left.csv
  python manage.py migrate_bo_schema copy.sqlite3 --rollback
  python manage.py migrate_bo_schema"""
MOST_SHOWN = 20
_HASH = re.compile(r"[0-9a-f]{12,64}")
PERMISSION = "orders.add_legacyimport"


class LineEveryTwoSeconds(Progress):
    """One line that changes on a terminal; elsewhere a line every two seconds."""

    EVERY = 2.0


class Command(BaseCommand):
    """Bring a copy trader's database into the desk, take it back, or check the brackets."""

    help = (
        "Import a copy trader's SQLite database (schema 1, 2 or half-migrated) as history: all "
        "that fits, or nothing. The file is never written. Without a file: check the desk's own "
        "brackets and name legs that the broker's order book names. Exit code 1 when refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, EXAMPLE)
        parser.add_argument(
            "source", nargs="?", help="the file; with --rollback also its SHA-256 or its beginning"
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="leader=ACCOUNT",
            help="which account its leader, and its follower, is here",
        )
        parser.add_argument("--dry-run", action="store_true", help="do all of it, keep nothing")
        parser.add_argument("--rollback", action="store_true", help="take the file's import back")
        parser.add_argument(
            "--report", type=Path, help="where to write it: a name that ends in .csv or .json"
        )
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Do what is asked, with progress, and say what came of it."""
        _refuse_what_does_not_go_together(options)
        actor, user = acting(options["as_user"], PERMISSION)
        if options["source"] is None:
            self._check()
            return
        try:
            with _told_truly(lambda: False):
                self._do(options, actor, user)
        except NotMapped as error:
            wanted = " ".join(f"--map {role}=ACCOUNT" for role in error.roles)
            raise CommandError(f"{error}: add {wanted}. Accounts: {_names()}.") from None
        except Refused as error:
            raise CommandError(f"Refused; nothing was changed: {error}.", returncode=1) from None

    def _do(self, options: dict[str, Any], actor: str, user: User | None) -> None:
        path = Path(options["source"])
        _check_report(options["report"], path)
        if options["rollback"]:
            self._take_back(options, actor)
            return
        wish = Wish(
            path=path,
            given=clean_text(options["source"]),
            accounts=_accounts(options["map"]),
            actor=actor,
            user=user,
            keep=not options["dry_run"],
        )
        self._carry(wish, options["report"])

    def _carry(self, wish: Wish, where: Path | None) -> None:
        tell = LineEveryTwoSeconds()
        number = new_ids(LegacyImport, 1)[0]
        with _told_truly(LegacyImport.objects.filter(pk=number).exists):
            try:
                report = carry(wish, number, tell)
            finally:
                tell.end()
            self.stdout.write(summary(report))
            if where is not None:
                _write_report(report, where)
            if wish.keep and (why := renew_statistics()):
                self.stdout.write(f"  note: kept; the planner's figures are of before it: {why}")

    def _take_back(self, options: dict[str, Any], actor: str) -> None:
        source = options["source"]
        by_hash = not os.path.exists(source) and _HASH.fullmatch(source)
        sha256 = source if by_hash else fingerprint(Path(source)).sha256
        imports = imports_of(sha256)
        keys = [row.pk for row in imports]
        others = LegacyImport.objects.filter(path=clean_text(source)[:1000], rolled_back_at=None)
        others = others.exclude(pk__in=keys)
        if not imports:
            said = _other_files(others) or _past()
            raise Refused(f"no import of it is in the desk (SHA-256 {sha256[:12]}…). {said}")
        back = LegacyImport.objects.filter(pk__in=keys, rolled_back_at__isnull=False)
        with _told_truly(back.exists):
            taken = take_back(imports, actor, keep=not options["dry_run"])
        done = "Would take back" if options["dry_run"] else "Taken back"
        for row in taken.imports:
            self.stdout.write(f"{done}: import {row.pk}, {row}")
        for name, count in taken.rows.items():
            self.stdout.write(f"  {count:,} {name}")
        if others:
            self.stdout.write(f"  note: {_other_files(others)}")

    def _check(self) -> None:
        found = check_brackets()
        self.stdout.write(
            f"{found.brackets:,} brackets with {found.legs:,} legs checked, "
            f"{found.named:,} legs named from order books"
        )
        for text in found.unread:
            self.stdout.write(f"  not read: {text}")
        for text in found.breaks:
            self.stdout.write(f"  broken: {text}")
        if found.breaks or found.unread:
            raise CommandError(
                f"{len(found.breaks)} broken, {len(found.unread)} accounts not read.", returncode=1
            )


def summary(report: Report) -> str:
    """The file, the counts and the first rows that stayed behind."""
    facts = report.facts
    kept = "" if facts["kept"] else " (dry run: nothing was kept)"
    lines = [
        f"{facts['file']}, schema {facts['version']}, SHA-256 {facts['sha256'][:12]}…{kept}",
        f"  {'table':<20}{'read':>10}{'carried':>10}{'known':>10}{'left out':>10}",
    ]
    for table, count in report.counts.items():
        numbers = (count.read, count.carried, count.known, count.left_out)
        lines.append(f"  {table:<20}" + "".join(f"{number:>10,}" for number in numbers))
    lines += [f"  note: {note}" for note in report.notes[:MOST_SHOWN]]
    lines += [f"  left out: {r.table} {r.legacy_id}: {r.reason}" for r in report.left[:MOST_SHOWN]]
    more = len(report.left) - MOST_SHOWN
    if more > 0:
        lines.append(f"  … and {more:,} more: --report FILE.csv has them all")
    lines.append(f"  {facts['seconds']:.1f} s; the file is as it was")
    return "\n".join(lines)


@contextmanager
def _told_truly(changed: Callable[[], bool]) -> Iterator[None]:
    """Whatever breaks the work off, say what holds now: ``changed`` asks the database."""
    try:
        yield
    except KeyboardInterrupt:
        raise CommandError(f"Interrupted; {_what_holds(changed)}.", returncode=130) from None
    except Error as error:
        why = str(error).partition("\n")[0]
        text = f"The database did not take it; {_what_holds(changed)}: {why}."
        raise CommandError(text, returncode=1) from error


def _what_holds(changed: Callable[[], bool]) -> str:
    try:
        if not connection.is_usable():
            connection.close()
        return "it had been done, and holds" if changed() else "nothing was changed"
    except Error:
        return "look at Imports of other systems whether it was done"


def _check_report(where: Path | None, source: Path) -> None:
    """Raises ``CommandError`` when it cannot be written there, before anything is done."""
    if where is None:
        return
    if where.suffix not in {".csv", ".json"}:
        raise CommandError("--report: a name that ends in .csv or .json.")
    try:
        if is_of(source, where):
            raise CommandError(f"--report {where} would overwrite the SOURCE: name another file.")
        there = where.exists()
        where.open("a").close()
        if not there:
            where.unlink()
    except OSError as error:
        raise CommandError(f"--report {where} cannot be written: {error.strerror}.") from None
    except (RuntimeError, ValueError) as error:
        raise CommandError(f"--report {where} cannot be written: {error}.") from None


def _write_report(report: Report, where: Path) -> None:
    text = as_json(report) if where.suffix == ".json" else as_csv(report)
    try:
        where.write_text(text, encoding="utf-8")
    except OSError as error:
        said = f"The report could not be written to {where}: {error.strerror}. "
        raise CommandError(f"{said}What is above holds all the same.") from None


def _refuse_what_does_not_go_together(options: dict[str, Any]) -> None:
    if options["source"] == "":
        raise CommandError("SOURCE is empty: name the file, or leave it away for a check.")
    for name in ("map", "dry_run", "rollback", "report"):
        if options[name] and options["source"] is None:
            raise CommandError(f"--{name.replace('_', '-')} needs a SOURCE: name the file.")
    for name in ("map", "report"):
        if options[name] and options["rollback"]:
            raise CommandError(f"--{name} does not go with --rollback: leave it away.")


def _accounts(pairs: list[str]) -> dict[str, BrokerAccount]:
    """``leader=NAME`` and ``follower=NAME`` as accounts."""
    found: dict[str, BrokerAccount] = {}
    for pair in pairs:
        role, _, name = pair.partition("=")
        if role not in ROLES.values() or not name:
            raise CommandError(f"--map {pair!r}: write leader=ACCOUNT or follower=ACCOUNT.")
        if role in found:
            raise CommandError(f"--map {role} was said twice.")
        account = BrokerAccount.objects.filter(name=name).first()
        if account is None:
            raise CommandError(f"--map {pair}: there is no account {name!r}. Accounts: {_names()}.")
        if account in found.values():
            raise CommandError(f"--map {pair}: leader and follower cannot be one account.")
        found[role] = account
    return found


def _names() -> str:
    return ", ".join(BrokerAccount.objects.values_list("name", flat=True)) or "none yet"


def _other_files(imports: Iterable[LegacyImport]) -> str:
    """Imports of what lay under the same name when it said something else."""
    rows = [f"{row}: give --rollback {row.sha256[:12]}" for row in imports]
    return f"The file of this name was another one at {'; '.join(rows)}" if rows else ""


def _past() -> str:
    rows = LegacyImport.objects.filter(rolled_back_at=None)[:5]
    named = "; ".join(f"{row} (SHA-256 {row.sha256[:12]}…)" for row in rows)
    return f"Imports: {named}" if named else "Nothing has been imported"
