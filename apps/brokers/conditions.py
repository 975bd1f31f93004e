"""Readiness of an account: token, address, clock, instruments, calendar and prices."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib.postgres.aggregates import StringAgg
from django.db.models import CharField, F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from apps.alerts.models import Heartbeat
from apps.brokers.models import (
    AccessToken,
    CalendarKind,
    CalendarYear,
    CallOutcome,
    ImportOutcome,
    InstrumentImport,
    is_simulated,
)
from apps.brokers.models.accounts import environment_of
from apps.brokers.models.calendar import SEGMENTS
from apps.brokers.readiness import Facts, Finding, amber, green, red
from apps.brokers.trading_hours import IST

FEED_STALE = 15.0  # seconds since its last sign of life
# Hours since the day's list of instruments was read: a day and an hour, a day and a morning.
LIST_LATE, LIST_OLD = 25, 30
NEXT_YEAR_FROM = 12  # the month from which next year's calendar is missed


def last_sign(of: str) -> Subquery:
    """When the part ``of:ACCOUNT`` last gave a sign of life."""
    signs: QuerySet[Any] = Heartbeat.objects.filter(name=Concat(Value(f"{of}:"), OuterRef("name")))
    return Subquery(signs.values("at")[:1])


def _of_token(column: str) -> Subquery:
    rows: QuerySet[Any] = AccessToken.objects.filter(account=OuterRef("pk"), retired_at=None)
    return Subquery(rows.values(column)[:1])


class TokenInForce:
    """There is a token, the broker takes it, and it lives long enough to get out again."""

    name = "token"
    stops = True
    facts = {
        "token": _of_token("pk"),
        "issued": _of_token("issued_at"),
        "ends": _of_token("expires_at"),
        "refused_token": F("session__refused_token"),
        "refused_at": F("session__refused_at"),
        "refused_text": F("session__refused_text"),
        "accepted_at": F("session__accepted_at"),
        "asked_at": F("session__minting__created_at"),
        "asked_outcome": F("session__minting__outcome"),
    }

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        if facts["token"] is None:
            return red("there is no access token")
        if facts["refused_token"] == facts["token"]:
            return red(
                f"the broker refuses the token ({facts['refused_text']})", facts["refused_at"]
            )
        if self._in_doubt(facts, now):
            text = "a new token was asked for and no answer came: which one counts is not known"
            return red(text, facts["asked_at"])
        return self._life(facts, now)

    @staticmethod
    def _in_doubt(facts: Facts, now: dt.datetime) -> bool:
        """A request under way is no doubt yet: the old token serves until the new one is there."""
        if facts["asked_at"] is None:
            return False
        patience = settings.SEND_WITHIN + settings.CONNECT_TIMEOUT + settings.CALL_TIMEOUT
        late = bool(now - facts["asked_at"] > dt.timedelta(seconds=patience))
        return late or facts["asked_outcome"] == CallOutcome.UNKNOWN

    @staticmethod
    def _life(facts: Facts, now: dt.datetime) -> Finding:
        ends, seen = facts["ends"], facts["accepted_at"] or facts["issued"]
        if ends is None:
            return amber("in force; how long it lives is not known", seen)
        left = ends - now
        at = timezone.localtime(ends)
        if left <= dt.timedelta(0):
            return red(f"the token ended {at:%d %b %H:%M}", ends)
        if left < dt.timedelta(seconds=settings.TOKEN_ENTRY_MARGIN):
            return red(f"the token ends at {at:%H:%M:%S}: too soon for a new position", seen)
        if left < dt.timedelta(minutes=max(settings.TOKEN_WARN_BEFORE, default=0)):
            return amber(f"the token ends at {at:%H:%M} and is not renewed yet", seen)
        return green(f"in force until {at:%d %b %H:%M}", seen)


class AddressAllowed:
    """The broker takes orders from where we are. After a while one order may try it again."""

    name = "address"
    stops = True
    facts = {
        "refused_at": F("session__address_refused_at"),
        "refused_last": F("session__address_refused_last"),
        "text": F("session__address_text"),
        "egress": F("session__egress"),
    }

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        where = facts["egress"] or "not known"
        if facts["refused_at"] is None:
            seen = f"the broker sees us at {where}" if facts["egress"] else "no order was refused"
            return green(seen)
        text = f"the broker takes no orders from our address, {where} ({facts['text']})"
        again = facts["refused_last"] + dt.timedelta(seconds=settings.ADDRESS_RETRY)
        if now >= again:
            return amber(f"{text}; the next order tries it again", facts["refused_at"])
        return red(text, facts["refused_at"])


class ClockRight:
    """Our clock and the broker's agree, as far as its replies tell to about a second."""

    name = "clock"
    stops = True
    facts = {"offset": F("session__clock_offset"), "at": F("session__clock_at")}

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        offset = facts["offset"]
        if offset is None:
            return amber("never measured")
        side = "ahead of" if offset > 0 else "behind"
        text = f"the broker's clock is {abs(offset):.1f} s {side} ours"
        if abs(offset) > settings.CLOCK_LIMIT:
            return red(f"{text}; {settings.CLOCK_LIMIT:g} s are allowed", facts["at"])
        return green(text, facts["at"])


