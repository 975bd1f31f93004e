"""One run: ask, strike, steer; then heal, wait until nothing is undecided, and judge."""

from __future__ import annotations

import heapq
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import requests
from django.conf import settings
from django.db import Error, connection
from django.db.models import Count

from apps.brokers.port import Intent, OrderType, Side
from apps.orders import services
from apps.orders.models import Order, Source
from apps.orders.services import BadOrder, OrderIntent, TooLate
from apps.orders.states import AT_BROKER, Status
from apps.signals.models import Fate, Signal
from tests.chaos import closing
from tests.chaos.blows import Blows
from tests.chaos.closing import Positions
from tests.chaos.judge import Judge, Verdict
from tests.chaos.opening import Desk
from tests.chaos.plan import Ask, Deed, Plan, Step
from tests.chaos.ways import PATIENCE, WHO, ask_until_answered, order_of

CLIENTS = 16  # asks and steps that may wait at once
TRIES = 6  # of a step whose order is not at the broker yet
PROGRESS_EVERY = 5.0  # seconds
Say = Callable[[str], None]


class Storm:
    """Everything that goes on during a run."""

    def __init__(self, desk: Desk, plan: Plan, say: Say) -> None:
        self.desk = desk
        self.plan = plan
        self.blows = Blows(desk, settings.SEND_WITHIN)
        self.answered: dict[str, str] = {}
        self._say = say
        self._began = time.monotonic()
        self._timeline: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()
        self._at_work = 0
        self._lock = threading.Lock()

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    def rage(self) -> None:
        """Let everything happen in its second, until the last answer is there."""
        told(self.desk, "schedule", **self.plan.weather)
        self._began = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as pool:
            for ask in self.plan.asks:
                self._at(ask.at, partial(self._submit, pool, self._ask, pool, ask))
            for deed in self.plan.deeds:
                self._at(deed.at, partial(self._submit, pool, self._do_deed, pool, deed, TRIES))
            for blow in self.plan.blows:
                self._at(blow.at, partial(self.blows.deal, blow))
            self._go_on()
        self.blows.over()

    def _at(self, second: float, act: Callable[[], object]) -> None:
        with self._lock:
            heapq.heappush(self._timeline, (second, next(self._numbers), act))

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[..., None], *args: Any) -> None:
        with self._lock:
            self._at_work += 1
        pool.submit(self._do, work, args)

    def _do(self, work: Callable[..., None], args: tuple[Any, ...]) -> None:
        try:
            work(*args)
        except Exception as error:  # noqa: BLE001 - a bug of the run itself; the judge goes on
            self._say(f"{work.__name__} {args[1:]} broke: {type(error).__name__}: {error}")
        finally:
            connection.close()
            with self._lock:
                self._at_work -= 1

    def _go_on(self) -> None:
        told_at, last = 0.0, self.plan.seconds + PATIENCE + 30
        while (self.now < self.plan.seconds or self._busy()) and self.now < last:
            for act in self._due():
                act()
            if self.now - told_at > PROGRESS_EVERY:
                told_at = self.now
                self._say(self._progress())
            time.sleep(0.01)

    def _busy(self) -> bool:
        with self._lock:
            return bool(self._timeline) or self._at_work > 0

    def _due(self) -> list[Callable[[], object]]:
        found = []
        with self._lock:
            while self._timeline and self._timeline[0][0] <= self.now:
                found.append(heapq.heappop(self._timeline)[2])
        return found

    def _progress(self) -> str:
        asked = sum(ask.at <= self.now for ask in self.plan.asks)
        head = f"asked {asked}/{len(self.plan.asks)}, answered {len(self.answered)}"
        tail = f"kills {self.blows.kills}, frozen or locked {self.blows.faults}"
        return f"{head} | {_statuses()} | {tail}"

    # --- in threads of the pool

    def _ask(self, pool: ThreadPoolExecutor, ask: Ask) -> None:
        key = ask_until_answered(self.desk, ask)
        if key is None:
            self._say(f"{ask.mark} ({ask.way}) was never answered")
            return
        self.answered[ask.mark] = key
        for step in ask.then:
            self._step_later(pool, ask, step, TRIES, step.after)

    def _step_later(
        self, pool: ThreadPoolExecutor, ask: Ask, step: Step, tries: int, after: float
    ) -> None:
        self._at(self.now + after, partial(self._submit, pool, self._step, pool, ask, step, tries))

    def _step(self, pool: ThreadPoolExecutor, ask: Ask, step: Step, tries: int) -> None:
        """Once the broker has the order. What the desk refuses it refuses: that is an answer."""
        with suppress(Error, requests.RequestException, NotThere):
            take(step.what, self.desk, ask)
            return
        connection.close()
        if tries:
            self._step_later(pool, ask, step, tries - 1, 1.0)

    def _do_deed(self, pool: ThreadPoolExecutor, deed: Deed, tries: int) -> None:
        with suppress(Error, requests.RequestException):
            closing.do(self.desk, deed, told)
            return
        connection.close()
        if tries:
            again = partial(self._submit, pool, self._do_deed, pool, deed, tries - 1)
            self._at(self.now + 1.0, again)


