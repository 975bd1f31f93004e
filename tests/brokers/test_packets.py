"""The market feed's bytes: as published, as the simulated exchange writes them, and as garbage."""

from __future__ import annotations

import datetime as dt
import json
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.brokers.dhan import packets
from apps.brokers.dhan.packets import Garbled, Packet, news_of, on_tick, packets_in, single
from apps.brokers.port import BadWire, Level, QuoteNews, Segment
from simexchange import packets as theirs
from simexchange.book import Level as TheirLevel
from simexchange.clock import IST
from simexchange.instruments import Instrument
from simexchange.packets import Picture
from tests.brokers.payloads import payload

TICK = Decimal("0.05")
TRADED = dt.datetime(2023, 11, 14, 16, 43, 20, tzinfo=dt.UTC)  # 1700000000 as Indian wall clock


def published(name: str) -> tuple[bytes, dict[str, Any]]:
    row = payload(f"constructed-feed-{name}")
    return bytes.fromhex(row["hex"]), row["fields"]


def only(frame: bytes) -> Packet:
    (packet,) = packets_in(frame)
    return packet


def read(name: str, tick: Decimal = TICK) -> QuoteNews:
    return news_of(only(published(name)[0]), tick)


def test_a_ticker_as_published():
    assert read("ticker") == QuoteNews(
        segment=Segment.NSE_EQ,
        security_id="1333",
        last_price=Decimal("1500.50"),
        traded_at=TRADED,
    )


def test_a_quote_as_published():
    assert read("quote") == QuoteNews(
        segment=Segment.NSE_EQ,
        security_id="1333",
        last_price=Decimal("1500.50"),
        traded_at=TRADED,
        close=Decimal("1495.50"),
    )


def test_a_full_packet_as_published_with_its_depth():
    news, fields = read("full"), published("full")[1]
    assert (news.segment, news.security_id) == (Segment.NSE_FNO, "49081")
    assert (news.last_price, news.close) == (Decimal("368.25"), Decimal("365.50"))
    assert (news.open_interest, news.traded_at) == (fields["oi"], TRADED)
    for side, name in ((news.bids, "bid"), (news.asks, "ask")):
        assert side == tuple(
            Level(
                price=row[f"{name}Price"],
                quantity=row[f"{name}Qty"],
                orders=row[f"{name}Orders"],
            )
            for row in fields["depth"]
        )


def test_open_interest_and_previous_close_as_published():
    assert read("oi").open_interest == 123450
    assert read("oi").last_price is None
    news = read("prev-close")
    assert (news.segment, news.close) == (Segment.INDEX, Decimal("24000.25"))


def test_the_farewell_as_published():
    packet = only(published("disconnect")[0])
    assert (packet.code, packet.reason) == (packets.FAREWELL, 807)


def test_the_head_of_a_full_packet_as_recorded():
    """Only its first sixteen bytes were published; the rest is zeros here: no depth, no close."""
    row = payload("observed-feed-full-packet-head")
    frame = bytes.fromhex(row["hex_first_16_bytes"]).ljust(row["total_bytes"], b"\0")
    packet = only(frame)
    assert (packet.code, packet.key) == (packets.FULL, (Segment.NSE_FNO, "55796"))
    news = news_of(packet, TICK)
    assert news.last_price == Decimal("152.30")
    assert (news.bids, news.asks, news.close, news.traded_at) == ((), (), None, None)


def test_several_packets_share_a_frame():
    frames = [published(name)[0] for name in ("ticker", "full", "oi")]
    assert [packet.raw for packet in packets_in(b"".join(frames))] == frames


def test_zeros_to_the_end_are_padding_and_not_garbage():
    raw = published("ticker")[0]
    assert [packet.code for packet in packets_in(raw + b"\0" * 20)] == [packets.TICKER, 0]
    assert [packet.known for packet in packets_in(b"\0" * 3)] == [False]


@pytest.mark.parametrize(
    "frame",
    [
        b"\x02",
        b"\x02\x10\x00\x01\x35\x05\x00",
        struct.pack("<BhBi", 2, 7, 1, 1333) + b"\0" * 8,
        struct.pack("<BhBi", 2, 0, 1, 1333) + b"\1" * 8,
        struct.pack("<BhBi", 2, -1, 1, 1333) + b"\0" * 8,
        struct.pack("<BhBi", 2, 17, 1, 1333) + b"\0" * 9,
        struct.pack("<BhBi", 8, 162, 1, 1333) + b"\1" * 20,
        struct.pack("<BhBi", 99, 500, 1, 1333),
    ],
    ids=["one byte", "half a header", "shorter than a header", "zero", "below zero", "wrong size",
         "cut off", "unknown and too long"],
)  # fmt: skip
def test_a_length_that_cannot_be_ends_the_frame(frame):
    with pytest.raises(Garbled):
        list(packets_in(frame))


def test_what_came_before_the_garbage_is_told():
    raw = published("ticker")[0]
    found = packets_in(raw + raw[:-5])
    assert next(found).raw == raw
    with pytest.raises(Garbled):
        next(found)


def test_an_unknown_code_of_a_right_length_is_passed_by():
    odd = struct.pack("<BhBi", 99, 12, 1, 7) + b"\1" * 4
    assert [p.known for p in packets_in(odd + published("ticker")[0])] == [False, True]


