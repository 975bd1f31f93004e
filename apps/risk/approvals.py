"""Four eyes: one person asks, another decides, and what was agreed is done once.

A decision is recorded first and carried out in a second transaction, in which the rights of both
people and the state of the subject are read again. Locks: approval, then whatever it is about.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import Error, IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.risk.models import Approval, Verdict

log = structlog.get_logger(__name__)

DECIDE = "risk.decide_approval"
CARRY_OUT_WITHIN = dt.timedelta(seconds=60)  # an old yes is no yes
RETRY_AFTER = dt.timedelta(seconds=2)
Facts = list[tuple[str, object]]


class NotAllowed(Exception):
    """This person may not ask for it, or not decide it; the text says why."""


class NotOpen(Exception):
    """Nothing to decide any more, or it is asked for already; the text says which."""


class CannotCarryOut(Exception):
    """What was agreed no longer fits; the text says why."""


def _nothing(approval: Approval) -> None:
    return None


def _at_once(approval: Approval) -> AbstractContextManager[bool]:
    return nullcontext(enter_result=True)


@dataclass(frozen=True)
class Kind:
    """What one kind of approval is about. All but ``prepare`` and ``turn`` run inside the
    transaction.

    ``carry_out`` returns what it did or raises ``CannotCarryOut``; ``drop`` is told when nothing
    comes of it; ``prepare`` may talk to a broker, and so may ``turn``, which is held around the
    transaction: it yields False when it is not free, and the sweep tries again.
    """

    name: str
    label: str
    ask: str
    carry_out: Callable[[Approval], str]
    drop: Callable[[Approval, str], None]
    facts: Callable[[Approval], Facts]
    prepare: Callable[[Approval], None] = _nothing
    turn: Callable[[Approval], AbstractContextManager[bool]] = _at_once


_KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a kind known; each part of the house brings its own."""
    _KINDS[kind.name] = kind


def kind_of(approval: Approval) -> Kind:
    """The kind by its name."""
    return _KINDS[approval.kind]


def waiting() -> QuerySet[Approval]:
    """What somebody may decide now."""
    return Approval.objects.filter(decision="", expires_at__gt=timezone.now())


def request(kind: str, subject: str, payload: dict[str, Any], user: User, reason: str) -> Approval:
    """Ask. Raises ``NotAllowed``, and ``NotOpen`` when the same is asked for already."""
    if not _may(user, _KINDS[kind].ask):
        raise NotAllowed(f"{user} may not ask for this")
    overdue = Q(kind=kind, subject=subject, decision="", expires_at__lte=timezone.now())
    for late in Approval.objects.filter(overdue):
        _expire(late.pk)
    lifetime = dt.timedelta(seconds=settings.APPROVAL_LIFETIME)
    try:
        with transaction.atomic():
            approval = Approval.objects.create(
                kind=kind,
                subject=subject,
                payload=payload,
                requested_by=user,
                reason=reason[:300],
                expires_at=timezone.now() + lifetime,
            )
            _call_for_a_second_person(approval)
            return approval
    except IntegrityError as error:
        raise NotOpen("the same is waiting for an approval already") from error


def why_not(approval: Approval, user: User) -> str:
    """Why this person cannot decide it; empty when they can."""
    if approval.decision:
        return f"it is already {approval.get_decision_display().lower()}"
    if approval.requested_by_id == user.pk:
        return "you asked for it yourself: somebody else must decide"
    if not (user.is_staff and user.has_perm(DECIDE)):
        return "you may not decide approvals"
    return ""


def decide(approval_id: int, user: User, reason: str, *, approve: bool) -> Approval:
    """Record a decision and carry it out. Raises ``NotAllowed`` or ``NotOpen``."""
    record(approval_id, user, reason, approve=approve)
    return carry_out(approval_id)


def record(approval_id: int, user: User, reason: str, *, approve: bool) -> None:
    """Only the decision; ``carry_out`` follows, here or in the sweep."""
    if _expire(approval_id):
        raise NotOpen("it has expired")
    with transaction.atomic():
        approval = _locked(approval_id)
        why = why_not(approval, User.objects.get(pk=user.pk))
        if approval.decision or approval.expires_at <= timezone.now():
            raise NotOpen(why or "it has expired")
        if why:
            raise NotAllowed(why)
        _close(approval, Verdict.APPROVED if approve else Verdict.REFUSED, reason, user)


def withdraw(approval_id: int, name: str, reason: str) -> bool:
    """Take a request back. False when it was decided first."""
    with transaction.atomic():
        approval = _locked(approval_id)
        if approval.decision:
            return False
        _close(approval, Verdict.WITHDRAWN, f"{name}: {reason}")
    return True


