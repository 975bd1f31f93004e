"""The verdict, from the exchange's own report and the desk's rows.

Each count is of orders; ``notes`` names the first of those that are wrong.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import F

from apps.brokers.models import WireCall
from apps.orders.endings import ENDINGS
from apps.orders.models import UNDER_WAY, Modification, Order, OrderEvent, Source
from apps.orders.states import TERMINAL, Event, Status
from apps.risk.models import Decision, Hold
from apps.signals.models import Fate, Signal
from tests.chaos.counts import MUST_BE_NONE

Row = dict[str, Any]
OURS = {
    "PENDING": Status.OPEN,
    "PART_TRADED": Status.PARTIALLY_FILLED,
    "TRADED": Status.FILLED,
    "REJECTED": Status.REJECTED,
    "CANCELLED": Status.CANCELLED,
    "EXPIRED": Status.EXPIRED,
}
MOVING = (Status.NEW, Status.APPROVED, Status.SENDING, Status.SUBMITTED, Status.UNKNOWN)
DESK = ("desk: closing", "kill switch")  # actors
WAITED_FOR_BUDGET = "waiting for the rate budget"


@dataclass
class Verdict:
    """What came of a run."""

    asked: int = 0
    sendable: int = 0
    placed: int = 0
    accepted: int = 0
    known: int = 0
    kills: int = 0
    faults: int = 0
    doubled: int = 0
    lost: int = 0
    unproven: int = 0
    unknown: int = 0
    holds_leaked: int = 0
    exits: int = 0
    goals: int = 0
    crossed: int = 0
    breaks: int = 0
    external: int = 0
    unclosed: int = 0
    miscounted: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing is wrong, and the run was not a run of nothing."""
        wrong = any(getattr(self, name) for name in MUST_BE_NONE)
        return not wrong and 0 < self.sendable * 0.9 <= self.placed

    @property
    def line(self) -> str:
        counts = {name: value for name, value in vars(self).items() if name != "notes"}
        return " ".join(f"{name}={value}" for name, value in counts.items())


