"""Accounts at brokers, what can be traded there, and every word said to and heard from them."""

from apps.brokers.models.accounts import LOOPBACK, AccessToken, BrokerAccount, BrokerKind
from apps.brokers.models.instruments import Instrument
from apps.brokers.models.journal import CallOutcome, Verb, WireCall
from apps.brokers.models.margins import MarginEstimate
from apps.brokers.models.quotes import Quote, QuoteWish
from apps.brokers.models.reports import FundsReport, PositionsReport

__all__ = [
    "LOOPBACK",
    "AccessToken",
    "BrokerAccount",
    "BrokerKind",
    "CallOutcome",
    "FundsReport",
    "Instrument",
    "MarginEstimate",
    "PositionsReport",
    "Quote",
    "QuoteWish",
    "Verb",
    "WireCall",
]
