"""Brackets as people and programs ask for them: place, change, leave. Every way in ends here.

Where the broker keeps brackets itself, it keeps target and stop in step and the guardian verifies
it. Else they are ours (``MANAGED``): ordinary exits of one group.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.brokers import calendar, keeping, quotes
from apps.brokers.locks import turn_if_free
from apps.brokers.models import BrokerAccount, Instrument
from apps.brokers.port import BracketKind, Intent, LegName, OrderType, Product, Side
from apps.orders import bracket_guard, inputs, queue, services
from apps.orders.bracket_machine import Part
from apps.orders.bracket_sight import key_of, orders_of, price_now, unplaced, why_it_ends
from apps.orders.models import (
    Bracket,
    BracketLeg,
    BracketStatus,
    Leg,
    Order,
    Source,
    Style,
)
from apps.orders.protection import Band
from apps.orders.services import Actor, BadOrder, OrderIntent, TooLate

ENTRIES = (OrderType.LIMIT, OrderType.MARKET)


@dataclass(frozen=True, kw_only=True)
class BracketIntent:
    """What is wanted. Quantity in units, prices in rupees.

    ``stop_limit`` empty: the stop is sent with the policy's protective distance beyond its trigger.
    ``trailing_jump``: the stop follows in whole steps of so many rupees. ``test``: never live.
    """

    account: BrokerAccount
    instrument: Instrument
    side: Side
    quantity: int
    order_type: OrderType = OrderType.LIMIT
    price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_limit: Decimal | None = None
    target_price: Decimal | None = None
    trailing_jump: Decimal | None = None
    product: Product = Product.INTRADAY
    strategy: str = ""
    test: bool = False


def place(
    intent: BracketIntent, actor: Actor, source: Source, cause: str = "", request_key: str = ""
) -> Bracket:
    """Store the bracket with its legs and place its entry; one that risk denies is over at once.

    The same ``request_key`` twice is the same bracket. Raises ``BadOrder`` for what is none.
    """
    known = placed_before(request_key)
    if known is None:
        check(intent)
    with ExitStack() as turn:
        if known is None:
            try:
                known = _store(intent, actor, source, cause, request_key, turn)
            except IntegrityError:
                known = placed_before(request_key)
                if known is None:
                    raise
        if not known.over and not orders_of(known)[Part.ENTRY]:
            _enter(known, intent, actor, source, cause)
    bracket_guard.tend(known.pk)
    known.refresh_from_db()
    return known


def placed_before(request_key: str) -> Bracket | None:
    """The bracket that was asked for under this key; None when there is none, or no key."""
    return Bracket.objects.filter(request_key=request_key).first() if request_key else None


def _store(
    intent: BracketIntent,
    actor: Actor,
    source: Source,
    cause: str,
    request_key: str,
    turn: ExitStack,
) -> Bracket:
    """Bracket and legs, all at once; its turn is ours before anybody else can see it."""
    with transaction.atomic(durable=True):
        bracket = Bracket.objects.create(
            account=intent.account,
            instrument=intent.instrument,
            side=intent.side,
            product=intent.product,
            quantity=intent.quantity,
            style=style_of(intent),
            strategy=intent.strategy,
            entry_price=intent.price,
            target_price=intent.target_price,
            stop_price=intent.stop_price,
            stop_limit=intent.stop_limit,
            trailing_jump=intent.trailing_jump,
            source=source,
            actor=actor.name,
            user=actor.user,
            cause=cause[:300],
            request_key=request_key or None,
        )
        wanted = [Leg.ENTRY, Leg.STOP_LOSS] + ([Leg.TARGET] if intent.target_price else [])
        for leg in wanted:
            row = BracketLeg(
                bracket=bracket, account=intent.account, leg=leg, quantity=intent.quantity
            )
            for name, value in unplaced(bracket, row).items():
                setattr(row, name, value)
            row.save()
        bracket.note(actor.name, f"asked for: {in_words(bracket)}. {cause}".strip())
        turn.enter_context(turn_if_free(bracket.name))
    return bracket


def _enter(
    bracket: Bracket, intent: BracketIntent, actor: Actor, source: Source, cause: str
) -> None:
    """Its entry, an ordinary order under the bracket's own key."""
    entry = _entry(intent)
    if bracket.style != Style.MANAGED:
        entry = replace(
            entry,
            kept=BracketKind(bracket.style),
            leg=LegName.ENTRY,
            exit_stop=intent.stop_price,
            exit_target=intent.target_price,
            exit_jump=intent.trailing_jump,
        )
    services.place(entry, actor, source, cause, key_of(bracket, Part.ENTRY, 1))


def _entry(intent: BracketIntent) -> OrderIntent:
    return OrderIntent(
        account=intent.account,
        instrument=intent.instrument,
        side=intent.side,
        quantity=intent.quantity,
        order_type=intent.order_type,
        price=intent.price,
        product=intent.product,
        intent=Intent.ENTRY,
        strategy=intent.strategy,
        test=intent.test,
    )


