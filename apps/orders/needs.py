"""Of which instruments the desk needs prices now: by query, so that nothing is forgotten."""

from __future__ import annotations

from collections.abc import Iterator

from apps.brokers import quotes
from apps.brokers.models import BrokerAccount, Instrument, PositionsReport
from apps.brokers.port import Market
from apps.orders.models import Order


def needed(market: Market) -> list[Instrument]:
    """Of orders that may still trade, of what is held, then of what is wished for."""
    accounts = [account for account in BrokerAccount.objects.all() if account.market is market]
    found: dict[int, Instrument] = {}
    for instrument in _each(accounts, market):
        found.setdefault(instrument.pk, instrument)
    return list(found.values())


def _each(accounts: list[BrokerAccount], market: Market) -> Iterator[Instrument]:
    alive = Order.objects.alive().filter(account__in=accounts)
    yield from Instrument.objects.filter(pk__in=alive.values("instrument")).order_by("pk")
    yield from _held(accounts)
    for wish in quotes.wishes(market):
        yield wish.instrument


def _held(accounts: list[BrokerAccount]) -> list[Instrument]:
    keys = {
        (row["segment"], row["security_id"])
        for report in PositionsReport.objects.filter(account__in=accounts)
        for row in report.rows
        if row["net_quantity"]
    }
    named = Instrument.objects.filter(security_id__in={number for _, number in keys}).order_by("pk")
    return [row for row in named if (row.segment, row.security_id) in keys]
