"""The copy trader's words and ours, as closed tables: what is not in them is not guessed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from apps.brokers.port import OrderType, Product, Segment, Side, Validity

T = TypeVar("T")


class CannotCarry(Exception):
    """One row cannot be carried; the text says why, for the report."""


class Outcome(StrEnum):
    """How an order ended in the other system. ``UNRECORDED``: it never wrote down how."""

    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNRECORDED = "UNRECORDED"


OUTCOMES = {
    "TRADED": Outcome.FILLED,
    "FILLED": Outcome.FILLED,
    "EXECUTED": Outcome.FILLED,
    "COMPLETE": Outcome.FILLED,
    "COMPLETED": Outcome.FILLED,
    "CANCELLED": Outcome.CANCELLED,
    "CANCELED": Outcome.CANCELLED,
    "REJECTED": Outcome.REJECTED,
    "EXPIRED": Outcome.EXPIRED,
    # At work when that system last wrote: its day is over, and how it ended is not in the file.
    "TRANSIT": Outcome.UNRECORDED,
    "PENDING": Outcome.UNRECORDED,
    "OPEN": Outcome.UNRECORDED,
    "PLACED": Outcome.UNRECORDED,
    "MODIFIED": Outcome.UNRECORDED,
    "PART_TRADED": Outcome.UNRECORDED,
    "PARTIAL": Outcome.UNRECORDED,
    "PARTIALLY_FILLED": Outcome.UNRECORDED,
    "TRIGGERED": Outcome.UNRECORDED,
    "CONFIRM": Outcome.UNRECORDED,
    "CONFIRMED": Outcome.UNRECORDED,
    "CLOSED": Outcome.UNRECORDED,  # the broker's word for a bracket whose legs are all placed
}
SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
# MIS, NRML, SL and SL-M are the words of the copy trader's own schema, the others the broker's.
# Bracket and cover orders are intraday by the broker's rule; that they were such is kept besides.
PRODUCTS = {
    "CNC": Product.DELIVERY,
    "INTRADAY": Product.INTRADAY,
    "INTRA": Product.INTRADAY,
    "MIS": Product.INTRADAY,
    "MARGIN": Product.MARGIN,
    "NRML": Product.MARGIN,
    "MTF": Product.MTF,
    "BO": Product.INTRADAY,
    "CO": Product.INTRADAY,
}
BRACKETS = frozenset({"BO", "CO"})
ORDER_TYPES = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP_LIMIT,
    "SL": OrderType.STOP_LIMIT,
    "STOP_LOSS_MARKET": OrderType.STOP_MARKET,
    "SL-M": OrderType.STOP_MARKET,
    "SLM": OrderType.STOP_MARKET,
}
VALIDITIES = {"DAY": Validity.DAY, "IOC": Validity.IOC}
SEGMENTS = {segment.value: segment for segment in Segment if segment is not Segment.INDEX}
SEGMENTS["CDS_FUT"] = Segment.NSE_CURRENCY
LEGS = {
    "ENTRY": "ENTRY",
    "ENTRY_LEG": "ENTRY",
    "TARGET": "TARGET",
    "TARGET_LEG": "TARGET",
    "SL": "STOP_LOSS",
    "STOP_LOSS": "STOP_LOSS",
    "STOP_LOSS_LEG": "STOP_LOSS",
}
ROLES = {"LEADER": "leader", "FOLLOWER": "follower"}


def translated(table: Mapping[str, T], value: object, column: str) -> T:
    """The value in our words. Raises ``CannotCarry`` naming the column and the word."""
    if value is None or value == "":
        raise CannotCarry(f"{column} is missing")
    word = str(value).strip().upper()
    if word not in table:
        raise CannotCarry(f"{column} {str(value)[:40]!r} is not a word this command knows")
    return table[word]
