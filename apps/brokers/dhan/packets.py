"""The binary packets of DhanHQ's market feed, and what each of them means to us. No network here.

Source: DhanHQ v2 documentation, live market feed and annexure pages: little endian, a header of
eight bytes (code, length with the header, segment, security id). Several packets may share a frame.
The last trade's time is the Indian wall clock written as an epoch (seen on the wire).
"""

from __future__ import annotations

import datetime as dt
import json
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from apps.brokers.dhan.words import FEED_SEGMENTS, SEGMENT_WORD
from apps.brokers.port import BadWire, Level, QuoteNews, Segment, Watched

TICKER, QUOTE, OPEN_INTEREST, PREVIOUS_CLOSE, STATUS, FULL, FAREWELL = 2, 4, 5, 6, 7, 8, 50
SIZES = {
    TICKER: 16,
    QUOTE: 50,
    OPEN_INTEREST: 12,
    PREVIOUS_CLOSE: 16,
    STATUS: 8,
    FULL: 162,
    FAREWELL: 10,
}
SUBSCRIBE_TICKER, SUBSCRIBE_FULL = 15, 21
UNSUBSCRIBE = {SUBSCRIBE_TICKER: 16, SUBSCRIBE_FULL: 22}
MOST_IN_MESSAGE = 100
MOST_INSTRUMENTS = 5000
HIGHEST = 10**9  # rupees
_HEADER = struct.Struct("<BhBi")
_DEPTH_AT, _LEVEL = 62, struct.Struct("<IIHHff")
_INDIA_AHEAD = 19_800  # seconds
_OLDEST = 946_684_800  # the year 2000; the broker writes "never" as 0 or as 1980


class Garbled(Exception):
    """The bytes cannot be cut into packets: whatever follows means nothing."""


@dataclass(frozen=True)
class Packet:
    """One packet of a frame; ``segment`` and ``security_id`` as the broker numbers them."""

    code: int
    segment: int
    security_id: int
    raw: bytes

    @property
    def known(self) -> bool:
        """True for a packet whose layout is documented."""
        return self.code in SIZES

    @property
    def key(self) -> tuple[Segment | None, str]:
        """The instrument in our words; no segment for a number that we have never met."""
        return FEED_SEGMENTS.get(self.segment), str(self.security_id)

    @property
    def reason(self) -> int:
        """Why the broker is about to close the connection: code 50 only."""
        return int(struct.unpack_from("<h", self.raw, _HEADER.size)[0])


def packets_in(frame: bytes) -> Iterator[Packet]:
    """The packets of one frame. Raises ``Garbled`` where a length cannot be right.

    Zeros to the end of a frame are padding, told as one packet of code 0.
    """
    at = 0
    while at < len(frame):
        rest = frame[at:]
        if not any(rest):
            yield Packet(0, 0, 0, rest)
            return
        packet = _first(rest)
        yield packet
        at += len(packet.raw)


def _first(rest: bytes) -> Packet:
    if len(rest) < _HEADER.size:
        raise Garbled(f"{len(rest)} bytes are no packet")
    code, length, segment, security_id = _HEADER.unpack_from(rest)
    if not _HEADER.size <= length <= len(rest) or length != SIZES.get(code, length):
        raise Garbled(f"a packet of code {code} cannot be {length} bytes long here")
    return Packet(code, segment, security_id, rest[:length])


def news_of(packet: Packet, tick: Decimal) -> QuoteNews:
    """What the packet says; prices are brought from single precision to their tick.

    Raises ``BadWire`` naming the field when a price is none, or lies on no tick.
    """
    segment, security_id = packet.key
    if segment is None:
        raise BadWire(f"packet {packet.code}: segment {packet.segment} is not one we know")
    raw, read = packet.raw, _Reader(packet, tick)
    if packet.code == OPEN_INTEREST:
        interest = struct.unpack_from("<I", raw, 8)[0]
        return QuoteNews(segment=segment, security_id=security_id, open_interest=interest)
    if packet.code == PREVIOUS_CLOSE:
        return QuoteNews(segment=segment, security_id=security_id, close=read.close(8))
    if packet.code == STATUS:
        return QuoteNews(segment=segment, security_id=security_id)
    stamp_at = 12 if packet.code == TICKER else 14
    full = packet.code == FULL
    close_at = {QUOTE: 38, FULL: 50}.get(packet.code)
    return QuoteNews(
        segment=segment,
        security_id=security_id,
        last_price=read.price("last price", 8),
        traded_at=_stamp(struct.unpack_from("<i", raw, stamp_at)[0]),
        close=None if close_at is None else read.close(close_at),
        open_interest=struct.unpack_from("<I", raw, 34)[0] if full else None,
        bids=read.depth(0) if full else None,
        asks=read.depth(1) if full else None,
    )


