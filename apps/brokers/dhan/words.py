"""DhanHQ's words and ours, as tables. Nothing above this folder knows the left-hand sides.

Sources: DhanHQ v2 documentation, annexure and orders pages; order-update page and recordings on
the wire for the letters of the socket.
"""

from __future__ import annotations

import re

from apps.brokers.port import (
    BrokerState,
    LegName,
    OrderType,
    Product,
    Segment,
    Side,
    Validity,
)

# CONFIRM and INACTIVE belong to other kinds of order and change nothing here.
STATES = {
    "TRANSIT": BrokerState.IN_TRANSIT,
    "PENDING": BrokerState.WORKING,
    "MODIFIED": BrokerState.WORKING,
    "PART_TRADED": BrokerState.PARTIALLY_FILLED,
    "TRADED": BrokerState.FILLED,
    "REJECTED": BrokerState.REJECTED,
    "CANCELLED": BrokerState.CANCELLED,
    "EXPIRED": BrokerState.EXPIRED,
}
# A target or stop of a bracket that has fired is being worked (annexure, super order page).
EXIT_STATES = STATES | {"TRIGGERED": BrokerState.WORKING}
# Of a super order's entry: it and one exit are through. What that is depends on its numbers.
CLOSED = "CLOSED"
SIDES = {"BUY": Side.BUY, "SELL": Side.SELL, "B": Side.BUY, "S": Side.SELL}
SEGMENTS = {segment.value: segment for segment in Segment if segment is not Segment.INDEX} | {
    "IDX_I": Segment.INDEX
}
SOCKET_SEGMENTS = {
    ("NSE", "E"): Segment.NSE_EQ,
    ("NSE", "D"): Segment.NSE_FNO,
    ("NSE", "C"): Segment.NSE_CURRENCY,
    ("BSE", "E"): Segment.BSE_EQ,
    ("BSE", "D"): Segment.BSE_FNO,
    ("BSE", "C"): Segment.BSE_CURRENCY,
    ("MCX", "M"): Segment.MCX_COMM,
}
# Segments of the market feed (annexure page).
FEED_SEGMENTS = {
    0: Segment.INDEX,
    1: Segment.NSE_EQ,
    2: Segment.NSE_FNO,
    3: Segment.NSE_CURRENCY,
    4: Segment.BSE_EQ,
    5: Segment.MCX_COMM,
    7: Segment.BSE_CURRENCY,
    8: Segment.BSE_FNO,
}
PRODUCTS = {
    "CNC": Product.DELIVERY,
    "INTRADAY": Product.INTRADAY,
    "MARGIN": Product.MARGIN,
    "MTF": Product.MTF,
    "C": Product.DELIVERY,
    "I": Product.INTRADAY,
    "M": Product.MARGIN,
    "F": Product.MTF,
}
# What bracket and cover orders hold is squared off the same day (annexure: intraday only). An
# order of theirs is not an intraday order, but a position or a fill of theirs is.
HELD_PRODUCTS = PRODUCTS | {"CO": Product.INTRADAY, "BO": Product.INTRADAY}
ORDER_TYPES = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP_LIMIT,
    "STOP_LOSS_MARKET": OrderType.STOP_MARKET,
    "LMT": OrderType.LIMIT,
    "MKT": OrderType.MARKET,
    "SL": OrderType.STOP_LIMIT,
    "SLM": OrderType.STOP_MARKET,
}
VALIDITIES = {"DAY": Validity.DAY, "IOC": Validity.IOC}
# Of a holding (portfolio page). Its sample says ALL: the share is held, at no one exchange.
HOLDING_EXCHANGES = {"ALL": None, "NSE": Segment.NSE_EQ, "BSE": Segment.BSE_EQ}
# Whether the broker may take sold shares out of the depository (profile; the second on the wire).
DDPI = {"ACTIVE": True, "DEACTIVE": False, "INACTIVE": False}
EDIS_DONE = "SUCCESS"
# Products of bracket and cover orders, and what the socket says of a super order (order-update).
BRACKET, COVER = "BO", "CO"
BRACKET_PRODUCTS = {"BO", "CO", "B", "V"}
SUPER_ORDER = "super order"
# Parts of a bracket: in rows (orders and super order pages), and by number on the socket.
LEGS = {
    "ENTRY_LEG": LegName.ENTRY,
    "TARGET_LEG": LegName.TARGET,
    "STOP_LOSS_LEG": LegName.STOP_LOSS,
}
LEG_NUMBERS = {"1": LegName.ENTRY, "2": LegName.STOP_LOSS, "3": LegName.TARGET}
# Where an order was placed. The page documents P alone; other letters are shown as they come.
PLATFORMS = {"P": "API"}

SEGMENT_WORD = {segment: word for word, segment in SEGMENTS.items()}
PRODUCT_WORD = {
    Product.DELIVERY: "CNC",
    Product.INTRADAY: "INTRADAY",
    Product.MARGIN: "MARGIN",
    Product.MTF: "MTF",
}
# MARKET and STOP_LOSS_MARKET are missing: the broker would make limits of its own of them.
ORDER_TYPE_WORD = {
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP_LIMIT: "STOP_LOSS",
}
LEG_WORD = {part: word for word, part in LEGS.items()}
SIDE_WORD = {Side.BUY: "BUY", Side.SELL: "SELL"}
# An after-market order of ours is for the opening itself (annexure, AMO time).
AFTER_MARKET_TIME = "OPEN"
VALIDITY_WORD = {Validity.DAY: "DAY", Validity.IOC: "IOC"}

# Texts that the broker puts into the field of reasons when all is well.
NO_REASON = {"CONFIRMED", "TRADE CONFIRMED", "NA", "NR", "0"}


def state_of(word: str, part: LegName | None = None) -> BrokerState:
    """REST writes PART_TRADED, the socket Title case with any separator; the rest is unknown."""
    is_exit = part is not None and part is not LegName.ENTRY
    return (EXIT_STATES if is_exit else STATES).get(key_of(word), BrokerState.UNRECOGNISED)


def key_of(word: str) -> str:
    """A status word as the tables spell it."""
    return re.sub(r"[\s_-]+", "_", word.strip().upper())
