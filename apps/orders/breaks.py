"""Breaks: differences that last. One is listed when two comparisons in a row have seen it alike.

Books, trades and positions are read at different moments, so a single difference may be nothing
but timing. What is still the same after the broker's settle time is not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers.models import BrokerAccount
from apps.orders.books import WHOLE_BOOK, Difference
from apps.orders.models import Break, BreakKind, BreakNote, Resolution, trading_day

Rows = QuerySet[Break]
DESK = "reconciliation"


class CannotResolve(Exception):
    """The break is in no state for this; the text says why."""


def compare(
    account: BrokerAccount,
    found: Iterable[Difference],
    suspects: dict[str, Any],
    now: dt.datetime,
    untold: Collection[BreakKind] = (),
) -> dict[str, Any]:
    """List what was suspected before and is still the same; the suspects for the next time.

    Only for reads that were all answered, begun at ``now``, when the account was quiet.
    ``untold``: kinds of which they prove nothing.
    """
    differences = {(one.kind.value, one.subject): one for one in found if one.kind not in untold}
    listed = {(row.kind, row.subject): row for row in _there(account)}
    still = [row for key, row in listed.items() if _is_same(row, differences.get(key))]
    Break.objects.filter(pk__in=[row.pk for row in still]).update(
        last_seen=now, times_seen=F("times_seen") + 1
    )
    lacking = any(kind == BreakKind.OURS_ONLY for kind, _ in differences)
    many = {BreakKind(kind) for kind, subject in differences if subject == WHOLE_BOOK}
    untold = many.union(untold)
    for key, row in listed.items():
        # A book that lacks an order of ours proves nothing of what it does not show.
        proves = BreakKind(row.kind) not in untold and (
            row.kind == BreakKind.POSITION or not lacking
        )
        if key not in differences and proves and _would_show(row, now):
            _gone(row)
    later = {}
    for key, one in differences.items():
        known = listed.get(key)
        if known is not None and _is_same(known, one):
            continue
        suspect = _suspected(one, suspects.get("|".join(key)), now)
        if suspect["times"] > 1 and _is_old(suspect, now):
            _list(account, known, one, suspect, now)
        else:
            later["|".join(key)] = suspect
    return later


def _would_show(row: Break, now: dt.datetime) -> bool:
    """True when books of ``now`` would still show the difference if it was there.

    Orders, trades, most positions and contracts that expire leave them over night, whether they
    agree or not. Then a person has to say how it was.
    """
    return not row.is_open or trading_day(row.last_seen) == trading_day(now)


def _there(account: BrokerAccount) -> Iterable[Break]:
    return Break.objects.filter(account=account, gone_at=None).select_related("account")


def _is_same(row: Break, one: Difference | None) -> bool:
    return one is not None and (row.ours, row.theirs) == (dict(one.ours), dict(one.theirs))


def _suspected(one: Difference, before: dict[str, Any] | None, now: dt.datetime) -> dict[str, Any]:
    figures = {"ours": dict(one.ours), "theirs": dict(one.theirs)}
    if before is None or {name: before[name] for name in figures} != figures:
        return {**figures, "since": now.isoformat(), "times": 1}
    return {**before, "times": before["times"] + 1}


def _is_old(suspect: dict[str, Any], now: dt.datetime) -> bool:
    since = dt.datetime.fromisoformat(suspect["since"])
    return now >= since + dt.timedelta(seconds=settings.SETTLE_TIME)


def _list(
    account: BrokerAccount,
    row: Break | None,
    one: Difference,
    suspect: dict[str, Any],
    now: dt.datetime,
) -> None:
    """A new row; or other figures for one that nobody has explained yet."""
    figures = f"{_said(one.ours)} here, {_said(one.theirs)} at the broker"
    with transaction.atomic():
        if row is not None:
            open_one = Break.objects.filter(pk=row.pk, resolution="")
            if open_one.update(
                ours=dict(one.ours), theirs=dict(one.theirs), last_seen=now, about=one.about
            ):
                _note(row, DESK, f"now {figures}")
                return
            # explained, perhaps just now, but this is something else
            _end(row, now, "other figures: a new break")
        made = Break.objects.create(
            account=account,
            kind=one.kind,
            subject=one.subject,
            about=one.about[:200],
            ours=dict(one.ours),
            theirs=dict(one.theirs),
            first_seen=dt.datetime.fromisoformat(suspect["since"]),
            last_seen=now,
            times_seen=suspect["times"],
        )
        _note(made, DESK, figures)
        raise_alert(_alert(made), f"{account.name}: {made}: {figures}", Severity.CRITICAL)


def _gone(row: Break) -> None:
    with transaction.atomic():
        now = timezone.now()
        _end(row, now, "the books agree")
        settle_alert(_alert(row), "the books agree")


def _end(row: Break, now: dt.datetime, text: str) -> None:
    there = Break.objects.filter(pk=row.pk, gone_at=None)
    there.filter(resolution="").update(resolution=Resolution.GONE, resolved_at=now)
    there.update(gone_at=now)
    _note(row, DESK, text)


def take_on(pk: int, user: User) -> Break:
    """This person looks after the break. Raises ``CannotResolve``."""
    with transaction.atomic():
        row = _open(pk)
        row.assigned_to = user
        row.save(update_fields=["assigned_to"])
        _note(row, user.get_username(), "takes it on")
    return row


def explain(pk: int, user: User, reason: str, seen: str) -> Break:
    """A person knows why; it stays listed until the books agree.

    ``seen`` are the ``figures`` that the person saw. Raises ``CannotResolve``.
    """
    with transaction.atomic():
        row = _open(pk)
        if row.figures != seen:
            raise CannotResolve("its figures are others by now, look at them again")
        row.resolution, row.reason = Resolution.EXPLAINED, reason
        row.resolved_by, row.resolved_at = user, timezone.now()
        row.save(update_fields=["resolution", "reason", "resolved_by", "resolved_at"])
        _note(row, user.get_username(), f"explained: {reason}")
        settle_alert(_alert(row), f"explained by {user.get_username()}: {reason}")
    return row


def _open(pk: int) -> Break:
    row = Break.objects.select_for_update(of=("self",)).select_related("account").get(pk=pk)
    if not row.is_open:
        raise CannotResolve(f"the break is {row.get_resolution_display().lower()} already")
    return row


def _note(row: Break, actor: str, text: str) -> None:
    BreakNote.objects.create(subject=row, actor=actor, text=text)


def _alert(row: Break) -> str:
    return f"break:{row.account.name}:{row.kind}:{row.subject}"


def _said(figures: Any) -> str:  # noqa: ANN401 - plain values
    return ", ".join(f"{name} {value}" for name, value in figures.items()) or "nothing"