def test_a_segment_that_nobody_knows_is_refused():
    packet = only(struct.pack("<BhBi", 2, 16, 6, 7) + b"\0" * 8)
    assert packet.key == (None, "7")
    with pytest.raises(BadWire, match="segment 6"):
        news_of(packet, TICK)


def ticker_of(value: float) -> Packet:
    return only(struct.pack("<BhBifi", 2, 16, 1, 1333, value, 0))


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -1.0, 1e9, 1500.51, 1500.5001220703125]
)
def test_what_is_no_price_on_the_tick_is_refused_by_name(value):
    with pytest.raises(BadWire, match="last price"):
        news_of(ticker_of(value), TICK)


def test_no_trade_yet_is_no_price():
    assert news_of(ticker_of(0.0), TICK).last_price is None


def test_a_price_too_large_for_its_tick_cannot_be_told():
    with pytest.raises(ValueError, match="too large"):
        on_tick(2_000_000.0, Decimal("0.01"))


TICKS = st.sampled_from([Decimal(text) for text in ("0.0025", "0.01", "0.05", "0.10", "1", "5")])


@given(TICKS, st.integers(1, 400_000))
def test_every_price_on_a_tick_comes_back_from_single_precision(tick, steps):
    price = steps * tick
    assert on_tick(single(price), tick) == price


@given(TICKS, st.floats(0.0078125, 50_000, width=32))
def test_what_comes_back_is_on_the_tick_and_is_the_same_number(tick, value):
    try:
        price = on_tick(value, tick)
    except ValueError:
        return
    assert price is not None
    assert price % tick == 0
    assert single(price) == value


@given(st.binary(max_size=400))
def test_any_bytes_are_packets_news_or_a_named_error(frame):
    try:
        for packet in packets_in(frame):
            if packet.known and packet.code != packets.FAREWELL:
                news_of(packet, TICK)
    except (Garbled, BadWire):
        return


# ---- against the encoder of the simulated exchange, which was written apart


PRICES = st.integers(1, 400_000).map(lambda steps: steps * TICK)
SIZES = st.integers(0, 2**31 - 1)
LEVELS = st.lists(st.builds(TheirLevel, PRICES, st.integers(1, 10**6)), min_size=0, max_size=5).map(
    tuple
)
SEGMENTS = {"NSE_EQ": Segment.NSE_EQ, "NSE_FNO": Segment.NSE_FNO, "IDX_I": Segment.INDEX,
            "BSE_FNO": Segment.BSE_FNO, "MCX_COMM": Segment.MCX_COMM}  # fmt: skip
MOMENTS = st.datetimes(dt.datetime(2001, 1, 1), dt.datetime(2037, 1, 1))  # noqa: DTZ001


@st.composite
def pictures(draw: Any) -> Picture:
    instrument = Instrument(
        segment=draw(st.sampled_from(sorted(SEGMENTS))),
        security_id=str(draw(st.integers(1, 2**31 - 1))),
        symbol="X",
        name="X",
        kind="EQUITY",
        lot=draw(st.integers(1, 5000)),
        tick=TICK,
        freeze=0,
        close=draw(PRICES),
        lower=Decimal(0),
        upper=Decimal(10**6),
    )
    return Picture(
        instrument,
        draw(PRICES),
        draw(MOMENTS).replace(tzinfo=IST, microsecond=0),
        draw(PRICES),
        draw(PRICES),
        draw(PRICES),
        draw(st.integers(0, 10**6)),
        draw(LEVELS),
        draw(LEVELS),
    )


@given(pictures())
def test_what_the_exchange_tells_is_what_we_hear(picture):
    frame = theirs.ticker(picture) + theirs.quote(picture) + theirs.full(picture)
    ticker, quote, full = (news_of(packet, TICK) for packet in packets_in(frame))
    for news in (ticker, quote, full):
        assert news.segment is SEGMENTS[picture.instrument.segment]
        assert news.security_id == picture.instrument.security_id
        assert (news.last_price, news.traded_at) == (picture.last, picture.traded_at)
    assert quote.close == full.close == picture.instrument.close
    assert [(row.price, row.quantity) for row in full.bids or ()] == [
        (row.price, row.quantity) for row in picture.bids
    ]
    assert [(row.price, row.quantity) for row in full.asks or ()] == [
        (row.price, row.quantity) for row in picture.asks
    ]


@given(pictures())
def test_its_other_packets_too(picture):
    instrument = picture.instrument
    frame = theirs.previous_close(instrument) + theirs.open_interest(instrument)
    closed, interest = (news_of(packet, TICK) for packet in packets_in(frame))
    assert (closed.close, interest.open_interest) == (instrument.close, 0)
    assert [packet.code for packet in packets_in(theirs.market_status())] == [packets.STATUS]


# ---- what is asked for


def test_the_subscription_is_as_published():
    keys = [(Segment.NSE_EQ, "1333"), (Segment.BSE_EQ, "532540")]
    (text,) = packets.requests(packets.SUBSCRIBE_TICKER, keys)
    assert json.loads(text) == payload("ws-feed-subscribe")


def test_a_message_asks_for_a_hundred_at_most():
    keys = [(Segment.NSE_FNO, str(number)) for number in range(250)]
    counts = [text.count("SecurityId") for text in packets.requests(21, keys)]
    assert counts == [100, 100, 50]