class Judge:
    """Compares one report of the exchange with the rows of the accounts that it speaks of."""

    def __init__(self, report: Row, client_ids: set[str]) -> None:
        self.at_exchange: dict[str, list[Row]] = {
            name: mine
            for name, rows in report["accepted"].items()
            if (mine := [row for row in rows if row["clientId"] in client_ids])
        }
        self._doubled_there = set(report["doubled"])
        orders = Order.objects.filter(account__client_id__in=client_ids)
        own = orders.exclude(source=Source.EXTERNAL).select_related("account")
        self.orders = {order.correlation_id: order for order in own}
        self.orders |= self._made_outside(orders.filter(source=Source.EXTERNAL))
        self.ids = [order.correlation_id for order in self.orders.values()]
        self.notes: list[str] = []

    def _made_outside(self, orders: Iterable[Order]) -> dict[str, Order]:
        """By the exchange's name for it; one that is an order of ours there keeps its own name,
        under which the exchange has nothing."""
        there = {row["orderId"]: name for name, rows in self.at_exchange.items() for row in rows}
        found = {}
        for order in orders:
            name = there.get(order.broker_order_id, order.correlation_id)
            found[order.correlation_id if name in self.orders else name] = order
        return found

    def verdict(self, asked: int, answered: dict[str, str]) -> Verdict:
        """``answered`` is, by mark, the key of each order that the desk has answered for."""
        sendable = self._sendable()
        rows = sum(len(rows) for rows in self.at_exchange.values())
        return Verdict(
            asked=asked,
            sendable=len(sendable),
            placed=len(sendable & self.at_exchange.keys()),
            accepted=rows,
            known=sum(self._is_known(name) for name in self.at_exchange),
            doubled=len(self._doubled()),
            lost=len(self._lost(answered)),
            unproven=len(self._unproven()),
            unknown=len(self._unknown()),
            holds_leaked=len(self._leaked()),
            notes=self.notes,
        )

    def agrees(self) -> bool:
        """True once nothing is on its way, and every row says what the exchange says."""
        self.notes, kept = [], self.notes
        quiet = not self._unknown() and not self._leaked()
        self.notes = kept
        return quiet

    def _note(self, what: str, name: str, why: str) -> str:
        self.notes.append(f"{what}: {name}: {why}")
        return name

    # --- how many should be there

    def _sendable(self) -> set[str]:
        """What the gate approved, without those that lapsed for lack of budget, or that a kill
        switch or a goal stopped on their way."""
        allowed = Decision.objects.filter(
            action="PLACE", allowed=True, correlation_id__in=self.orders
        )
        approved = set(allowed.values_list("correlation_id", flat=True))
        return {
            name
            for name in approved
            if not self._lacked_budget(self.orders[name]) and not _stopped(self.orders[name])
        }

    def _lacked_budget(self, order: Order) -> bool:
        if order.status != Status.LAPSED:
            return False
        last = order.events.exclude(event=Event.LAPSE).order_by("-id").first()
        return last is not None and last.text == WAITED_FOR_BUDGET

    def _is_known(self, name: str) -> bool:
        """One of ours, under exactly the name that the exchange gave it."""
        order, rows = self.orders.get(name), self.at_exchange[name]
        return order is not None and order.broker_order_id == rows[0]["orderId"]

    # --- what must not be

    def _doubled(self) -> set[str]:
        """Sent twice, or asked for once and placed as two orders."""
        found = {
            self._note("doubled", name, f"the exchange has {len(rows)} of it")
            for name, rows in self.at_exchange.items()
            if len(rows) > 1 or name in self._doubled_there
        }
        asked = {
            (order.strategy, order.intent, order.parent_id or order.correlation_id)
            for order in self.orders.values()
            if order.strategy and order.source != Source.FLATTEN
        }
        marks = Counter((mark, intent) for mark, intent, _ in asked)
        return found | {
            self._note("doubled", mark, f"asked for once, {count} orders")
            for (mark, _), count in marks.items()
            if count > 1
        }

    def _lost(self, answered: dict[str, str]) -> set[str]:
        """What the exchange has and we do not know; what we have and it does not; what was
        answered for and is nowhere."""
        found = {
            self._note("lost", name, "the exchange has it, and no row of ours names it so")
            for name in self.at_exchange
            if not self._is_known(name)
        }
        found |= {
            self._note("lost", name, f"{order.broker_order_id} is not at the exchange")
            for name, order in self.orders.items()
            if order.broker_order_id
            and name not in self.at_exchange
            and order.source != Source.EXTERNAL
        }
        keys = {order.request_key for order in self.orders.values()}
        gone = {mark: key for mark, key in answered.items() if key not in keys}
        ended = self._signals_that_ended(gone)
        return found | {
            self._note("lost", mark, "it was answered for, and there is no order")
            for mark in gone.keys() - ended
        }

    def _signals_that_ended(self, gone: dict[str, str]) -> set[str]:
        """Marks whose signal has an end of its own, with a reason: nothing was lost."""
        numbers = {
            int(key.removeprefix("signal:")): mark
            for mark, key in gone.items()
            if key.startswith("signal:")
        }
        fates = Signal.objects.filter(pk__in=numbers).exclude(fate=Fate.RECEIVED).exclude(reason="")
        ended = {numbers[signal.pk]: signal for signal in fates.filter(order=None)}
        for mark, signal in ended.items():
            self._note("signal", mark, f"{signal.fate}: {signal.reason}")
        return set(ended)

    def _unproven(self) -> set[str]:
        """Ended without the stored message that proves it, or against what the exchange knows."""
        arrivals = (
            OrderEvent.objects.filter(
                applied=True, after__in=TERMINAL, order__correlation_id__in=self.ids
            )
            .exclude(before=F("after"))
            .select_related("order")
        )
        proved = _proved_events()
        found = {
            self._note("unproven", event.order.correlation_id, f"{event}, told by {event.origin}")
            for event in arrivals
            if event.pk not in proved or self._is_contradicted(event)
        }
        return found | self._sent_too_late()

    def _is_contradicted(self, event: OrderEvent) -> bool:
        absent = event.event == Event.PROVE_ABSENT
        return absent and event.order.correlation_id in self.at_exchange

    def _sent_too_late(self) -> set[str]:
        """Taken by the exchange when, by the time rules of its call, nothing could come any more.

        Every proof of absence rests on these rules, so one such order is one too many.
        """
        calls = WireCall.objects.filter(verb="PLACE", correlation_id__in=self.at_exchange)
        wait = settings.SEND_WITHIN + settings.CALL_TIMEOUT + settings.SETTLE_TIME
        last: dict[str, dt.datetime] = {}
        for call in calls.exclude(outcome="NOT_SENT"):
            last[str(call.correlation_id)] = call.created_at + dt.timedelta(seconds=wait)
        return {
            self._note("unproven", name, "it reached the exchange after its time was over")
            for name, rows in self.at_exchange.items()
            if name in last
            and dt.datetime.fromisoformat(max(row["acceptedAt"] for row in rows)) > last[name]
        }

    def _unknown(self) -> set[str]:
        """Still on its way or in doubt, or its row says other than the exchange."""
        changing = set(
            Modification.objects.filter(status__in=UNDER_WAY).values_list("order", flat=True)
        )
        found = {
            self._note("unknown", name, f"still {order.status}: {order.reason}")
            for name, order in self.orders.items()
            if order.status in MOVING or order.pk in changing
        }
        return found | {
            self._note("unknown", name, f"our row says {ours}, the exchange {theirs}")
            for name, rows in self.at_exchange.items()
            if name in self.orders
            and (ours := _says(self.orders[name])) != (theirs := _told(rows[0], self.orders[name]))
        }

    def _leaked(self) -> set[str]:
        """Holds that are not the remainders of working orders."""
        kept = Hold.objects.filter(correlation_id__in=self.ids)
        holds = {hold.correlation_id: hold for hold in kept}
        return {
            self._note("hold", name, f"{order.status}, {_remainder(holds, order)} held")
            for name, order in self.orders.items()
            if _remainder(holds, order) != order.open_quantity
        }


