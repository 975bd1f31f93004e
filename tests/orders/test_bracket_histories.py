"""Brackets through drawn histories against the simulated exchange, with faults in between.

``BRACKET_HISTORIES`` says how many, in each style; the seed of each is its number.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import pytest

from apps.brokers import reporting
from apps.brokers.port import OrderReport, Side
from apps.orders import brackets
from apps.orders.bracket_check import breaks_of
from apps.orders.bracket_machine import Part
from apps.orders.bracket_sight import orders_of
from apps.orders.brackets import BracketIntent
from apps.orders.ingest import apply_report
from apps.orders.models import Bracket, Order, Source
from apps.orders.services import TooLate
from apps.orders.states import AT_BROKER
from tests.orders.bracketing import is_over, one_pass, told, until
from tests.orders.closing import held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
HISTORIES = int(os.environ.get("BRACKET_HISTORIES", "6"))
STYLES = ("MANAGED", "SUPER", "SUPER, legs under the entry's id")
LEGS = (Part.ENTRY, Part.STOP_LOSS, Part.TARGET)
FAULTS = [
    ("drop_after_accept", "place"),
    ("drop_before_accept", "place"),
    ("reject_later", "place"),
    ("refused", "place"),
    ("refused", "cancel"),
    ("drop_after_accept", "cancel"),
    ("refused", "modify"),
    ("drop_after_accept", "modify"),
    ("http_500", "book"),
    ("book_lags", "book"),
]
OF_SUPER = [(fault, f"super_{endpoint}") for fault, endpoint in FAULTS]
OF_LEGS = [("stop_rejected", "any"), ("both_exits_filled", "any"), ("sibling_stays", "any")]


class History:
    """One bracket, and what is drawn to happen to it."""

    def __init__(self, seed: int, bracket: Bracket, exchange, done: Counter[str]) -> None:
        self.draw, self.bracket = random.Random(seed), bracket
        self.exchange, self.done = exchange, done
        self.faults = FAULTS if bracket.style == "MANAGED" else FAULTS + OF_SUPER + OF_LEGS
        self.heard: list[OrderReport] = []

    def play(self) -> None:
        acts: list[Callable[[], None]] = [self.fill, self.fill, self.fail, self.look, self.reject]
        acts += [self.fire_both, self.end_by_hand, self.hear_again, self.miss_the_books]
        for _ in range(self.draw.randint(4, 10)):
            act = self.draw.choice(acts)
            self.done[act.__name__] += 1
            act()
            one_pass(self.bracket, books=self.draw.random() < 0.6)

    def working(self, *parts: Part) -> list[Order]:
        orders = [order for part in parts for order in orders_of(self.bracket)[part]]
        return [order for order in orders if order.status in AT_BROKER]

    def fill(self) -> None:
        if working := self.working(*LEGS):
            self._fill(self.draw.choice(working), self.draw.randint(1, 6))

    def _fill(self, order: Order, most: int) -> None:
        units = min(most, order.open_quantity)
        if units and order.kept_exit:
            self._fire(order, units)
        elif units:
            asked = {"orderId": order.broker_order_id, "quantity": units, "price": 1400}
            self.exchange.control("fill", **asked)

    def _fire(self, order: Order, units: int) -> None:
        """Let the broker send its exit off, if it still waits there, and the exchange fill it."""
        self.exchange.ask("super/fire", orderId=order.leg_of, legName=f"{order.leg}_LEG")
        filled = self.exchange.ask("fill", orderId=self.at_broker(order), quantity=units)
        self.done["exits filled at the broker"] += filled.status_code == 200

    def fire_both(self) -> None:
        for order in self.working(Part.STOP_LOSS, Part.TARGET):
            self._fill(order, 10)

    def fail(self) -> None:
        fault, endpoint = self.draw.choice(self.faults)
        self.exchange.fault(fault, endpoint, times=self.draw.randint(1, 2))

    def reject(self) -> None:
        for order in self.working(Part.STOP_LOSS)[:1]:
            self.exchange.ask("reject", orderId=self.at_broker(order), reason="Blocked.")

    def end_by_hand(self) -> None:
        for order in self.working(*LEGS)[-1:]:
            self.exchange.ask("hand/cancel", orderId=self.at_broker(order))

    def at_broker(self, order: Order) -> str:
        """The exchange's own id of an order, whatever it shows."""
        if not order.kept_exit:
            return order.broker_order_id
        supers = self.exchange.ask("super").json()
        legs = next(one["legs"] for one in supers if one["orderId"] == order.leg_of)
        return legs.get(f"{order.leg}_LEG", "")

    def look(self) -> None:
        one_pass(self.bracket)

    def miss_the_books(self) -> None:
        for _ in range(2):
            one_pass(self.bracket, books=False)

    def hear_again(self) -> None:
        """News of before, once more: the socket repeats and reorders."""
        for report in self.draw.sample(self.heard, min(2, len(self.heard))):
            apply_report(self.bracket.account, report, "socket")
        read = reporting.reports_of(self.bracket.account)
        self.heard += read.order_book().value + read.super_orders().value

    def settle(self, account) -> None:
        """Everything heals: it must be flat and over, or protected for what it holds."""
        self.exchange.heal()
        until(self.bracket, lambda: self.rests(account), seconds=40)
        assert breaks_of(self.bracket) == [], told(self.bracket)
        assert self.exchange.report()["doubled"] == []

    def rests(self, account) -> bool:
        net = held(account)
        if is_over(self.bracket)():
            return net == 0
        orders = orders_of(self.bracket)
        alive = {part: [order for order in orders[part] if not order.over] for part in orders}
        if net == 0:
            return len(alive[Part.ENTRY]) == 1 and not alive[Part.STOP_LOSS]
        stop = [order.open_quantity for order in alive[Part.STOP_LOSS] if order.status != "UNKNOWN"]
        target = [order.open_quantity for order in alive[Part.TARGET]]
        if len(orders[Part.TARGET]) >= 3 and not target:
            target = [net]  # it failed too often, and people were told
        return not alive[Part.OUT] and stop == [net] and target == [net]


@pytest.mark.parametrize("style", STYLES)
def test_every_drawn_history_ends_flat_or_protected(
    account, reliance, trader, exchange, no_bells, settings, style
):
    settings.BRACKET_LEAVE_AFTER, settings.BRACKET_BROKER_TIME = 3, 0.3
    account.bracket_style = "MANAGED" if style == "MANAGED" else "AUTOMATIC"
    account.save(update_fields=["bracket_style"])
    exchange.control("super", leg_ids="own" if style == "SUPER" else "shared")
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    done: Counter[str] = Counter()
    for seed in range(HISTORIES):
        exchange.heal()
        exchange.control("auto", on=False)
        wanted = BracketIntent(
            account=account,
            instrument=reliance,
            side=Side.BUY,
            quantity=10,
            price=Decimal(1405),
            stop_price=Decimal(1380),
            target_price=Decimal(1430),
        )
        bracket = brackets.place(wanted, trader, Source.COMMAND, f"history {seed}")
        assert bracket.style == style.split(",")[0]
        history = History(seed, bracket, exchange, done)
        history.play()
        exchange.control("auto", on=True)
        history.settle(account)
        done[f"ended {bracket.status}"] += 1
        try:
            brackets.leave(bracket, trader, "the history is over")
        except TooLate:
            done["over or being left"] += 1
        until(bracket, is_over(bracket), seconds=40)
        assert held(account) == 0, told(bracket)
    print(f"\n{HISTORIES} histories, {style}: {dict(done)}")
