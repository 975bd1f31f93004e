"""Read from the broker what a review will need and does not have fresh, before any transaction.

A read that fails leaves the old row: the rules see its age and decide.
"""

from __future__ import annotations

import datetime as dt

import structlog
from django.utils import timezone

from apps.brokers import reporting
from apps.brokers.models import BrokerAccount, FundsReport, Instrument, Quote
from apps.brokers.port import Intent, OrderType, ReadFailed, Side
from apps.brokers.rows import read_row

log = structlog.get_logger(__name__)

FUNDS_GOOD_FOR = dt.timedelta(seconds=30)
QUOTE_GOOD_FOR = dt.timedelta(seconds=5)
_funds_as_of: dict[int, dt.datetime | None] = {}  # by account: what this process has seen


def refresh_inputs(
    account: BrokerAccount, instrument: Instrument, side: str, order_type: str, intent: str
) -> None:
    """Positions for an exit, funds for anything else, a price where the order names no bound."""
    positions = intent == Intent.EXIT
    funds = not positions and account.enabled and not _fresh_funds(account)
    price = _needs_price(instrument, side, order_type) and not _fresh_quote(instrument)
    if not (positions or funds or price) or account.token() is None:
        return
    try:
        if positions:
            reporting.store_positions(account, retries=False)
        if funds:
            reporting.store_funds(account, retries=False)
        if price:
            reporting.store_quote(account, instrument, retries=False)
    except ReadFailed as error:
        log.warning("input not refreshed", account=account.name, error=str(error))


def _needs_price(instrument: Instrument, side: str, order_type: str) -> bool:
    """A buy is bounded by its limit; a sale by the day's upper limit, if there is one."""
    if order_type == OrderType.MARKET:
        return True
    return side == Side.SELL and instrument.limits(timezone.localdate())[1] is None


def _fresh_funds(account: BrokerAccount) -> bool:
    """Known to this process, or in the row: a report only ever gets newer."""
    now = timezone.now()
    as_of = _funds_as_of.get(account.pk)
    if as_of is None or not now - FUNDS_GOOD_FOR < as_of <= now:
        report = read_row(FundsReport, "account_id = %s", [account.pk])
        as_of = _funds_as_of[account.pk] = report.as_of if report else None
    return as_of is not None and now - FUNDS_GOOD_FOR < as_of <= now


def _fresh_quote(instrument: Instrument) -> bool:
    now = timezone.now()
    quote = read_row(Quote, "instrument_id = %s", [instrument.pk])
    return quote is not None and now - QUOTE_GOOD_FOR < quote.as_of <= now
