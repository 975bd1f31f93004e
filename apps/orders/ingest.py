"""The broker's news, from whichever channel, turned into happenings of our orders."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import DataError, transaction
from django.db.models import DecimalField, F, Sum
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert
from apps.brokers.models import BrokerAccount
from apps.brokers.port import BrokerState, Fill, LegName, OrderReport
from apps.brokers.rows import read_row, with_related
from apps.orders import kept_legs, ledger, lifecycle
from apps.orders import models as rows
from apps.orders.lifecycle import Happening, Terms
from apps.orders.models import Order, Unattributed, trading_day
from apps.orders.states import EVENT_OF, TERMINAL, Event

REPLY, FEED, BOOK, LOOK = "reply", "feed", "book", "look"


def apply_report(
    account: BrokerAccount, report: OrderReport, origin: str, read_at: dt.datetime | None = None
) -> Order | None:
    """Apply one report to the order it speaks of; None when it speaks of none of ours.

    News that matches no order is kept as unattributed. An unknown word alerts and changes
    nothing, but shows that the order exists. ``read_at`` is when the reading of the book began.
    """
    order = find_order(account, report)
    if order is None:
        if not kept_legs.awaits_its_entry(account, report, origin):
            _keep_unattributed(account, report, origin)
        return None
    if _differs(order, report):
        _keep_mismatch(order, report, origin)
    elif report.state is BrokerState.UNRECOGNISED:
        _keep_unrecognised(order, report, origin)
    else:
        _apply(order, happening_of(report, origin, read_at))
    return order


def _apply(order: Order, happening: Happening) -> bool:
    """What an entry fills is in the same moment the business of the legs that a broker keeps."""
    apply = kept_legs.apply_to_entry if order.leg == LegName.ENTRY else lifecycle.apply
    return apply(order.pk, happening)


def find_order(account: BrokerAccount, report: OrderReport) -> Order | None:
    """Our order: by the broker's id of today, else by our correlation id.

    A target or stop that the broker keeps: else by its entry and its name.
    """
    order = named(account, report.broker_order_id)
    if order is None and report.part in kept_legs.EXITS:
        order = kept_legs.addressed(account, report)
    elif order is None and report.correlation_id:
        ours = "account_id = %s AND correlation_id = %s AND origin_id IS NULL"
        order = read_row(Order, ours, [account.pk, report.correlation_id])
    if order is None:
        return None
    order.account = account
    return with_related(order, "instrument")


_NAMED = """
    account_id = %s AND broker_order_id = %s AND origin_id IS NULL
    AND (trading_day >= %s OR (trading_day = %s AND status <> ALL(%s)))
    ORDER BY trading_day DESC
"""


def named(account: BrokerAccount, broker_order_id: str) -> Order | None:
    """The order with the broker's id: of today or waiting, or of yesterday and not over yet."""
    today = trading_day()
    yesterday = today - dt.timedelta(days=1)
    over = sorted(status.value for status in TERMINAL)
    return read_row(Order, _NAMED, [account.pk, broker_order_id, today, yesterday, over])


def happening_of(report: OrderReport, origin: str, read_at: dt.datetime | None = None) -> Happening:
    """A report as a happening, with a key that is a function of the fact and not of the channel."""
    event = EVENT_OF[report.state]
    return Happening(
        event=event,
        origin=origin,
        key=_key(event, report),
        text=report.reason,
        filled_quantity=report.filled_quantity,
        average_price=report.average_price,
        broker_order_id=report.broker_order_id,
        exchange_order_id=report.exchange_order_id or "",
        terms=terms_of(report),
        reported_at=report.reported_at,
        read_at=read_at,
        raw=dict(report.raw),
    )


def terms_of(report: OrderReport) -> Terms:
    """The terms that a report states."""
    exits = report.exits
    return Terms(
        quantity=report.quantity,
        price=report.price,
        trigger_price=report.trigger_price,
        exit_stop=exits.stop if exits else None,
        exit_target=exits.target if exits else None,
    )


def _key(event: Event, report: OrderReport) -> str:
    if event is Event.ACCEPT:
        return f"ACCEPT|{report.broker_order_id}"
    parts: list[object] = [event, report.broker_order_id, report.filled_quantity]
    if event in {Event.WORK, Event.PARTIAL}:
        when = report.reported_at.isoformat() if report.reported_at else ""
        parts += [report.quantity, _short(report.price), _short(report.trigger_price), when]
        if report.exits is not None:
            parts += [_short(report.exits.stop), _short(report.exits.target)]
    return "|".join("" if part is None else str(part) for part in parts)


def _short(value: object) -> str:
    return "" if not value else f"{value:f}".rstrip("0").rstrip(".")


def _differs(order: Order, report: OrderReport) -> bool:
    """True when the report speaks of another instrument or side than the order it names."""
    pairs = (
        (report.security_id, order.instrument.security_id),
        (report.segment, order.instrument.segment),
        (report.side, order.side),
    )
    return any(theirs is not None and theirs != ours for theirs, ours in pairs)


