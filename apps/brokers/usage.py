"""How much of each rate limit an account has used, for people to read."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from apps.brokers.budget import WINDOWS, Budget, Priority, allowed, used
from apps.brokers.models import BrokerAccount

WHAT = {Budget.ORDER: "Order calls", Budget.READ: "Reads", Budget.QUOTE: "Quotes"}
SPAN = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day"}


@dataclass(frozen=True)
class Usage:
    """One window of one class of calls. ``entries`` and ``cancels`` are the most they may fill;
    ``kept`` is what nothing but exits (of reads: nothing that only weighs an entry) may take.
    None where the class makes no such difference.
    """

    what: str
    used: int
    allowed: int
    entries: int | None
    cancels: int | None
    kept: int | None

    @property
    def state(self) -> str:
        """What has to wait now, in words."""
        if self.used >= self.allowed:
            return "used up"
        return "entries wait" if self.entries is not None and self.used >= self.entries else ""


def usage(account: BrokerAccount) -> list[Usage]:
    """Every window of every class, by one count of the journal per class."""
    now = timezone.now()
    return [
        _usage(budget, window, count)
        for budget in WINDOWS
        for window, count in used(account, budget, now).items()
    ]


def _usage(budget: Budget, window: int, count: int) -> Usage:
    most = allowed(budget, window)
    entries = cancels = kept = None
    if budget is not Budget.QUOTE:
        entries = allowed(budget, window, Priority.ENTRY)
        kept = most - entries
    if budget is Budget.ORDER:
        cancels = allowed(budget, window, Priority.CANCEL)
        kept = most - cancels
    span = SPAN.get(window, f"{window} seconds")
    return Usage(f"{WHAT[budget]} in {span}", count, most, entries, cancels, kept)