def _stopped(order: Order) -> bool:
    """True for one that never left because a switch or a goal would not have it any more."""
    if order.broker_order_id:
        return False
    if order.status == Status.DENIED:
        return "HALTED" in order.reason
    wishes = order.events.filter(event__in=[Event.WITHDRAW, Event.WANT_CANCEL])
    who = wishes.values_list("actor", flat=True)
    return order.status == Status.CANCELLED and any(actor.startswith(DESK) for actor in who)


def _remainder(holds: dict[str, Hold], order: Order) -> int:
    """Units that the order's hold still keeps."""
    hold = holds.get(order.correlation_id)
    if hold is None or hold.released_at is not None:
        return 0
    return hold.quantity - hold.filled


def _says(order: Order) -> tuple[object, ...]:
    price = Decimal(0) if order.price is None else order.price.normalize()
    return order.status, order.filled_quantity, order.quantity, price


def _told(row: Row, order: Order) -> tuple[object, ...]:
    """The exchange's row in our words; it turns a MARKET order into a limit, which ours is not."""
    price = Decimal(0) if order.price is None else Decimal(str(row["price"])).normalize()
    return OURS.get(row["orderStatus"]), row["filledQty"], row["quantity"], price


def _proved_events() -> set[int]:
    found: set[int] = set()
    for ending in ENDINGS:
        with connection.cursor() as cursor:
            cursor.execute(ending.sql)
            found |= {row[0] for row in cursor.fetchall()}
    return found
