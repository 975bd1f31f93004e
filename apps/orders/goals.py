"""Ask for a position to be closed, and take the wish back. ``flatten`` works it off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers.models import BrokerAccount, Instrument
from apps.orders import queue
from apps.orders.services import Actor, BadOrder
from apps.risk.models import ExitGoal, GoalNote, GoalState

OPEN = [GoalState.WORKING, GoalState.STOPPED]


Act = Callable[[ExitGoal, Actor, str], None]


class NotOpen(Exception):
    """The goal is over already."""


@dataclass(frozen=True, kw_only=True)
class Closing:
    """Which position is to come down to how many net units; ``owner`` empty is all of it.

    ``holdings``: what of it was delivered on an earlier day is to be sold, too.
    """

    account: BrokerAccount
    instrument: Instrument
    product: str
    owner: str = ""
    target: int = 0
    holdings: bool = False


def open_goal(wanted: Closing, actor: Actor, reason: str) -> ExitGoal:
    """The goal, new or open already: asking twice closes once. Raises ``BadOrder``."""
    if not reason.strip():
        raise BadOrder("reason", "say why, for the record")
    known = _open(wanted) or _open(replace(wanted, owner=""))
    if known is None:
        try:
            with transaction.atomic():
                known = _new(wanted, actor, reason)
                _supersede(known)
        except IntegrityError:
            known = _open(wanted)
            if known is None:
                raise
    if wanted.holdings and not known.holdings:
        text = "what was traded today is being closed already; ask for the holding after that"
        raise BadOrder("holding", text)
    if known.target != wanted.target:
        raise BadOrder("target", f"the position is being closed to {known.target} already")
    return known


def _open(wanted: Closing) -> ExitGoal | None:
    return ExitGoal.objects.filter(
        account=wanted.account,
        instrument=wanted.instrument,
        product=wanted.product,
        owner=wanted.owner,
        state__in=OPEN,
    ).first()


def _new(wanted: Closing, actor: Actor, reason: str) -> ExitGoal:
    deadline = timezone.now() + dt.timedelta(seconds=settings.FLATTEN_DEADLINE)
    goal = ExitGoal.objects.create(
        **vars(wanted),
        reason=reason[:300],
        actor=actor.name,
        user=actor.user,
        deadline_at=deadline,
    )
    say(goal, f"asked for by {actor.name}: {reason}")
    transaction.on_commit(partial(queue.ring_flatten, goal.account_id))
    return goal


def _supersede(goal: ExitGoal) -> None:
    """All of a position is to be closed: goals for parts of it would only be in the way."""
    if goal.owner:
        return
    parts = ExitGoal.objects.filter(
        account=goal.account, instrument=goal.instrument, product=goal.product, state__in=OPEN
    )
    for part in parts.exclude(pk=goal.pk):
        _end(part, GoalState.WITHDRAWN, f"all of the position is being closed by #{goal.pk}")


def withdraw(goal: ExitGoal, actor: Actor, reason: str) -> None:
    """Stop closing; what it has at work stays until somebody cancels it. Raises ``NotOpen``."""
    _end(goal, GoalState.WITHDRAWN, f"withdrawn by {actor.name}: {reason}")


def go_on(goal: ExitGoal, actor: Actor, reason: str) -> None:
    """A person has looked at a stopped goal: it works again. Raises ``NotOpen``."""
    stopped = ExitGoal.objects.filter(pk=goal.pk, state=GoalState.STOPPED)
    deadline = timezone.now() + dt.timedelta(seconds=settings.FLATTEN_DEADLINE)
    if not stopped.update(state=GoalState.WORKING, flips=0, proofs=[], deadline_at=deadline):
        raise NotOpen("it is not stopped")
    goal.refresh_from_db()
    say(goal, f"goes on, said {actor.name}: {reason}")
    settle_alert(f"goal:{goal.pk}:stopped", f"{actor.name} let it go on")
    queue.ring_flatten(goal.account_id)


def reach(goal: ExitGoal) -> None:
    """Two reads have proved it."""
    first, second = goal.proofs
    _end(
        goal,
        GoalState.REACHED,
        f"{goal.target} proved by reads begun at {first['as_of']} and {second['as_of']}",
        {"proofs": goal.proofs},
    )


def stop(goal: ExitGoal, why: str) -> None:
    """No further order for it until people have looked."""
    if ExitGoal.objects.filter(pk=goal.pk, state=GoalState.WORKING).update(state=GoalState.STOPPED):
        goal.state = GoalState.STOPPED
        say(goal, f"stopped: {why}")
        raise_alert(f"goal:{goal.pk}:stopped", f"closing {goal} stopped: {why}", Severity.CRITICAL)


def say(goal: ExitGoal, text: str, facts: dict[str, Any] | None = None) -> None:
    """What happens now, on the goal and in its history; the same words again are no news."""
    text = text[:400]
    if text == goal.note:
        return
    goal.note = text
    with transaction.atomic():
        ExitGoal.objects.filter(pk=goal.pk).update(note=text)
        GoalNote.objects.create(goal=goal, text=text, facts=facts or {})


def _end(goal: ExitGoal, state: GoalState, text: str, facts: dict[str, Any] | None = None) -> None:
    open_ones = ExitGoal.objects.filter(pk=goal.pk, state__in=OPEN)
    with transaction.atomic():
        if not open_ones.update(state=state, ended_at=timezone.now()):
            raise NotOpen("it is over already")
        goal.state = state
        say(goal, text, facts)
    for what in ("waits", "late", "stopped"):
        settle_alert(f"goal:{goal.pk}:{what}", text)
