"""The market's hours as the gate needs them: at the review, and again at the last moment."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.brokers import calendar, calendar_watch
from apps.brokers.market import Asked, Market, Phase, refusal, takes_until
from apps.brokers.models import BrokerAccount
from apps.brokers.port import Intent, Segment
from apps.risk.rules import Snapshot


def market_of(
    account: BrokerAccount, segment: str, security_id: str, now: dt.datetime | None = None
) -> Market:
    """The market as the account sees it now; what nobody knows is told to people once."""
    now = now or timezone.now()
    market = calendar.market_for(account, segment, security_id, now)
    if market.phase is Phase.UNKNOWN and segment != Segment.INDEX:
        tell = partial(calendar_watch.tell_unknown, segment, market.why, now)
        transaction.on_commit(tell, robust=True)
    return market


def counts_from(snapshot: Snapshot) -> dt.datetime | None:
    """The opening that an after-market order waits for; None for what acts now."""
    if not snapshot.request.after_market or snapshot.market is None:
        return None
    return snapshot.market.next_open


def leaves_before(snapshot: Snapshot) -> dt.datetime | None:
    """When the market stops taking what was just reviewed; None when no end is known."""
    return takes_until(snapshot.market, _asked(snapshot.request.as_json()))


@dataclass(frozen=True)
class LastLook:
    """What the hours say just before a call is written down.

    ``until`` is when the market stops taking it: not one byte may leave after that.
    """

    stop: str | None
    until: dt.datetime | None


def last_look(account: BrokerAccount, reviewed: dict[str, Any], *, changing: bool) -> LastLook:
    """Judge what was reviewed by the market of this moment, without any slack."""
    asked = _asked(reviewed, changing=changing)
    market = market_of(account, reviewed["segment"], reviewed["security_id"])
    return LastLook(refusal(market, asked), takes_until(market, asked))


def _asked(reviewed: dict[str, Any], *, changing: bool = False) -> Asked:
    return Asked(
        order_type=reviewed["order_type"],
        validity=reviewed["validity"],
        exiting=reviewed["intent"] == Intent.EXIT,
        after_market=reviewed.get("after_market", False),
        changing=changing,
    )
