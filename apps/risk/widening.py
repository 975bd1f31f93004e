"""The next version of an account's limits: tighter at once, wider with a second person."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from apps.brokers.models import BrokerAccount
from apps.risk import approvals
from apps.risk.approvals import CannotCarryOut, Facts, Kind
from apps.risk.models import Approval, OutsideTrade, RiskPolicy

KIND = "LIMITS"
LIMITS = (
    "max_order_quantity",
    "max_order_value",
    "max_open_orders",
    "max_data_age",
    "approval_above_value",
    "max_quote_age",
    "protection_percent",
    "stop_protection_percent",
    "price_band_percent",
    "check_margin",
    "refuse_unknown_margin",
    "on_outside_trade",
)


@transaction.atomic
def write(policy: RiskPolicy, user: User) -> Approval | None:
    """Store the version, or ask a second person when any limit becomes wider.

    Raises ``NotAllowed`` or ``NotOpen``.
    """
    last = _last(policy.account_id)
    if last is None or not wider(last, policy):
        _store(policy, last, user.get_username())
        return None
    payload = {
        "version": last.version,
        "from": _limits_of(last),
        "to": _limits_of(policy),
        "wider": wider(last, policy),
    }
    return approvals.request(KIND, policy.account.name, payload, user, policy.reason)


def wider(old: RiskPolicy, new: RiskPolicy) -> list[str]:
    """Names of the limits that would let more through."""
    names = [name for name in LIMITS if _number(new, name) > _number(old, name)]
    return names + (["order_types"] if set(new.order_types) - set(old.order_types) else [])


def _number(policy: RiskPolicy, name: str) -> Decimal:
    """No limit is the widest; a check that is on is tighter than one that is off."""
    value = getattr(policy, name)
    if name == "on_outside_trade":
        return Decimal(value != OutsideTrade.HALT)
    if isinstance(value, bool):
        return Decimal(not value)
    return Decimal("Infinity") if value is None else Decimal(value)


def _limits_of(policy: RiskPolicy) -> dict[str, Any]:
    told = {name: getattr(policy, name) for name in LIMITS}
    return {name: None if value is None else str(value) for name, value in told.items()} | {
        "order_types": list(policy.order_types)
    }


def _last(account_id: int) -> RiskPolicy | None:
    """The version in force; one writer at a time."""
    BrokerAccount.objects.select_for_update().get(pk=account_id)
    return RiskPolicy.objects.filter(account=account_id).order_by("-version").first()


def _store(policy: RiskPolicy, last: RiskPolicy | None, by: str) -> None:
    policy.version = last.version + 1 if last else 1
    policy.created_by = by[:150]
    policy.save(force_insert=True)


def _carry_out(approval: Approval) -> str:
    account = BrokerAccount.objects.get(name=approval.subject)
    last = _last(account.pk)
    if last is None or last.version != approval.payload["version"]:
        raise CannotCarryOut("the limits were changed since it was asked")
    policy = RiskPolicy(account=account, reason=approval.reason, **approval.payload["to"])
    _store(policy, last, f"{approval.requested_by}, approved by {approval.decided_by}")
    return f"{policy} is in force"


def _drop(approval: Approval, why: str) -> None:
    """Limits that nobody widens stay as they are."""


def _facts(approval: Approval) -> Facts:
    old, new = approval.payload["from"], approval.payload["to"]
    changed = [name for name in new if new[name] != old[name]]
    return [
        ("What", f"Wider limits for {approval.subject}"),
        *(
            (name.replace("_", " ").capitalize(), f"{_said(old[name])} → {_said(new[name])}")
            for name in changed
        ),
    ]


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "no limit" if value is None else str(value)


def register() -> None:
    """Make the kind known."""
    approvals.register(Kind(KIND, "Wider limits", "risk.add_riskpolicy", _carry_out, _drop, _facts))