class _Reader:
    """Prices out of one packet."""

    def __init__(self, packet: Packet, tick: Decimal) -> None:
        self._packet = packet
        self._tick = tick

    def price(self, name: str, at: int) -> Decimal | None:
        value = struct.unpack_from("<f", self._packet.raw, at)[0]
        return self._on_tick(name, value)

    def close(self, at: int) -> Decimal | None:
        """The previous close is an average and need not lie on the tick."""
        value = struct.unpack_from("<f", self._packet.raw, at)[0]
        self._check("close", value)
        for places in (2, 4):
            short = round(Decimal(value), places)
            if single(short) == value:
                return short or None
        raise BadWire(f"packet {self._packet.code}: close is not a price")

    def depth(self, side: int) -> tuple[Level, ...]:
        """Five levels of one side, 0 for bids and 1 for asks, without the empty ones."""
        found = []
        for number in range(5):
            row = _LEVEL.unpack_from(self._packet.raw, _DEPTH_AT + number * _LEVEL.size)
            price = self._on_tick("depth", row[4 + side])
            if price is not None:
                found.append(Level(price=price, quantity=row[side], orders=row[2 + side]))
        return tuple(found)

    def _on_tick(self, name: str, value: float) -> Decimal | None:
        self._check(name, value)
        try:
            return on_tick(value, self._tick)
        except ValueError as error:
            raise BadWire(f"packet {self._packet.code}: {name} {error}") from None

    def _check(self, name: str, value: float) -> None:
        if not math.isfinite(value) or not 0 <= value < HIGHEST:
            raise BadWire(f"packet {self._packet.code}: {name} is not a price")


def on_tick(value: float, tick: Decimal) -> Decimal | None:
    """The multiple of the tick that single precision writes as this value; None for zero.

    Raises ``ValueError`` when no multiple is written so, or more than one.
    """
    if value == 0:
        return None
    nearest = (Decimal(value) / tick).to_integral_value(ROUND_HALF_EVEN) * tick
    if single(nearest) != value:
        raise ValueError(f"is not on the tick {tick.normalize():f}")
    if value in (single(nearest - tick), single(nearest + tick)):
        raise ValueError(f"is too large to tell ticks of {tick.normalize():f} apart")
    return nearest


def single(price: Decimal) -> float:
    """The price as single precision holds it."""
    value: float = struct.unpack("<f", struct.pack("<f", price))[0]
    return value


def _stamp(wall: int) -> dt.datetime | None:
    """The exchange's time; None for "never"."""
    if wall < _OLDEST:
        return None
    return dt.datetime.fromtimestamp(wall - _INDIA_AHEAD, dt.UTC)


def request_code(watched: Watched) -> int:
    """Five levels of depth for what can be traded; an index has a last price alone."""
    return SUBSCRIBE_TICKER if watched.segment is Segment.INDEX else SUBSCRIBE_FULL


def requests(code: int, keys: Sequence[tuple[Segment, str]]) -> Iterator[str]:
    """The messages that ask for these instruments, at most 100 in each."""
    for at in range(0, len(keys), MOST_IN_MESSAGE):
        rows = [
            {"ExchangeSegment": SEGMENT_WORD[segment], "SecurityId": security_id}
            for segment, security_id in keys[at : at + MOST_IN_MESSAGE]
        ]
        body = {"RequestCode": code, "InstrumentCount": len(rows), "InstrumentList": rows}
        yield json.dumps(body)
