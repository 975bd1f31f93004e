"""Door 2: reading a broker's books, listening to it, and keeping the last reports.

Nothing that comes out of this door can place, modify or cancel. Every read raises
``ReadFailed``; a failed read leaves the stored report as it was.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.brokers.journal import moment
from apps.brokers.models import BrokerAccount, FundsReport, PositionsReport
from apps.brokers.port import (
    BracketKind,
    Funds,
    Master,
    OrderStream,
    Position,
    QuoteStream,
    Reporting,
)
from apps.brokers.registry import adapter_named, adapter_of


def reports_of(account: BrokerAccount, *, retries: bool = True) -> Reporting:
    """The account's books. Without retries a read is one attempt, for a caller with a lock."""
    return adapter_of(account).reporting(account, retries=retries)


def stream_of(account: BrokerAccount) -> OrderStream:
    """The account's order updates."""
    return adapter_of(account).stream(account)


def master_of(broker: str) -> Master:
    """The master files of a kind of broker."""
    return adapter_named(broker).master


def brackets_of(account: BrokerAccount) -> frozenset[BracketKind]:
    """The kinds of brackets that the account's broker keeps itself."""
    return adapter_of(account).brackets


def quotes_of(account: BrokerAccount) -> QuoteStream:
    """The market feed on the account's token."""
    return adapter_of(account).quotes(account)


def store_funds(account: BrokerAccount, *, retries: bool = True) -> FundsReport:
    """Read the funds and keep them, unless a younger read is already kept."""
    read_funds(account, retries=retries)
    return FundsReport.objects.get(account=account)


def read_funds(account: BrokerAccount, *, retries: bool = True) -> Funds:
    """The funds as they were read just now; they are kept, too."""
    mark = moment()
    known = reports_of(account, retries=retries).funds()
    columns: dict[str, Any] = {name: getattr(known.value, name) for name in _FUNDS}
    columns |= {"mark": mark, "as_of": known.as_of}
    mine = FundsReport.objects.filter(account=account)
    if not _outdated(mine, known.as_of).update(**columns):
        FundsReport.objects.get_or_create(account=account, defaults=columns)
    return known.value


def _outdated(reports: QuerySet[Any], as_of: dt.datetime) -> QuerySet[Any]:
    """Reports that are older than this read, or dated in a future that cannot be."""
    return reports.filter(Q(as_of__lt=as_of) | Q(as_of__gt=timezone.now()))


_FUNDS = ("available", "utilised", "opening", "collateral")


def store_positions(account: BrokerAccount, *, retries: bool = True) -> PositionsReport:
    """Read the positions and keep the whole list, unless a younger read is already kept."""
    read_positions(account, retries=retries)
    return PositionsReport.objects.get(account=account)


def read_positions(account: BrokerAccount, *, retries: bool = True) -> list[Position]:
    """The positions as they were read just now; the list is kept, too."""
    mark = moment()
    known = reports_of(account, retries=retries).positions()
    columns = {"rows": [_row(row) for row in known.value], "as_of": known.as_of, "mark": mark}
    older = PositionsReport.objects.filter(account=account, mark__lt=mark)
    if not older.update(**columns):
        PositionsReport.objects.get_or_create(account=account, defaults=columns)
    return known.value


def _row(position: Position) -> dict[str, str | int]:
    """Units as integers, rupees as text, so that nothing is rounded on the way."""
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in vars(position).items()
    }
