"""Prices that nobody heard are asked for once, for all who wait."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers import asking, quotes
from apps.brokers.models import AccessToken, BrokerAccount, Instrument, Quote, WireCall
from apps.brokers.port import Market, ReadFailed
from tests.brokers.stub import Stub, answer

pytestmark = pytest.mark.django_db(transaction=True)
FRESH = 5.0


def price_of(account: Any, instrument: Instrument) -> Decimal:
    try:
        return asking.price(account, instrument, FRESH).value
    finally:
        connections.close_all()


@pytest.fixture
def shares(account: Any) -> list[Instrument]:
    ids = {"2885": "RELIANCE", "11536": "TCS", "1333": "HDFCBANK", "1594": "INFY"}
    return [
        Instrument.objects.create(
            segment="NSE_EQ",
            security_id=number,
            symbol=symbol,
            kind="EQUITY",
            lot_size=1,
            tick_size=Decimal("0.05"),
        )
        for number, symbol in ids.items()
    ]


def calls() -> int:
    return WireCall.objects.filter(what="quotes").count()


def test_ten_who_wait_for_different_prices_cost_one_call(
    account: Any, shares: list[Instrument], exchange: Any
) -> None:
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1410)
    with ThreadPoolExecutor(10) as pool:
        wanted = (shares * 3)[:10]
        found = list(pool.map(lambda share: price_of(account, share), wanted))
    assert found[0] == found[4] == found[8] == 1410
    assert len(found) == 10
    assert calls() == 1


def test_a_fresh_price_costs_nothing(account: Any, shares: list[Instrument]) -> None:
    first = price_of(account, shares[0])
    assert price_of(account, shares[0]) == first
    assert calls() == 1


def test_a_stale_price_is_read_again_and_dated_by_the_beginning_of_the_read(
    account: Any, shares: list[Instrument], exchange: Any
) -> None:
    price_of(account, shares[0])
    Quote.objects.update(as_of=timezone.now() - dt.timedelta(seconds=FRESH + 1))
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1390)
    known = asking.price(account, shares[0], FRESH)
    assert known.value == 1390
    assert known.as_of == WireCall.objects.filter(what="quotes").latest("id").created_at


def test_the_whole_quote_is_kept(account: Any, shares: list[Instrument]) -> None:
    price_of(account, shares[0])
    quote = Quote.objects.get()
    assert (quote.market, quote.circuits) == ("SIMULATED", (Decimal("1261.8"), Decimal("1542.2")))
    assert quote.depth(FRESH) is not None


def test_asking_makes_the_desk_listen(account: Any, shares: list[Instrument]) -> None:
    price_of(account, shares[0])
    assert [wish.instrument for wish in quotes.wishes(Market.SIMULATED)] == [shares[0]]


def test_what_else_is_wished_for_travels_with_the_call(
    account: Any, shares: list[Instrument]
) -> None:
    quotes.wish(shares[1:], Market.SIMULATED)
    price_of(account, shares[0])
    assert Quote.objects.count() == 4
    assert calls() == 1


def test_a_price_that_the_broker_lacks_is_a_failure(account: Any) -> None:
    stranger = Instrument.objects.create(
        segment="NSE_EQ", security_id="7", symbol="NONE", kind="EQUITY", lot_size=1, tick_size=1
    )
    with pytest.raises(ReadFailed, match="no price for NSE_EQ:NONE") as caught:
        asking.price(account, stranger, FRESH)
    assert caught.value.kind == "quote"


def test_a_broker_that_fails_leaves_the_old_price(
    account: Any, shares: list[Instrument], exchange: Any
) -> None:
    price_of(account, shares[0])
    old = timezone.now() - dt.timedelta(seconds=FRESH + 1)
    Quote.objects.update(as_of=old)
    exchange.fault("http_500", "quotes")
    with pytest.raises(ReadFailed):
        asking.price(account, shares[0], FRESH)
    assert Quote.objects.get().as_of == old


def test_a_price_off_its_tick_is_refused_and_told(at: Any, reliance: Instrument) -> None:
    body = {"data": {"NSE_EQ": {"2885": {"last_price": 1400.03}}}}
    with Stub(answer(200, body)) as stub, pytest.raises(ReadFailed):
        asking.price(at(stub.url), reliance, FRESH)
    assert not Quote.objects.exists()
    assert "not on its tick 0.05" in Alert.objects.get(key="tick:NSE_EQ:2885").text


def test_who_waits_longer_than_the_turn_takes_gives_up(
    account: Any, shares: list[Instrument], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.2)
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")

    def hold() -> Any:
        from apps.brokers.locks import turn_if_free

        with turn_if_free(f"quotes:{Market.SIMULATED}") as mine:
            assert mine
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(price_of, account, shares[0]).exception()

    failure = hold()
    assert isinstance(failure, ReadFailed)
    assert (failure.kind, failure.transient) == ("budget", True)


def good(stub: Stub) -> Any:
    return json.loads(stub.requests[0].partition(b"\r\n\r\n")[2])


@pytest.fixture
def source_and_asker(at: Any) -> Any:
    """An account that gives the desk its quotes, and another that asks."""

    def make(source_url: str, asker_url: str) -> tuple[BrokerAccount, BrokerAccount]:
        source = at(source_url, market_feed_url="ws://127.0.0.1:9", client_id="9000000001")
        return source, at(asker_url, client_id="9000000002")

    return make


QUOTE = {"data": {"NSE_EQ": {"2885": {"last_price": 1400}}}, "status": "success"}


def test_the_account_that_gives_quotes_is_asked(
    source_and_asker: Any, reliance: Instrument
) -> None:
    with Stub(answer(200, QUOTE)) as theirs, Stub(answer(200, QUOTE)) as mine:
        _, asker = source_and_asker(theirs.url, mine.url)
        assert asking.price(asker, reliance, FRESH).value == 1400
    assert (theirs.connections, mine.connections) == (1, 0)
    assert good(theirs)["NSE_EQ"] == [2885]


def test_if_it_has_no_plan_or_token_the_asker_asks(
    source_and_asker: Any, reliance: Instrument
) -> None:
    no_plan = {"status": "failed", "data": {"806": "Data APIs not subscribed"}}
    with Stub(answer(400, no_plan)) as theirs, Stub(answer(200, QUOTE)) as mine:
        source, asker = source_and_asker(theirs.url, mine.url)
        assert asking.price(asker, reliance, FRESH).value == 1400
        Quote.objects.all().delete()
        AccessToken.objects.filter(account=source).update(retired_at=timezone.now())
        assert asking.price(asker, reliance, FRESH).value == 1400
    assert (theirs.connections, mine.connections) == (1, 2)