def style_of(intent: BracketIntent) -> Style:
    """The best style that can be had: the broker's own brackets protect while the desk is down.

    A stop with a limit of its own is nothing that a broker keeps. Neither is a target so near that
    an entry at the market could be sent beyond it.
    """
    if intent.stop_limit is not None or not _is_beyond(intent):
        return Style.MANAGED
    has_target = intent.target_price is not None
    for kind in keeping.kinds(intent.account, intent.instrument, target=has_target):
        if kind is BracketKind.SUPER and has_target:
            return Style.SUPER
        plain = intent.order_type is OrderType.LIMIT and intent.trailing_jump is None
        if kind is BracketKind.NATIVE and plain and intent.product is Product.INTRADAY:
            return Style.NATIVE
    return Style.MANAGED


def _is_beyond(intent: BracketIntent) -> bool:
    """True when the target lies well beyond whatever price the entry is sent at."""
    if intent.order_type is OrderType.LIMIT or intent.target_price is None:
        return True
    account, instrument, sign = intent.account, intent.instrument, intent.side.sign
    last = quotes.last_price(instrument, account.market, settings.BRACKET_QUOTE_AGE)
    limit = inputs.limit_now(_entry(intent))
    if last is None or limit is None:
        return False
    return (intent.target_price - limit) * sign > abs(limit - last.value)


def in_words(bracket: Bracket) -> str:
    """The bracket in one line."""
    entry = "at market" if bracket.entry_price is None else f"at {_plain(bracket.entry_price)}"
    words = f"{bracket.side} {bracket.quantity} {bracket.instrument.symbol} {entry}"
    if bracket.stop_price is not None:
        words += f", stop {_plain(bracket.stop_price)}"
    if bracket.target_price is not None:
        words += f", target {_plain(bracket.target_price)}"
    if bracket.trailing_jump is not None:
        words += f", trailing by {_plain(bracket.trailing_jump)}"
    return words


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def check(intent: BracketIntent) -> None:
    """Raise ``BadOrder`` for what can be no bracket, naming the field and what would be right."""
    instrument = intent.instrument
    if intent.order_type not in ENTRIES:
        raise BadOrder("order_type", "a bracket is entered with a LIMIT or a MARKET order")
    if intent.order_type is OrderType.LIMIT and intent.price is None:
        raise BadOrder("price", "a LIMIT entry needs a price")
    if intent.order_type is OrderType.MARKET and intent.price is not None:
        raise BadOrder("price", "a MARKET entry has none: the desk finds its limit")
    if intent.stop_price is None:
        why = "a target needs a stop" if intent.target_price is not None else "a bracket needs one"
        raise BadOrder("stop_price", f"{why}: say where the loss ends")
    _check_quantity(intent.quantity, instrument)
    _check_ticks(intent)
    _check_sides(intent)
    market = calendar.market_for(intent.account, instrument.segment, instrument.security_id)
    probe = Bracket(account=intent.account, instrument=instrument)
    if why := why_it_ends(probe, market):
        raise BadOrder("instrument", f"it is too late for a bracket: {why}")


def _check_quantity(quantity: int, instrument: Instrument) -> None:
    if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity <= 0:
        raise BadOrder("quantity", "must be a whole number of units above 0")
    if quantity % instrument.lot_size:
        raise BadOrder("quantity", f"must be whole lots of {instrument.lot_size}")
    freeze = instrument.freeze_quantity
    if freeze is not None and quantity > freeze:
        text = f"is above the freeze quantity {freeze}: place several brackets, none above it"
        raise BadOrder("quantity", text)


def _check_ticks(intent: BracketIntent) -> None:
    """Prices on the tick and within the day's band."""
    instrument = intent.instrument
    quote = quotes.quote_of(instrument, intent.account.market)
    lower, upper = quote.circuits if quote else (None, None)
    listed_lower, listed_upper = instrument.limits(timezone.localdate())
    band = Band(instrument.tick_size, lower or listed_lower, upper or listed_upper)
    for name in ("price", "stop_price", "stop_limit", "target_price", "trailing_jump"):
        value: Decimal | None = getattr(intent, name)
        if value is None:
            continue
        if not value.is_finite() or value <= 0 or value >= 10**9:
            raise BadOrder(name, "must be an amount of rupees above 0 and below 1,00,00,00,000")
        if value % instrument.tick_size:
            raise BadOrder(name, f"must be a multiple of the tick {_plain(instrument.tick_size)}")
        if name != "trailing_jump" and not band.holds(value):
            limits = " to ".join("–" if x is None else _plain(x) for x in (band.lower, band.upper))
            raise BadOrder(name, f"must lie within today's band {limits}")


def _check_sides(intent: BracketIntent) -> None:
    """The stop on the losing side of the entry, the target on the winning one."""
    account, instrument, sign = intent.account, intent.instrument, intent.side.sign
    entry, what = intent.price, "the entry"
    if entry is None:
        last = quotes.last_price(instrument, account.market, settings.BRACKET_QUOTE_AGE)
        entry, what = (None if last is None else last.value), "the last price"
    _check_exits(entry, what, sign, intent.stop_price, intent.stop_limit, intent.target_price)


