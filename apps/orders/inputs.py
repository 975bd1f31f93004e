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

log = structlog.get_logger(__name__)

FUNDS_GOOD_FOR = dt.timedelta(seconds=30)
QUOTE_GOOD_FOR = dt.timedelta(seconds=5)


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
    now = timezone.now()
    return FundsReport.objects.filter(
        account=account, as_of__gt=now - FUNDS_GOOD_FOR, as_of__lte=now
    ).exists()


def _fresh_quote(instrument: Instrument) -> bool:
    now = timezone.now()
    return Quote.objects.filter(
        instrument=instrument, as_of__gt=now - QUOTE_GOOD_FOR, as_of__lte=now
    ).exists()
