"""Which adapter serves which broker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from apps.brokers.dhan.market import DhanQuoteStream
from apps.brokers.dhan.master import DhanMaster
from apps.brokers.dhan.reporting import DhanReporting
from apps.brokers.dhan.stream import DhanOrderStream
from apps.brokers.dhan.tokens import DhanTokens
from apps.brokers.dhan.trading import DhanTrading
from apps.brokers.models import BrokerAccount, BrokerKind, WireCall
from apps.brokers.port import (
    BracketKind,
    Master,
    OrderStream,
    QuoteStream,
    Reporting,
    Tokens,
    Trading,
)


class _OpenTrading(Protocol):
    def __call__(self, call: WireCall) -> Trading: ...


class _OpenReporting(Protocol):
    def __call__(self, account: BrokerAccount, *, retries: bool) -> Reporting: ...


class _OpenStream(Protocol):
    def __call__(self, account: BrokerAccount) -> OrderStream: ...


class _OpenTokens(Protocol):
    def __call__(self, call: WireCall) -> Tokens: ...


class _OpenQuotes(Protocol):
    def __call__(self, account: BrokerAccount) -> QuoteStream: ...


@dataclass(frozen=True)
class Adapter:
    """The objects of one broker, and the kinds of brackets that it keeps itself."""

    trading: _OpenTrading
    reporting: _OpenReporting
    stream: _OpenStream
    tokens: _OpenTokens
    master: Master
    quotes: _OpenQuotes
    brackets: frozenset[BracketKind]


ADAPTERS = {
    BrokerKind.DHAN.value: Adapter(
        DhanTrading,
        DhanReporting,
        DhanOrderStream,
        DhanTokens,
        DhanMaster(),
        DhanQuoteStream,
        frozenset(BracketKind),
    ),
}


def adapter_of(account: BrokerAccount) -> Adapter:
    """The adapter of the account's broker; ``LookupError`` names a kind without one."""
    return adapter_named(account.broker)


def adapter_named(broker: str) -> Adapter:
    """The adapter of a kind of broker; ``LookupError`` names a kind without one."""
    try:
        return ADAPTERS[broker]
    except KeyError:
        raise LookupError(f"no adapter for broker {broker!r}") from None
