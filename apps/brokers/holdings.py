"""Delivered shares and what may leave the depository: read, kept, and how old that may be.

Shares that were delivered on an earlier day are holdings and no positions (portfolio page). The
documents do not say whether a sale leaves the holdings at once or over night. So each row also
keeps the most that was shown of it in today's session (``most``, ``most_available``): counted from
there, a sale is taken off once, whichever it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from apps.alerts.raising import raise_alert
from apps.brokers.journal import moment
from apps.brokers.models import BrokerAccount, CalendarKind, HoldingsReport, Instrument
from apps.brokers.port import Holding, ReadFailed, Segment
from apps.brokers.reporting import reports_of

log = structlog.get_logger(__name__)
GOOD_FOR = dt.timedelta(seconds=60)
SHARES = (Segment.NSE_EQ, Segment.BSE_EQ)
# A broker takes yesterday's sales out of the holdings some time in the night, which no document
# names. A list of before ROLLED_BY may still count them; and before OPENS, when NSE and BSE take
# the first order, nothing can have been sold: the latest list alone is right.
ROLLED_BY, OPENS = dt.time(8), dt.time(9)


def of(account: BrokerAccount) -> HoldingsReport | None:
    """What is kept; None when nothing was ever read."""
    return HoldingsReport.objects.filter(account=account).first()


def store_holdings(account: BrokerAccount, *, retries: bool = True) -> HoldingsReport:
    """Read the holdings and keep the list, unless a younger one is. Raises ``ReadFailed``."""
    mark = moment()
    known = reports_of(account, retries=retries).holdings()
    segments = _segments(known.value)
    rows = [_row(one, segments) for one in known.value]
    with transaction.atomic():
        kept = _locked(account)
        if kept.mark < mark:
            before = kept.rows if _same_session(account, kept.as_of, known.as_of) else []
            kept.rows, kept.mark, kept.as_of = _with_most(rows, before), mark, known.as_of
            kept.save(update_fields=["rows", "mark", "as_of"])
    return kept


def store_ddpi(account: BrokerAccount, *, retries: bool = True) -> None:
    """Read whether the account has given its DDPI. Raises ``ReadFailed``."""
    known = reports_of(account, retries=retries).profile()
    with transaction.atomic():
        kept = _locked(account)
        if kept.ddpi_as_of is None or kept.ddpi_as_of < known.as_of:
            kept.ddpi, kept.ddpi_as_of = known.value.ddpi, known.as_of
            kept.save(update_fields=["ddpi", "ddpi_as_of"])


def store_approved(account: BrokerAccount, *, retries: bool = True) -> None:
    """Read what eDIS has approved for today. Raises ``ReadFailed``."""
    known = reports_of(account, retries=retries).approved_deliveries()
    with transaction.atomic():
        kept = _locked(account)
        if kept.approved_as_of is None or kept.approved_as_of < known.as_of:
            kept.approved, kept.approved_as_of = known.value, known.as_of
            kept.save(update_fields=["approved", "approved_as_of"])


def refresh_list(account: BrokerAccount) -> None:
    """Read the holdings alone, one attempt; a list that cannot be read keeps its age."""
    _try(account, "holdings", store_holdings)


def refresh(account: BrokerAccount, within: dt.timedelta = GOOD_FOR) -> None:
    """Read what is older than that, one attempt each; what cannot be read keeps its age."""
    kept = of(account)
    reads: list[tuple[str, dt.datetime | None, Callable[..., object]]] = [
        ("holdings", kept.as_of if kept else None, store_holdings),
        ("DDPI", kept.ddpi_as_of if kept else None, store_ddpi),
        ("eDIS", kept.approved_as_of if kept else None, store_approved),
    ]
    now = timezone.now()
    for what, as_of, store in reads:
        if as_of is None or not now - within < as_of <= now:
            _try(account, what, store)


def refresh_if_due(account: BrokerAccount) -> None:
    """The same for a task that runs more often: once in that time, read or not."""
    now = timezone.now()
    mine = HoldingsReport.objects.filter(account=account)
    HoldingsReport.objects.get_or_create(account=account)
    due = mine.exclude(asked_at__gt=now - GOOD_FOR, asked_at__lte=now)
    if due.update(asked_at=now):
        refresh(account, GOOD_FOR / 2)  # or what was read a moment after it is left for a minute


def _try(account: BrokerAccount, what: str, store: Callable[..., object]) -> None:
    try:
        store(account, retries=False)
    except ReadFailed as error:
        log.warning("not refreshed", account=account.name, what=what, error=str(error))
        if error.kind == "schema":
            raise_alert(f"{what}:{account.name}", f"{what} of {account.name}: {error}")


def _locked(account: BrokerAccount) -> HoldingsReport:
    HoldingsReport.objects.get_or_create(account=account)
    return HoldingsReport.objects.select_for_update().get(account=account)


def _row(holding: Holding, segments: dict[tuple[str, str], str]) -> dict[str, Any]:
    """Units as integers, rupees as text. ``segment`` is empty for what no file names."""
    row = {**vars(holding), "average": format(holding.average, "f")}
    found = holding.segment or segments.get((holding.security_id, holding.isin), "")
    found = found or segments.get((holding.security_id, ""), "")
    return row | {"segment": str(found), "most": holding.total, "most_available": holding.available}


def _segments(rows: list[Holding]) -> dict[tuple[str, str], str]:
    """Where a share is traded under its id: at the NSE before the BSE, by its ISIN before any."""
    ids = {row.security_id for row in rows if row.segment is None}
    named = Instrument.objects.filter(security_id__in=ids, segment__in=SHARES, retired_at=None)
    found: dict[tuple[str, str], str] = {}
    for security_id, isin, segment in named.order_by("-segment").values_list(
        "security_id", "isin", "segment"
    ):
        found.setdefault((security_id, isin), segment)
        found.setdefault((security_id, ""), segment)
    return found


def _same_session(account: BrokerAccount, before: dt.datetime | None, now: dt.datetime) -> bool:
    """True when a share may have left the holdings between two reads because it was sold."""
    if before is None:
        return False
    first, second = timezone.localtime(before), timezone.localtime(now)
    if first.date() != second.date() or account.calendar == CalendarKind.ALWAYS_OPEN:
        return first.date() == second.date()
    return first.time() >= ROLLED_BY and second.time() >= OPENS


def _with_most(rows: list[dict[str, Any]], before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the most that was shown today; what is sold out stays in the list as 0."""
    earlier = {_key(row): row for row in before}
    for row in rows:
        same = earlier.pop(_key(row), row)
        row["most"] = max(row["most"], same["most"])
        row["most_available"] = max(row["most_available"], same["most_available"])
    gone = {"total": 0, "available": 0, "t1": 0, "collateral": 0}
    return rows + [row | gone for row in earlier.values()]


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["segment"], row["security_id"], row["isin"]