def _keep_mismatch(order: Order, report: OrderReport, origin: str) -> None:
    _note(order, report, origin, "the report names another instrument or side; not applied")
    raise_alert(
        f"mismatch:{order.correlation_id}",
        f"order {order.correlation_id} on {order.account.name}: the broker reports another "
        "instrument or side under its id; nothing was changed",
        Severity.CRITICAL,
    )


def _keep_unrecognised(order: Order, report: OrderReport, origin: str) -> None:
    if not order.broker_order_id:
        exists = Happening(
            event=Event.ACCEPT,
            origin=origin,
            key=f"ACCEPT|{report.broker_order_id}",
            broker_order_id=report.broker_order_id,
        )
        lifecycle.apply(order.pk, exists)
    _note(order, report, origin, f"unknown status word “{report.state_word}”; nothing changed")
    raise_alert(
        f"word:{order.account.broker}:{report.state_word}",
        f"{order.account.broker} used the unknown order status “{report.state_word}” "
        f"for {order.correlation_id}; nothing was changed",
        Severity.CRITICAL,
    )


def _note(order: Order, report: OrderReport, origin: str, text: str) -> None:
    key = f"{report.state_word}|{report.filled_quantity}|{report.reported_at}"
    lifecycle.apply(
        order.pk,
        Happening(
            event=Event.NOTE,
            origin=origin,
            key=f"note|{key}|{text[:40]}",
            text=text,
            raw=dict(report.raw),
            reported_at=report.reported_at,
        ),
    )


def keep_unattributed(account: BrokerAccount, reports: list[OrderReport], origin: str) -> None:
    """Keep news of strangers that says something new; one query when it says nothing."""
    known = dict(
        Unattributed.objects.filter(account=account, trading_day=trading_day()).values_list(
            "broker_order_id", "state_word"
        )
    )
    for report in reports:
        if known.get(report.broker_order_id) != report.state_word:
            try:
                _keep_unattributed(account, report, origin)
            except DataError:
                raise_alert(
                    f"row:{account.name}:{report.broker_order_id}",
                    f"what {account.name} says of order {report.broker_order_id} cannot be stored",
                    Severity.CRITICAL,
                )


def _keep_unattributed(account: BrokerAccount, report: OrderReport, origin: str) -> None:
    Unattributed.objects.update_or_create(
        account=account,
        trading_day=trading_day(),
        broker_order_id=report.broker_order_id,
        defaults={
            "state_word": report.state_word,
            "origin": origin,
            "raw": dict(report.raw),
            "last_seen": timezone.now(),
            # A book does not say where, and a channel that does not know of a leg denies none.
            **({"platform": report.platform} if report.platform else {}),
            **({"leg": True} if report.leg else {}),
        },
    )


def apply_fill(account: BrokerAccount, fill: Fill) -> bool:
    """Store one trade of the book; False when it is of no order of ours, or known."""
    order = named(account, fill.broker_order_id)
    return order is not None and bool(apply_fills(order.pk, [fill]))


def apply_fills(order_id: int, fills: Sequence[Fill]) -> list[rows.Fill]:
    """Store an order's trades, each once; count the new ones in the ledger; and raise the order's
    filled quantity to the sum of its trades. One transaction.
    """
    with transaction.atomic():
        order = with_related(lifecycle.locked(order_id), "account")
        known = set(order.fills.values_list("segment", "exchange_trade_id"))
        new = {
            (fill.segment.value, fill.exchange_trade_id): _row_of(order, fill)
            for fill in fills
            if (fill.segment.value, fill.exchange_trade_id) not in known
        }
        if not new:
            return []
        stored = rows.Fill.objects.bulk_create(new.values())
        ledger.count_fills(order, stored)
        _count_trades(order)
    return stored


def _row_of(order: Order, fill: Fill) -> rows.Fill:
    return rows.Fill(
        order=order,
        account=order.account,
        trading_day=order.trading_day,
        segment=fill.segment,
        broker_order_id=fill.broker_order_id,
        exchange_trade_id=fill.exchange_trade_id,
        quantity=fill.quantity,
        price=rows.Fill.price_of(fill.price),
        traded_at=fill.traded_at,
        raw=dict(fill.raw),
    )


def _count_trades(order: Order) -> None:
    """Sum and average of the trades. That all is filled is for the order's own report to say."""
    trades = order.fills.aggregate(
        total=Sum("quantity"), value=Sum(F("quantity") * F("price"), output_field=DecimalField())
    )
    total, average = trades["total"], trades["value"] / trades["total"]
    more = total > Order.objects.get(pk=order.pk).filled_quantity
    _apply(
        order,
        Happening(
            event=Event.PARTIAL if more else Event.NOTE,
            origin="trades",
            key=f"TRADES|{order.broker_order_id}|{total}",
            text="" if more else f"trade book: {total} at {average:.4f} on average",
            filled_quantity=total,
            average_price=average,
        ),
    )
