"""Readiness of what tells us of orders: its feed, its books, what they disagree on."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.db.models import F, OuterRef, QuerySet, Subquery

from apps.brokers.conditions import FEED_STALE, last_sign
from apps.brokers.readiness import Facts, Finding, amber, green, red
from apps.brokers.trading_hours import IST
from apps.orders.models import Break


class OrderNewsHeard:
    """The broker's feed of order news lives: what happens to an order is known within a moment."""

    name = "order feed"
    stops = True
    facts = {"heard_at": last_sign("feed")}

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        heard_at = facts["heard_at"]
        if heard_at is None:
            return red("not heard yet")
        if now - heard_at > dt.timedelta(seconds=FEED_STALE):
            return red("silent: what happens to an order is seen late", heard_at)
        return green("heard", heard_at)


class BooksRead:
    """Orders, trades, positions and funds were read lately, and agree with our rows.

    What they do not agree on is a listed break. A difference that was seen once is neither yet.
    """

    name = "books"
    stops = True
    facts = {"agreed_at": F("books_run__agreed_at"), "failed": F("books_run__failed")}

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        agreed_at, failed = facts["agreed_at"], facts["failed"]
        patience = 2 * settings.IDLE_RECONCILE_EVERY + settings.CALL_TIMEOUT
        if agreed_at is not None and now - agreed_at <= dt.timedelta(seconds=patience):
            return green("read; all agrees or is a listed break", agreed_at)
        if failed:
            return red(f"the broker's {failed} cannot be read", agreed_at)
        if agreed_at is None:
            return red("the broker's books were not read and compared yet")
        return red("the broker's books were not read, or differ and are looked at again", agreed_at)


def _open_breaks() -> QuerySet[Any]:
    rows = Break.objects.filter(
        account=OuterRef("pk"), resolution="", kind__in=settings.BREAKS_THAT_STOP
    )
    return rows.order_by("first_seen")


class BreaksExplained:
    """No break of an earlier day is left without an explanation. Today's are shown."""

    name = "breaks"
    stops = True
    facts = {"oldest": Subquery(_open_breaks().values("first_seen")[:1])}

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        oldest = facts["oldest"]
        if oldest is None:
            return green("none is open")
        if oldest.astimezone(IST).date() < now.astimezone(IST).date():
            return red("one of an earlier day is not explained", oldest)
        return amber("some are open; tomorrow they stop entries", oldest)
