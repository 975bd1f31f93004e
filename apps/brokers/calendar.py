"""The calendar as the rows have it now: is this market open, when does it close, when open again.

Every process keeps the calendar in memory under a number that the database changes with every
edit, so that one small statement per question is enough and an edit counts at once everywhere.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.brokers.budget import Budget
from apps.brokers.market import Market, always_open
from apps.brokers.models import (
    BrokerAccount,
    CalendarKind,
    CalendarYear,
    Holiday,
    Instrument,
    PositionsReport,
    SessionRule,
    Verb,
    WireCall,
)
from apps.brokers.models.calendar import SEGMENTS
from apps.brokers.port import Segment
from apps.brokers.session_rules import Subject
from apps.brokers.trading_hours import IST, Calendar

LAST_ORDERS = 500
SHARES = {Segment.NSE_EQ.value, Segment.BSE_EQ.value}
DERIVATIVES = [Segment.NSE_FNO.value, Segment.BSE_FNO.value]

_STAMP = "SELECT value FROM brokers_calendarstamp"
_CONTRACT = """
    SELECT (SELECT value FROM brokers_calendarstamp), coalesce(nullif(underlying, ''), symbol), NULL
    FROM (SELECT 1) AS one
    LEFT JOIN brokers_instrument ON segment = %(segment)s AND security_id = %(security_id)s
        AND retired_at IS NULL
"""
# A share's name, and whether living contracts name it; NULL when no contracts are known at all.
_SHARE = """
    SELECT (SELECT value FROM brokers_calendarstamp), share.symbol,
        CASE WHEN EXISTS (
            SELECT 1 FROM brokers_instrument WHERE segment = ANY(%(derivatives)s)
            AND underlying = share.symbol AND expiry >= %(today)s AND retired_at IS NULL) THEN true
        WHEN EXISTS (
            SELECT 1 FROM brokers_instrument WHERE segment = ANY(%(derivatives)s)
            AND underlying > '' AND expiry >= %(today)s AND retired_at IS NULL) THEN false END
    FROM (SELECT 1) AS one
    LEFT JOIN brokers_instrument share
        ON share.segment = %(segment)s AND share.security_id = %(security_id)s
        AND share.retired_at IS NULL
"""

_kept: tuple[int, Calendar] | None = None


def market_for(
    account: BrokerAccount, segment: str, security_id: str, now: dt.datetime | None = None
) -> Market:
    """The market as this account sees it; no query for one that is always open."""
    if account.calendar == CalendarKind.ALWAYS_OPEN:
        return always_open(segment)
    return market_phase(segment, security_id, now)


def market_phase(segment: str, security_id: str = "", now: dt.datetime | None = None) -> Market:
    """The exchange's market of one instrument, or of a segment, at this moment: one statement."""
    now = now or timezone.now()
    facts: dict[str, Any] = {
        "segment": segment,
        "security_id": security_id,
        "derivatives": DERIVATIVES,
        "today": now.astimezone(IST).date(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_SHARE if segment in SHARES else _CONTRACT, facts)
        stamp, name, derivatives = cursor.fetchone()
    known = derivatives if segment in SHARES else False
    return _calendar(stamp).market(segment, now, Subject(name or "", known))


def calendar_now() -> Calendar:
    """The whole calendar, as it stands."""
    with connection.cursor() as cursor:
        cursor.execute(_STAMP)
        row = cursor.fetchone()
    return _calendar(row[0] if row else None)


def traded_segments(account: BrokerAccount) -> list[str]:
    """Segments of the account's last orders and positions; of one that has none, every one."""
    orders = WireCall.objects.filter(account=account, budget=Budget.ORDER, verb=Verb.PLACE)
    last = orders.order_by("-created_at").values_list("request__segment", flat=True)[:LAST_ORDERS]
    report = PositionsReport.objects.filter(account=account).first()
    found = set(last) | {row["segment"] for row in (report.rows if report else [])}
    return [name for name, _ in SEGMENTS if name in found] or tradable_segments()


def tradable_segments() -> list[str]:
    """Segments in which at least one instrument may be traded."""
    rows = Instrument.objects.filter(tradable=True)
    return [name for name, _ in SEGMENTS if rows.filter(segment=name).exists()]


def trading_day_for(market: Market) -> dt.date | None:
    """The day of the session that an after-market order waits for; None: not known."""
    return None if market.next_open is None else market.next_open.astimezone(IST).date()


def _calendar(stamp: int | None) -> Calendar:
    """What is kept under this number, or the rows; without a number nothing is kept."""
    global _kept
    kept = _kept
    if kept is not None and kept[0] == stamp:
        return kept[1]
    calendar = _load()
    if stamp is not None:
        _kept = (stamp, calendar)
    return calendar


def _load() -> Calendar:
    known = CalendarYear.objects.filter(confirmed_at__isnull=False)
    return Calendar(
        sessions=tuple(rule.as_session() for rule in SessionRule.objects.all()),
        days=tuple(day.as_day() for day in Holiday.objects.all()),
        years=frozenset(known.values_list("segment", "year")),
    )
