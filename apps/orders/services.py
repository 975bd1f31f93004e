"""What people and programs may ask of orders: place, cancel, modify. Every way in ends here."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

import structlog
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.brokers import calendar
from apps.brokers.budget import no_more_changes
from apps.brokers.models import BrokerAccount, Instrument, WireCall
from apps.brokers.port import (
    BracketKind,
    Intent,
    LegName,
    OrderRequest,
    OrderType,
    Product,
    Side,
    Validity,
)
from apps.orders import approving, dispatch, lifecycle, queue, wholes
from apps.orders.inputs import SENT_AS, prepare, refresh_inputs
from apps.orders.lifecycle import Happening, Terms
from apps.orders.models import (
    UNDER_WAY,
    Change,
    Modification,
    Order,
    Slicing,
    Source,
    trading_day,
)
from apps.orders.splitting import MOST, pieces_of
from apps.orders.states import AT_BROKER, Event, Status
from apps.risk import gate

log = structlog.get_logger(__name__)


class BadOrder(ValueError):
    """What was asked cannot be an order at all; names the field and what would be right."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field
        self.text = text


class TooLate(Exception):
    """The order is in no state for this; the text says which one it is in."""


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who asks: an operator with a user, or a program by name."""

    name: str
    user: User | None = None


@dataclass(frozen=True, kw_only=True)
class OrderIntent:
    """What is wanted. Quantity in units, prices in rupees.

    ``kept``: the entry of a bracket that the broker keeps, with the prices of its ways out.
    ``asked_type`` is the desk's own: set where another type is sent than was asked for.
    """

    account: BrokerAccount
    instrument: Instrument
    side: Side
    quantity: int
    order_type: OrderType
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    product: Product = Product.INTRADAY
    validity: Validity = Validity.DAY
    disclosed_quantity: int = 0
    intent: Intent = Intent.ENTRY
    test: bool = False
    after_market: bool = False
    strategy: str = ""
    group: str = ""
    replaces: Order | None = None
    kept: BracketKind | Literal[""] = ""
    leg: LegName | Literal[""] = ""
    exit_stop: Decimal | None = None
    exit_target: Decimal | None = None
    exit_jump: Decimal | None = None
    asked_type: OrderType | Literal[""] = ""


_OF_A_WHOLE = [name for name in OrderIntent.__annotations__ if name not in wholes.NOT_OF_A_WHOLE]


def place(
    intent: OrderIntent,
    actor: Actor,
    source: Source,
    cause: str = "",
    request_key: str = "",
) -> Order:
    """Store, review and queue one order; the answer is a row in APPROVED or DENIED.

    One that needs a second person is AWAITING_APPROVAL. Of a quantity above the freeze quantity
    the answer is the first slice, whose ``parent`` is the whole; ``slices`` places the others.
    The same ``request_key`` twice is the same order. Raises ``BadOrder`` for what is no order.
    """
    _check_shape(intent)
    known = _placed_before(request_key)
    if known is not None:
        return known
    order = _new_order(intent, actor, source, cause, request_key)
    try:
        with transaction.atomic(durable=True):
            wholes.store(order)
            approving.answer(order, gate.review(order.request()), actor)
            approving.ring_once_committed(order)
            wholes.follow(order)
    except IntegrityError:
        known = _placed_before(request_key)
        if known is None:
            raise
        return known
    log.info("reviewed", correlation_id=order.correlation_id, status=order.status)
    return order


def place_at_once(
    intent: OrderIntent,
    actor: Actor,
    source: Source,
    cause: str,
    request_key: str,
    then: Callable[[Order], None],
) -> Order:
    """The same for a worker: what is approved is sent here and now, and no bell is rung.

    Decision, claim and journal row are one transaction, of which ``then`` is a part.
    """
    _check_shape(intent)
    order = _new_order(intent, actor, source, cause, request_key)
    _review_and_send(order, actor, then)
    wholes.ring_next(order)
    return order


def place_slice(parent: Slicing, number: int) -> bool:
    """Place and send the slice of this number, planned and due, as ``place_at_once`` does.

    False when the whole has moved on meanwhile: it stopped, or somebody else placed the slice.
    """
    wanted = {name: getattr(parent, name) for name in _OF_A_WHOLE}
    words = {"side": Side, "order_type": OrderType, "product": Product, "validity": Validity}
    wanted |= {name: kind(wanted[name]) for name, kind in (words | {"intent": Intent}).items()}
    quantity = parent.plan[number - 1]
    order = Order(
        **vars(prepare(OrderIntent(**wanted, quantity=quantity))),
        trading_day=parent.trading_day,
        actor=parent.actor,
        user=parent.user,
        source=parent.source,
        cause=parent.cause,
        request_key=f"slice:{parent.pk}:{number}",
        parent=parent,
        slice_number=number,
        slice_of=len(parent.plan),
    )

    def still() -> bool:
        order.parent = wholes.locked(parent.pk)
        return wholes.wants(order.parent, number, quantity)

    return _review_and_send(order, Actor(name=parent.actor, user=parent.user), still=still)


def _review_and_send(
    order: Order,
    actor: Actor,
    then: Callable[[Order], None] = lambda _: None,
    still: Callable[[], bool] = lambda: True,
) -> bool:
    """Decision, claim and journal row in one transaction, then the call; False if ``still`` says
    no at its beginning."""
    request, claim_id = order.request(), uuid.uuid4()
    with gate.turn(order.correlation_id) as turn:
        with transaction.atomic(durable=True):
            if not still():
                return False
            wholes.store(order)
            decision, answer = turn.review(request, claim_id)
            if isinstance(answer, WireCall):
                approving.approve_and_claim(order, decision, actor, claim_id)
            else:
                approving.answer(order, decision, actor)
            then(order)
            if isinstance(answer, gate.Deferred):
                dispatch.follow(order, request, claim_id, answer)
            wholes.follow(order)
        if isinstance(answer, WireCall):
            dispatch.send(turn, dispatch.Leaving(order, answer, request, claim_id))
    return True


def _new_order(
    intent: OrderIntent, actor: Actor, source: Source, cause: str, request_key: str
) -> Order:
    """The row to be, prepared; of what is above the freeze quantity the first slice.

    The slice has the wish's own key, so that a whole and an order cannot both come of one wish.
    """
    asked: dict[str, Any] = {
        "trading_day": _day_of(intent),
        "actor": actor.name,
        "user": actor.user,
        "source": source,
        "cause": cause[:300],
        "request_key": request_key or None,
    }
    parent = wholes.begun(intent, **asked)
    if parent is None:
        return Order(**vars(prepare(intent)), **asked)
    first = prepare(replace(intent, quantity=parent.plan[0]))
    part = {"parent": parent, "slice_number": 1, "slice_of": len(parent.plan)}
    return Order(**vars(first), **asked, **part)


def _placed_before(request_key: str) -> Order | None:
    return Order.objects.filter(request_key=request_key).first() if request_key else None


def _day_of(intent: OrderIntent) -> dt.date:
    """The session that an after-market order waits for; any other order is of today."""
    if not intent.after_market:
        return trading_day()
    instrument = intent.instrument
    market = calendar.market_for(intent.account, instrument.segment, instrument.security_id)
    return calendar.trading_day_for(market) or trading_day()


def cancel(order: Order, actor: Actor, reason: str) -> Order:
    """Wish an order cancelled. One that never left is cancelled here and now.

    The wish stands until the order is over. Raises ``TooLate`` when it already is.
    """
    order.refresh_from_db()
    if order.over:
        raise TooLate(f"the order is already {order.status}")
    waits = order.status == Status.AWAITING_APPROVAL
    if waits and approving.withdraw(order, actor.name, reason):
        order.refresh_from_db()
        return order
    if order.status == Status.APPROVED and _withdraw(order, actor, reason):
        order.refresh_from_db()
        return order
    now = timezone.now()
    columns = {"cancel_wanted_at": order.cancel_wanted_at or now, "next_cancel_at": now}
    lifecycle.apply(
        order.pk,
        Happening(
            event=Event.WANT_CANCEL,
            origin="desk",
            text=reason,
            actor=actor.name,
            columns=columns,
        ),
    )
    queue.ring_cancel(order.pk)
    order.refresh_from_db()
    return order


def _withdraw(order: Order, actor: Actor, reason: str) -> bool:
    happening = Happening(
        event=Event.WITHDRAW,
        origin="desk",
        text=f"cancelled before sending: {reason}",
        actor=actor.name,
    )
    try:
        return lifecycle.apply(order.pk, happening)
    except lifecycle.ImpossibleTransition:
        return False  # a sender was quicker; the wish goes the long way


def modify(
    order: Order,
    actor: Actor,
    reason: str,
    *,
    quantity: int | None = None,
    price: Decimal | None = None,
    trigger_price: Decimal | None = None,
    exit_stop: Decimal | None = None,
    exit_target: Decimal | None = None,
) -> Modification:
    """Ask for new terms; ``quantity`` is the new total. Reviewed like a placement.

    ``exit_stop`` and ``exit_target`` are of an entry whose ways out the broker keeps.

    Raises ``TooLate`` when the broker does not have the order, a change is under way, or the
    broker takes no more changes of it.
    """
    asked = Terms(
        quantity=quantity,
        price=price,
        trigger_price=trigger_price,
        exit_stop=exit_stop,
        exit_target=exit_target,
    )
    _check_prices(price=price, trigger_price=trigger_price, exit_stop=exit_stop)
    _check_kept(order, asked)
    if order.slice_number is not None and (quantity or 0) > order.quantity:
        raise BadOrder("quantity", "a slice can only be made smaller; place another order for more")
    refresh_inputs(order.account, order.instrument, _request_with(order, _on_top(order, asked)))
    try:
        return _store_change(order, actor, reason, asked)
    except IntegrityError as error:
        raise TooLate("another change of this order is under way") from error


def _check_kept(order: Order, asked: Terms) -> None:
    """What the broker keeps in step itself is nobody's to change."""
    if order.kept_exit and asked.quantity not in {None, order.quantity}:
        raise BadOrder("quantity", "the broker keeps it at what the entry has filled")
    if order.kept_exit and order.leg == LegName.STOP_LOSS and asked.price is not None:
        raise BadOrder("price", "the broker finds the limit of its stop: change the trigger price")
    if order.exits is None and (asked.exit_stop or asked.exit_target) is not None:
        raise BadOrder("exit_stop", "the broker keeps no ways out for this order")


