"""The store of quotes: newest wins, what is stale is unknown, and two markets never mix."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, connections
from django.utils import timezone

from apps.brokers import quotes
from apps.brokers.models import BrokerAccount, Instrument, Quote, QuoteWish
from apps.brokers.port import Level, Market, QuoteNews, Segment
from apps.brokers.quotes import Picture

pytestmark = pytest.mark.django_db(transaction=True)
NOW = timezone.now
BID, ASK = (Level(price=Decimal(price), quantity=5, orders=2) for price in ("99.95", "100.05"))


def seconds(number: float) -> dt.timedelta:
    return dt.timedelta(seconds=number)


def news(instrument: Instrument, price: str | None, **more: Any) -> QuoteNews:
    return QuoteNews(
        segment=Segment(instrument.segment),
        security_id=instrument.security_id,
        last_price=None if price is None else Decimal(price),
        **more,
    )


@pytest.fixture
def hear(reliance: Instrument) -> Any:
    def hear(price: str | None, at: dt.datetime, market: Market = Market.REAL, **more: Any) -> int:
        empty = Picture(instrument_id=reliance.pk, market=market)
        return quotes.keep([empty.after(news(reliance, price, **more), at)])

    return hear


def last(reliance: Instrument, within: float = 10, market: Market = Market.REAL) -> Any:
    known = quotes.last_price(reliance, market, within)
    return known and known.value


def test_what_was_heard_is_known_with_its_time(hear: Any, reliance: Instrument) -> None:
    at = NOW()
    assert hear("100.05", at) == 1
    known = quotes.last_price(reliance, Market.REAL, 10)
    assert known is not None
    assert (known.value, known.as_of) == (Decimal("100.05"), at)


def test_what_is_stale_is_unknown(hear: Any, reliance: Instrument) -> None:
    hear("100", NOW() - seconds(11))
    assert last(reliance) is None
    assert last(reliance, within=12) == 100
    assert quotes.stale([reliance], Market.REAL, 10) == [reliance]
    assert quotes.stale([reliance], Market.REAL, 12) == []


def test_what_was_never_heard_is_unknown(reliance: Instrument) -> None:
    assert last(reliance) is None
    assert quotes.quote_of(reliance, Market.REAL) is None


def test_a_time_in_the_future_is_unknown_and_gives_way(hear: Any, reliance: Instrument) -> None:
    hear("100", NOW() + seconds(60))
    assert last(reliance) is None
    assert quotes.stale([reliance], Market.REAL, 10) == [reliance]
    assert hear("101", NOW()) == 1
    assert last(reliance) == 101


def test_older_news_never_replaces_newer(hear: Any, reliance: Instrument) -> None:
    now = NOW()
    hear("101", now)
    assert hear("100", now - seconds(1)) == 0
    assert hear("99", now) == 0
    assert last(reliance) == 101


def test_the_simulation_says_nothing_of_the_real_market(hear: Any, reliance: Instrument) -> None:
    hear("2900", NOW())
    hear("1402", NOW(), Market.SIMULATED)
    assert last(reliance) == 2900
    assert last(reliance, market=Market.SIMULATED) == 1402


def test_what_a_message_leaves_out_stays_with_its_own_age(hear: Any, reliance: Instrument) -> None:
    then = NOW() - seconds(5)
    hear("100", then, bids=(BID,), asks=(ASK,), close=Decimal("98.7"), upper_circuit=Decimal(110))
    hear("101", NOW())
    quote = quotes.quote_of(reliance, Market.REAL)
    assert quote is not None
    assert (quote.last_price, quote.close) == (101, Decimal("98.7"))
    depth = quote.depth(within=10)
    assert depth is not None
    assert depth.value == ((BID,), (ASK,))
    assert depth.as_of == then
    assert quote.depth(within=4) is None
    assert quote.circuits == (None, 110)


def test_yesterdays_circuits_are_not_todays(hear: Any, reliance: Instrument) -> None:
    hear("100", NOW() - dt.timedelta(days=1), upper_circuit=Decimal(110), lower_circuit=Decimal(90))
    quote = quotes.quote_of(reliance, Market.REAL)
    assert quote is not None
    assert quote.circuits == (None, None)


def test_news_without_a_price_waits_for_one(hear: Any, reliance: Instrument) -> None:
    assert hear(None, NOW(), open_interest=7) == 0
    assert not Quote.objects.exists()
    empty = Picture(instrument_id=reliance.pk, market=Market.REAL)
    waiting = empty.after(news(reliance, None, close=Decimal("98.7")), NOW())
    quotes.keep([waiting.after(news(reliance, "100"), NOW())])
    assert Quote.objects.get().close == Decimal("98.7")


def test_many_rows_are_one_statement(reliance: Instrument, django_assert_num_queries: Any) -> None:
    rows = [
        Instrument(
            segment="NSE_FNO",
            security_id=str(number),
            symbol=f"O{number}",
            kind="OPTIDX",
            lot_size=1,
            tick_size=Decimal("0.05"),
        )
        for number in range(300)
    ]
    made = Instrument.objects.bulk_create(rows)
    pictures = [
        Picture(instrument_id=row.pk, market=Market.REAL).after(news(row, "5"), NOW())
        for row in made
    ]
    with django_assert_num_queries(1):
        assert quotes.keep(pictures) == 300
    with django_assert_num_queries(0):
        assert quotes.keep([]) == 0


def test_two_writers_of_the_same_rows_do_not_stop_each_other(reliance: Instrument) -> None:
    other = Instrument.objects.create(
        segment="NSE_EQ", security_id="1", symbol="X", kind="EQUITY", lot_size=1, tick_size=1
    )
    both = [reliance, other]
    failures: list[BaseException] = []

    def write(order: list[Instrument]) -> None:
        try:
            for _ in range(60):
                quotes.keep(
                    Picture(instrument_id=row.pk, market=Market.REAL).after(news(row, "5"), NOW())
                    for row in order
                )
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=[rows]) for rows in (both, both[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# ---- wishes and sources


def test_a_wish_lasts_and_is_cheap_to_repeat(reliance: Instrument) -> None:
    quotes.wish([reliance], Market.REAL)
    (first,) = quotes.wishes(Market.REAL)
    quotes.wish([reliance], Market.REAL)
    (second,) = quotes.wishes(Market.REAL)
    assert second.until == first.until  # nothing was written
    QuoteWish.objects.update(until=NOW() + seconds(60))
    quotes.wish([reliance], Market.REAL)
    (third,) = quotes.wishes(Market.REAL)
    assert third.until > NOW() + seconds(600)
    assert not quotes.wishes(Market.SIMULATED).exists()


def test_a_wish_ends(reliance: Instrument) -> None:
    quotes.wish([reliance], Market.REAL)
    QuoteWish.objects.update(until=NOW() - seconds(1))
    assert not quotes.wishes(Market.REAL).exists()
    assert quotes.forget_old_wishes() == 1


def account_at(rest: str, market_feed: str, name: str = "a", **more: Any) -> BrokerAccount:
    return BrokerAccount(
        name=name,
        broker="dhan",
        client_id=f"1{name}",
        rest_url=rest,
        feed_url="wss://feed.example.in",
        market_feed_url=market_feed,
        **more,
    )


LIVE, PAPER = "https://api.dhan.co/v2", "http://127.0.0.1:9100/v2"


@pytest.mark.parametrize(
    ("rest", "market_feed", "problem"),
    [
        (LIVE, "", None),
        (LIVE, "wss://api-feed.dhan.co", None),
        (PAPER, "ws://127.0.0.1:9100/market-feed", None),
        (LIVE, "ws://127.0.0.1:9100/market-feed", "do not mix"),
        (PAPER, "wss://api-feed.dhan.co", "do not mix"),
        (LIVE, "ws://api-feed.dhan.co", "must start with wss://"),
        (LIVE, "https://api-feed.dhan.co", "must start with ws"),
    ],
)
def test_prices_come_from_the_accounts_own_market(
    rest: str, market_feed: str, problem: str | None
) -> None:
    account = account_at(rest, market_feed)
    if problem is None:
        account.full_clean()
        assert account.gives_quotes == bool(market_feed)
        return
    with pytest.raises(ValidationError, match=problem) as caught:
        account.full_clean()
    assert list(caught.value.message_dict) == ["market_feed_url"]


def test_sources_are_enabled_accounts_of_the_market() -> None:
    account_at(PAPER, "ws://127.0.0.1:9100/market-feed", "paper").save()
    account_at(LIVE, "wss://api-feed.dhan.co", "live").save()
    account_at(LIVE, "", "plain").save()
    account_at(LIVE, "ws://127.0.0.1:9/x", "mixed").save()
    account_at(LIVE, "wss://api-feed.dhan.co", "off", enabled=False).save()
    assert [row.name for row in quotes.sources(Market.REAL)] == ["live"]
    assert [row.name for row in quotes.sources()] == ["live", "paper"]


def test_the_database_holds_one_row_per_market(hear: Any, reliance: Instrument) -> None:
    hear("1", NOW())
    with connection.cursor() as cursor, pytest.raises(Exception, match="one_quote_per_market"):
        cursor.execute(
            "INSERT INTO brokers_quote (instrument_id, market, last_price, as_of)"
            " VALUES (%s, 'REAL', 1, now())",
            [reliance.pk],
        )
