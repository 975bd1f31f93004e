"""Turn one heard signal into one order and send it. Safe to run twice, and to die anywhere."""

from __future__ import annotations

import datetime as dt

import structlog
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert
from apps.brokers.finding import NotFound, find_instrument
from apps.brokers.locks import turn_if_free
from apps.brokers.models import BrokerAccount
from apps.brokers.port import Intent
from apps.brokers.rows import columns_of, from_columns, update_rows
from apps.orders import brackets
from apps.orders.models import Order, Source
from apps.orders.services import Actor, BadOrder, OrderIntent, place_at_once
from apps.orders.states import Status
from apps.signals.models import Fate, Signal, SignalSource
from apps.signals.wish import Wish

log = structlog.get_logger(__name__)

MOST_TRIES = 5
_OPEN = "id = %s AND fate = %s"


def act(signal_id: int, *, again: bool = False) -> None:
    """Place what the signal wishes, write its fate, and send the order in the same breath.

    Whoever finds the signal taken or settled does nothing. ``again`` counts the try before the
    work, should that kill us; the first one is counted where the signal is heard.
    """
    with turn_if_free(f"signal:{signal_id}") as mine:
        signal = _open_signal(signal_id) if mine else None
        if signal is None:
            return
        if again:
            _count_try(signal)
        if signal.older_than_its_life(timezone.now()) and not _is_placed(signal):
            expire(signal)
        else:
            _place(signal)
        log.info("signal settled", signal=signal.pk, fate=signal.fate, reason=signal.reason)


def waiting() -> QuerySet[Signal]:
    """Signals that nobody has settled yet."""
    rows = Signal.objects.filter(fate=Fate.RECEIVED)
    return rows.select_related("source", "account")


_READ = f"""
    SELECT {columns_of(Signal, "signal")}, {columns_of(SignalSource, "source")},
           {columns_of(BrokerAccount, "account")}
    FROM signals_signal signal
    JOIN signals_signalsource source ON source.id = signal.source_id
    JOIN brokers_brokeraccount account ON account.id = signal.account_id
    WHERE signal.id = %s AND signal.fate = '{Fate.RECEIVED}'
"""  # noqa: S608 - names of columns


def _open_signal(signal_id: int) -> Signal | None:
    """The signal with its source and account, if it is still to be acted on."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [signal_id])
        row = cursor.fetchone()
    if row is None:
        return None
    signal, at = from_columns(Signal, row, 0)
    source, at = from_columns(SignalSource, row, at)
    account, _ = from_columns(BrokerAccount, row, at)
    if signal is None or source is None or account is None or signal.tries > MOST_TRIES:
        return None
    signal.source, signal.account = source, account
    return signal


def _count_try(signal: Signal) -> None:
    pause = dt.timedelta(seconds=2**signal.tries)
    signal.tries += 1
    counted = {"tries": signal.tries, "next_try_at": timezone.now() + pause}
    update_rows(Signal, counted, _OPEN, [signal.pk, Fate.RECEIVED])


def _place(signal: Signal) -> None:
    """Order, decision and fate in one transaction; a wish that cannot be an order is refused."""
    try:
        if signal.wish.get("stop_price") is not None:
            _place_bracket(signal)
            return
        place_at_once(
            _intent(signal),
            Actor(name=f"signal {signal.source.name}"),
            Source.SIGNAL,
            cause=_cause(signal),
            request_key=signal.request_key,
            then=lambda order: _conclude(signal, order),
        )
    except (NotFound, BadOrder) as error:
        settle(signal, Fate.REFUSED, str(error))


def _is_placed(signal: Signal) -> bool:
    """True when a bracket of it exists: whoever placed it died before writing its fate."""
    return brackets.placed_before(signal.request_key) is not None


def _place_bracket(signal: Signal) -> None:
    """Under the signal's own key, so that the next try finds it and only writes the fate."""
    wish, entry = Wish.model_validate(signal.wish), _intent(signal)
    intent = brackets.BracketIntent(
        account=entry.account,
        instrument=entry.instrument,
        side=entry.side,
        quantity=entry.quantity,
        order_type=entry.order_type,
        price=entry.price,
        stop_price=wish.stop_price,
        target_price=wish.target_price,
        trailing_jump=wish.trailing_jump,
        product=entry.product,
        strategy=entry.strategy,
        test=entry.test,
    )
    who = Actor(name=f"signal {signal.source.name}")
    bracket = brackets.place(intent, who, Source.SIGNAL, _cause(signal), signal.request_key)
    order = brackets.entry_of(bracket)
    if order is None:
        settle(signal, Fate.REFUSED, bracket.reason)
    else:
        _conclude(signal, order)


def _intent(signal: Signal) -> OrderIntent:
    wish = Wish.model_validate(signal.wish)
    instrument = find_instrument(wish.instrument, leaving=wish.intent is Intent.EXIT)
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
    """Give up on a signal that broke every try: there is no order of it, or it had its fate."""
    with turn_if_free(f"signal:{signal.pk}") as mine:
        if mine:
            text = f"it could not be acted on in {signal.tries} tries; the worker's log says why"
            settle(signal, Fate.FAILED, text)
            log.info("signal settled", signal=signal.pk, fate=signal.fate, reason=signal.reason)


def expire(signal: Signal) -> None:
    """Too old to be an entry: the market that it meant is gone."""
    age = timezone.now() - min(signal.sent_at, signal.received_at)
    limit = signal.source.entry_lifetime
    settle(
        signal, Fate.EXPIRED, f"it was {age.total_seconds():.0f} s old; an entry lives {limit} s"
    )


def settle(signal: Signal, fate: Fate, reason: str, order: Order | None = None) -> None:
    """Write the fate, once, and tell the desk when nothing came of the signal."""
    settled = {"fate": fate, "reason": reason, "acted_at": timezone.now()}
    settled["order_id"] = order.pk if order else None
    if not update_rows(Signal, settled, _OPEN, [signal.pk, Fate.RECEIVED]):
        return
    signal.fate, signal.reason = fate, reason
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
