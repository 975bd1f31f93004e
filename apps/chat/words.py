"""What the desk says to somebody who is not at it. Unknown is said as unknown, never as zero."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from apps.alerts.models import Alert, Severity
from apps.brokers.models import BrokerAccount, Instrument, PositionsReport
from apps.desk import health, switches
from apps.desk.words import grouped, rupees, status_word
from apps.orders.models import Order, trading_day
from apps.orders.states import TERMINAL, Status
from apps.risk import approvals

MOST_ROWS = 20
DELIVERY = ("DELIVERY", "MTF")  # not part of the day's figures
Row = dict[str, Any]


def status() -> str:
    """Is all well, what may trade, and what waits for somebody."""
    return "\n".join([how_it_is(), *_accounts(), _waits(), now()])


def how_it_is() -> str:
    """One line: all is well, or what is not."""
    trouble = [f"{name} does not answer" for name in health.check().failing]
    critical = Alert.objects.filter(acknowledged_at=None, severity=Severity.CRITICAL).count()
    unknown = Order.objects.filter(status=Status.UNKNOWN).count()
    if critical:
        trouble.append(f"{critical} critical alert(s) that nobody acknowledged")
    if unknown:
        trouble.append(f"{unknown} order(s) UNKNOWN")
    return f"NOT WELL: {'; '.join(trouble)}." if trouble else "All is well."


def positions() -> str:
    """What every enabled account holds, as its broker last said, with the age of the word."""
    lines: list[str] = []
    for account in _enabled():
        report = PositionsReport.objects.filter(account=account).first()
        lines.append(f"{account.name} ({account.environment}): {read_at(report)}")
        if report is not None:
            lines += _positions(report)
    return "\n".join(lines or ["There is no enabled account."])


def orders() -> str:
    """What may still trade, unknown ones first; then what ended last today."""
    alive = Order.objects.alive()
    unknown, count = Q(status=Status.UNKNOWN), alive.count()
    rows = [*_with_names(alive.filter(unknown)), *_with_names(alive.exclude(unknown))][:MOST_ROWS]
    lines = [f"{count} order(s) may still trade{':' if count else '.'}", *map(_order, rows)]
    if count > len(rows):
        lines.append(f"… and {count - len(rows)} more on the desk")
    ended = Order.objects.filter(trading_day=trading_day(), status__in=TERMINAL)
    latest = [_order(row) for row in _with_names(ended)[:5]]
    return "\n".join([*lines, *(["Ended last today:", *latest] if latest else [])])


def read_at(report: PositionsReport | None) -> str:
    """When positions were read; whether they are too old to count on."""
    if report is None:
        return "positions unknown, never read"
    age = (timezone.now() - report.as_of).total_seconds()
    at = f"{timezone.localtime(report.as_of):%d %b %H:%M:%S}"
    stale = age > settings.RISK_MAX_DATA_AGE
    return f"as of {at}, {age / 60:.0f} min old: may be wrong" if stale else f"as of {at}"


def fresh(report: PositionsReport | None) -> bool:
    """Whether figures of the report may be called today's."""
    if report is None:
        return False
    return bool((timezone.now() - report.as_of).total_seconds() <= settings.RISK_MAX_DATA_AGE)


def open_rows(rows: Iterable[Row]) -> list[Row]:
    """Positions that are not flat."""
    return [row for row in rows if int(row["net_quantity"]) != 0]


def named(row: Row) -> str:
    """A position's instrument and net units; < 0 is short."""
    found = Instrument.objects.filter(segment=row["segment"], security_id=row["security_id"])
    symbol = found.values_list("symbol", flat=True).first()
    name = symbol or f"{row['segment']}:{row['security_id']}"
    return f"{name} {signed(int(row['net_quantity']))} {str(row['product']).lower()}"


def signed(units: int) -> str:
    """+1,200 or -50."""
    return f"{'+' if units > 0 else ''}{grouped(units)}"


def total(rows: Iterable[Row], name: str) -> Decimal:
    """The sum of a figure of the day, rupees, without delivery."""
    return sum((Decimal(row[name]) for row in rows if row["product"] not in DELIVERY), Decimal(0))


def now() -> str:
    """Day and time, so that an old message is seen to be old."""
    return f"{timezone.localtime():%d %b %H:%M:%S}"


def working(scope: Q) -> int:
    """Orders that may still trade at the broker."""
    return Order.objects.filter(scope).working().count()


def _enabled() -> Iterable[BrokerAccount]:
    return BrokerAccount.objects.filter(enabled=True).order_by("name")


def _accounts() -> list[str]:
    counts = {
        row["account__name"]: row
        for row in Order.objects.alive()
        .values("account__name")
        .annotate(alive=Count("pk"), unknown=Count("pk", filter=Q(status=Status.UNKNOWN)))
    }
    lines = []
    for state in switches.in_order():
        name = state.scope if state.account else "whole desk"
        row = counts.get(state.scope)
        live = f", {row['alive']} live order(s), {row['unknown']} unknown" if row else ""
        why = "" if state.switch == "ACTIVE" else f" ({state.reason})"
        lines.append(f"{name}: {state.switch}{why}{live}")
    return lines


def _waits() -> str:
    alerts = Alert.objects.filter(acknowledged_at=None).count()
    return f"{alerts} open alert(s), {approvals.waiting().count()} waiting approval(s)."


def _with_names(rows: QuerySet[Order]) -> QuerySet[Order]:
    return rows.select_related("account", "instrument").order_by("-pk")[:MOST_ROWS]


def _positions(report: PositionsReport) -> list[str]:
    lines = [
        f"  {named(row)}, unrealised {rupees(Decimal(row['unrealised']))}"
        for row in open_rows(report.rows)
    ]
    realised = rupees(total(report.rows, "realised"))
    return [*(lines or ["  flat"]), f"  realised today, without delivery: {realised}"]


def _order(order: Order) -> str:
    price = "at market" if order.price is None else f"at {rupees(order.price)}"
    done = f"{grouped(order.filled_quantity)}/{grouped(order.quantity)}"
    what = f"{order.side} {order.instrument.symbol} {done} {price}"
    return f"{order.account.name}: {what}, {status_word(order.status)}"
