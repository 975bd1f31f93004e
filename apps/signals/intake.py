"""Hear one signal: authenticate, read, store once, ring. Trading comes later, from the queue."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import Error, IntegrityError
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert
from apps.brokers.models import BrokerAccount
from apps.brokers.rows import insert_row
from apps.orders import queue
from apps.signals.models import Profile, Signal, SignalSource
from apps.signals.reading import read
from apps.signals.signing import Proof, Untrusted, authenticate
from apps.signals.wish import BadSignal, Wish, shown

log = structlog.get_logger(__name__)

ACT, ACT_AGAIN = "signals.act", "signals.act_again"
BELL_GRACE = dt.timedelta(seconds=1)
_KEPT_HEADERS = ("content-type", "user-agent", "webhook-id", "webhook-timestamp", "x-timestamp")


@dataclass(frozen=True)
class Answer:
    """What the sender gets to hear."""

    status: int
    body: dict[str, Any]


UNTRUSTED = Answer(401, {"error": "not authenticated"})
# How each profile is believed. A profile that is not here is not believed.
_BELIEVE = {Profile.SIGNED.value: authenticate}


def hear(source: SignalSource, headers: Mapping[str, str], raw: bytes) -> Answer:
    """Take one request of an enabled source. What is stored is answered 202, also when repeated."""
    now = timezone.now()
    window = dt.timedelta(seconds=source.window)
    try:
        believe = _BELIEVE.get(source.profile, _believe_nobody)
        proof = believe(headers, raw, source.secrets_in_force(now), now, window)
    except Untrusted as error:
        _complain(source, "a request could not be trusted", str(error))
        return UNTRUSTED
    try:
        signal = _signal(source, proof, read(raw), headers, raw)
    except BadSignal as error:
        known = Signal.objects.filter(source=source, dedupe_key=proof.key).first()
        if known is not None:
            return _again(known, raw)
        _complain(source, "a signed signal cannot be acted on", str(error))
        return Answer(400, {"error": "this signal cannot be acted on", "fields": error.fields})
    return _store(signal, raw, now)


def _believe_nobody(*_: object) -> Proof:
    raise Untrusted("the source has a profile that nobody can check")


def _signal(
    source: SignalSource, proof: Proof, wish: Wish, headers: Mapping[str, str], raw: bytes
) -> Signal:
    """The row to be. Account and test mode are fixed here: later edits do not redirect it."""
    body = raw.decode()
    if any(secret in body for secret in (source.secret, source.previous_secret) if secret):
        raise BadSignal({"body": "holds the source's secret: leave it out, and rotate it"})
    account = _account(source, wish)
    test = source.test_mode or wish.test_mode
    if test and account.environment == "live":
        raise BadSignal({"account": "a signal in test mode cannot go to a live account"})
    named = not proof.sender_id and wish.event_id
    return Signal(
        source=source,
        sender_id=proof.sender_id or wish.event_id or "",
        dedupe_key=f"event:{wish.event_id}" if named else proof.key,
        sent_at=proof.sent_at,
        body=body,
        body_hash=_hash(raw),
        headers={name: shown(headers[name]) for name in _KEPT_HEADERS if name in headers},
        account=account,
        intent=wish.intent,
        test=test,
        wish=wish.as_json(),
    )


def _account(source: SignalSource, wish: Wish) -> BrokerAccount:
    if wish.account in {None, source.account.name}:
        return source.account
    other = source.others.filter(name=wish.account).first()
    if other is None:
        raise BadSignal({"account": "is none that this source may use"})
    return other


def _store(signal: Signal, raw: bytes, now: dt.datetime) -> Answer:
    """One INSERT: the row and its key stand or fall together."""
    signal.received_at, signal.next_try_at = now, now + BELL_GRACE
    signal.tries = 1  # the bell that is about to ring
    try:
        insert_row(signal)
    except IntegrityError:
        key = {"source": signal.source, "dedupe_key": signal.dedupe_key}
        known = Signal.objects.filter(**key).first()
        if known is None:
            raise
        return _again(known, raw)
    queue.ring(ACT, signal.pk, exiting=signal.exiting)
    log.info("signal heard", signal=signal.pk, source=signal.source.name, intent=signal.intent)
    return Answer(202, {"id": signal.pk, "status": "received"})


def _again(known: Signal, raw: bytes) -> Answer:
    """The first answer; a different body under the same id is not acted on, and told."""
    if known.body_hash != _hash(raw):
        text = f"id {known.sender_id} came again with another body; the first one counts"
        _complain(known.source, "an id was used twice", text)
    return Answer(202, {"id": known.pk, "status": "received", "duplicate": True})


def _complain(source: SignalSource, what: str, why: str) -> None:
    """Tell the desk: an exit may be among what is turned away. Never breaks the answer."""
    log.warning("signal turned away", source=source.name, what=what, why=why)
    try:
        raise_alert(
            f"signals:{source.name}:{what}", f"{source.name}: {what}: {why}", Severity.WARNING
        )
    except Error:
        log.exception("alert not stored", source=source.name)


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
