"""The switch: machines and one person may tighten it; relaxing it takes two people."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers.models import BrokerAccount
from apps.risk.models import (
    DESK,
    Approval,
    RiskPolicy,
    StateChange,
    SwitchState,
    TradingState,
    policy_defaults,
)

_TIGHTNESS = [SwitchState.ACTIVE, SwitchState.REDUCING, SwitchState.HALTED]


class CannotRelax(Exception):
    """Tightening was asked for, but the switch is already tighter."""


class NoRiskState(Exception):
    """The scope has no switch; nothing can be sent for it, and nothing can be halted."""


def equip(account: BrokerAccount) -> None:
    """Give a new account its switch and its first policy. Safe to repeat."""
    TradingState.objects.get_or_create(
        scope=account.name, defaults={"account": account, "switch": SwitchState.ACTIVE}
    )
    RiskPolicy.objects.get_or_create(account=account, version=1, defaults=policy_defaults())


def halt(scope: str, reason: str, actor: str, user: User | None = None) -> StateChange | None:
    """Halt one account (its name) or the whole desk (``desk``). None when it was halted already."""
    return tighten(scope, SwitchState.HALTED, reason, actor, user)


@transaction.atomic
def tighten(
    scope: str, to: SwitchState, reason: str, actor: str, user: User | None = None
) -> StateChange | None:
    """Turn the switch to ``to``; waits for sends that are being written down right now."""
    state = _locked(scope)
    if _TIGHTNESS.index(SwitchState(state.switch)) > _TIGHTNESS.index(to):
        raise CannotRelax(f"{scope} is {state.switch}, which is tighter than {to}")
    return _turn(state, to, reason, actor, user)


@transaction.atomic
def resume(approval: Approval) -> StateChange | None:
    """Turn the switch back to ACTIVE, as two people agreed. The database checks the approval."""
    maker, checker = approval.requested_by, approval.decided_by
    actor = f"{maker} asked, {checker} approved"
    reason = f"{approval.reason} / {approval.decision_reason}"[:300]
    state = _locked(approval.subject)
    return _turn(state, SwitchState.ACTIVE, reason, actor[:150], checker, approval)


def _locked(scope: str) -> TradingState:
    state = TradingState.objects.select_for_update().filter(scope=scope).first()
    if state is None:
        raise NoRiskState(f"{scope} has no risk state")
    return state


def _turn(
    state: TradingState,
    to: SwitchState,
    reason: str,
    actor: str,
    user: User | None,
    approval: Approval | None = None,
) -> StateChange | None:
    if state.switch == to:
        return None
    change = StateChange.objects.create(
        scope=state.scope,
        before=state.switch,
        after=to,
        reason=reason,
        actor=actor,
        user=user,
        approval=approval,
    )
    state.switch, state.reason, state.changed_at = to, reason, timezone.now()
    state.save(update_fields=["switch", "reason", "changed_at"])
    key = f"switch:{state.scope}"
    if to == SwitchState.ACTIVE:
        settle_alert(key, f"resumed: {actor}")
    else:
        where = "the whole desk" if state.scope == DESK else state.scope
        raise_alert(key, f"{where} is {to}: {reason} ({actor})", Severity.CRITICAL)
    return change
