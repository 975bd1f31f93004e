"""Which brackets an account's broker keeps itself: entry, target and stop in one order."""

from __future__ import annotations

from apps.brokers.models import BracketStyle, BrokerAccount, Instrument
from apps.brokers.port import BracketKind
from apps.brokers.reporting import brackets_of

SANDBOX = "sandbox"


def lists_supers(account: BrokerAccount) -> bool:
    """True when the broker has a list of super orders, which may show legs that no book does."""
    return account.environment != SANDBOX and BracketKind.SUPER in brackets_of(account)


def kinds(
    account: BrokerAccount, instrument: Instrument, *, target: bool = True
) -> tuple[BracketKind, ...]:
    """The brackets that the broker can keep for this instrument now, best first; empty for none.

    ``target``: one with a target, which a super order cannot be without; which NATIVE there is
    depends on it too, and is for INTRADAY alone. A person may leave them all to the desk, and
    DhanHQ's sandbox has no super orders (it answers 404, as was measured).
    """
    if account.bracket_style == BracketStyle.MANAGED or account.environment == SANDBOX:
        return ()
    allowed = {
        BracketKind.SUPER: target,
        BracketKind.NATIVE: instrument.bracket_orders if target else instrument.cover_orders,
    }
    can = brackets_of(account)
    return tuple(kind for kind, yes in allowed.items() if yes and kind in can)