class NotThere(Exception):
    """The order is not at the broker yet; ask again."""


def take(what: str, desk: Desk, ask: Ask) -> None:
    """Cancel, modify or partly fill the order of an ask."""
    order = order_of(ask.mark)
    if order is None or (not order.over and order.status not in AT_BROKER):
        raise NotThere
    if what == "leave":
        _leave(order)
        return
    if order.over:
        return
    with suppress(TooLate, BadOrder):
        if what == "cancel":
            services.cancel(order, WHO, "chaos: no longer wanted")
        elif what == "modify":
            _modify(order)
        elif order.broker_order_id:
            told(desk, "fill", orderId=order.broker_order_id, quantity=1)


def _leave(order: Order) -> None:
    """The strategy wants out of what its order has filled, once."""
    if not order.filled_quantity:
        if order.over:
            return
        raise NotThere
    wanted = OrderIntent(
        account=order.account,
        instrument=order.instrument,
        side=Side.SELL if order.side == Side.BUY else Side.BUY,
        quantity=order.filled_quantity,
        order_type=OrderType.MARKET,
        intent=Intent.EXIT,
        strategy=order.strategy,
    )
    with suppress(BadOrder):
        services.place(wanted, WHO, Source.SYSTEM, "chaos: out", f"{order.strategy}-out")


def _modify(order: Order) -> None:
    """A tick nearer to the market, and one unit more."""
    tick = order.instrument.tick_size * (1 if order.side == "BUY" else -1)
    price = None if order.price is None else order.price + tick
    services.modify(order, WHO, "chaos: other terms", quantity=order.quantity + 1, price=price)


def told(desk: Desk, path: str, **body: Any) -> Any:
    """The exchange's control, which refuses connections too while it refuses all."""
    for _ in range(20):
        try:
            return desk.house.exchange(path, **body)
        except requests.RequestException:
            time.sleep(0.5)
    raise RuntimeError(f"the exchange does not answer /_sim/{path}")


def _statuses() -> str:
    try:
        found = Order.objects.values_list("status").annotate(Count("id")).order_by("status")
        return ", ".join(f"{status} {number}" for status, number in found) or "no orders"
    except Error as error:
        connection.close()
        return f"no database ({type(error).__name__})"


def denials(most: int = 6) -> list[tuple[str, int]]:
    """The commonest reasons for which the gate said no, without the numbers in them."""
    said = Order.objects.filter(status=Status.DENIED).values_list("reason", flat=True)
    return Counter(re.sub(r"[\d.,]+", "…", reason)[:100] for reason in said).most_common(most)


def heal(desk: Desk, patience: float, say: Say) -> None:
    """The exchange behaves again, the house comes back, and what is to be closed gets its time
    to be; then the market stands still."""
    for path in ("schedule", "faults"):
        _delete(desk, path)
    told(desk, "feed", action="resume")
    desk.house.until_healthy(90)
    deadline = time.monotonic() + patience
    while (still := closing.still_open()) and time.monotonic() < deadline:
        time.sleep(1)
    if still:
        say(f"not closed in time: {', '.join(still)}")
    told(desk, "walk", on=False)
    told(desk, "auto", on=False)


def _delete(desk: Desk, path: str) -> None:
    for _ in range(20):
        with suppress(requests.RequestException):
            requests.delete(f"{desk.house.env['SIMEXCHANGE_URL']}/_sim/{path}", timeout=5)
            return
        time.sleep(0.5)


def settle(desk: Desk, patience: float, say: Say) -> Judge:
    """Wait until nothing is undecided, within the patience; the judge has the last report."""
    deadline, told_at = time.monotonic() + patience, time.monotonic()
    while True:
        report = told(desk, "report")
        judge = Judge(report, desk.client_ids)
        agree = judge.agrees() and Positions(report, desk.client_ids).agrees()
        still = _still_to_do() or ([] if agree else ["the books differ"])
        if not still or time.monotonic() > deadline:
            return judge
        if time.monotonic() - told_at > PROGRESS_EVERY:
            told_at = time.monotonic()
            say(f"waiting: {', '.join(still)} | {_statuses()}")
        time.sleep(1)


def _still_to_do() -> list[str]:
    signals = Signal.objects.filter(fate=Fate.RECEIVED).count()
    wishes = Order.objects.alive().exclude(cancel_wanted_at=None).count()
    both = {"signals": signals, "cancels": wishes}
    return [f"{number} {name}" for name, number in both.items() if number]


def verdict(storm: Storm, judge: Judge) -> Verdict:
    """The judge's counts, and what was done to house and exchange."""
    found = judge.verdict(len(storm.plan.asks), storm.answered)
    report = told(storm.desk, "report")
    closed = Positions(report, storm.desk.client_ids).verdict()
    for name, value in vars(closed).items():
        setattr(found, name, found.notes + value if name == "notes" else value)
    fired = sum(report["fired"].values())
    found.kills = storm.blows.kills
    found.faults = storm.blows.faults + fired
    return found
