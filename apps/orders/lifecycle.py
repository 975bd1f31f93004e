"""The one pen: every change of an order's status is written here, with its event.

One transaction holds the event, the status, the hold and the account's change number. Lock
order everywhere: order row, risk row, hold, bracket row, change number. Touch one order per
transaction.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers.models import BrokerAccount
from apps.brokers.port import is_address
from apps.brokers.rows import insert_row, insertion, read_row, setting, with_related
from apps.orders import announce, queue
from apps.orders.models import Order, OrderEvent
from apps.orders.states import AT_BROKER, FACTS, TERMINAL, Event, Status, destination
from apps.risk import book

_CUT_SHORT = {Status.CANCELLED, Status.EXPIRED}  # a part may have filled before
_SHOWN = {Status.OPEN, Status.PARTIALLY_FILLED, Status.FILLED}  # the exchange has shown it


class ImpossibleTransition(RuntimeError):
    """One of our own commands does not fit the order's status: a bug, never the broker's fault."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Quantity and prices of a working order as the broker reports them.

    ``exit_stop`` and ``exit_target``: of an entry, where the broker keeps its ways out.
    """

    quantity: int | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    exit_stop: Decimal | None = None
    exit_target: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Happening:
    """Something that happened to an order, told once. ``None`` means "no news".

    ``key`` is a function of the fact, so that the same fact by reply, socket and poll is one
    event; our own commands leave it empty and get a unique one. ``read_at`` is when the reading
    of the book began that told it. ``claim_id`` binds a sender's command to its own claim.
    """

    event: Event
    origin: str
    key: str = ""
    text: str = ""
    actor: str = ""
    filled_quantity: int | None = None
    average_price: Decimal | None = None
    broker_order_id: str = ""
    exchange_order_id: str = ""
    terms: Terms = field(default_factory=Terms)
    reported_at: dt.datetime | None = None
    read_at: dt.datetime | None = None
    claim_id: uuid.UUID | None = None
    raw: dict[str, Any] | None = None
    wire_call_id: int | None = None
    decision_id: int | None = None
    columns: dict[str, Any] = field(default_factory=dict)


def apply(order_id: int, happening: Happening) -> bool:
    """Let something happen to an order. False when it was known already or does not fit.

    A command that names a claim does nothing once the order is out of that claim's hands.
    Raises ``ImpossibleTransition`` for a command of ours that the table does not allow.
    """
    with transaction.atomic(savepoint=False):
        order = locked(order_id)
        if happening.claim_id is not None and order.claim_id != happening.claim_id:
            return False
        return apply_to(order, happening)


def apply_to(order: Order, happening: Happening) -> bool:
    """The same for an order that this transaction has stored, or has ``locked``."""
    event = _weigh(order, happening)
    to = destination(Status(order.status), event, named=bool(order.broker_order_id))
    if to is None and event not in FACTS:
        raise ImpossibleTransition(f"{event} does not fit an order that is {order.status}")
    trouble = _trouble(order, happening, to)
    if to is None or trouble:
        _keep_unfit(order, happening, event, trouble)
        return False
    to = _reopened(order, happening, event) or to
    columns = _columns(order, happening, event, to)
    key = _key(order, happening)
    if happening.key and _is_known(key):
        if to == order.status and not _changes(order, columns):
            return False
        key = f"{key}|{uuid.uuid4().hex}"  # the same words, but they say something new again
    _follow_with_hold(order, happening, event, to, columns)
    _alert_the_unusual(order, happening, event, to, columns)
    _write(order, [_event(order, happening, event, key, to)], columns)
    return True


def take(order_id: int) -> Order | None:
    """Lock an approved order that is to be sent now; None when it is not (any more, or yet)."""
    order = locked(order_id)
    due = order.not_before is None or order.not_before <= timezone.now()
    if order.status != Status.APPROVED or not due or order.cancel_wanted_at is not None:
        return None
    return with_related(order, "account", "instrument")


def sending(order: Order, claim_id: uuid.UUID) -> None:
    """This sender has the order: for the transaction that takes it and writes its call down."""
    _write(order, [_claim_event(order, claim_id)], _claim_columns(order, claim_id))


def approved_and_sending(order: Order, approval: Happening, claim_id: uuid.UUID) -> None:
    """Approved and claimed by its sender in the transaction that stores it: one change."""
    if destination(Status(order.status), approval.event) is not Status.APPROVED:
        raise ImpossibleTransition(f"{approval.event} does not approve an order {order.status}")
    key = _key(order, approval)
    columns = _columns(order, approval, approval.event, Status.APPROVED)
    approved = _event(order, approval, approval.event, key, Status.APPROVED)
    claimed = _claim_event(order, claim_id)
    claimed.before = Status.APPROVED
    _write(order, [approved, claimed], columns | _claim_columns(order, claim_id))


def _claim_event(order: Order, claim_id: uuid.UUID) -> OrderEvent:
    happening = Happening(event=Event.CLAIM, origin="dispatch")
    key = f"{order.correlation_id}|{claim_id}"
    return _event(order, happening, Event.CLAIM, key, Status.SENDING)


def _claim_columns(order: Order, claim_id: uuid.UUID) -> dict[str, Any]:
    return {
        "claim_id": claim_id,
        "claimed_at": timezone.now(),
        "attempts": order.attempts + 1,
        "not_before": None,
    }


def locked(order_id: int) -> Order:
    """The order's row, locked until the caller's transaction ends. Lock it before its hold.

    Without its key, so that a journal row about the order may be written meanwhile.
    """
    order = read_row(Order, "id = %s", [order_id], lock="FOR NO KEY UPDATE")
    if order is None:
        raise Order.DoesNotExist(f"no order {order_id}")
    return order


_WRITE = """
    WITH {events},
         number AS (INSERT INTO orders_desksequence (account_id, value) VALUES (%s, 1)
                    ON CONFLICT (account_id) DO UPDATE SET value = orders_desksequence.value + 1
                    RETURNING value)
    UPDATE orders_order SET {assignments}, live_seq = number.value FROM number
    WHERE orders_order.id = %s AND status = %s RETURNING live_seq
