"""Turn one heard signal into one order and send it. Safe to run twice, and to die anywhere."""

from __future__ import annotations

import datetime as dt

import structlog
from django.db.models import F, QuerySet
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert
from apps.brokers.finding import NotFound, find_instrument
from apps.brokers.locks import turn_if_free
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source
from apps.orders.services import Actor, BadOrder, OrderIntent, place
from apps.orders.states import Status
from apps.signals.models import Fate, Signal
from apps.signals.wish import Wish

log = structlog.get_logger(__name__)

MOST_TRIES = 5


def act(signal_id: int) -> None:
    """Place what the signal wishes, write its fate, and send the order in the same breath.

    Whoever finds the signal taken or settled does nothing.
    """
    with turn_if_free(f"signal:{signal_id}") as mine:
        order = _decide(signal_id) if mine else None
    if order is not None and order.status == Status.APPROVED:
        dispatch(order.pk)


def _decide(signal_id: int) -> Order | None:
    signal = waiting().filter(pk=signal_id, tries__lt=MOST_TRIES).first()
    if signal is None:
        return None
    _count_try(signal)
    order = Order.objects.filter(request_key=signal.request_key).first()
    if order is None:
        if signal.older_than_its_life(timezone.now()):
            expire(signal)
            return None
        order = _place(signal)
    if order is not None:
        _conclude(signal, order)
    return order


def waiting() -> QuerySet[Signal]:
    """Signals that nobody has settled yet."""
    rows = Signal.objects.filter(fate=Fate.RECEIVED)
    return rows.select_related("source", "account")


def _count_try(signal: Signal) -> None:
    """Before the work, so that a signal that kills its worker counts too."""
    pause = dt.timedelta(seconds=2**signal.tries)
    waiting().filter(pk=signal.pk).update(tries=F("tries") + 1, next_try_at=timezone.now() + pause)


def _place(signal: Signal) -> Order | None:
    """The order, approved or denied; None when the wish cannot be an order at all."""
    try:
        return place(
            _intent(signal),
            Actor(name=f"signal {signal.source.name}"),
            Source.SIGNAL,
            cause=_cause(signal),
            request_key=signal.request_key,
        )
    except (NotFound, BadOrder) as error:
        settle(signal, Fate.REFUSED, str(error))
        return None


def _intent(signal: Signal) -> OrderIntent:
    wish = Wish.model_validate(signal.wish)
    instrument = find_instrument(wish.instrument)
    return OrderIntent(
        account=signal.account,
        instrument=instrument,
        side=wish.side,
        quantity=wish.quantity or (wish.lots or 0) * instrument.lot_size,
        order_type=wish.type,
        price=wish.price,
        trigger_price=wish.trigger_price,
        product=wish.product,
        validity=wish.validity,
        intent=wish.intent,
        strategy=wish.strategy or signal.source.strategy,
        test=signal.test or signal.source.test_mode,
        after_market=wish.after_market,
    )


def _cause(signal: Signal) -> str:
    reason = signal.wish.get("reason")
    return f"signal {signal.pk}" + (f": {reason}" if reason else "")


def _conclude(signal: Signal, order: Order) -> None:
    if order.status == Status.DENIED:
        settle(signal, Fate.REFUSED, order.reason, order)
    else:
        settle(signal, Fate.ACTED, "", order)


def park(signal: Signal) -> None:
    """Give up on a signal that broke every try, unless its order is there after all."""
    with turn_if_free(f"signal:{signal.pk}") as mine:
        if not mine:
            return
        order = Order.objects.filter(request_key=signal.request_key).first()
        if order is not None:
            _conclude(signal, order)
            return
        text = f"it could not be acted on in {signal.tries} tries; the worker's log says why"
        settle(signal, Fate.FAILED, text)


def expire(signal: Signal) -> None:
    """Too old to be an entry: the market that it meant is gone."""
    age = timezone.now() - min(signal.sent_at, signal.received_at)
    limit = signal.source.entry_lifetime
    settle(
        signal, Fate.EXPIRED, f"it was {age.total_seconds():.0f} s old; an entry lives {limit} s"
    )


def settle(signal: Signal, fate: Fate, reason: str, order: Order | None = None) -> None:
    """Write the fate, once, and tell the desk when nothing came of the signal."""
    settled = (
        waiting()
        .filter(pk=signal.pk)
        .update(fate=fate, reason=reason, order=order, acted_at=timezone.now())
    )
    if not settled:
        return
    log.info("signal settled", signal=signal.pk, fate=fate, order=order and order.correlation_id)
    if fate != Fate.ACTED:
        _tell(signal, fate, reason)


def _tell(signal: Signal, fate: Fate, reason: str) -> None:
    """One open alert per source and fate; an exit that did not happen is critical."""
    what = "exit" if signal.exiting else "signal"
    raise_alert(
        f"signals:{signal.source.name}:{what}:{fate}",
        f"{signal.source.name}: {what} {signal.pk} is {fate.lower()}: {reason}",
        Severity.CRITICAL if signal.exiting else Severity.WARNING,
    )
