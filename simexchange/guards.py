"""What an account has set for its day: the kill switch, and the exit on a profit or a loss.

DhanHQ v2 documentation, trader's control page: both last for the current trading day.
"""

from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

DELIVERY = frozenset({"CNC", "MARGIN", "MTF"})
"""Products that the broker's word DELIVERY stands for; of MTF it says nothing, our choice."""
GROUPS = {"INTRADAY": frozenset({"INTRADAY", "BO", "CO"}), "DELIVERY": DELIVERY}


@dataclass(slots=True)
class PnlExit:
    """Leave everything of these groups at `profit` or at `loss` rupees, both above zero."""

    day: date
    profit: Decimal
    loss: Decimal
    groups: list[str]
    kills: bool = False

    @property
    def products(self) -> frozenset[str]:
        return frozenset[str]().union(*(GROUPS[name] for name in self.groups))

    def is_reached(self, result: Decimal) -> bool:
        """Whether the day's profit, or loss when below zero, has come to a limit."""
        return result >= self.profit or result <= -self.loss


@dataclass(slots=True)
class Guards:
    """Each counts on its own day alone. `kill_when_flat`: the switch waits for open orders."""

    killed_on: date | None = None
    kill_when_flat: date | None = None
    pnl_exit: PnlExit | None = field(default=None)

    def is_killed(self, today: date) -> bool:
        return self.killed_on == today

    def exit_on(self, today: date) -> PnlExit | None:
        """The exit that is armed today."""
        return self.pnl_exit if self.pnl_exit and self.pnl_exit.day == today else None


def guards_entry(guards: Guards) -> dict[str, Any]:
    return asdict(guards)


def guards_from(entry: dict[str, Any]) -> Guards:
    armed = entry.get("pnl_exit")
    return Guards(
        killed_on=_day(entry.get("killed_on")),
        kill_when_flat=_day(entry.get("kill_when_flat")),
        pnl_exit=None
        if armed is None
        else PnlExit(
            day=date.fromisoformat(armed["day"]),
            profit=Decimal(armed["profit"]),
            loss=Decimal(armed["loss"]),
            groups=list(armed["groups"]),
            kills=armed["kills"],
        ),
    )


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
