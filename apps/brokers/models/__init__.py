"""Accounts at brokers, what can be traded there, and every word said to and heard from them."""

from apps.brokers.models.accounts import (
    LOOPBACK,
    AccessToken,
    BrokerAccount,
    BrokerKind,
    CalendarKind,
)
from apps.brokers.models.calendar import (
    AppliesTo,
    CalendarChange,
    CalendarStamp,
    CalendarYear,
    Holiday,
    SessionRule,
)
from apps.brokers.models.instruments import Instrument, Quote
from apps.brokers.models.journal import CallOutcome, Verb, WireCall
from apps.brokers.models.reports import FundsReport, PositionsReport

__all__ = [
    "LOOPBACK",
    "AccessToken",
    "AppliesTo",
    "BrokerAccount",
    "BrokerKind",
    "CalendarChange",
    "CalendarKind",
    "CalendarStamp",
    "CalendarYear",
    "CallOutcome",
    "FundsReport",
    "Holiday",
    "Instrument",
    "PositionsReport",
    "Quote",
    "SessionRule",
    "Verb",
    "WireCall",
]
