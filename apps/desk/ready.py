"""The ready-to-trade board: may each account take entries now, and what mends it if not.

A fixed number of queries, however many accounts and checks there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from apps.brokers import readiness
from apps.brokers.models import BrokerAccount
from apps.brokers.readiness import Finding, Light
from apps.risk.models import DESK, SwitchState, TradingState


@dataclass(frozen=True)
class Way:
    """Where a person mends what a check found, in words and as an address."""

    text: str
    address: str


@dataclass(frozen=True)
class Row:
    """One check of one account."""

    finding: Finding
    way: Way | None


@dataclass(frozen=True)
class Board:
    """One account. ``closed`` says who has stopped its entries, ``reds`` what would stop them."""

    account: BrokerAccount
    closed: tuple[str, ...]
    rows: list[Row]

    @property
    def reds(self) -> list[Finding]:
        """Checks that stop entries."""
        return [row.finding for row in self.rows if row.finding.light is Light.RED]

    @property
    def ready(self) -> bool:
        """Nothing stops entries."""
        return not self.closed and not self.reds

    @property
    def tone(self) -> str:
        """The account as a colour class: alarm is what went wrong by itself."""
        if self.reds:
            return "alarm"
        return "wait" if self.closed else "good"

    @property
    def sentence(self) -> str:
        """The account's state in words."""
        if self.ready:
            return "Takes entries"
        why = [*(red.check for red in self.reds), *self.closed]
        return f"No entries: {', '.join(why)}"


def _at(name: str) -> Callable[[BrokerAccount], str]:
    return lambda _: reverse(name)


def _session(account: BrokerAccount) -> str:
    return reverse("admin:brokers_brokeraccount_session", args=[account.pk])


def _calls(account: BrokerAccount) -> str:
    listed = reverse("admin:brokers_wirecall_changelist")
    return f"{listed}?account__id__exact={account.pk}"


def _breaks(account: BrokerAccount) -> str:
    return f"{reverse('desk:breaks')}?account={account.pk}"


# What mends a check, by its name. One that is not here is shown without a way.
_WAYS: dict[str, tuple[str, Callable[[BrokerAccount], str]]] = {
    "token": ("Session", _session),
    "address": ("Session", _session),
    "clock": ("Session", _session),
    "instruments": ("Imports", _at("admin:brokers_instrumentimport_changelist")),
    "calendar": ("Calendar", _at("desk:calendar")),
    "order feed": ("Health", _at("desk:health")),
    "books": ("Wire calls", _calls),
    "breaks": ("Breaks", _breaks),
    "prices": ("Quotes", _at("admin:brokers_quote_changelist")),
    "funds": ("Wire calls", _calls),
    "margin": ("Margins", _at("admin:brokers_marginestimate_changelist")),
}


@dataclass(frozen=True)
class Sum:
    """All accounts in one line, as a colour class and in words."""

    tone: str
    text: str


def summed(boards: list[Board]) -> Sum:
    """What the whole board says."""
    ready = sum(board.ready for board in boards)
    if not boards:
        return Sum("wait", "No account is enabled")
    if ready == len(boards):
        return Sum("good", "Every account takes entries")
    alarmed = any(board.reds for board in boards)
    text = (
        f"{ready} of {len(boards)} accounts take entries" if ready else "No account takes entries"
    )
    return Sum("alarm" if alarmed else "wait", text)


def boards(accounts: list[BrokerAccount] | None = None) -> list[Board]:
    """The accounts, or every enabled one; those that take no entries first, else by name."""
    if accounts is None:
        accounts = list(BrokerAccount.objects.filter(enabled=True))
    found, otherwise = _findings()
    states = {state.account_id: state for state in TradingState.objects.all()}
    made = []
    for account in accounts:
        findings = found.get(account.name, [_red(otherwise)])
        rows = [Row(finding, _way(finding, account)) for finding in findings]
        made.append(Board(account, tuple(_closed(account, states)), rows))
    return sorted(made, key=lambda board: (board.ready, board.account.name))


def _findings() -> tuple[dict[str, list[Finding]], str]:
    """By account; and what to say of one that is not among them."""
    try:
        return readiness.findings_of_all(), "not looked at yet"
    except readiness.NoChecks as error:
        return {}, str(error)


def _red(reason: str) -> Finding:
    return Finding(check="readiness", light=Light.RED, reason=reason)


def _way(finding: Finding, account: BrokerAccount) -> Way | None:
    if finding.light is Light.GREEN or finding.check not in _WAYS:
        return None
    text, address = _WAYS[finding.check]
    return Way(text, address(account))


def _closed(account: BrokerAccount, states: dict[int | None, TradingState]) -> list[str]:
    """What people have closed, or not opened yet."""
    found = []
    for scope, key in ((DESK, None), (account.name, account.pk)):
        state = states.get(key)
        if state is None:
            found.append(f"{scope} has no switch")
        elif state.switch != SwitchState.ACTIVE:
            found.append(f"{scope} is {state.switch.lower()}")
    if account.environment == "live":
        armed = account.armed_until is not None and account.armed_until > timezone.now()
        if not settings.LIVE_TRADING:
            found.append("live trading is switched off")
        elif not armed:
            found.append("not armed")
    return found
