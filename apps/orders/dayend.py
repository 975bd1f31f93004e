"""The end of a trading day: one report per account once the markets that it traded have closed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q
from django.utils import timezone

from apps.brokers.calendar import calendar_now
from apps.brokers.market import Phase
from apps.brokers.models import BrokerAccount, CalendarKind, Instrument
from apps.orders import ledger
from apps.orders.ledger import Whose
from apps.orders.models import BooksRun, Break, DayReport, Fill, OpeningEntry, Order, trading_day

LOOKS_BACK = dt.timedelta(days=10)  # a desk that stood still over holidays


def report_due_days() -> list[DayReport]:
    """Write the reports that are due, of accounts that are switched off, too; those written."""
    now = timezone.now()
    return [
        made
        for account in BrokerAccount.objects.all()
        for day in _due(account, now)
        if (made := _write(account, day)) is not None
    ]


def _due(account: BrokerAccount, now: dt.datetime) -> Iterable[dt.date]:
    """Days with orders: today once its markets are closed and the books were compared since, and
    each of the last days that has no report yet.
    """
    today = trading_day(now)
    lately = {"account": account, "trading_day__gte": today - LOOKS_BACK}
    orders = Order.objects.filter(**lately, trading_day__lte=today).order_by()
    reported = DayReport.objects.filter(**lately).order_by()
    days = set(orders.values_list("trading_day", flat=True).distinct())
    for day in sorted(days - set(reported.values_list("trading_day", flat=True))):
        closed = _closed_at(account, day)
        compared = BooksRun.objects.filter(account=account, agreed_at__gt=closed).exists()
        if closed <= now and (compared or day < today):
            yield day


def _closed_at(account: BrokerAccount, day: dt.date) -> dt.datetime:
    """When the last market that the account traded that day closed; else when the day ended."""
    midnight = timezone.make_aware(dt.datetime.combine(day, dt.time()))
    end = midnight + dt.timedelta(days=1)
    if account.calendar == CalendarKind.ALWAYS_OPEN:
        return end
    segments = (
        Order.objects.filter(account=account, trading_day=day)
        .order_by()
        .values_list("instrument__segment", flat=True)
        .distinct()
    )
    calendar = calendar_now()
    closes = [
        window.end
        for segment in segments
        for window in calendar.plan(segment, day).windows
        if window.phase is not Phase.AFTER_MARKET
    ]
    return max(closes, default=end)


def _write(account: BrokerAccount, day: dt.date) -> DayReport | None:
    """The report; None when another process has written it."""
    made, created = DayReport.objects.get_or_create(
        account=account, trading_day=day, defaults={"data": of_day(account, day)}
    )
    return made if created else None


def of_day(account: BrokerAccount, day: dt.date) -> dict[str, Any]:
    """What the rows say of one day of an account, as plain values."""
    orders = Order.objects.filter(account=account, trading_day=day)
    by_status = orders.order_by().values_list("status").annotate(Count("pk"))
    owners = [_of_owner(mine, day) for mine in sorted(_traded_on(account, day))]
    opened = Break.objects.filter(account=account).filter(
        Q(gone_at=None) | Q(gone_at__date__gte=day), first_seen__date__lte=day
    )
    return {
        "orders": dict(sorted(by_status)),
        "fills": Fill.objects.filter(account=account, trading_day=day).count(),
        "owners": owners,
        "realised": str(sum((Decimal(row["realised"]) for row in owners), Decimal(0))),
        "charges": None,  # the trade book of the day does not tell them
        "open_breaks": opened.filter(resolution="").count(),
    }


def _traded_on(account: BrokerAccount, day: dt.date) -> set[Whose]:
    orders = Order.objects.filter(fills__trading_day=day, account=account).distinct()
    entries = OpeningEntry.objects.filter(account=account, trading_day=day)
    names = ("account_id", "instrument_id", "product", "owner")
    return {ledger.whose(order) for order in orders} | {
        Whose(*row) for row in entries.values_list(*names)
    }


def _of_owner(mine: Whose, day: dt.date) -> dict[str, Any]:
    before, after = ledger.around(mine, day)
    return {
        "owner": mine.owner,
        "instrument": str(Instrument.every.get(pk=mine.instrument_id)),
        "product": mine.product,
        "bought": after.bought - before.bought,
        "bought_value": _text(after.bought_value - before.bought_value),
        "sold": after.sold - before.sold,
        "sold_value": _text(after.sold_value - before.sold_value),
        "realised": _text(after.realised - before.realised),
        "net": after.net,
        "average": _text(after.cost / abs(after.net)) if after.net else None,
    }


def _text(value: Decimal) -> str:
    return f"{value:.4f}"
