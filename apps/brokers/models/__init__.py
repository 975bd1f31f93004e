"""Accounts at brokers, what can be traded there, and every word said to and heard from them."""

from apps.brokers.models.accounts import (
    LOOPBACK,
    AccessToken,
    BracketStyle,
    BrokerAccount,
    BrokerKind,
    CalendarKind,
    TokenSource,
)
from apps.brokers.models.calendar import (
    AppliesTo,
    CalendarChange,
    CalendarStamp,
    CalendarYear,
    Holiday,
    SessionRule,
)
from apps.brokers.models.imports import ImportOutcome, InstrumentImport, is_simulated
from apps.brokers.models.instruments import Closed, Instrument
from apps.brokers.models.journal import CallOutcome, Verb, WireCall
from apps.brokers.models.margins import MarginEstimate
from apps.brokers.models.quotes import Quote, QuoteWish
from apps.brokers.models.reports import FundsReport, HoldingsReport, PositionsReport
from apps.brokers.models.sessions import BrokerSession, Consent, LoginCredentials

__all__ = [
    "LOOPBACK",
    "AccessToken",
    "AppliesTo",
    "BracketStyle",
    "BrokerAccount",
    "BrokerKind",
    "BrokerSession",
    "CalendarChange",
    "CalendarKind",
    "CalendarStamp",
    "CalendarYear",
    "CallOutcome",
    "Closed",
    "Consent",
    "FundsReport",
    "HoldingsReport",
    "Holiday",
    "ImportOutcome",
    "Instrument",
    "InstrumentImport",
    "LoginCredentials",
    "MarginEstimate",
    "PositionsReport",
    "Quote",
    "QuoteWish",
    "SessionRule",
    "TokenSource",
    "Verb",
    "WireCall",
    "is_simulated",
]