def _on_top(order: Order, asked: Terms) -> Terms:
    """What is asked for on top of what the order has."""
    return Terms(
        **{
            name: getattr(order, name) if value is None else value
            for name, value in vars(asked).items()
        }
    )


def _request_with(order: Order, terms: Terms) -> OrderRequest:
    """The order as it would be with these terms."""
    wanted = vars(terms).copy()
    stop, target = wanted.pop("exit_stop"), wanted.pop("exit_target")
    exits = order.exits and replace(order.exits, stop=stop, target=target)
    return replace(order.request(), **wanted, exits=exits)


def _new_terms(order: Order, asked: Terms) -> Terms:
    """What is asked for on top of what the order has; refuses what is no change."""
    if order.from_outside:
        raise TooLate("the order was made outside the desk: it can be cancelled, not changed")
    if order.status not in AT_BROKER or order.cancel_wanted_at is not None:
        raise TooLate(f"the order is {order.status}; only a working order can be changed")
    if used_up := no_more_changes(order.correlation_id):
        raise TooLate(used_up)
    terms = _on_top(order, asked)
    if terms == _on_top(order, Terms()):
        raise BadOrder("price", "the new terms are the ones the order has")
    if (terms.quantity or 0) <= order.filled_quantity:
        raise BadOrder("quantity", f"must be above the {order.filled_quantity} already filled")
    return terms