def _check_exits(
    entry: Decimal | None,
    what: str,
    sign: int,
    stop: Decimal | None,
    limit: Decimal | None,
    target: Decimal | None,
) -> None:
    losing, winning = ("below", "above") if sign > 0 else ("above", "below")
    if stop is not None and entry is not None and (stop - entry) * sign >= 0:
        raise BadOrder("stop_price", f"must be {losing} {what}, {_plain(entry)}")
    if target is not None and entry is not None and (target - entry) * sign <= 0:
        raise BadOrder("target_price", f"must be {winning} {what}, {_plain(entry)}")
    if target is not None and stop is not None and (target - stop) * sign <= 0:
        raise BadOrder("target_price", f"must be {winning} the stop, {_plain(stop)}")
    if limit is not None and stop is not None and (limit - stop) * sign > 0:
        raise BadOrder("stop_limit", f"must be at or {losing} the stop's trigger, {_plain(stop)}")


def leave(bracket: Bracket, actor: Actor, reason: str) -> Bracket:
    """Cancel its orders and leave what it holds at the market. Raises ``TooLate`` when over."""
    _still(bracket)
    if not reason.strip():
        raise BadOrder("reason", "say why, for the record")
    if not bracket_guard.leave(bracket, actor, reason):
        raise TooLate("it is being left already")
    queue.ring_bracket(bracket.pk)
    return bracket


def drop_target(bracket: Bracket, actor: Actor, reason: str) -> Bracket:
    """Go on with the stop alone. Raises ``TooLate`` when it is over or has no target."""
    _still(bracket)
    with_target = Bracket.objects.filter(pk=bracket.pk, target_price__isnull=False)
    if not with_target.update(target_price=None):
        raise TooLate("it has no target")
    bracket.note(actor.name, f"its target is dropped: {reason}")
    queue.ring_bracket(bracket.pk)
    bracket.refresh_from_db()
    return bracket


def change(
    bracket: Bracket,
    actor: Actor,
    reason: str,
    *,
    stop_price: Decimal | None = None,
    target_price: Decimal | None = None,
) -> Bracket:
    """New prices of stop and target; the working legs follow. Raises ``BadOrder``, ``TooLate``."""
    _still(bracket)
    has = {"stop_price": bracket.stop_price, "target_price": bracket.target_price}
    asked = {"stop_price": stop_price, "target_price": target_price}
    wanted: dict[str, Decimal | None] = {
        name: new for name, new in asked.items() if new is not None and new != has[name]
    }
    if not wanted:
        raise BadOrder("stop_price", "the new prices are the ones it has")
    if "target_price" in wanted and not bracket.legs.filter(leg=Leg.TARGET).exists():
        raise BadOrder("target_price", "this bracket was placed without a target")
    stop, target = wanted.get("stop_price"), wanted.get("target_price")
    _check_change(bracket, stop or bracket.stop_price, target or bracket.target_price)
    if stop is not None:
        wanted |= _moved_stop(bracket, stop)
    if not Bracket.objects.filter(pk=bracket.pk, **has).update(**wanted):
        raise TooLate("it changed while you looked: look again")
    said = ", ".join(
        f"{name.replace('_', ' ')} {_plain(asked[name] or Decimal(0))}"
        for name in wanted
        if name in asked
    )
    bracket.note(actor.name, f"{said}: {reason}")
    queue.ring_bracket(bracket.pk)
    bracket.refresh_from_db()
    return bracket


def _check_change(bracket: Bracket, stop: Decimal | None, target: Decimal | None) -> None:
    """The same rules as for a new one; once entered, the last price stands for the entry's."""
    side = Side(bracket.side)
    probe = BracketIntent(
        account=bracket.account,
        instrument=bracket.instrument,
        side=side,
        quantity=bracket.quantity,
        stop_price=stop,
        target_price=target,
    )
    _check_ticks(probe)
    entering = bracket.status == BracketStatus.ENTERING and bracket.entry_price is not None
    entry, what = (bracket.entry_price, "the entry") if entering else (None, "the last price")
    _check_exits(entry or price_now(bracket), what, side.sign, stop, None, target)


def _moved_stop(bracket: Bracket, stop: Decimal) -> dict[str, Decimal | None]:
    """The stop's own limit keeps its distance, and trailing counts anew from here."""
    moved: dict[str, Decimal | None] = {}
    if bracket.stop_limit is not None and bracket.stop_price is not None:
        moved["stop_limit"] = bracket.stop_limit + (stop - bracket.stop_price)
    last = price_now(bracket)
    kept = bracket.legs.filter(leg=Leg.STOP_LOSS).exclude(order__leg_of="").exists()
    if bracket.trail_price is not None and last is not None and not kept:
        moved |= {"trail_price": last, "trail_stop": stop}
    return moved


def _still(bracket: Bracket) -> None:
    bracket.refresh_from_db()
    if bracket.over:
        raise TooLate("the bracket is over")
    if bracket.leaving_at is not None:
        raise TooLate("the bracket is being left")


def entry_of(bracket: Bracket) -> Order | None:
    """The order that entered it."""
    return Order.objects.filter(request_key=key_of(bracket, Part.ENTRY, 1)).first()
