"""The store of quotes: what was heard is kept once, newest wins, and what is stale is unknown."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.brokers.ages import CLOCK_SLACK
from apps.brokers.models import BrokerAccount, Instrument, Quote, QuoteWish
from apps.brokers.port import Known, Level, Market, QuoteNews, Segment

WISH_LASTS = dt.timedelta(minutes=15)  # for a review; pages renew theirs
INDEX_TICK = Decimal("0.01")  # the master's tick of an index is not that of its values


@dataclass(frozen=True, kw_only=True)
class Picture:
    """All that is known of one market: the price with its time, and what came beside it."""

    instrument_id: int
    market: Market
    last_price: Decimal | None = None
    as_of: dt.datetime | None = None
    traded_at: dt.datetime | None = None
    close: Decimal | None = None
    open_interest: int | None = None
    bids: tuple[Level, ...] | None = None
    asks: tuple[Level, ...] | None = None
    depth_as_of: dt.datetime | None = None
    lower_circuit: Decimal | None = None
    upper_circuit: Decimal | None = None
    circuit_as_of: dt.datetime | None = None

    def after(self, news: QuoteNews, heard_at: dt.datetime) -> Picture:
        """With what the news says; what it does not say stays, with the time it was heard."""
        told: dict[str, Any] = {
            name: getattr(news, name) for name in _OF_NEWS if getattr(news, name, None) is not None
        }
        if news.last_price is not None:
            told["as_of"] = heard_at
        if news.bids is not None:
            told["depth_as_of"] = heard_at
        if news.upper_circuit is not None:
            told["circuit_as_of"] = heard_at
        return replace(self, **told)


_COLUMNS = {field.name: "timestamptz" for field in fields(Picture) if field.name.endswith("_of")}
_COLUMNS |= {"instrument_id": "bigint", "market": "text", "traded_at": "timestamptz"}
_COLUMNS |= dict.fromkeys(("last_price", "close", "lower_circuit", "upper_circuit"), "numeric")
_COLUMNS |= {"open_interest": "bigint", "bids": "jsonb", "asks": "jsonb"}
_OF_NEWS = tuple(name for name in _COLUMNS if name not in {"instrument_id", "market"})
_MAY_BE_OLD = ", ".join(
    f"{name} = coalesce(excluded.{name}, quote.{name})"
    for name in _OF_NEWS
    if name not in {"last_price", "as_of"}
)
_UPSERT = f"""
    INSERT INTO brokers_quote AS quote ({", ".join(_COLUMNS)})
    SELECT * FROM unnest({", ".join(f"%s::{kind}[]" for kind in _COLUMNS.values())})
    ON CONFLICT (instrument_id, market) DO UPDATE SET
        last_price = excluded.last_price, as_of = excluded.as_of, {_MAY_BE_OLD}
    WHERE quote.as_of < excluded.as_of OR quote.as_of > %s
"""  # noqa: S608 - names of our own columns


def keep(pictures: Iterable[Picture]) -> int:
    """Write all that have a price in one statement; how many were news.

    An older price never replaces a newer one, unless the newer is dated in a future that cannot be.
    Rows are written in one order, so that two writers cannot wait for each other.
    """
    known = sorted(
        (picture for picture in pictures if picture.last_price is not None),
        key=lambda picture: (picture.instrument_id, picture.market),
    )
    if not known:
        return 0
    columns = [[_plain(getattr(row, name)) for row in known] for name in _COLUMNS]
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT, [*columns, timezone.now() + CLOCK_SLACK])
        return int(cursor.rowcount)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return json.dumps([[f"{row.price:f}", row.quantity, row.orders] for row in value])
    return value.value if isinstance(value, Market) else value


def tick_of(instrument: Instrument) -> Decimal:
    """The tick that its prices lie on, rupees."""
    return INDEX_TICK if instrument.segment == Segment.INDEX else instrument.tick_size


def quote_of(instrument: Instrument, market: Market) -> Quote | None:
    """What was last heard, however old."""
    return Quote.objects.filter(instrument=instrument, market=market).first()


def last_price(instrument: Instrument, market: Market, within: float) -> Known[Decimal] | None:
    """The last price if it is at most ``within`` seconds old; None is "not known"."""
    quote = quote_of(instrument, market)
    return None if quote is None else quote.price(within)


def stale(instruments: Sequence[Instrument], market: Market, within: float) -> list[Instrument]:
    """Those of which no price is known that is at most ``within`` seconds old."""
    now = timezone.now()
    fresh = set(
        Quote.objects.filter(
            instrument__in=instruments,
            market=market,
            as_of__gte=now - dt.timedelta(seconds=within),
            as_of__lte=now + CLOCK_SLACK,
        ).values_list("instrument", flat=True)
    )
    return [instrument for instrument in instruments if instrument.pk not in fresh]


_WISH = """
    INSERT INTO brokers_quotewish AS wish (instrument_id, market, until)
    SELECT id, %s, %s FROM unnest(%s::bigint[]) AS id ORDER BY id
    ON CONFLICT (instrument_id, market) DO UPDATE SET until = excluded.until
    WHERE wish.until < %s
"""


def wish(
    instruments: Iterable[Instrument], market: Market, lasts: dt.timedelta = WISH_LASTS
) -> None:
    """Ask for these prices to be listened to for a while. Cheap to repeat."""
    ids = sorted({instrument.pk for instrument in instruments})
    with connection.cursor() as cursor:
        now = timezone.now()
        cursor.execute(_WISH, [market.value, now + lasts, ids, now + lasts / 2])


def wishes(market: Market) -> QuerySet[QuoteWish]:
    """What is wished for now, the longest wishes first."""
    waiting = QuoteWish.objects.filter(market=market, until__gt=timezone.now())
    waiting = waiting.filter(instrument__retired_at=None)  # its id names another contract now
    return waiting.select_related("instrument").order_by("-until", "pk")


def forget_old_wishes() -> int:
    """Delete wishes that are over."""
    return QuoteWish.objects.filter(Q(until__lt=timezone.now())).delete()[0]


def sources(market: Market | None = None) -> list[BrokerAccount]:
    """Enabled accounts on whose token a market can be heard."""
    marked = BrokerAccount.objects.filter(enabled=True).exclude(market_feed_url="")
    return [
        account for account in marked if account.gives_quotes and market in {None, account.market}
    ]
