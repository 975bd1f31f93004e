"""Limits, decisions, permits, holds and the switch. History here is never edited or deleted."""

from apps.risk.models.approvals import Approval, Verdict
from apps.risk.models.decisions import Decision, Permit
from apps.risk.models.exits import ExitGoal, GoalNote, GoalState
from apps.risk.models.holds import Footing, Hold, OwnedPosition
from apps.risk.models.kills import KillAccount, KillNote, KillRun, KillStage
from apps.risk.models.policies import (
    OutsideTrade,
    RiskPolicy,
    _all_order_types,  # noqa: F401 - the first migration calls it by this name
    policy_defaults,
)
from apps.risk.models.switches import DESK, StateChange, SwitchState, TradingState

__all__ = [
    "DESK",
    "Approval",
    "Decision",
    "ExitGoal",
    "Footing",
    "GoalNote",
    "GoalState",
    "Hold",
    "KillAccount",
    "KillNote",
    "KillRun",
    "KillStage",
    "OutsideTrade",
    "OwnedPosition",
    "Permit",
    "RiskPolicy",
    "StateChange",
    "SwitchState",
    "TradingState",
    "Verdict",
    "policy_defaults",
]
