"""What becomes of positions: goals, hand trades and the kill switch; and the verdict on them.

Judged from the exchange's own fills in the order of their times.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from apps.brokers.models import BrokerAccount
from apps.brokers.port import STRATEGY, Intent
from apps.orders import goals, killing
from apps.orders.books import our_positions
from apps.orders.flatten import BY_OTHERS
from apps.orders.goals import Closing
from apps.orders.models import Break, Order, Source
from apps.orders.services import BadOrder
from apps.risk.models import (
    Decision,
    ExitGoal,
    Footing,
    GoalState,
    KillAccount,
    KillStage,
    OwnedPosition,
)
from tests.chaos.opening import Desk
from tests.chaos.plan import Deed
from tests.chaos.ways import WHO

Row = dict[str, Any]
Key = tuple[str, str, str, str]  # client, segment, security id, product
WHY = "chaos: the day is over"
PROOF_TAKES = dt.timedelta(seconds=10)  # a read of the positions, at most


def do(desk: Desk, deed: Deed, tell: Callable[..., Any]) -> None:
    """One deed of the plan. What is refused is refused: that is an answer."""
    account = desk.accounts[deed.account]
    if deed.what == "kill":
        killing.kill(deed.account, WHO, WHY, with_positions=True)
        return
    instrument = desk.instruments[deed.instrument]
    if deed.what == "hand":
        tell(
            desk,
            "hand",
            client_id=account.client_id,
            transactionType=deed.side,
            exchangeSegment=instrument.segment,
            securityId=instrument.security_id,
            productType="INTRADAY",
            orderType="MARKET",
            quantity=deed.quantity,
            fill=True,
        )
        return
    owner = _somebody(account, instrument.security_id) if deed.what == "close_part" else ""
    wanted = Closing(account=account, instrument=instrument, product="INTRADAY", owner=owner)
    with suppress(BadOrder):
        goals.open_goal(wanted, WHO, WHY)


def _somebody(account: BrokerAccount, security_id: str) -> str:
    """A strategy that holds some of it; empty when none does."""
    owned = OwnedPosition.objects.filter(account=account, security_id=security_id).exclude(net=0)
    first = owned.filter(owner__startswith=STRATEGY).order_by("pk").first()
    return first.owner if first else ""


def still_open() -> list[str]:
    """What is being closed, and is not closed yet.

    A strategy's part waits while orders of others that rest may take the position: it says so.
    """
    working = ExitGoal.objects.filter(state=GoalState.WORKING)
    working = working.exclude(note__startswith=BY_OTHERS).count()
    stages = [KillStage.LOCKED, KillStage.CLEARING, KillStage.CLEARED]
    kills = KillAccount.objects.exclude(stage__in=stages).count()
    return [f"{number} {name}" for name, number in (("goals", working), ("kills", kills)) if number]


@dataclass
class Closed:
    """Counts of positions; ``wrong`` names each that must not be."""

    exits: int = 0
    goals: int = 0
    crossed: int = 0
    breaks: int = 0
    external: int = 0
    unclosed: int = 0
    miscounted: int = 0
    notes: list[str] = field(default_factory=list)


class Positions:
    """Holds the exchange's fills against goals, counts and the rows of hand trades."""

    def __init__(self, report: Row, client_ids: set[str]) -> None:
        self.fills = [fill for fill in report["fills"] if fill["clientId"] in client_ids]
        self.by_hand = [row for row in report["by_hand"] if row["clientId"] in client_ids]
        self.clients = client_ids
        self.notes: list[str] = []

    def verdict(self) -> Closed:
        orders = Order.objects.filter(account__client_id__in=self.clients)
        return Closed(
            exits=orders.filter(intent=Intent.EXIT).exclude(broker_order_id="").count(),
            goals=ExitGoal.objects.count(),
            crossed=len(self._crossed()),
            breaks=len(self._breaks()),
            external=orders.filter(source=Source.EXTERNAL).count(),
            unclosed=len(self._unclosed()),
            miscounted=len(self._miscounted()) + len(self._strangers()),
            notes=self.notes,
        )

    def agrees(self) -> bool:
        """True once counts and rows say what the fills say, and no break is left."""
        self.notes, kept = [], self.notes
        quiet = not (self._miscounted() or self._strangers() or self._breaks())
        self.notes = kept
        return quiet

    def _note(self, what: str, name: object, why: object) -> str:
        self.notes.append(f"{what}: {name}: {why}")
        return str(name)

    # --- through zero

    @cached_property
    def _decided(self) -> dict[str, dt.datetime]:
        """When the positions were read that the last yes to each exit rests on."""
        names = {fill["correlationId"] for fill in self.fills}
        found = {}
        allowed = Decision.objects.filter(correlation_id__in=names, allowed=True)
        for decision in allowed.filter(request__intent=Intent.EXIT, action="PLACE"):
            age = dt.timedelta(seconds=float(decision.inputs.get("position_age") or 0))
            found[decision.correlation_id] = decision.decided_at - age
        return found

    def _crossed(self) -> list[str]:
        """Exits that filled more than there was, but for what others took since their decision.

        Others: somebody by hand, whom a read may show a settle time late and nothing else does;
        and strategies that went the other way by orders of their own.
        """
        late = dt.timedelta(seconds=settings.SETTLE_TIME)
        exits, nets, crossed = self._decided, defaultdict[Key, int](int), []
        others: dict[tuple[Key, str], list[tuple[dt.datetime, int]]] = defaultdict(list)
        for fill in self.fills:
            key, side, at = _key(fill), fill["transactionType"], _at(fill)
            before, name = nets[key], fill["correlationId"]
            nets[key] += _signed(fill)
            if name not in exits or fill["byHand"]:
                seen = at + late if fill["byHand"] else at
                others[key, side].append((seen, fill["quantity"]))
                continue
            there = before if side == "SELL" else -before
            taken = sum(units for when, units in others[key, side] if when >= exits[name])
            if there + taken < fill["quantity"]:
                why = (
                    f"filled {fill['quantity']} of {there}, {taken} taken by others, at {at:%T.%f}"
                )
                crossed.append(self._note("crossed", name, why))
        return crossed

    # --- goals

    def _unclosed(self) -> list[str]:
        """Goals that are not over, and such as were called reached while the position was not."""
        found = [self._note("goal", still, "is not done") for still in still_open()]
        for goal in ExitGoal.objects.filter(state=GoalState.STOPPED):
            self._note("goal", goal, f"stopped, which is a reason: {goal.note}")
        reached = ExitGoal.objects.filter(state=GoalState.REACHED, owner="")
        for goal in reached.select_related("account", "instrument"):
            nets = self._nets_at_proof(goal)
            if goal.target not in nets:
                why = f"reached {goal.target}, and the exchange had {sorted(nets)}"
                found.append(self._note("goal", goal, why))
        return found

    def _nets_at_proof(self, goal: ExitGoal) -> set[int]:
        """Net units at the exchange when the last proof was read, and while it was."""
        instrument = goal.instrument
        mine = (goal.account.client_id, instrument.segment, instrument.security_id, goal.product)
        time = dt.time.fromisoformat(goal.proofs[-1]["as_of"])
        ended = timezone.localtime(goal.ended_at)
        begun = ended.replace(**{name: getattr(time, name) for name in _CLOCK})
        net, during = 0, set()
        for fill in (fill for fill in self.fills if _key(fill) == mine):
            if _at(fill) > begun:
                during.add(net)
            if _at(fill) > begun + PROOF_TAKES:
                return during
            net += _signed(fill)
        return during | {net}

    # --- counts

    @cached_property
    def nets(self) -> dict[Key, int]:
        """Net units by the exchange's fills."""
        found = defaultdict[Key, int](int)
        for fill in self.fills:
            found[_key(fill)] += _signed(fill)
        return {key: net for key, net in found.items() if net}

    def _miscounted(self) -> list[str]:
        """Positions of which one of our own counts says other than the fills."""
        names = ("account__client_id", "segment", "security_id", "product")
        owned = OwnedPosition.objects.filter(account__client_id__in=self.clients)
        foreign = Footing.objects.filter(account__client_id__in=self.clients)
        accounts = BrokerAccount.objects.filter(client_id__in=self.clients)
        counts: dict[str, dict[Key, int]] = {
            "the risk's count": _sums(owned.values_list(*names).annotate(Sum("net"))),
            "the ledger": {
                (account.client_id, *key): net
                for account in accounts
                for key, net in our_positions(account).items()
            },
        }
        found = [
            self._note(
                "counted", key, f"{what} has {count.get(key, 0)}, fills {self.nets.get(key, 0)}"
            )
            for what, count in counts.items()
            for key in sorted(count.keys() | self.nets.keys())
            if count.get(key, 0) != self.nets.get(key, 0)
        ]
        return found + [
            self._note("counted", row, "units from elsewhere, though every trade has its row")
            for row in foreign.exclude(foreign=0)
        ]

    def _strangers(self) -> list[str]:
        """Hand trades without a row of their own, and rows without a hand trade."""
        rows = Order.objects.filter(account__client_id__in=self.clients, source=Source.EXTERNAL)
        ours = {row.broker_order_id: row.filled_quantity for row in rows}
        theirs = {row["orderId"]: row["filledQty"] for row in self.by_hand}
        return [
            self._note("by hand", name, f"ours {ours.get(name)}, theirs {theirs.get(name)}")
            for name in sorted(ours.keys() | theirs.keys())
            if ours.get(name) != theirs.get(name)
        ]

    def _breaks(self) -> list[str]:
        """Breaks that nobody has explained."""
        there = Break.objects.filter(gone_at=None, resolution="")
        return [self._note("break", row, f"{row.ours} here, {row.theirs} there") for row in there]


_CLOCK = ("hour", "minute", "second", "microsecond")


def _key(fill: Row) -> Key:
    return fill["clientId"], fill["exchangeSegment"], fill["securityId"], fill["productType"]


def _signed(fill: Row) -> int:
    return int(fill["quantity"]) * (1 if fill["transactionType"] == "BUY" else -1)


def _at(fill: Row) -> dt.datetime:
    return dt.datetime.fromisoformat(fill["at"])


def _sums(rows: Iterable[tuple[Any, ...]]) -> dict[Key, int]:
    return {(row[0], row[1], row[2], row[3]): int(row[4]) for row in rows if row[4]}
