"""The rate budget of an account, counted from its journal: the database is the budget.

Limits are DhanHQ's documented ones (introduction page, rate limits): 10 order calls a second,
250 a minute, 1000 an hour, 7000 a day (``settings.ORDER_LIMITS``); reads 20 a second; quotes 1
a second.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.brokers.models import BrokerAccount


class Budget(StrEnum):
    """The broker's rate classes."""

    ORDER = "ORDER"
    READ = "READ"
    QUOTE = "QUOTE"


class Priority(StrEnum):
    """Who goes first when the budget is short."""

    EXIT = "EXIT"
    CANCEL = "CANCEL"
    ENTRY = "ENTRY"


# seconds of the window -> calls allowed in it
WINDOWS: dict[Budget, dict[int, int]] = {
    Budget.ORDER: settings.ORDER_LIMITS,
    Budget.READ: {1: 20},
    Budget.QUOTE: {2: 1},
}
# The share of every order window that a priority may fill; the rest is kept for those above it.
SHARE = {Priority.EXIT: 1.0, Priority.CANCEL: 0.9, Priority.ENTRY: 0.7}
_MARGIN = 0.15  # seconds by which the broker's clock window may differ from ours

_COUNT = """
    SELECT count(*) FILTER (WHERE created_at > %(now)s - interval '1 second' * %(w0)s),
           count(*) FILTER (WHERE created_at > %(now)s - interval '1 second' * %(w1)s),
           count(*) FILTER (WHERE created_at > %(now)s - interval '1 second' * %(w2)s),
           count(*)
    FROM brokers_wirecall
    WHERE account_id = %(account)s AND budget = %(budget)s
      AND NOT (outcome = 'NOT_SENT' AND sent_at IS NULL)
      AND created_at > %(now)s - interval '1 second' * %(w3)s
      AND created_at < %(now)s + interval '1 second'
"""


def used(account: BrokerAccount, budget: Budget, now: dt.datetime) -> dict[int, int]:
    """Calls made in each window that ends now: {seconds: calls}.

    A row that was given up before anything could leave is none.
    """
    windows = list(WINDOWS[budget])
    spans = [window + (_MARGIN if window < 60 else 0) for window in windows]
    spans = [spans[0]] * (4 - len(spans)) + spans
    values: dict[str, Any] = {f"w{index}": span for index, span in enumerate(spans)}
    values |= {"now": now, "account": account.pk, "budget": budget.value}
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)
        counts = cursor.fetchone()
    return dict(zip(windows, counts[4 - len(windows) :], strict=True))


def wait_needed(
    account: BrokerAccount, budget: Budget, priority: Priority = Priority.EXIT
) -> dt.timedelta | None:
    """None when a call may go now, else how long to wait. Hold the account's lock while asking."""
    now = timezone.now()
    share = SHARE[priority] if budget is Budget.ORDER else 1.0
    for window, count in used(account, budget, now).items():
        if count >= max(1, int(WINDOWS[budget][window] * share)):
            return dt.timedelta(seconds=min(window, 60) * (0.25 if window <= 2 else 0.1))
    return None
