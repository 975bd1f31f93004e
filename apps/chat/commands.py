"""The commands: what each needs, does and answers. They run inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from apps.alerts import acknowledging
from apps.brokers.models import BrokerAccount
from apps.chat import words
from apps.people.typed import row_number
from apps.risk import resuming, switch
from apps.risk.approvals import NotAllowed, NotOpen
from apps.risk.models import DESK, TradingState

ALL = "all"
LONGEST_REASON = 300  # characters


class Refused(Exception):
    """It was understood and is not done; the text says why."""


class Misread(Exception):
    """It cannot be read; the text says what would be right."""


@dataclass(frozen=True)
class Command:
    """One command. ``takes`` are the words after it; ``permission`` is the one of the desk."""

    takes: str
    does: str
    permission: str
    run: Callable[[User, list[str]], str]


def _status(person: User, said: list[str]) -> str:
    return words.status()


def _positions(person: User, said: list[str]) -> str:
    return words.positions()


def _orders(person: User, said: list[str]) -> str:
    return words.orders()


def _help(person: User, said: list[str]) -> str:
    return "\n".join(f"{usage(name)}: {command.does}" for name, command in COMMANDS.items())


def _halt(person: User, said: list[str]) -> str:
    scope, reason = _scope_and_reason("halt", said)
    before = TradingState.objects.filter(scope=scope).first()
    try:
        change = switch.halt(scope, reason, f"{person}, over Telegram", person)
    except switch.NoRiskState as error:
        raise Refused(f"{error}: nothing can be sent for it anyway") from None
    if change is None and before is not None:
        since = f"{timezone.localtime(before.changed_at):%d %b %H:%M:%S}"
        return f"{_where(scope)} was HALTED already, since {since}: {before.reason}"
    left = words.working(Q() if scope == DESK else Q(account__name=scope))
    return (
        f"{_where(scope)} is HALTED: {reason}\n"
        f"No new entry leaves. Exits and cancels still go. "
        f"{left} order(s) still work at the broker: cancel them on the desk."
    )


def _resume(person: User, said: list[str]) -> str:
    scope, reason = _scope_and_reason("resume", said)
    try:
        approval = resuming.ask(scope, person, reason)
    except (switch.NoRiskState, NotAllowed, NotOpen) as error:
        raise Refused(str(error)) from None
    until = f"{timezone.localtime(approval.expires_at):%H:%M:%S}"
    return (
        f"Asked (approval {approval.pk}). {_where(scope)} stays as it is until somebody else "
        f"approves on the desk, at the latest at {until}."
    )


def _ack(person: User, said: list[str]) -> str:
    number = row_number(said[0]) if said else None
    if number is None:
        raise Misread(f"Say which: {usage('ack')}")
    if not acknowledging.acknowledge([number], person, " ".join(said[1:])):
        raise Refused(f"there is no open alert {said[0]}")
    return f"Alert {said[0]} is acknowledged. Nobody else is woken for it."


def _scope_and_reason(name: str, said: list[str]) -> tuple[str, str]:
    if len(said) < 2:
        raise Misread(f"Say which account and why: {usage(name)}")
    reason = " ".join(said[1:])[:LONGEST_REASON]
    if said[0].lower() == ALL:
        return DESK, reason
    account = BrokerAccount.objects.filter(name=said[0]).first()
    if account is None:
        names = ", ".join(BrokerAccount.objects.values_list("name", flat=True)) or "none yet"
        raise Misread(f"There is no account {said[0]}. Accounts: {names}; or say {ALL}.")
    return account.name, reason


def _where(scope: str) -> str:
    return "The whole desk" if scope == DESK else scope


def usage(name: str) -> str:
    """How the command is written."""
    return f"/{name} {COMMANDS[name].takes}".strip()


_TURN = "risk.change_tradingstate"
COMMANDS = {
    "status": Command("", "is all well, what may trade", "alerts.view_heartbeat", _status),
    "positions": Command("", "what is held", "brokers.view_positionsreport", _positions),
    "orders": Command("", "what may still trade", "orders.view_order", _orders),
    "halt": Command("ACCOUNT|all REASON", "stop entries at once", _TURN, _halt),
    "resume": Command("ACCOUNT|all REASON", "ask a second person to resume", _TURN, _resume),
    "ack": Command("ALERT [REASON]", "acknowledge an alert", acknowledging.PERMISSION, _ack),
    "help": Command("", "this list", "", _help),
}


def read(text: str, bot: str) -> tuple[str, list[str]]:
    """The command's name and the words after it. Raises ``Misread``."""
    first, *rest = text.split() or [""]
    name, _, meant_for = first.removeprefix("/").lower().partition("@")
    if not first.startswith("/") or name not in COMMANDS or (meant_for and meant_for != bot):
        raise Misread("Not understood. Say /help.")
    return name, rest