"""


def _write(order: Order, events: list[OrderEvent], columns: dict[str, Any]) -> None:
    """Events, compared-and-set status and change number in one statement; pages hear after it."""
    to = Status(events[-1].after)
    parts, values = [], []
    for number, event in enumerate(events):
        inserting, more = insertion(event)
        parts.append(f"happened{number} AS ({inserting})")
        values += more
    assignments, set_to = setting(Order, columns | {"status": to.value})
    with connection.cursor() as cursor:
        cursor.execute(
            _WRITE.format(events=", ".join(parts), assignments=assignments),
            [*values, order.account_id, *set_to, order.pk, order.status],
        )
        row = cursor.fetchone()
    if row is None:
        raise RuntimeError(f"order {order.pk} changed although its row was locked")
    sequence = int(row[0])
    _ring_what_follows(order, to, columns)
    _bring_up_to_date(order, columns | {"status": to, "live_seq": sequence})
    account_id = order.account_id
    transaction.on_commit(lambda: announce.changed(account_id, sequence))


def _bring_up_to_date(order: Order, columns: dict[str, Any]) -> None:
    for name, value in columns.items():
        setattr(order, name, value)


def _ring_what_follows(order: Order, to: Status, columns: dict[str, Any]) -> None:
    wanted = order.cancel_wanted_at or columns.get("cancel_wanted_at")
    if wanted and to in AT_BROKER and (order.status not in AT_BROKER or not order.cancel_wanted_at):
        transaction.on_commit(lambda: queue.ring_cancel(order.pk))
    number = order.bracket_number
    if number is not None and (to != order.status or "filled_quantity" in columns):
        transaction.on_commit(partial(queue.ring_bracket, number))


def _weigh(order: Order, happening: Happening) -> Event:
    """The event that the numbers speak of, when they say more, or less, than the word.

    Only a report that states the order's quantity can say that all of it is filled.
    """
    if happening.event is Event.HAND_BACK and order.cancel_wanted_at is not None:
        return Event.ABANDON
    event, filled = happening.event, happening.filled_quantity
    if event not in {Event.WORK, Event.PARTIAL, Event.FILL} or filled is None:
        return event
    total = happening.terms.quantity or (order.quantity if event is Event.FILL else None)
    if total is not None and filled >= total:
        return Event.FILL
    return Event.PARTIAL if filled else Event.WORK


def _reopened(order: Order, happening: Happening, event: Event) -> Status | None:
    """A filled order of which the broker now shows a remainder at work: newer news wins."""
    total = happening.terms.quantity or 0
    newer = _is_newer(order, happening)
    if order.status != Status.FILLED or event not in {Event.WORK, Event.PARTIAL} or not newer:
        return None
    return Status.PARTIALLY_FILLED if total > order.filled_quantity else None


def _trouble(order: Order, happening: Happening, to: Status | None) -> str:
    """Why a fact must not be applied although the table knows it, or why people must look."""
    ids = {happening.broker_order_id, order.broker_order_id} - {""}
    if len(ids) > 1 and not (order.kept_exit and any(map(is_address, ids))):
        theirs = happening.broker_order_id
        return f"the broker reports a second order {theirs} under the same correlation id"
    if to is None:
        return f"{happening.event} does not fit an order that is {order.status}"
    return ""


def _key(order: Order, happening: Happening) -> str:
    return f"{order.correlation_id}|{happening.key or uuid.uuid4().hex}"[:200]


def _keep_unfit(order: Order, happening: Happening, event: Event, trouble: str) -> None:
    """Keep what does not fit, under a key of its own: it may fit later."""
    key = f"unfit|{order.status}|{_key(order, happening)}"[:200]
    BrokerAccount.objects.filter(pk=order.account_id).update(reconcile_wanted=True)
    raise_alert(
        f"order:{order.correlation_id}:{event}",
        f"order {order.correlation_id} on {order.account.name}: {trouble}; nothing was changed",
        Severity.CRITICAL,
    )
    if not _is_known(key):
        insert_row(_event(order, happening, event, key, None))


def _is_known(key: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM orders_orderevent WHERE dedupe_key = %s", [key])
        return cursor.fetchone() is not None


def _changes(order: Order, columns: dict[str, Any]) -> bool:
    """True when the columns say of the order's substance what its row does not."""
    substance = ("filled_quantity", "average_price", *vars(Terms()))
    return any(
        name in columns and columns[name] != getattr(order, name)
        for name in (*substance, "broker_order_id", "exchange_order_id")
    )


