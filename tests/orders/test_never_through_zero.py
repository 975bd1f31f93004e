"""No order of ours takes a position through zero, whatever is late, lost or done by hand.

A broker whose books lag judges from its own record: when an exit fills, the position must still
be there. Units that somebody traded away by hand after the desk's last read are not the desk's.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import defaultdict
from contextlib import ExitStack
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from apps.brokers.budget import WINDOWS, Budget
from apps.brokers.dhan.mapping import report_from_frame
from apps.brokers.models import AccessToken, BrokerAccount, Quote
from apps.brokers.port import STRATEGY, Intent, OrderType, Product, Side
from apps.orders import flatten, goals, look, services, trimming
from apps.orders.dispatch import dispatch
from apps.orders.goals import Closing
from apps.orders.ingest import FEED, apply_report
from apps.orders.models import Order, Source
from apps.orders.reconcile import reconcile
from apps.orders.services import Actor, BadOrder, OrderIntent, TooLate
from apps.orders.sweep import sweep
from apps.risk import footing
from apps.risk.models import ExitGoal, Footing
from tests.orders.lagging import Broker, Traded, served
from tests.orders.telling import swept_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
INDIA = ZoneInfo("Asia/Kolkata")
SETTLE, MOST_LAG = 0.5, 0.4  # seconds
MOST_WAITS = 2  # in one example
EXAMPLES = int(os.environ.get("STORM_EXAMPLES", "12"))
WHO = Actor(name="Alice")
AGAINST = "against"  # a strategy that goes the other way
_WHOSE = ("correlation_id", "strategy", "intent")
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def quick(settings, monkeypatch, no_bells, desk_switch):
    settings.SETTLE_TIME = SETTLE
    settings.FLATTEN_REPRICE_AFTER = 0.2
    settings.FLATTEN_RETRY_MOST = 0.1
    for budget in (Budget.ORDER, Budget.READ):
        wide = dict.fromkeys(WINDOWS[budget], 10**6)
        monkeypatch.setitem(WINDOWS, budget, wide)


class Desk:
    """One account of the desk at a broker whose books lag, and who judges it."""

    def __init__(self, reliance, stack: ExitStack, sign: int = 1) -> None:
        self.broker = stack.enter_context(served(Broker(reliance.security_id, MOST_LAG)))
        self.instrument, self.sign = reliance, sign
        number = next(_numbers)
        self.account = BrokerAccount.objects.create(
            name=f"lagging-{number}",
            broker="dhan",
            client_id=f"{1_000_000_001 + number}",  # a later broker may be served on the same port
            rest_url=self.broker.url,
            feed_url=self.broker.url.replace("http", "ws"),
            calendar="always_open",
        )
        AccessToken.put_in_force(self.account, "token-1")
        reconcile(self.account)

    # --- what the desk does

    @property
    def entering(self) -> Side:
        return Side.BUY if self.sign > 0 else Side.SELL

    @property
    def leaving(self) -> Side:
        return Side.SELL if self.sign > 0 else Side.BUY

    def ask(self, intent: Intent, quantity: int, strategy: str = "", **different) -> Order:
        wanted = {
            "account": self.account,
            "instrument": self.instrument,
            "side": self.leaving if intent is Intent.EXIT else self.entering,
            "quantity": quantity,
            "order_type": OrderType.LIMIT,
            "price": Decimal(1400),
            "intent": intent,
            "strategy": strategy,
        }
        order = services.place(OrderIntent(**(wanted | different)), WHO, Source.COMMAND)
        dispatch(order.pk)
        order.refresh_from_db()
        return order

    def close(self, owner: str = "", product: str = "INTRADAY") -> ExitGoal | None:
        wanted = Closing(
            account=self.account, instrument=self.instrument, product=product, owner=owner
        )
        try:
            return goals.open_goal(wanted, WHO, "the day is over")
        except BadOrder:
            return None

    def flatten(self) -> None:
        self.price()
        flatten.flatten(self.account)
        self.sweep()

    def price(self) -> None:
        """The market is known, so that what leaves at the market has a limit."""
        told = {"last_price": Decimal(1400), "as_of": timezone.now()}
        Quote.objects.update_or_create(
            instrument=self.instrument, market=self.account.market, defaults=told
        )

    def sweep(self) -> None:
        sweep(direct=True)
        for order in Order.objects.filter(account=self.account, status="APPROVED"):
            dispatch(order.pk)

    def trim(self) -> None:
        trimming.trim(self.account, footing.read_positions(self.account))
        self.sweep()

    def hear(self, number: int = 0, *, omitting: tuple[str, ...] = ()) -> None:
        """One of the frames that are on their way, perhaps without what it should say."""
        frame = self.broker.frames.pop(number % len(self.broker.frames))
        told = {name: value for name, value in frame.items() if name not in omitting}
        apply_report(self.account, report_from_frame(told, INDIA), FEED)

    def hear_all(self) -> None:
        while self.broker.frames:
            self.hear()

    # --- the judge

    def through_zero(self) -> list[str]:
        """Exits of ours that filled more than was there, and what others traded unseen."""
        exits = dict(
            Order.objects.filter(account=self.account, intent=Intent.EXIT).values_list(
                "correlation_id", "created_at"
            )
        )
        found = []
        for fill in self.broker.now.trades:
            if fill.correlation_id not in exits:
                continue
            way = 1 if fill.side == "SELL" else -1
            unseen = self._traded_away(fill, exits[fill.correlation_id].timestamp())
            if fill.before * way + unseen < fill.quantity:
                found.append(f"{fill} went through zero; {unseen} were traded away by others")
        return found

    def beyond_its_part(self) -> list[str]:
        """Exits of strategies that filled more than their own orders had made."""
        orders = Order.objects.filter(account=self.account).exclude(strategy="")
        owners = {name: (owner, intent) for name, owner, intent in orders.values_list(*_WHOSE)}
        parts, found = defaultdict[tuple[str, str], int](int), []
        for fill in self.broker.now.trades:
            owner, intent = owners.get(fill.correlation_id, ("", ""))
            way = 1 if fill.side == "SELL" else -1
            there = parts[owner, fill.product] * way
            if owner and intent == Intent.EXIT and there < fill.quantity:
                found.append(f"{fill} took more than the {there} of {owner}")
            parts[owner, fill.product] += fill.signed
        return found

    def _traded_away(self, fill: Traded, decided: float) -> int:
        """Units of the fill's own side that somebody traded by hand, or another strategy's short,
        since what the desk had read of it.
        """
        shown = [moment for at, moment in self.broker.positions_shown if at <= decided]
        seen = len(shown[-1].trades) if shown else 0
        shorts = Order.objects.filter(account=self.account, strategy=AGAINST, intent=Intent.ENTRY)
        names = set(shorts.values_list("correlation_id", flat=True))
        return sum(
            trade.quantity
            for trade in self.broker.now.trades[seen : fill.number]
            if (trade.by_hand or trade.correlation_id in names)
            and (trade.side, trade.product) == (fill.side, fill.product)
        )


units = st.integers(1, 10)
owners = st.sampled_from(["", "", "breakout", "momentum"])
products = st.sampled_from([Product.INTRADAY] * 3 + [Product.MARGIN])
which = st.integers(0, 20)
OMITTED = ("tradedQty", "avgTradedPrice")


ACTS = st.one_of(
    *(
        st.tuples(st.just(name), *details)
        for name, *details in (
            ("enter", units, owners, products, st.booleans()),
            ("against", units, st.booleans()),
            ("leave", units | st.none(), owners, products, st.sampled_from([0, 4, 10**6])),
            ("leave", st.none(), st.just(""), st.just(Product.INTRADAY), st.sampled_from([4, 99])),
            ("wish_cancelled", which),
            ("close", owners, products, st.integers(0, 3)),
            ("chore", st.sampled_from(["flatten", "trim", "reconcile", "look", "withdraw"])),
            ("fill", which, units),
            ("end", which, st.booleans()),
            ("lag", st.sampled_from(["positions", "books"]), st.integers(0, 6),
             st.sampled_from([1, 1000])),
            ("lose_the_next_answer", st.sampled_from(["before", "after"])),
            ("trade_by_hand", st.sampled_from(["BUY", "SELL"]), units),
            ("hear", which, st.sampled_from(["all", "one", "omitting", "lost"])),
            ("wait",),
        )
    )
)  # fmt: skip
"""What one step may be. All in one rule: a run of few examples must not leave kinds out."""


class Storm(RuleBasedStateMachine):
    """Any interleaving of what the desk does and what befalls it."""

    reliance = None

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.waits = 0

    @initialize(sign=st.sampled_from([1, -1]), owner=owners)
    def begins(self, sign: int, owner: str) -> None:
        self.desk = Desk(self.reliance, self.stack, sign)
        self.broker = self.desk.broker
        self.enter(10, owner, Product.INTRADAY, fills=True)
        self.desk.hear_all()

    @rule(act=ACTS)
    def go_on(self, act: tuple[Any, ...]) -> None:
        name, *details = act
        getattr(self, name)(*details)

    def teardown(self) -> None:
        self.stack.close()

    # --- the desk

    def enter(self, quantity: int, owner: str, product: Product, fills: bool) -> None:
        order = self.desk.ask(Intent.ENTRY, quantity, owner, product=product)
        if fills and order.broker_order_id:
            self.broker.fill(order.broker_order_id, quantity)

    def against(self, quantity: int, fills: bool) -> None:
        """Another strategy goes the other way."""
        order = self.desk.ask(Intent.ENTRY, quantity, AGAINST, side=self.desk.leaving)
        if fills and order.broker_order_id:
            self.broker.fill(order.broker_order_id, quantity)

    def leave(self, quantity: int | None, owner: str, product: Product, fills: int) -> None:
        """So many units, or all that there are."""
        there = abs(self.broker.now.net(product))
        order = self.desk.ask(Intent.EXIT, quantity or there or 1, owner, product=product)
        if fills and order.broker_order_id:
            self.broker.fill(order.broker_order_id, fills)

    def wish_cancelled(self, number: int) -> None:
        alive = list(Order.objects.alive().filter(account=self.desk.account).order_by("pk"))
        if alive:
            try:
                services.cancel(alive[number % len(alive)], WHO, "no longer wanted")
            except TooLate:
                return
            self.desk.sweep()

    def close(self, owner: str, product: Product, passes: int) -> None:
        """A goal, of a strategy's part or of all, and some passes at once."""
        self.desk.close(f"{STRATEGY}{owner}" if owner else "", product)
        for _ in range(passes):
            self.desk.flatten()

    def chore(self, what: str) -> None:
        account = self.desk.account
        if what == "flatten":
            self.desk.flatten()
        elif what == "trim":
            self.desk.trim()
        elif what == "reconcile":
            reconcile(account)
        elif what == "look":
            self.desk.sweep()
            look.look(account)
        else:
            for goal in ExitGoal.objects.filter(account=account, state__in=goals.OPEN):
                goals.withdraw(goal, WHO, "keep it")

    # --- the broker and the world

    def fill(self, number: int, quantity: int) -> None:
        if working := self._working():
            self.broker.fill(working[number % len(working)], quantity)

    def end(self, number: int, heard: bool) -> None:
        """The exchange ends an order; the frame that says so may say no more than that."""
        if working := self._working():
            self.broker.cancel(working[number % len(working)])
            if heard:
                self.desk.hear(-1, omitting=OMITTED)

    def _working(self) -> list[str]:
        return [order.order_id for order in self.broker.now.orders if order.left]

    def lag(self, what: str, events: int, reads: int) -> None:
        self.broker.lag(what, events, reads)

    def lose_the_next_answer(self, lost: str) -> None:
        self.broker.lose = [lost]

    def trade_by_hand(self, side: str, quantity: int) -> None:
        self.broker.trade_by_hand(side, quantity)

    def hear(self, number: int, how: str) -> None:
        if not self.broker.frames:
            return
        if how == "all":
            self.desk.hear_all()
        elif how == "lost":
            self.broker.frames.clear()
        else:
            self.desk.hear(number, omitting=OMITTED if how == "omitting" else ())

    def wait(self) -> None:
        self.waits += 1
        if self.waits <= MOST_WAITS:
            time.sleep(SETTLE * 1.05)

    @invariant()
    def nothing_of_ours_went_through_zero(self) -> None:
        if hasattr(self, "desk"):
            assert not (found := self.desk.through_zero()), found
            assert not (found := self.desk.beyond_its_part()), found