def carry_out(approval_id: int) -> Approval:
    """Do what was approved, once. Being second is normal and does nothing."""
    approval = Approval.objects.get(pk=approval_id)
    if approval.decision != Verdict.APPROVED or approval.executed_at is not None:
        return approval
    with _ready(approval) as free:
        if not free:
            return approval
        with transaction.atomic():
            approval = _locked(approval_id)
            if approval.executed_at is None:
                _done(approval, _try(approval))
    return approval


def _ready(approval: Approval) -> AbstractContextManager[bool]:
    """What the kind needs around the transaction; nothing when it is too late to do it."""
    if _too_late(approval):
        return _at_once(approval)
    kind = kind_of(approval)
    kind.prepare(approval)
    return kind.turn(approval)


def _too_late(approval: Approval) -> bool:
    decided_at = approval.decided_at
    return decided_at is None or decided_at < timezone.now() - CARRY_OUT_WITHIN


def sweep() -> None:
    """Expire what nobody decided; carry out what was approved by somebody who then died."""
    now = timezone.now()
    overdue = Q(decision="", expires_at__lte=now)
    stuck = Q(decision=Verdict.APPROVED, executed_at=None, decided_at__lte=now - RETRY_AFTER)
    for approval in Approval.objects.filter(overdue | stuck).order_by("id")[:200]:
        try:
            if not _expire(approval.pk):
                carry_out(approval.pk)
        except Error:
            log.exception("approval skipped", approval=approval.pk)
        except Exception as error:
            log.exception("approval broke", approval=approval.pk)
            text = f"approval {approval.pk} of {approval.subject} broke: {type(error).__name__}"
            raise_alert(f"approval:{approval.pk}", text, Severity.CRITICAL)


def _try(approval: Approval) -> str:
    kind = kind_of(approval)
    try:
        _check_again(approval, kind)
        with transaction.atomic():
            return kind.carry_out(approval)
    except CannotCarryOut as error:
        kind.drop(approval, str(error))
        return f"not done: {error}"


def _check_again(approval: Approval, kind: Kind) -> None:
    """Both people may have lost their rights since they used them."""
    maker, checker = approval.requested_by, approval.decided_by
    if checker is None or checker.pk == maker.pk:
        raise CannotCarryOut("no second person has approved it")
    if _too_late(approval):
        raise CannotCarryOut("it could not be done in time after the approval")
    for person, permission in ((maker, kind.ask), (checker, DECIDE)):
        if not _may(person, permission):
            raise CannotCarryOut(f"{person} may no longer do this")


def _done(approval: Approval, result: str) -> None:
    approval.executed_at, approval.result = timezone.now(), result
    done = Approval.objects.filter(pk=approval.pk, executed_at=None).update(
        executed_at=approval.executed_at, result=result
    )
    if done != 1:
        raise RuntimeError(f"approval {approval.pk} was carried out twice")


def _call_for_a_second_person(approval: Approval) -> None:
    what = "; ".join(
        f"{name.lower()}: {value}" for name, value in kind_of(approval).facts(approval)
    )
    until = timezone.localtime(approval.expires_at)
    raise_alert(
        _alert_of(approval),
        f"{approval.requested_by} asks for a second person ({what}), because: {approval.reason}. "
        f"Decide on the desk until {until:%H:%M:%S}.",
    )


def _alert_of(approval: Approval) -> str:
    return f"approval:{approval.pk}"


def _close(approval: Approval, verdict: Verdict, reason: str, by: User | None = None) -> None:
    approval.decision, approval.decided_by = verdict, by
    approval.decided_at, approval.decision_reason = timezone.now(), reason[:400]
    approval.save(update_fields=["decision", "decided_by", "decided_at", "decision_reason"])
    settle_alert(_alert_of(approval), f"{approval.get_decision_display()} {by or ''}: {reason}")
    if verdict != Verdict.APPROVED:
        kind_of(approval).drop(approval, reason)


@transaction.atomic
def _expire(approval_id: int) -> bool:
    approval = _locked(approval_id)
    if approval.decision or approval.expires_at > timezone.now():
        return False
    _close(approval, Verdict.EXPIRED, "nobody decided in time")
    return True


def _locked(approval_id: int) -> Approval:
    rows = Approval.objects.select_for_update(of=("self",))
    return rows.select_related("requested_by", "decided_by").get(pk=approval_id)


def _may(user: User, permission: str) -> bool:
    """By the rights of now: a user object keeps the ones it once read."""
    person = User.objects.get(pk=user.pk)
    return person.is_staff and person.has_perm(permission)
