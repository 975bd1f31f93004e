"""Close every position of an account at an exchange that does not make it easy.

Twenty positions, each with a resting stop. Exits fill in pieces, some are rejected, some calls
hang, some are told to come again, and the exchange keeps to its limits. From asking to the second
read that proves each position closed.
"""

from __future__ import annotations

import time
from collections import Counter
from decimal import Decimal

from django.utils import timezone

from apps.brokers.budget import Budget, allowed
from apps.brokers.finding import find_instrument
from apps.brokers.models import Instrument, WireCall
from apps.brokers.port import Intent, OrderType, Product, Side
from apps.orders import goals, services
from apps.orders.goals import Closing
from apps.orders.models import Order, Source
from apps.orders.services import OrderIntent
from apps.risk.models import ExitGoal
from simexchange import instruments
from tests.bench.desk import WHO, Desk, Stuck
from tests.bench.figures import Run

NAME = "flatten"
FULL, QUICK = 20, 2
UNITS, PIECES = 40, 15
PATIENCE = 180.0  # seconds for all of it
TROUBLE = (
    {"fault": "reject_later", "endpoint": "place", "probability": 0.1},
    {"fault": "hang", "endpoint": "place", "probability": 0.05, "seconds": 20, "accept": True},
    {"fault": "http_429", "endpoint": "place", "probability": 0.05},
    {"fault": "http_429", "endpoint": "cancel", "probability": 0.05},
)


def flatten(desk: Desk, positions: int) -> Run:
    """Milliseconds from asking until each position is proved closed."""
    if not desk.simulator:
        raise RuntimeError(f"{NAME} needs our own exchange: it makes the trouble")
    held = _held(positions)
    _hold(desk, held)
    desk.control("limits", on=True, longer=False)
    desk.control("pieces", units=PIECES, pause=0.3)
    for fault in TROUBLE:
        desk.control("faults", **fault)
    before = WireCall.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    began = timezone.now()
    for instrument, product in held:
        wanted = Closing(account=desk.account, instrument=instrument, product=product)
        goals.open_goal(wanted, WHO, "bench")
    closed = _wait(positions)
    calls = WireCall.objects.filter(pk__gt=before, verb__in=["PLACE", "MODIFY", "CANCEL"])
    made = Counter(calls.values_list("verb", "outcome"))
    samples = [(goal.ended_at - began).total_seconds() * 1000 for goal in closed]
    least = 2 * positions / allowed(Budget.ORDER, 1)
    more = {
        "seconds": round(max(samples) / 1000, 1),
        "least_seconds_by_the_limits": round(least, 1),
        "calls": {" ".join(what): number for what, number in sorted(made.items())},
    }
    return Run(NAME, samples, max(samples) / 1000, more)


def _held(positions: int) -> list[tuple[Instrument, Product]]:
    """What is to be held: shares in every product that they are traded in."""
    shares = [row for row in instruments.load(None).values() if row.is_equity]
    found = [
        (find_instrument(f"{row.segment}:{row.symbol}"), product)
        for product in (Product.INTRADAY, Product.MARGIN, Product.DELIVERY, Product.MTF)
        for row in shares
    ]
    if len(found) < positions:
        raise RuntimeError(f"the exchange lists only {len(found)} of {positions} positions")
    return found[:positions]


def _hold(desk: Desk, held: list[tuple[Instrument, Product]]) -> None:
    """Buy every position, and rest a stop for it far below."""
    desk.control("walk", on=True)
    desk.control("auto", on=True)
    closes = {row.symbol: row.close for row in instruments.load(None).values()}
    for instrument, product in held:
        price = _near(closes[instrument.symbol], instrument, Decimal("1.03"))
        _place(desk, instrument, product, Side.BUY, Intent.ENTRY, price=price)
    _until(desk, "FILLED", len(held))
    desk.control("walk", on=False)
    for instrument, product in held:
        trigger = _near(closes[instrument.symbol], instrument, Decimal("0.95"))
        price = _near(closes[instrument.symbol], instrument, Decimal("0.94"))
        terms = {"price": price, "trigger_price": trigger, "order_type": OrderType.STOP_LIMIT}
        _place(desk, instrument, product, Side.SELL, Intent.EXIT, **terms)
    _until(desk, "OPEN", len(held))
    desk.control("walk", on=True)


def _near(close: Decimal, instrument: Instrument, share: Decimal) -> Decimal:
    return (close * share / instrument.tick_size).quantize(Decimal(1)) * instrument.tick_size


def _place(
    desk: Desk,
    instrument: Instrument,
    product: Product,
    side: Side,
    intent: Intent,
    order_type: OrderType = OrderType.LIMIT,
    **prices: Decimal,
) -> None:
    order = services.place(
        OrderIntent(
            account=desk.account,
            instrument=instrument,
            side=side,
            quantity=UNITS,
            order_type=order_type,
            product=product,
            intent=intent,
            **prices,
        ),
        WHO,
        Source.SYSTEM,
    )
    if order.status == "DENIED":
        raise Stuck(f"{order} was denied: {order.reason}")


def _until(desk: Desk, status: str, number: int) -> None:
    give_up = time.monotonic() + 60
    while Order.objects.filter(account=desk.account, status=status).count() < number:
        if time.monotonic() > give_up:
            raise Stuck(f"not all of {number} orders are {status}")
        time.sleep(0.2)


def _wait(positions: int) -> list[ExitGoal]:
    give_up = time.monotonic() + PATIENCE
    while True:
        closed = list(ExitGoal.objects.filter(state="REACHED"))
        if len(closed) == positions:
            return closed
        if time.monotonic() > give_up:
            still = ExitGoal.objects.exclude(state="REACHED")
            raise Stuck("; ".join(f"{goal}: {goal.note}" for goal in still))
        time.sleep(0.1)