def _of_import(outcome: ImportOutcome, column: str) -> Subquery:
    rows: QuerySet[Any] = InstrumentImport.objects.filter(
        broker=OuterRef("broker"), outcome=outcome
    )
    return Subquery(rows.order_by("-at").values(column)[:1])


class InstrumentsRead:
    """Today's list of instruments is in: ids, lots, ticks and expiries are the broker's own."""

    name = "instruments"
    stops = True
    facts = {
        "read_at": _of_import(ImportOutcome.APPLIED, "at"),
        "source": _of_import(ImportOutcome.APPLIED, "source"),
        "address": F("rest_url"),
        "refused_at": _of_import(ImportOutcome.REFUSED, "at"),
        "why": _of_import(ImportOutcome.REFUSED, "why"),
    }

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        read_at, refused_at = facts["read_at"], facts["refused_at"]
        refused = refused_at is not None and (read_at is None or refused_at > read_at)
        but = f"; the newest one was refused: {facts['why'][:200]}" if refused else ""
        if read_at is None:
            return red(f"the broker's list was never read{but}", refused_at)
        if is_simulated(facts["source"]) and environment_of(facts["address"]) == "live":
            return red("the list is a simulated exchange's: import the broker's own", read_at)
        hours = (now - read_at).total_seconds() / 3600
        text = f"the broker's list was read {timezone.localtime(read_at):%d %b %H:%M}{but}"
        if hours > LIST_OLD:
            return red(f"{text}; today's is missing", read_at)
        return amber(text, read_at) if refused or hours > LIST_LATE else green(text, read_at)


def _confirmed() -> Subquery:
    """``SEGMENT:YEAR`` of every year that a person has confirmed, with commas between."""
    name = Concat("segment", Value(":"), Cast("year", CharField()), output_field=CharField())
    years = CalendarYear.objects.filter(confirmed_at__isnull=False).order_by()
    one: QuerySet[Any] = years.annotate(group=Value(1)).values("group")
    return Subquery(one.annotate(found=StringAgg(name, ",")).values("found"))


class CalendarConfirmed:
    """The exchange's holidays of this year are confirmed, somewhere at least.

    Where they are not, the rule ``MarketOpen`` refuses: one segment must not stop the others.
    """

    name = "calendar"
    stops = True
    facts = {"kind": F("calendar"), "confirmed": _confirmed()}

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        if facts["kind"] == CalendarKind.ALWAYS_OPEN:
            return green("it trades at all hours")
        confirmed = set((facts["confirmed"] or "").split(","))
        today = now.astimezone(IST)
        missing = _not_in(confirmed, today.year)
        if len(missing) == len(SEGMENTS):
            return red(f"the holidays of {today.year} are not confirmed")
        if missing:
            return amber(
                f"{today.year} is not confirmed for {', '.join(missing)}: no entries there"
            )
        if today.month >= NEXT_YEAR_FROM and (later := _not_in(confirmed, today.year + 1)):
            return amber(f"{today.year + 1} is not confirmed for {', '.join(later)} yet")
        return green(f"{today.year} is confirmed")


def _not_in(confirmed: set[str], year: int) -> list[str]:
    return [segment for segment, _ in SEGMENTS if f"{segment}:{year}" not in confirmed]


class PricesHeard:
    """The feed of prices on the account's token lives. Stops nothing: the desk asks one by one.

    What needs a price that nobody knows is refused by the rule that needs it.
    """

    name = "prices"
    stops = False
    facts = {
        "feed": F("market_feed_url"),
        "heard_at": last_sign("quotes"),
    }

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        heard_at = facts["heard_at"]
        if not facts["feed"]:
            return green("they are heard on another account's feed, or asked for")
        if heard_at is None:
            return amber("its price feed has not been heard yet: prices are asked for")
        if now - heard_at > dt.timedelta(seconds=FEED_STALE):
            return amber("its price feed is silent: prices are asked for", heard_at)
        return green("its price feed is heard", heard_at)
