"""Positions of an account: each owner's row, the broker's net, and what lies between them.

And its holdings: what was delivered on an earlier day, and whether it may leave the depository.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from apps.brokers import holdings
from apps.brokers.models import BrokerAccount, HoldingsReport, Instrument, PositionsReport, Quote
from apps.orders import books
from apps.orders.models import BooksRun, LedgerPosition
from apps.risk.models import RiskPolicy

Key = tuple[str, str, str]  # segment, security id, product


@dataclass(frozen=True)
class Line:
    """One owner's position; ``unrealised`` is None while no fresh price is known."""

    row: LedgerPosition
    unrealised: Decimal | None


@dataclass(frozen=True)
class Group:
    """One instrument and product. None: not known, which is never 0."""

    name: str
    product: str
    instrument: Instrument | None
    lines: list[Line]
    ours: int
    broker: int | None
    last: Decimal | None
    last_at: dt.datetime | None

    @property
    def difference(self) -> int | None:
        """Units that the broker has and the owners' rows do not explain."""
        return None if self.broker is None else self.broker - self.ours


@dataclass(frozen=True)
class Held:
    """One share in the depository, units. ``approved`` is by eDIS for today; None: not known."""

    symbol: str
    isin: str
    instrument: Instrument | None
    total: int
    available: int
    t1: int
    average: Decimal
    approved: int | None


@dataclass(frozen=True)
class Sheet:
    """One account's positions, when the broker's were read, and when all books last agreed."""

    account: BrokerAccount
    groups: list[Group]
    as_of: dt.datetime | None
    run: BooksRun | None
    holdings: list[Held]
    report: HoldingsReport | None


def sheet(account: BrokerAccount) -> Sheet:
    """All of it, in a fixed number of queries."""
    report = PositionsReport.objects.filter(account=account).first()
    owned: dict[Key, list[LedgerPosition]] = {}
    for row in LedgerPosition.objects.filter(account=account).select_related("instrument"):
        owned.setdefault(_key(row), []).append(row)
    ours, theirs = books.our_positions(account), _theirs(report)
    known = _instruments(account, owned, theirs)
    prices = _prices(account, list(known.values()))
    groups = []
    for key in sorted(owned.keys() | theirs.keys() | ours.keys()):
        instrument = known.get(key[:2])
        last = prices.get(instrument.pk) if instrument else None
        groups.append(
            Group(
                name=str(instrument or f"{key[0]}:{key[1]}"),
                product=key[2],
                instrument=instrument,
                lines=[Line(row, _unrealised(row, last)) for row in owned.get(key, [])],
                ours=ours.get(key, 0),
                broker=None if report is None else theirs.get(key, 0),
                last=last[0] if last else None,
                last_at=last[1] if last else None,
            )
        )
    run = BooksRun.objects.filter(account=account).first()
    kept = holdings.of(account)
    shares = _held(kept) if kept else []
    return Sheet(account, groups, report.as_of if report else None, run, shares, kept)


def _held(kept: HoldingsReport) -> list[Held]:
    """What lies in the depository by the last read; what was sold out today is no row any more."""
    rows = [row for row in kept.rows if row["total"]]
    named = Instrument.objects.filter(
        security_id__in={row["security_id"] for row in rows}, retired_at=None
    )
    known = {(one.segment, one.security_id): one for one in named}
    approved = kept.approved if kept.approval_is_todays else {}
    return [
        Held(
            symbol=row["symbol"],
            isin=row["isin"],
            instrument=known.get((row["segment"], row["security_id"])),
            total=row["total"],
            available=row["available"],
            t1=row["t1"],
            average=Decimal(row["average"]),
            approved=approved.get(row["isin"]),
        )
        for row in sorted(rows, key=lambda row: str(row["symbol"]))
    ]


def _key(row: LedgerPosition) -> Key:
    return row.instrument.segment, row.instrument.security_id, row.product


def _theirs(report: PositionsReport | None) -> dict[Key, int]:
    found: dict[Key, int] = {}
    for row in report.rows if report else []:
        key = (row["segment"], row["security_id"], row["product"])
        found[key] = found.get(key, 0) + int(row["net_quantity"])
    return found


def _instruments(
    account: BrokerAccount, owned: dict[Key, list[LedgerPosition]], theirs: dict[Key, int]
) -> dict[tuple[str, ...], Instrument]:
    """By segment and id: those that the rows name, or else what bears the id now."""
    ids = {key[1] for key in theirs}
    now = Instrument.objects.filter(security_id__in=ids)
    found: dict[tuple[str, ...], Instrument] = {(row.segment, row.security_id): row for row in now}
    for key, rows in owned.items():
        found[key[:2]] = rows[0].instrument
    return found


_Price = tuple[Decimal, dt.datetime]


def _prices(account: BrokerAccount, instruments: list[Instrument]) -> dict[int, _Price]:
    """Fresh last prices by instrument; what is missing is not known."""
    policy = RiskPolicy.in_force(account)
    within = policy.max_quote_age if policy else settings.RISK_MAX_QUOTE_AGE
    found = {}
    for quote in Quote.objects.filter(instrument__in=instruments, market=account.market):
        price = quote.price(within)
        if price is not None:
            found[quote.instrument_id] = (price.value, price.as_of)
    return found


def _unrealised(row: LedgerPosition, last: _Price | None) -> Decimal | None:
    """What closing it at the last price would earn; 0 only of a position that is closed."""
    if row.net == 0:
        return Decimal(0)
    if last is None:
        return None
    value = abs(row.net) * last[0]
    return value - row.cost if row.net > 0 else row.cost - value
