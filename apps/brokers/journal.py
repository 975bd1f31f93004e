"""Write a call down before it leaves; write down once what became of it."""

from __future__ import annotations

import datetime as dt
import time
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.brokers.models import BrokerAccount, CallOutcome, Verb, WireCall
from apps.brokers.port import Accepted, NotSent, Outcome, Refused, Unknown
from apps.brokers.rows import insert_row, update_rows


def boot_clock() -> float:
    """Seconds since boot, counting suspend: a frozen machine cannot hide lost time from it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@lru_cache(maxsize=1)
def boot_id() -> str:
    """The kernel's name for this boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def moment() -> int:
    """A number that only ever grows, across processes: order without trusting any clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('brokers_moment')")
        return int(cursor.fetchone()[0])


def open_call(
    account: BrokerAccount,
    verb: Verb,
    what: str,
    *,
    budget: str,
    request: dict[str, Any] | None = None,
    correlation_id: str | None = None,
    permit: UUID | None = None,
    endpoint: str = "",
    not_after: dt.datetime | None = None,
) -> WireCall:
    """Insert the row of a call that is about to leave, with the right to transmit it.

    It goes to ``endpoint``, or to the account's own address when none is named. It leaves within
    ``SEND_WITHIN`` seconds, and before ``not_after`` if that is sooner.
    """
    now = timezone.now()
    seconds = settings.SEND_WITHIN
    if not_after is not None:
        seconds = max(min(seconds, (not_after - now).total_seconds()), 0.0)
    call = WireCall(
        account=account,
        verb=verb,
        what=what,
        budget=budget,
        request=request or {},
        correlation_id=correlation_id,
        permit=permit,
        endpoint=endpoint or account.rest_url,
        created_at=now,
        send_by=now + dt.timedelta(seconds=seconds),
        boot_id=boot_id(),
        boot_at=boot_clock(),
    )
    insert_row(call)
    deadline = call.boot_at + seconds
    # Only a committed row may leave, and only from the process that wrote it.
    transaction.on_commit(lambda: call.may_leave_until(deadline))
    return call


def outcome_columns(outcome: Outcome) -> dict[str, str]:
    """An outcome as columns of its journal row."""
    match outcome:
        case Accepted(broker_order_id=broker_order_id):
            return {"outcome": CallOutcome.ACCEPTED, "broker_order_id": broker_order_id}
        case Refused(code=code, text=text):
            return {"outcome": CallOutcome.REFUSED, "text": f"{code}: {text}"[:2000]}
        case NotSent(why=why):
            return {"outcome": CallOutcome.NOT_SENT, "text": why[:2000]}
        case Unknown(why=why):
            return {"outcome": CallOutcome.UNKNOWN, "text": why[:2000]}


def close_call(call: WireCall, **columns: Any) -> bool:  # noqa: ANN401 - columns of the row
    """Complete the row once. False when somebody else already did; theirs stands."""
    columns.setdefault("answered_at", timezone.now())
    if call.sent_at is not None:
        columns.setdefault("sent_at", call.sent_at)
    changed = update_rows(WireCall, columns, "id = %s AND outcome = ''", [call.pk])
    for name, value in columns.items():
        setattr(call, name, value)
    return changed == 1


def forget_old_reads(batch: int = 10_000) -> int:
    """Delete reads older than 30 days, which the database allows; what was sent stays for ever."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM brokers_wirecall WHERE id IN (SELECT id FROM brokers_wirecall"
            " WHERE verb = 'READ' AND created_at < now() - interval '31 days'"
            " ORDER BY id LIMIT %s)",
            [batch],
        )
        return int(cursor.rowcount)
