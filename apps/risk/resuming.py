"""Clearing a halt: anybody with the right may ask, a second person clears it."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from apps.risk import approvals, switch
from apps.risk.approvals import CannotCarryOut, Facts, Kind, NotOpen
from apps.risk.models import (
    DESK,
    Approval,
    KillAccount,
    KillRun,
    KillStage,
    SwitchState,
    TradingState,
)

KIND = "RESUME"


def ask(scope: str, user: User, reason: str) -> Approval:
    """Ask that a switch be turned back to ACTIVE. Raises ``NotAllowed`` or ``NotOpen``."""
    state = TradingState.objects.filter(scope=scope).first()
    if state is None:
        raise switch.NoRiskState(f"{scope} has no risk state")
    if state.switch == SwitchState.ACTIVE:
        raise NotOpen(f"{scope} is not halted")
    return approvals.request(KIND, scope, _seen(state), user, reason)


def _seen(state: TradingState) -> dict[str, str]:
    return {
        "switch": state.switch,
        "since": state.changed_at.isoformat(),
        "because": state.reason,
    }


def _carry_out(approval: Approval) -> str:
    passed_by = _passed_by(approval.subject)  # locked before the desk's, as the gate does
    state = TradingState.objects.select_for_update().filter(scope=approval.subject).first()
    if state is None or _seen(state) != approval.payload:
        raise CannotCarryOut("the switch was turned again since it was asked")
    its = Q(scope=approval.subject) | Q(accounts__account__name=approval.subject)
    if KillRun.objects.filter(its, started_at__gt=approval.requested_at).exists():
        raise CannotCarryOut("the kill switch was pulled since it was asked")
    still = still_killing(approval.subject)
    if still:
        raise CannotCarryOut(still)
    for one in passed_by:
        why = "the desk is resumed, and the kill switch is still at work here"
        switch.halt(one.scope, why, "desk")
    return str(switch.resume(approval))


def still_killing(scope: str) -> str:
    """Why the scope cannot be resumed yet: its kill switch has not done its work. Empty: it has.

    An account that is disabled holds nobody up but itself.
    """
    its = Q(account__enabled=True) if scope == DESK else Q(account__name=scope)
    found = _at_work().filter(its).select_related("account").first()
    return f"the kill switch is still at work on {found}" if found else ""


def _at_work() -> QuerySet[KillAccount]:
    done = [KillStage.LOCKED, KillStage.CLEARING, KillStage.CLEARED]
    return KillAccount.objects.exclude(stage__in=done)


def _passed_by(scope: str) -> list[TradingState]:
    """Switches of disabled accounts that are still being stopped while the desk is resumed.

    Each is halted by itself: enabled again, it must not trade while an old kill goes on.
    """
    if scope != DESK:
        return []
    theirs = _at_work().filter(account__enabled=False)
    states = TradingState.objects.select_for_update()
    return list(states.filter(account__in=theirs.values("account")).order_by("scope"))


def _drop(approval: Approval, why: str) -> None:
    """A switch that nobody turns stays as it is."""


def _facts(approval: Approval) -> Facts:
    where = "the whole desk" if approval.subject == DESK else approval.subject
    return [
        ("What", f"Resume {where}"),
        ("Is now", approval.payload["switch"]),
        ("Halted because", approval.payload["because"] or "–"),
    ]


def register() -> None:
    """Make the kind known."""
    approvals.register(Kind(KIND, "Resume", "risk.change_tradingstate", _carry_out, _drop, _facts))
