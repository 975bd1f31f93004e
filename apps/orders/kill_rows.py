"""The kill switch's rows: what happens on an account, written down as it happens."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.orders import queue
from apps.orders.services import Actor
from apps.risk.models import KillAccount, KillNote, KillStage

LOOK_AGAIN = dt.timedelta(seconds=2)


class TakenOver(Exception):
    """A later use of the kill switch has the row now: what this pass has found counts no more."""


def actor(row: KillAccount) -> Actor:
    """In whose name orders are cancelled and positions closed."""
    return Actor(name=f"kill switch #{row.run_id}", user=row.run.user)


def keep(row: KillAccount, **values: object) -> None:
    """Write what a pass has found. Raises ``TakenOver``: each use begins with work of its own."""
    mine = KillAccount.objects.filter(pk=row.pk, run_id=row.run_id)
    if not mine.update(**values):
        raise TakenOver(f"{row.account.name} is being stopped anew")
    for name, value in values.items():
        setattr(row, name, value)


def pause(row: KillAccount) -> None:
    """The next pass comes later, whatever becomes of this one."""
    keep(row, not_before=timezone.now() + LOOK_AGAIN)


def move(row: KillAccount, stage: KillStage, text: str) -> None:
    """On to another stage, and rung for at once."""
    keep(row, stage=stage, not_before=None, waits_since=None)
    say(row, f"{stage.label}: {text}")
    settle_alert(f"kill:{row.account.name}:waits", text)
    transaction.on_commit(partial(queue.ring_kill, row.pk))


def say(row: KillAccount, text: str, facts: dict[str, Any] | None = None) -> None:
    """What happens now, on the row and in its history; the same words again are no news."""
    if text[:400] == row.note:
        return
    with transaction.atomic():
        keep(row, note=text[:400])
        KillNote.objects.create(on=row, text=row.note, facts=facts or {})


def wait(row: KillAccount, why: str) -> None:
    """It can only wait; loudly once that takes long."""
    say(row, why)
    now = timezone.now()
    if row.waits_since is None:
        keep(row, waits_since=now)
    elif now - row.waits_since > dt.timedelta(seconds=settings.FLATTEN_LOUD_AFTER):
        text = f"the kill switch on {row.account.name} waits: {why}"
        raise_alert(f"kill:{row.account.name}:waits", text, Severity.CRITICAL)
