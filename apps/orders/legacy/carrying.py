"""Carry a copy trader's file into the desk: all of it that fits, in one transaction, or nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from apps.brokers.locks import turn_if_free
from apps.brokers.models import BrokerAccount
from apps.orders.legacy import schema
from apps.orders.legacy.contracts import Contracts, Key, Said
from apps.orders.legacy.keeping import Keeper
from apps.orders.legacy.past_brackets import PastBrackets
from apps.orders.legacy.past_orders import PastOrders
from apps.orders.legacy.report import Report
from apps.orders.legacy.rows import check_storable, name_of
from apps.orders.legacy.schema import INSTRUMENTS, LEGS, ORDERS, Layout
from apps.orders.legacy.source import Fingerprint, Refused, opened
from apps.orders.legacy.tables import Filling, new_ids, take_time
from apps.orders.legacy.traded import Traded
from apps.orders.legacy.words import ROLES, CannotCarry
from apps.orders.models import LeftOut, LegacyImport

Tell = Callable[[str], None]
Chunk = list[tuple[str, dict[str, Any]]]
TURN = "import of another system"
_AT_ONCE = 10_000  # rows left out


@dataclass(frozen=True)
class Wish:
    """What to carry. ``accounts`` by the file's own words, leader and follower."""

    path: Path
    given: str
    accounts: dict[str, BrokerAccount]
    actor: str
    user: User | None = None
    keep: bool = True


class NotMapped(Refused):
    """The file speaks of accounts that nobody said which they are."""

    def __init__(self, roles: list[str]) -> None:
        super().__init__(f"nobody said which account the file's {' and '.join(roles)} is")
        self.roles = roles


def carry(wish: Wish, number: int, tell: Tell) -> Report:
    """Carry the file, or with ``keep`` False do all of it and undo it again.

    ``number`` is a new key of ``LegacyImport``: what has it afterwards was kept.
    Raises ``Refused`` when the file as a whole cannot be carried; then nothing was kept.
    """
    began, at = time.monotonic(), timezone.now()
    with turn_if_free(TURN) as mine:
        if not mine:
            raise Refused("another import or rollback is under way; try again when it is over")
        with transaction.atomic():
            take_time()
            tell(f"{wish.path.name}: reading every page")
            with opened(wish.path) as (database, was):
                report, contracts = _carry_all(wish, number, database, tell)
            report.facts |= {"at": at, "seconds": round(time.monotonic() - began, 2)}
            report.facts |= _facts(wish, was)
            tell("checking that everything holds together")
            _record(wish, report, contracts, number)
            if not wish.keep:
                transaction.set_rollback(True)
    report.facts["seconds"] = round(time.monotonic() - began, 2)
    return report


def _carry_all(
    wish: Wish, number: int, database: sqlite3.Connection, tell: Tell
) -> tuple[Report, Contracts]:
    layout = schema.layout_of(database)
    _check_accounts(wish, database, layout)
    report = Report(notes=list(layout.notes), facts={"version": layout.version})
    contracts = Contracts(_named(database, layout))
    keeper = Keeper(number, wish.accounts, report)
    orders = PastOrders(keeper, contracts, wish, Traded(database, layout))
    each = partial(_each_chunk, database, report, tell)
    each(ORDERS, orders.take)
    orders.tell_of_today()
    brackets = PastBrackets(keeper, orders)
    if LEGS in layout.tables:
        each(LEGS, brackets.take)
    brackets.finish()
    for table in schema.KEPT:
        if table in layout.tables:
            each(table, partial(keeper.take, orders, table))
    keeper.tell_of_cuts()
    for table in layout.strangers:
        each(table, partial(_leave, report, table))
    return report, contracts


def _each_chunk(
    database: sqlite3.Connection,
    report: Report,
    tell: Tell,
    table: str,
    take: Callable[[Chunk], None],
) -> None:
    total, done = schema.count_of(database, table), 0
    report.of(table)
    for chunk in schema.rows_of(database, table):
        report.read(table, len(chunk))
        take(chunk)
        done += len(chunk)
        tell(f"{table}: {done:,} of {total:,} rows")


def _leave(report: Report, table: str, chunk: Chunk) -> None:
    for name, _row in chunk:
        report.leave(table, name, "this command does not know its table")


def _check_accounts(wish: Wish, database: sqlite3.Connection, layout: Layout) -> None:
    """Every account that the file speaks of must have been named."""
    spoken = set()
    for table in (ORDERS, LEGS):
        if "account_type" in layout.tables.get(table, ()):
            rows = database.execute(f"SELECT DISTINCT account_type FROM {table} NOT INDEXED")  # noqa: S608
            spoken |= {ROLES.get(str(role).strip().upper(), "") for (role,) in rows}
    missing = sorted(spoken - {""} - set(wish.accounts))
    if missing:
        raise NotMapped(missing)


def _named(database: sqlite3.Connection, layout: Layout) -> dict[Key, Said]:
    """The file's own words about instruments, by segment and id; two that differ say nothing."""
    columns = layout.tables.get(INSTRUMENTS, [])
    if not {"security_id", "exchange_segment"} <= set(columns):
        return {}
    named: dict[Key, Said] = {}
    twice = set()
    for chunk in schema.rows_of(database, INSTRUMENTS):
        for _name, row in chunk:
            try:
                check_storable(row)
            except CannotCarry:
                continue
            key = (str(row["exchange_segment"]).strip().upper(), name_of(row["security_id"]))
            said = Said.of(row)
            if named.setdefault(key, said) != said:
                twice.add(key)
    return {key: said for key, said in named.items() if key not in twice}


def _facts(wish: Wish, was: Fingerprint) -> dict[str, Any]:
    return {
        "file": wish.given,
        "sha256": was.sha256,
        "beside": was.beside,
        "bytes": was.size,
        "accounts": {role: account.name for role, account in wish.accounts.items()},
        "kept": wish.keep,
    }


def _record(wish: Wish, report: Report, contracts: Contracts, number: int) -> None:
    """The import itself, and every row that stayed behind; then all keys are checked at once."""
    facts = report.facts
    LegacyImport.objects.create(
        pk=number,
        at=facts["at"],
        actor=wish.actor,
        user=wish.user,
        path=wish.given[:1000],
        sha256=facts["sha256"],
        beside=facts["beside"],
        size=facts["bytes"],
        version=facts["version"],
        accounts=facts["accounts"],
        counts=report.plain_counts(),
        notes=report.notes,
        instruments=contracts.made,
        seconds=facts["seconds"],
    )
    behind = Filling(LeftOut, left_by_id=number)
    ids = new_ids(LeftOut, len(report.left))
    for number, (pk, row) in enumerate(zip(ids, report.left, strict=True), 1):
        behind.add(id=pk, table=row.table, legacy_id=row.legacy_id, reason=row.reason)
        if number % _AT_ONCE == 0:
            behind.write()
    behind.write()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
