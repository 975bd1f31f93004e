"""The kill switch: halt, cancel, close, prove, turn the broker's own, stay locked.

Every pass looks at orders and positions as they are, so it goes on wherever it was stopped. Nothing
of it relaxes anything: that is for two people (``risk.resuming``), and only once it has done its
work.
"""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers.locks import turn_if_free
from apps.brokers.models import BrokerAccount
from apps.brokers.port import ReadFailed
from apps.orders import kill_rows, queue
from apps.orders.kill_rows import TakenOver
from apps.orders.kill_steps import STEPS
from apps.orders.services import Actor
from apps.risk import switch
from apps.risk.models import (
    DESK,
    KillAccount,
    KillRun,
    KillStage,
)

log = structlog.get_logger(__name__)


_ANEW: dict[str, Any] = {
    "stage": KillStage.STOPPING,
    "proofs": [],
    "tries": 0,
    **dict.fromkeys(("orders_left", "positions_left", "not_before")),
    **dict.fromkeys(("stopped_at", "proved_at", "locked_at", "cleared_at")),
}
"""What an account has that begins anew. Since when it waits, stays: asking again is no news."""


class CannotKill(Exception):
    """What was asked cannot be done; the text says what would be right."""


def kill(
    scope: str, actor: Actor, reason: str, *, with_positions: bool, drill: bool = False
) -> KillRun:
    """Halt now, whatever becomes of the rest; then leave rows that the passes work off.

    ``scope`` is an account's name or ``desk``. A drill touches simulated accounts alone. Raises
    ``CannotKill``.
    """
    if not reason.strip():
        raise CannotKill("say why, for the record")
    accounts = _accounts(scope, drill=drill)
    scopes = [account.name for account in accounts] if drill else [scope]
    _halt(scopes, actor, reason)
    deadline = timezone.now() + dt.timedelta(seconds=settings.FLATTEN_DEADLINE)
    with transaction.atomic():
        _halt(scopes, actor, reason)  # nobody resumes between the halt and the rows
        run = KillRun.objects.create(
            scope=scope,
            flatten=with_positions,
            drill=drill,
            reason=reason[:300],
            actor=actor.name,
            user=actor.user,
            deadline_at=deadline,
        )
        for account in accounts:
            _begin(run, account)
    return run


def _halt(scopes: list[str], actor: Actor, reason: str) -> None:
    for scope in scopes:
        switch.halt(scope, f"kill switch: {reason}"[:300], actor.name, actor.user)


def _accounts(scope: str, *, drill: bool) -> list[BrokerAccount]:
    every = BrokerAccount.objects.filter(risk_state__isnull=False).order_by("name")
    found = list(every if scope == DESK else every.filter(name=scope))
    if drill:
        found = [account for account in found if account.environment == "paper"]
        if not found:
            raise CannotKill("a drill needs a simulated account")
    if not found and scope != DESK:
        raise CannotKill(f"there is no account {scope!r} with a switch")
    return found


def _begin(run: KillRun, account: BrokerAccount) -> None:
    """A row of this account. One that is under way begins anew, for this run, closing if asked."""
    BrokerAccount.objects.select_for_update(no_key=True).get(pk=account.pk)  # one at a time
    rows = KillAccount.objects.select_for_update().filter(account=account)
    row = rows.exclude(stage=KillStage.CLEARED).first()
    if row is None:
        row = KillAccount.objects.create(run=run, account=account, flatten=run.flatten)
    else:
        flatten = row.flatten or run.flatten
        KillAccount.objects.filter(pk=row.pk).update(run=run, flatten=flatten, **_ANEW)
        row.refresh_from_db()
    said = f"#{run.pk}: halted by {run.actor}: {run.reason}"
    kill_rows.say(row, said, {"run": run.pk})
    transaction.on_commit(partial(queue.ring_kill, row.pk))


def due() -> list[KillAccount]:
    """Accounts on which there is something to do or to watch."""
    now = timezone.now()
    at_hand = Q(not_before=None) | Q(not_before__lte=now)
    open_ones = KillAccount.objects.filter(at_hand).exclude(stage=KillStage.CLEARED)
    return list(open_ones.select_related("account", "run"))


def advance_due() -> None:
    """One pass over every account that is being stopped."""
    for row in due():
        advance(row.pk)


def advance(row_id: int) -> None:
    """One pass over one account; one at a time. What breaks is told and tried again."""
    row = KillAccount.objects.select_related("account", "run").get(pk=row_id)
    with turn_if_free(f"kill:{row.account.name}") as mine:
        if not mine:
            return
        row.refresh_from_db()
        try:
            if row.stage in STEPS:
                _step(row)
        except TakenOver as error:
            log.info("taken over", account=row.account.name, why=str(error))
            return
        except Exception as error:
            log.exception("kill switch broke", account=row.account.name)
            text = f"the kill switch broke on {row.account.name}: {type(error).__name__}"
            raise_alert(f"kill:{row.account.name}:broke", text, Severity.CRITICAL)
        _watch_deadline(row)


def _step(row: KillAccount) -> None:
    try:
        STEPS[KillStage(row.stage)](row)
    except ReadFailed as error:
        kill_rows.wait(row, f"the broker's books cannot be read: {error}")


def _watch_deadline(row: KillAccount) -> None:
    """Not locked by the deadline is the loudest alarm there is."""
    done = row.stage in {KillStage.LOCKED, KillStage.CLEARING, KillStage.CLEARED}
    if done:
        settle_alert(f"kill:{row.account.name}:late", row.note)
    elif row.run.deadline_at <= timezone.now():
        text = f"{row.account.name} is not stopped by its deadline: {row.note}"
        raise_alert(f"kill:{row.account.name}:late", text, Severity.CRITICAL)
