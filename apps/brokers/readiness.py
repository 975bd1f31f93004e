"""Is an account ready to take entries? A list of named checks, computed anew at every look.

Readiness is not the switch: nobody turns it and nobody clears it. A check that is red stops new
entries through the risk rule ``Ready`` and clears itself as soon as its rows say otherwise. Exits
never ask.

**Adding a check** takes two steps. Write a class like those of ``apps/brokers/conditions.py``,
in the part of the house that knows the matter:

    class MasterFresh:
        name = "instruments"
        stops = True
        facts = {"read_at": Subquery(Instrument.objects.order_by("-updated_at")
                                     .values("updated_at")[:1])}

        def look(self, facts, now):
            if facts["read_at"] is None:
                return red("the instrument list was never read")
            ...
            return green("read today", since=facts["read_at"])

and name it in ``settings.READINESS_CHECKS``. ``facts`` are query expressions over the account
(``F("funds__as_of")``, ``Subquery(… OuterRef("pk") …)``); what they give must be a plain column
(text, number, time, flag). All checks together cost **one query**, compiled once per process,
because the gate asks inside its transaction: ``look`` must not query, call or wait. A check that
breaks is red. ``amber`` is shown and stops nothing: what is not known and is no danger, or trouble
that is still ahead. What must stop entries while it is not known says ``red``.

A check that only people need has ``stops = False``: the gate does not ask it, and it is never red.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol

import structlog
from django.conf import settings
from django.db import connection
from django.db.models.expressions import Combinable
from django.utils import timezone
from django.utils.module_loading import import_string

from apps.brokers.models import BrokerAccount

log = structlog.get_logger(__name__)

Facts = Mapping[str, Any]


class Light(StrEnum):
    """Red stops entries; amber and green do not."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check saw. ``since``: when this began, or when it was last seen to be so."""

    check: str = ""
    light: Light
    reason: str
    since: dt.datetime | None = None

    @property
    def age(self) -> float | None:
        """Seconds since ``since``; None when that is not known."""
        if self.since is None:
            return None
        return max((timezone.now() - self.since).total_seconds(), 0.0)


def green(reason: str, since: dt.datetime | None = None) -> Finding:
    """All is well."""
    return Finding(light=Light.GREEN, reason=reason, since=since)


def amber(reason: str, since: dt.datetime | None = None) -> Finding:
    """Not known, or trouble ahead; entries go on."""
    return Finding(light=Light.AMBER, reason=reason, since=since)


def red(reason: str, since: dt.datetime | None = None) -> Finding:
    """No entries until this is right."""
    return Finding(light=Light.RED, reason=reason, since=since)


class Check(Protocol):
    """One thing that must be right."""

    name: str
    facts: Mapping[str, Combinable]
    stops: bool

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """Judge the facts by their names; pure."""


class NoChecks(Exception):
    """The list of checks in the settings is empty or names something that is no check."""


@dataclass(frozen=True)
class _Plan:
    checks: tuple[Check, ...]
    sql: str
    params: tuple[Any, ...]


def check_list() -> tuple[Check, ...]:
    """The checks of the settings, in order. Raises ``NoChecks``."""
    return _plan(tuple(settings.READINESS_CHECKS), all_of_them=True).checks


@lru_cache(maxsize=8)
def _plan(paths: tuple[str, ...], *, all_of_them: bool) -> _Plan:
    checks = tuple(check for check in _load(paths) if all_of_them or check.stops)
    columns = {
        f"c{number}_{fact}": expression
        for number, check in enumerate(checks)
        for fact, expression in check.facts.items()
    }
    rows = BrokerAccount.objects.order_by().annotate(**columns).values("id", "name", *columns)
    sql, params = rows.query.sql_with_params()
    return _Plan(checks, sql, tuple(params))


def _load(paths: tuple[str, ...]) -> tuple[Check, ...]:
    if not paths:
        raise NoChecks("READINESS_CHECKS is empty")
    try:
        checks = tuple(import_string(path)() for path in paths)
    except (ImportError, TypeError) as error:
        raise NoChecks(f"READINESS_CHECKS cannot be loaded: {error}") from error
    for path, check in zip(paths, checks, strict=True):
        if not getattr(check, "name", "") or not callable(getattr(check, "look", None)):
            raise NoChecks(f"READINESS_CHECKS: {path} is not a check")
        if not isinstance(getattr(check, "stops", None), bool):
            raise NoChecks(f"READINESS_CHECKS: {path} must say whether it stops entries")
    return checks


def findings_of(account: BrokerAccount) -> list[Finding]:
    """What every check says of this account, in the order of the settings. One query."""
    return _looked(" WHERE id = %s", [account.pk]).get(account.name, [])


def findings_of_all() -> dict[str, list[Finding]]:
    """The same of every account, by name. One query."""
    return _looked(" ORDER BY name", [])


def reasons_against(account: BrokerAccount) -> tuple[str, ...]:
    """Why the account takes no entries now; empty when it does. One query."""
    try:
        rows = _looked(" WHERE id = %s", [account.pk], all_of_them=False)
    except NoChecks as error:
        return (str(error),)
    found = rows.get(account.name)
    if found is None:
        return ("the account is not known",)
    return tuple(f"{one.check}: {one.reason}" for one in found if one.light is Light.RED)


def _looked(tail: str, params: list[Any], *, all_of_them: bool = True) -> dict[str, list[Finding]]:
    plan = _plan(tuple(settings.READINESS_CHECKS), all_of_them=all_of_them)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({plan.sql}) AS seen{tail}", [*plan.params, *params])  # noqa: S608
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    now = timezone.now()
    return {str(row["name"]): _judge(plan.checks, row, now) for row in rows}


def _judge(checks: tuple[Check, ...], row: Facts, now: dt.datetime) -> list[Finding]:
    return [_ask(number, check, row, now) for number, check in enumerate(checks)]


def _ask(number: int, check: Check, row: Facts, now: dt.datetime) -> Finding:
    """A check that breaks is red: a reason not to trade is the only safe answer."""
    facts = {fact: row[f"c{number}_{fact}"] for fact in check.facts}
    try:
        found = check.look(facts, now)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        log.exception("check broke", check=check.name)
        found = red(f"could not be worked out ({type(error).__name__})")
    light = found.light if check.stops or found.light is not Light.RED else Light.AMBER
    return Finding(check=check.name, light=light, reason=found.reason, since=found.since)