def test_no_interleaving_takes_a_position_through_zero(reliance):
    class OverReliance(Storm):
        pass

    OverReliance.reliance = reliance
    run_state_machine_as_test(
        OverReliance,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# --- what the storm found, and what was thought of


@pytest.fixture
def desk(reliance):
    with ExitStack() as stack:
        yield Desk(reliance, stack)


def bought(desk: Desk, quantity: int = 10, strategy: str = "") -> Order:
    order = desk.ask(Intent.ENTRY, quantity, strategy)
    assert order.broker_order_id, order.reason
    desk.broker.fill(order.broker_order_id, quantity)
    desk.hear_all()
    time.sleep(SETTLE)
    reconcile(desk.account)
    order.refresh_from_db()
    assert order.status == "FILLED"
    return order


def filled(desk: Desk, order: Order) -> None:
    if order.broker_order_id:
        desk.broker.fill(order.broker_order_id, order.quantity)


def test_a_cancelled_frame_that_omits_what_filled_frees_nothing_until_the_book_has_told(desk):
    bought(desk)
    first = desk.ask(Intent.EXIT, 10)
    desk.broker.frames.clear()
    desk.broker.fill(first.broker_order_id, 4)
    desk.broker.cancel(first.broker_order_id)
    desk.broker.lag("positions", 3, 2)
    desk.broker.lag("books", 3, 3)
    desk.hear(-1, omitting=("tradedQty", "avgTradedPrice"))
    first.refresh_from_db()
    assert first.status == "CANCELLED"
    filled(desk, desk.ask(Intent.EXIT, 10))
    assert desk.through_zero() == []
    time.sleep(SETTLE)
    rest = desk.ask(Intent.EXIT, 6)
    filled(desk, rest)
    assert desk.broker.now.net("INTRADAY") == 0, rest.reason
    assert desk.through_zero() == []


def test_two_reads_that_are_late_for_reasons_of_their_own_confirm_nothing(desk):
    bought(desk, 20)
    stops = [desk.ask(Intent.EXIT, 10) for _ in range(2)]
    desk.hear_all()
    for stop in stops:
        time.sleep(SETTLE)
        filled(desk, stop)
        desk.hear_all()
        reconcile_without_positions(desk)
        desk.broker.lag("positions", 1, 1)
        footing.read_positions(desk.account)  # ten more than there are: the stop is not in it
    desk.broker.lag("positions", 1, 3)
    filled(desk, desk.ask(Intent.EXIT, 10))
    assert desk.through_zero() == []


def reconcile_without_positions(desk: Desk) -> None:
    """The order book was read, and explains nothing new."""
    BrokerAccount.objects.filter(pk=desk.account.pk).update(reconcile_wanted=False)


def test_a_fill_that_the_books_show_later_than_the_positions_is_not_counted_twice(desk):
    entry = desk.ask(Intent.ENTRY, 10)
    desk.broker.frames.clear()
    time.sleep(SETTLE)
    desk.broker.fill(entry.broker_order_id, 10)
    desk.broker.frames.clear()
    footing.read_positions(desk.account)  # ten that nobody explains yet
    desk.broker.lag("books", 1, 2)
    reconcile(desk.account)  # and the order book does not show the fill either
    reconcile_without_positions(desk)
    time.sleep(SETTLE)
    footing.read_positions(desk.account)
    reconcile(desk.account)
    assert footing.total(desk.account, ("NSE_EQ", "2885", "INTRADAY")) == 10


def test_an_order_that_is_imported_late_is_not_counted_on_top_of_its_units(desk):
    desk.broker.trade_by_hand("BUY", 10)
    for _ in range(4):
        footing.read_positions(desk.account)
        reconcile_without_positions(desk)
        time.sleep(SETTLE * 1.1)
    key = ("NSE_EQ", "2885", "INTRADAY")
    assert footing.total(desk.account, key) == 10
    desk.broker.lag("positions", 1, 9)
    reconcile(desk.account)
    assert Order.objects.get(account=desk.account).source == "EXTERNAL"
    assert footing.total(desk.account, key) == 10


def test_what_somebody_sold_is_gone_while_it_cannot_be_attributed_yet(desk):
    """A late read shows it still there, and our own count does not have it yet."""
    bought(desk)
    desk.broker.lose = ["before"]
    lost = desk.ask(Intent.ENTRY, 1)
    assert lost.status == "UNKNOWN"
    desk.broker.trade_by_hand("SELL", 10)
    reconcile(desk.account)
    assert not Order.objects.filter(account=desk.account, source="EXTERNAL").exists()
    desk.broker.lag("positions", 2, 2)
    order = desk.ask(Intent.EXIT, 10)
    assert order.status == "DENIED"
    assert "0 left of the position by the desk's own count" in order.reason
    swept_until(lost, "NEVER_ARRIVED")
    reconcile(desk.account)
    assert Order.objects.get(account=desk.account, source="EXTERNAL").filled_quantity == 10
    assert footing.total(desk.account, ("NSE_EQ", "2885", "INTRADAY")) == 0
    assert not Footing.objects.exclude(suspected=0).exists()
