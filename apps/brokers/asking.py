"""Ask the broker itself where nothing fresh was heard: one call for all who wait for prices.

The broker takes one quote call a second for up to 1000 instruments, so callers do not call for
themselves: they write a wish down, one of them reads all that is wished for, and the others find
their prices in the store. Nothing here may run inside a transaction.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal

import structlog

from apps.alerts.raising import raise_alert
from apps.brokers import quotes
from apps.brokers.locks import turn_if_free
from apps.brokers.models import BrokerAccount, Instrument
from apps.brokers.port import Known, Market, ReadFailed, Segment
from apps.brokers.quotes import Picture
from apps.brokers.reporting import reports_of

log = structlog.get_logger(__name__)
PATIENCE = 4.0  # seconds that a caller waits for the turn of others and its own
GATHER = 0.03  # seconds in which others may still join the call
LOOK_EVERY = 0.05  # seconds between looks, while another reads
MOST = 1000
NO_PLAN = {"token", "access", "address", "network", "answer"}  # another account may fare better


def refresh(account: BrokerAccount, instruments: Sequence[Instrument], within: float) -> None:
    """Make sure that prices of these instruments are at most ``within`` seconds old.

    Raises ``ReadFailed`` when that cannot be had, now or at all.
    """
    market = account.market
    give_up = time.monotonic() + PATIENCE
    if not quotes.stale(instruments, market, within):
        return
    quotes.wish(instruments, market)
    while quotes.stale(instruments, market, within):
        with turn_if_free(f"quotes:{market}") as mine:
            if mine and quotes.stale(instruments, market, within):
                time.sleep(GATHER)
                _read_for_all(account, instruments, within)
                break
        if time.monotonic() > give_up:
            raise ReadFailed("no turn to ask for prices", transient=True, kind="budget")
        time.sleep(LOOK_EVERY)
    missing = quotes.stale(instruments, market, within)
    if missing:
        text = f"the broker has no price for {missing[0]}"
        raise ReadFailed(text, transient=False, kind="quote")


def price(account: BrokerAccount, instrument: Instrument, within: float) -> Known[Decimal]:
    """The last price, at most ``within`` seconds old. Raises ``ReadFailed``."""
    refresh(account, [instrument], within)
    known = quotes.last_price(instrument, account.market, within)
    if known is None:
        raise ReadFailed(f"the price of {instrument} is not fresh", transient=True, kind="quote")
    return known


def _read_for_all(account: BrokerAccount, mine: Sequence[Instrument], within: float) -> None:
    """Ask the account that gives the desk its quotes, else this one."""
    source = next(iter(quotes.sources(account.market)), account)
    try:
        _read(source, mine, within)
    except ReadFailed as error:
        if source == account or error.kind not in NO_PLAN:
            raise
        log.warning("quotes not read", account=source.name, error=str(error))
        _read(account, mine, within)


def _read(account: BrokerAccount, mine: Sequence[Instrument], within: float) -> None:
    asked: dict[tuple[Segment, str], Instrument] = {}

    def wanted() -> list[tuple[Segment, str]]:
        for instrument in _waiting(mine, account.market, within):
            asked[Segment(instrument.segment), instrument.security_id] = instrument
        return list(asked)

    known = reports_of(account, retries=False).quotes(wanted)
    pictures = []
    for news in known.value:
        instrument = asked[news.segment, news.security_id]
        if news.last_price is not None and news.last_price % quotes.tick_of(instrument):
            _refuse(instrument, news.last_price)
            continue
        empty = Picture(instrument_id=instrument.pk, market=account.market)
        pictures.append(empty.after(news, known.as_of))
    quotes.keep(pictures)


def _waiting(mine: Sequence[Instrument], market: Market, within: float) -> list[Instrument]:
    """Mine first, then whatever else is wished for and stale."""
    others = [wish.instrument for wish in quotes.wishes(market)[:MOST]]
    stale = quotes.stale(others, market, within)
    return list({row.pk: row for row in [*mine, *stale]}.values())


def _refuse(instrument: Instrument, last_price: Decimal) -> None:
    tick = quotes.tick_of(instrument).normalize()
    raise_alert(
        f"tick:{instrument.segment}:{instrument.security_id}",
        f"the broker's last price {last_price} of {instrument} is not on its tick {tick:f}: "
        "refused, so the price is not known; is the instrument file old?",
    )
