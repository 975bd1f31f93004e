"""Packets of the market feed socket, as bytes.

DhanHQ v2 documentation, live market feed page: little endian; a header of eight bytes (code,
length with the header, segment, security id), then the body. The last trade's time is the Indian
wall clock written as an epoch (recorded from the wire).
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from simexchange.book import Level
from simexchange.instruments import Instrument
from simexchange.market import DEPTH_LEVELS, Market

TICKER, QUOTE, OPEN_INTEREST, PREVIOUS_CLOSE, STATUS, FULL = 2, 4, 5, 6, 7, 8
SEGMENTS = {
    "IDX_I": 0,
    "NSE_EQ": 1,
    "NSE_FNO": 2,
    "NSE_CURRENCY": 3,
    "BSE_EQ": 4,
    "MCX_COMM": 5,
    "BSE_CURRENCY": 7,
    "BSE_FNO": 8,
}
MOST_IN_16_BITS = 32_767


@dataclass(frozen=True, slots=True)
class Picture:
    """One market at one moment. Prices in rupees, sizes in units."""

    instrument: Instrument
    last: Decimal
    traded_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    volume: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


def picture_of(market: Market, traded_at: datetime) -> Picture:
    return Picture(
        instrument=market.instrument,
        last=market.last,
        traded_at=traded_at,
        open=market.open,
        high=market.high,
        low=market.low,
        volume=market.volume,
        bids=tuple(Level(level.price, level.quantity) for level in market.shown_bids),
        asks=tuple(Level(level.price, level.quantity) for level in market.book.street.asks),
    )


def ticker(picture: Picture) -> bytes:
    body = struct.pack("<fi", picture.last, _epoch(picture.traded_at))
    return _packet(TICKER, picture.instrument, body)


def previous_close(instrument: Instrument) -> bytes:
    return _packet(PREVIOUS_CLOSE, instrument, struct.pack("<fi", instrument.close, 0))


def open_interest(instrument: Instrument) -> bytes:
    return _packet(OPEN_INTEREST, instrument, struct.pack("<i", 0))


def quote(picture: Picture) -> bytes:
    return _packet(QUOTE, picture.instrument, _trades(picture) + _range(picture))


def full(picture: Picture) -> bytes:
    interest = struct.pack("<iii", 0, 0, 0)
    rows = b"".join(_row(picture, number) for number in range(DEPTH_LEVELS))
    body = _trades(picture) + interest + _range(picture) + rows
    return _packet(FULL, picture.instrument, body)


def market_status() -> bytes:
    """Only the header: the documentation names the packet and no body."""
    return struct.pack("<BhBi", STATUS, 8, SEGMENTS["NSE_EQ"], 0)


def _packet(code: int, instrument: Instrument, body: bytes) -> bytes:
    segment, security_id = SEGMENTS[instrument.segment], int(instrument.security_id)
    return struct.pack("<BhBi", code, 8 + len(body), segment, security_id) + body


def _trades(picture: Picture) -> bytes:
    return struct.pack(
        "<fhifiii",
        picture.last,
        min(picture.instrument.lot, MOST_IN_16_BITS),
        _epoch(picture.traded_at),
        (picture.high + picture.low) / 2,
        picture.volume,
        sum(level.quantity for level in picture.asks),
        sum(level.quantity for level in picture.bids),
    )


def _range(picture: Picture) -> bytes:
    close = picture.instrument.close
    return struct.pack("<ffff", picture.open, close, picture.high, picture.low)


def _row(picture: Picture, number: int) -> bytes:
    """One row of depth; a level that is not there is zeros."""
    nothing = Level(Decimal(0), 0)
    bid, ask = (
        side[number] if number < len(side) else nothing for side in (picture.bids, picture.asks)
    )
    orders = [int(level.quantity > 0) for level in (bid, ask)]
    return struct.pack("<iihhff", bid.quantity, ask.quantity, *orders, bid.price, ask.price)


def _epoch(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp())