def _event(
    order: Order, happening: Happening, event: Event, key: str, to: Status | None
) -> OrderEvent:
    return OrderEvent(
        order=order,
        event=event,
        origin=happening.origin,
        dedupe_key=key[:200],
        applied=to is not None,
        before=order.status,
        after=to or order.status,
        text=happening.text,
        actor=happening.actor,
        facts=_facts(happening),
        raw=happening.raw,
        wire_call_id=happening.wire_call_id,
        decision_id=happening.decision_id,
        reported_at=happening.reported_at,
    )


def _facts(happening: Happening) -> dict[str, str]:
    values = {
        "filled_quantity": happening.filled_quantity,
        "average_price": happening.average_price,
        "broker_order_id": happening.broker_order_id or None,
        **vars(happening.terms),
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _columns(order: Order, happening: Happening, event: Event, to: Status) -> dict[str, Any]:
    columns = dict(happening.columns)
    columns |= _numbers(order, happening, event)
    columns |= _names(order, happening)
    columns |= _stage_times(order, to)
    if event not in {Event.WANT_CANCEL, Event.NOTE} and (happening.text or to != order.status):
        columns["reason"] = happening.text  # why it is in this status, not why it was in another
    if event in FACTS:
        columns["news_at"] = timezone.now()
    if to is not Status.SENDING:
        columns["claim_id"] = None
    return columns


def _numbers(order: Order, happening: Happening, event: Event) -> dict[str, Any]:
    """Filled quantity never falls; terms follow the newest report."""
    columns: dict[str, Any] = {}
    filled = happening.filled_quantity
    if event is Event.FILL and filled is None:
        filled = happening.terms.quantity or order.quantity
    if filled is not None and filled > order.filled_quantity:
        columns["filled_quantity"] = filled
    if happening.average_price is not None and (filled or 0) >= order.filled_quantity:
        columns["average_price"] = round(happening.average_price, 4)
    if event in FACTS and _is_newer(order, happening):
        columns |= {"terms_written_at": timezone.now()}
        columns |= {"terms_as_of": happening.reported_at} if happening.reported_at else {}
        columns |= _terms(happening.terms)
    return columns


def _is_newer(order: Order, happening: Happening) -> bool:
    """True when the report's terms are later than those we have.

    The broker's stamps have whole seconds. Within one second a frame proves nothing, but a book
    whose reading began after our last terms were written outranks them.
    """
    at, read_at = happening.reported_at, happening.read_at
    if at is None and order.kept_exit and read_at is not None:  # the list of them has no stamps
        return order.terms_written_at is None or read_at > order.terms_written_at
    if at is None:
        return False
    if order.terms_as_of is None or at > order.terms_as_of:
        return True
    read_later = (
        happening.read_at is not None
        and order.terms_written_at is not None
        and happening.read_at > order.terms_written_at
    )
    return at == order.terms_as_of and read_later


def _terms(terms: Terms) -> dict[str, Any]:
    """Terms that say something."""
    return {
        name: round(value, 4) if isinstance(value, Decimal) else value
        for name, value in vars(terms).items()
        if value
    }


def _names(order: Order, happening: Happening) -> dict[str, str]:
    names = {
        "broker_order_id": happening.broker_order_id,
        "exchange_order_id": happening.exchange_order_id,
    }
    return {name: value for name, value in names.items() if value and _is_free(order, name, value)}


def _is_free(order: Order, name: str, value: str) -> bool:
    """True while it has no such name, or a leg is known by its address alone."""
    known = getattr(order, name)
    return not known or (is_address(known) and not is_address(value))


def _stage_times(order: Order, to: Status) -> dict[str, dt.datetime]:
    now = timezone.now()
    reached = {"approved_at": to is Status.APPROVED}
    reached["submitted_at"] = to in AT_BROKER or to is Status.FILLED
    reached["opened_at"] = to in _SHOWN
    times = {name: now for name, yes in reached.items() if yes and getattr(order, name) is None}
    if to in TERMINAL and order.status not in TERMINAL:
        times["finished_at"] = now
    return times


def _follow_with_hold(
    order: Order, happening: Happening, event: Event, to: Status, columns: dict[str, Any]
) -> None:
    if event in {Event.WANT_CANCEL, Event.NOTE} or order.status == Status.NEW:
        return
    if to is Status.APPROVED:
        book.take_from_sender(order.correlation_id)
        return
    book.follow(
        order.correlation_id,
        quantity=columns.get("quantity", order.quantity),
        filled=columns.get("filled_quantity", order.filled_quantity),
        over=to in TERMINAL,
        shown=to in _SHOWN,
        certain=to not in _CUT_SHORT or event not in FACTS or _says_what_filled(happening),
    )


def _says_what_filled(happening: Happening) -> bool:
    """Only a reading of the book does: a frame leaves out what is zero, and may leave out more."""
    return happening.read_at is not None and happening.filled_quantity is not None


def _alert_the_unusual(
    order: Order, happening: Happening, event: Event, to: Status, columns: dict[str, Any]
) -> None:
    found = _unusual_status(order, event, to)
    if happening.event is Event.FILL and event is not Event.FILL:
        text = f"the broker calls it filled with {happening.filled_quantity} of {order.quantity}"
        found.append(("short", text, Severity.CRITICAL))
    filled = columns.get("filled_quantity", order.filled_quantity)
    quantity = columns.get("quantity", order.quantity)
    if filled > quantity:
        found.append(("overfill", f"filled {filled} of {quantity}", Severity.CRITICAL))
    if order.status == Status.UNKNOWN and to is not Status.UNKNOWN:
        settle_alert(f"unknown:{order.correlation_id}", happening.text or f"it is {to} now")
    for key, text, severity in found:
        about = f"order {order.correlation_id} on {order.account.name}"
        raise_alert(f"{key}:{order.correlation_id}", f"{about}: {text}", severity)


def _unusual_status(order: Order, event: Event, to: Status) -> list[tuple[str, str, Severity]]:
    """(key, text, severity) of a step that a person must know of."""
    if to == order.status:
        return []
    found = []
    if to is Status.UNKNOWN:
        found.append(("unknown", "it is UNKNOWN", Severity.CRITICAL))
    if event is Event.PROVE_ABSENT:
        found.append(("absent", "it never arrived at the broker", Severity.WARNING))
    if event in FACTS and (order.status in TERMINAL or order.status == Status.APPROVED):
        text = f"it was {order.status} and the broker now says {event}: it is {to}"
        found.append(("late", text, Severity.CRITICAL))
    return found
