"""Readiness of what tells us of orders: the feed that pushes news, the books that are read."""

from __future__ import annotations

import datetime as dt

from django.conf import settings

from apps.brokers.conditions import FEED_STALE, last_sign
from apps.brokers.readiness import Facts, Finding, green, red


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
    """Order book and trade book were read lately, and everything in them is in our rows."""

    name = "books"
    stops = True
    facts = {"read_at": last_sign("reconcile")}

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        read_at = facts["read_at"]
        if read_at is None:
            return red("the broker's books were not read yet")
        patience = 2 * settings.IDLE_RECONCILE_EVERY + settings.CALL_TIMEOUT
        if now - read_at > dt.timedelta(seconds=patience):
            return red("the broker's books cannot be read", read_at)
        return green("read and agreed with", read_at)
