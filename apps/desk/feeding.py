"""What the live page's socket sends, read from the rows. Everything here talks to the database.

Each unit names the change number ``after`` which it comes. A page that is not there yet has missed
something and asks; numbers that a later change of the same unit has overtaken are no gap.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpRequest
from django.utils import timezone

from apps.desk import blotter, rights, switches
from apps.desk.blotter import Filters, Seen
from apps.desk.rights import Rights
from apps.desk.rows import html_of
from apps.desk.units import Unit
from apps.people import entry
from apps.people.entry import Step, step_of

Message = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """Messages to send, and what the page has seen once they arrived."""

    messages: list[Message]
    seen: Seen


def rights_of(scope: Mapping[str, Any]) -> Rights:
    """Read session, person and permissions anew: a log-out counts at once."""
    session = scope.get("session")
    request = HttpRequest()
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = store(session.session_key if session else None)
    user = get_user(request)
    staff = user.is_active and user.is_staff and step_of(user, request.session) is Step.IN
    return rights.of(user) if staff else Rights()


def touch(scope: Mapping[str, Any]) -> None:
    """The person used keys or pointer on the page. A session that is over stays over."""
    session = scope.get("session")
    store = import_module(settings.SESSION_ENGINE).SessionStore(
        session.session_key if session else None
    )
    if not entry.timed_out(store):
        entry.touch(store)
        with contextlib.suppress(UpdateError):
            store.save(must_create=False)


def parse_seen(told: object) -> Seen | None:
    """The change numbers that a page says it has; None when they cannot be read."""
    if not isinstance(told, dict):
        return None
    try:
        return {int(account): int(number) for account, number in told.items()}
    except (TypeError, ValueError):
        return None


def snapshot(filters: Filters, its: Rights) -> Message:
    """The whole page anew."""
    sheet = blotter.read(filters)
    return {
        "type": "snapshot",
        "rows": [_row(unit, its) for unit in sheet.units],
        "seq": sheet.seen,
        "full": sheet.full,
        "filters": filters.as_json(),
    }


def news(filters: Filters, seen: Seen, its: Rights) -> Batch | None:
    """What changed since ``seen``; None when the page had better be read anew."""
    found = blotter.changes(filters, seen)
    if found is None:
        return None
    last = dict(seen)
    messages = []
    for unit, shown in found.units:
        after = last.get(unit.account_id, 0)
        last[unit.account_id] = unit.seq
        row = _row(unit, its) if shown else _gone(unit)
        messages.append({"type": "row", "after": after, **row})
    skipped = {account: seq for account, seq in found.seen.items() if last.get(account) != seq}
    if skipped:
        messages.append({"type": "upto", "seq": skipped})
    return Batch(messages, found.seen)


def pulse() -> Message:
    """Proof that the page is live, with what is halted now."""
    return {
        "type": "pulse",
        "at": timezone.now().isoformat(),
        "banner": switches.banner_html(),
    }


def _row(unit: Unit, its: Rights) -> Message:
    return {**_gone(unit), "html": html_of(unit, its)}


def _gone(unit: Unit) -> Message:
    """The unit without its rows: the page's filters do not show it (any more)."""
    return {"id": unit.key, "account": unit.account_id, "seq": unit.seq, "html": None}
