"""A market at one moment, and whether it takes an order then. Pure: it only compares."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from apps.brokers.port import OrderType, Validity

EVERY_TYPE = frozenset(word.value for word in OrderType)


class Phase(StrEnum):
    """Where in its day a market is."""

    PRE_OPEN = "PRE_OPEN"
    OPEN = "OPEN"
    CLOSING_AUCTION = "CLOSING_AUCTION"
    POST_CLOSE = "POST_CLOSE"
    AFTER_MARKET = "AFTER_MARKET"
    CLOSED = "CLOSED"
    UNKNOWN = "UNKNOWN"


_WORDS = {
    Phase.PRE_OPEN: "in its pre-open",
    Phase.OPEN: "open",
    Phase.CLOSING_AUCTION: "in its closing auction",
    Phase.POST_CLOSE: "in its post-close session",
    Phase.CLOSED: "closed",
    Phase.UNKNOWN: "not known to be open",
}


@dataclass(frozen=True, kw_only=True)
class Market:
    """One segment, for one subject, at one moment.

    ``closes_at`` is when the present phase ends. ``unsure`` means that the exchange may have
    ended it already. ``after_market`` are the types of order that wait for the next opening now;
    None: no such window.
    """

    segment: str
    phase: Phase
    why: str = ""
    order_types: frozenset[str] = frozenset()
    ioc: bool = False
    unsure: bool = False
    closes_at: dt.datetime | None = None
    after_market: frozenset[str] | None = None
    after_market_until: dt.datetime | None = None
    next_open: dt.datetime | None = None
    next_open_unknown: str = ""
    always: bool = False

    @property
    def takes_orders(self) -> bool:
        """True while at least one type of order may be placed."""
        return bool(self.order_types)

    def takes_like(self, other: Market) -> bool:
        """True when both take the same orders now."""
        names = ("phase", "order_types", "ioc", "unsure", "after_market")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def sentence(self) -> str:
        """The market in words, with the end of its phase or its next opening."""
        if self.always:
            return f"{self.segment} is open at any hour: a simulated exchange"
        reason = f" ({self.why})" if self.why else ""
        head = f"{self.segment} is {_WORDS[self.phase]}{reason}"
        if self.phase is Phase.OPEN and self.closes_at is not None:
            return f"{head} until {clock(self.closes_at)}"
        if self.next_open is None and self.next_open_unknown == self.why:
            return head
        return f"{head}; {self.opening()}"

    def opening(self) -> str:
        """When it opens, or why that is not known."""
        if self.next_open is not None:
            return f"opens {moment(self.next_open)}"
        why = f" ({self.next_open_unknown})" if self.next_open_unknown else ""
        return f"the next opening is not known{why}"

    def as_json(self) -> dict[str, object]:
        """What a decision saw of it."""
        return {
            "phase": self.phase.value,
            "why": self.why,
            "always": self.always,
            "closes_at": self.closes_at.isoformat() if self.closes_at else None,
            "next_open": self.next_open.isoformat() if self.next_open else None,
        }


def always_open(segment: str) -> Market:
    """The market of a simulated exchange."""
    return Market(segment=segment, phase=Phase.OPEN, order_types=EVERY_TYPE, ioc=True, always=True)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What of an order, or of new terms of one, the hours decide about."""

    order_type: str
    validity: str
    exiting: bool = False
    after_market: bool = False
    changing: bool = False


def refusal(market: Market | None, asked: Asked) -> str | None:
    """Why the market does not take this now; None when it does.

    An exit is refused only by what is known: a closed exchange cannot take it. Hours that nobody
    knows, and a phase that may just have ended, stop entries and never an exit.
    """
    if market is None:
        return None if asked.exiting else "the market's hours are not known"
    if asked.after_market and not asked.changing:
        return _not_after_market(market, asked)
    why = _not_now(market, asked)
    if why is not None and asked.after_market and _not_after_market(market, asked) is None:
        return None
    return why


def takes_until(market: Market | None, asked: Asked) -> dt.datetime | None:
    """When the market stops taking this; nothing may leave after it. None: no end is known."""
    if market is None:
        return None
    if asked.after_market and not market.takes_orders:
        return market.after_market_until
    return market.closes_at


def _not_now(market: Market, asked: Asked) -> str | None:
    if market.phase is Phase.UNKNOWN:
        return None if asked.exiting else market.sentence()
    if not market.order_types:
        return market.sentence()
    where = f"{market.segment} is {_WORDS[market.phase]}"
    if asked.order_type not in market.order_types:
        only = " and ".join(sorted(market.order_types))
        return f"{where} and takes only {only} orders until {_end(market)}"
    if asked.validity == Validity.IOC and not market.ioc:
        return f"{where} and takes no IOC orders until {_end(market)}"
    if market.unsure and not asked.exiting:
        return f"{where}, which may end at any moment now; {market.opening()}"
    return None


def _not_after_market(market: Market, asked: Asked) -> str | None:
    if market.always:
        return "an exchange that is always open takes no after-market orders"
    if market.phase is Phase.UNKNOWN:
        return market.sentence()
    if market.phase is Phase.OPEN:
        return f"{market.segment} is open: send the order without after-market"
    if market.after_market is None:
        return (
            f"the calendar has no window for after-market orders of {market.segment} at this time; "
            f"{market.opening()}"
        )
    if market.next_open is None:
        return f"{market.segment}: {market.opening()}, so nothing can wait for it"
    if asked.order_type not in market.after_market or asked.validity == Validity.IOC:
        return f"{market.segment} takes no {asked.order_type} {asked.validity} orders after market"
    return None


def _end(market: Market) -> str:
    return "its end" if market.closes_at is None else clock(market.closes_at)


_IST = dt.timezone(dt.timedelta(hours=5, minutes=30))


def clock(at: dt.datetime) -> str:
    """A time of day in India."""
    return f"{at.astimezone(_IST):%H:%M} IST"


def moment(at: dt.datetime) -> str:
    """A moment in India, with its day."""
    return f"{at.astimezone(_IST):%a %d %b %Y %H:%M} IST"
