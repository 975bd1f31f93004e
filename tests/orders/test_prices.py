"""The desk listens to the prices that it needs, over a real socket at the simulated exchange."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone

from apps.alerts.models import Alert, Heartbeat
from apps.alerts.raising import seconds_since
from apps.brokers import asking, quotes
from apps.brokers.models import Instrument, PositionsReport, Quote, QuoteWish, WireCall
from apps.brokers.port import Market, QuoteNews, Segment
from apps.orders import prices
from apps.orders.needs import needed
from apps.orders.prices import Keeper

pytestmark = pytest.mark.django_db(transaction=True)
SIMULATED = Market.SIMULATED


def until(true: Callable[[], Any], seconds: float = 15) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def source(make_account: Any, exchange: Any) -> Any:
    return make_account(market_feed_url=f"{exchange.url.replace('http', 'ws')}/market-feed")


@pytest.fixture
def quick(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FEED_PING_EVERY, settings.FEED_PONG_WITHIN = 0.3, 3.0
    settings.QUOTE_FLUSH_EVERY = 0.05
    monkeypatch.setattr("apps.orders.prices.LOOK_EVERY", 0.1)
    monkeypatch.setattr("apps.orders.prices.SIGN_EVERY", 0.1)
    monkeypatch.setattr("apps.brokers.dhan.market.LOOK_EVERY", 0.1)
    monkeypatch.setattr("apps.brokers.dhan.listening.FIRST_PAUSE", 0.05)


@pytest.fixture
def listening(source: Any, quick: None) -> Iterator[None]:
    stopping = threading.Event()

    def run() -> None:
        try:
            prices.listen(source, stopping.is_set)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()


def pin(exchange: Any, price: float) -> None:
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=price)


def last(within: float = 5) -> Decimal | None:
    quote = Quote.objects.filter(instrument__security_id="2885", market=SIMULATED).first()
    known = quote and quote.price(within)
    return known.value if known else None


# ---- what is needed


def share(number: str, symbol: str) -> Instrument:
    return Instrument.objects.create(
        segment="NSE_EQ", security_id=number, symbol=symbol, kind="EQUITY", lot_size=1, tick_size=1
    )


def test_needs_are_orders_alive_then_what_is_held_then_wishes(working, account, reliance):
    held, wished, idle = share("11536", "TCS"), share("1333", "HDFC"), share("1594", "INFY")
    working()
    rows = [
        {"segment": "NSE_EQ", "security_id": "11536", "product": "INTRADAY", "net_quantity": -3},
        {"segment": "NSE_EQ", "security_id": "1594", "product": "INTRADAY", "net_quantity": 0},
        {"segment": "BSE_EQ", "security_id": "1333", "product": "INTRADAY", "net_quantity": 1},
    ]
    PositionsReport.objects.update_or_create(
        account=account, defaults={"as_of": timezone.now(), "mark": 1, "rows": rows}
    )
    quotes.wish([wished], SIMULATED)
    assert needed(SIMULATED) == [reliance, held, wished]
    assert idle not in needed(SIMULATED)
    assert needed(Market.REAL) == []


def test_an_order_that_is_over_needs_no_price(working, exchange, account, reliance):
    order = working()
    assert needed(SIMULATED) == [reliance]
    exchange.control("expire", orderId=order.broker_order_id)
    from tests.orders.telling import settled

    settled(account)
    assert needed(SIMULATED) == []


# ---- listening


def test_a_wished_price_is_heard_and_follows_the_market(listening, exchange, reliance):
    quotes.wish([reliance], SIMULATED)
    until(lambda: last() == 1402)
    for price in (1390, Decimal("1390.1"), 1415):
        pin(exchange, float(price))
        until(lambda price=price: last() == price)
    quote = Quote.objects.get()
    assert quote.traded_at is not None
    assert timezone.now() - quote.traded_at < dt.timedelta(seconds=30)
    assert quote.close == 1402
    depth = quote.depth(within=5)
    assert depth is not None
    assert depth.value[0][0].price < depth.value[1][0].price
    assert not WireCall.objects.exists()  # nothing was asked over REST


def test_a_price_heard_on_the_socket_spares_the_call(listening, exchange, reliance, source):
    quotes.wish([reliance], SIMULATED)
    until(lambda: last() == 1402)
    assert asking.price(source, reliance, 5).value == 1402
    assert not WireCall.objects.exists()


def test_the_feed_gives_signs_of_life_with_what_it_listens_to(listening, source, reliance):
    quotes.wish([reliance], SIMULATED)
    name = f"quotes:{source.name}"
    until(lambda: Heartbeat.objects.filter(name=name, detail="1 instruments").exists())
    assert (seconds_since(name) or 0) < 5


def test_what_nobody_needs_is_left_after_a_while(
    listening, exchange, reliance, source, monkeypatch
):
    monkeypatch.setattr("apps.orders.prices.LINGER", 0.3)
    quotes.wish([reliance], SIMULATED)
    count = lambda: exchange.report()["market_feed"].get(source.client_id, {}).get("instruments")  # noqa: E731
    until(lambda: count() == 1)
    QuoteWish.objects.update(until=timezone.now())
    until(lambda: count() == 0)


def test_a_silent_feed_lives_and_its_prices_grow_old(listening, exchange, reliance, source):
    quotes.wish([reliance], SIMULATED)
    until(lambda: last() == 1402)
    exchange.control("market_feed", action="silence")
    pin(exchange, 1300)
    before = Quote.objects.get().as_of
    time.sleep(1.2)
    assert (seconds_since(f"quotes:{source.name}") or 9) < 3  # pongs
    assert Quote.objects.get().as_of == before
    assert last(within=1) is None  # stale is unknown …
    assert asking.price(source, reliance, 1).value == 1300  # … and then the broker is asked


def test_a_feed_that_repeats_old_prices_shows_it_by_the_time_of_the_trade(
    listening, exchange, reliance
):
    quotes.wish([reliance], SIMULATED)
    until(lambda: last() == 1402)
    before = Quote.objects.get()
    exchange.control("market_feed", action="freeze")
    pin(exchange, 1300)
    until(lambda: Quote.objects.get().as_of > before.as_of)
    repeated = Quote.objects.get()
    assert (repeated.last_price, repeated.traded_at) == (1402, before.traded_at)
    exchange.control("market_feed", action="resume")
    pin(exchange, 1310)
    until(lambda: last() == 1310)


@pytest.mark.parametrize("reason", [None, 805])
def test_the_feed_comes_back_and_asks_again_for_all(
    listening, exchange, reliance, reason, monkeypatch
):
    monkeypatch.setattr("apps.brokers.dhan.listening.TOKEN_PAUSE", 0.05)
    monkeypatch.setattr("apps.brokers.dhan.listening.LONGEST_PAUSE", 0.1)
    quotes.wish([reliance], SIMULATED)
    until(lambda: last() == 1402)
    more = {} if reason is None else {"reason": reason}
    exchange.control("market_feed", action="disconnect", **more)
    until(lambda: Alert.objects.filter(key="quotes:alpha").exists())
    text = Alert.objects.get(key="quotes:alpha").text
    assert "closed the market feed" in text if reason is None else "805, too many" in text
    pin(exchange, 1399)
    until(lambda: last() == 1399)


@pytest.mark.parametrize(
    ("fault", "key"),
    [
        ("garbled_packets", "quotes:alpha"),  # what cannot be read ends the connection
        ("cut_packets", "quotes:alpha"),
        ("off_tick_packets", "quotes:alpha:odd"),
    ],
)
def test_spoilt_packets_are_never_prices(listening, exchange, reliance, fault, key):
    quotes.wish([reliance], SIMULATED)
    until(lambda: last() == 1402)
    exchange.control("faults", fault=fault, times=1)
    pin(exchange, 1388)
    until(lambda: Alert.objects.filter(key=key).exists())
    assert last(within=60) in {1402, 1388}  # 1388 comes with the next picture, if it came back
    pin(exchange, 1389)
    until(lambda: last() == 1389)


def test_an_unknown_packet_is_told_once_and_counted(listening, exchange, reliance, source):
    quotes.wish([reliance], SIMULATED)
    until(lambda: last() == 1402)
    exchange.control("faults", fault="unknown_packets", times=3)
    for price in (1388, 1389, 1390):
        pin(exchange, price)
        until(lambda price=price: last() == price)
    alert = Alert.objects.get(key="quotes:alpha:odd")
    assert (alert.times, "packets of 99" in alert.text) == (1, True)
    detail = "1 instruments; odd: code 99 3"
    until(lambda: Heartbeat.objects.filter(name=f"quotes:{source.name}", detail=detail).exists())


# ---- the thread at the database


def news(number: int, price: int) -> QuoteNews:
    return QuoteNews(segment=Segment.NSE_EQ, security_id=str(number), last_price=Decimal(price))


@pytest.fixture
def keeper(source: Any, reliance: Any) -> Keeper:
    quotes.wish([reliance], SIMULATED)
    keeper = Keeper(source, dict)
    keeper.look()
    return keeper


def test_many_prices_of_one_instrument_are_one_row(keeper, django_assert_num_queries):
    for price in range(1400, 1500):
        keeper.hear([news(2885, price)], timezone.now())
    with django_assert_num_queries(1):
        assert keeper.flush() == 1
    assert last() == 1499
    with django_assert_num_queries(0):
        assert keeper.flush() == 0


def test_news_of_what_nobody_needs_is_left(keeper):
    keeper.hear([news(1, 5)], timezone.now())
    assert keeper.flush() == 0


def test_prices_outlive_a_database_that_is_away(keeper, monkeypatch):
    keeper.hear([news(2885, 1400)], timezone.now())

    def away(_: Any) -> int:
        raise OperationalError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(quotes, "keep", away)
        with pytest.raises(OperationalError):
            keeper.flush()
    assert keeper.flush() == 1
    assert last() == 1400


def test_a_price_is_dated_when_it_was_heard_and_not_when_it_was_written(keeper):
    heard = timezone.now() - dt.timedelta(seconds=3)
    keeper.hear([news(2885, 1400)], heard)
    keeper.flush()
    assert Quote.objects.get().as_of == heard


def test_the_listener_ends_when_its_writer_has_died(source, quick, monkeypatch):
    """A feed whose prices nobody writes is none: the process ends, and is started again."""
    monkeypatch.setattr(Keeper, "run", lambda self, should_stop: None)
    prices.listen(source, lambda: False)


def test_the_command_names_what_is_missing(account):
    with pytest.raises(CommandError, match="no market feed address"):
        call_command("stream_quotes", account.name)
    with pytest.raises(CommandError, match="say --all"):
        call_command("stream_quotes")