@transaction.atomic(durable=True)
def _store_change(order: Order, actor: Actor, reason: str, asked: Terms) -> Modification:
    order = lifecycle.locked(order.pk)
    terms = _new_terms(order, asked)
    request = _request_with(order, terms)
    decision = gate.review(request, "MODIFY", order.correlation_id)
    change = Modification.objects.create(
        order=order,
        **vars(terms),
        status=Change.APPROVED if decision.allowed else Change.DENIED,
        decision=decision,
        reason=decision.reasons,
        actor=actor.name,
        cause=reason[:300],
        settled_at=None if decision.allowed else timezone.now(),
    )
    lifecycle.apply(
        order.pk,
        Happening(
            event=Event.NOTE,
            origin="gate",
            actor=actor.name,
            text=f"change to {change}: {change.status.lower()} {decision.reasons}".strip(),
            decision_id=decision.pk,
        ),
    )
    if decision.allowed:
        exiting = order.intent == Intent.EXIT
        transaction.on_commit(lambda: queue.ring_modify(change.pk, exiting=exiting))
    return change


def change_under_way(order: Order) -> Modification | None:
    """The change of terms that is not settled yet, if there is one."""
    return order.modifications.filter(status__in=UNDER_WAY).first()


def _check_shape(intent: OrderIntent) -> None:
    if isinstance(intent.quantity, bool) or not isinstance(intent.quantity, int):
        raise BadOrder("quantity", "must be a whole number of units")
    if not -(2**31) < intent.quantity < 2**31:
        raise BadOrder("quantity", "is too large")
    instrument = intent.instrument
    count = pieces_of(intent.quantity, instrument.lot_size, instrument.freeze_quantity)
    if count > MOST:
        raise BadOrder("quantity", f"would take {count} orders, and at most {MOST} are sent")
    if intent.order_type in SENT_AS and intent.price is not None:
        raise BadOrder("price", f"a {intent.order_type} order has none: the desk finds its limit")
    _check_prices(price=intent.price, trigger_price=intent.trigger_price)


def _check_prices(**prices: Decimal | None) -> None:
    for name, value in prices.items():
        if value is None:
            continue
        if not value.is_finite() or abs(value) >= 10**9:
            raise BadOrder(name, "must be a finite amount of rupees below 1,00,00,00,000")
        if value != round(value, 4):
            raise BadOrder(name, "has more than four decimals")
