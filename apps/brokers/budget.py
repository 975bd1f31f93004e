"""The rate budget of an account, counted from its journal: the database is the budget.

Limits are DhanHQ's documented ones (introduction page, rate limits): 10 order calls a second,
250 a minute, 1000 an hour, 7000 a day (``settings.ORDER_LIMITS``), and 25 changes of one order
(``settings.CHANGES_PER_ORDER``); reads 20 a second; quotes 1 a second.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.brokers.models import BrokerAccount, CallOutcome, Verb, WireCall


class Budget(StrEnum):
    """The broker's rate classes."""

    ORDER = "ORDER"
    READ = "READ"
    QUOTE = "QUOTE"


class Priority(StrEnum):
    """Who goes first when the budget is short; of the reads, those that only weigh an entry are
    ``ENTRY``, and all others go first."""

    EXIT = "EXIT"
    CANCEL = "CANCEL"
    ENTRY = "ENTRY"


# seconds of the window -> calls allowed in it
WINDOWS: dict[Budget, dict[int, int]] = {
    Budget.ORDER: settings.ORDER_LIMITS,
    Budget.READ: {1: 20},
    Budget.QUOTE: {2: 1},
}
# The percentage of every window that a priority may fill; the rest is kept for those above it.
SHARE = {Priority.EXIT: 100, Priority.CANCEL: 90, Priority.ENTRY: 70}
_MARGIN = 0.15  # seconds by which the broker's clock window may differ from ours
_ON_ITS_WAY = 1.0  # seconds that a call may take from its row to the broker, if it is so slow
_SHORT = 60  # seconds of the longest window that is counted anew for every call
_COUNT_AGAIN = dt.timedelta(seconds=30)  # for longer windows
_UNSEEN = dt.timedelta(seconds=20)  # what was being written while others counted; both fit _SHORT
_LOOK_AGAIN = 5.0  # seconds: the longest wait that is named, since calls may turn out never sent

# The broker counts a call when it arrives, which is before its answer: until then, it is counted
# as if it arrived now. So ten calls that were held up on their way cannot meet ten younger ones.
_CALLS = """
    SELECT LEAST(answered_at, created_at + interval '1 second' * %(on_its_way)s) AS arrived
    FROM brokers_wirecall
    WHERE account_id = %(account)s AND budget = %(budget)s
      AND NOT (outcome = 'NOT_SENT' AND sent_at IS NULL)
      AND created_at > %(now)s - interval '1 second' * (%(longest)s + %(on_its_way)s)
      AND created_at < %(now)s + interval '1 second'
"""
_COUNT = f"""
    SELECT count(*) FILTER (WHERE arrived > %(now)s - interval '1 second' * %(w0)s),
           count(*) FILTER (WHERE arrived > %(now)s - interval '1 second' * %(w1)s),
           count(*) FILTER (WHERE arrived > %(now)s - interval '1 second' * %(w2)s),
           count(*) FILTER (WHERE arrived > %(now)s - interval '1 second' * %(longest)s)
    FROM ({_CALLS}) calls
"""  # noqa: S608 - constant text
_COUNT_SHORT = f"""
    SELECT count(*) FILTER (WHERE arrived > %(now)s - interval '1 second' * %(w0)s),
           count(*) FILTER (WHERE arrived > %(now)s - interval '1 second' * %(w1)s),
           count(*) FILTER (WHERE arrived > %(since)s)
    FROM ({_CALLS}) calls
"""  # noqa: S608 - constant text
_NTH_LAST = f"SELECT arrived FROM ({_CALLS}) calls ORDER BY arrived DESC OFFSET %(skip)s LIMIT 1"  # noqa: S608


def allowed(budget: Budget, window: int, priority: Priority = Priority.EXIT) -> int:
    """Calls that may have been made in a window, in seconds, after one more of this priority."""
    share = 100 if budget is Budget.QUOTE else SHARE[priority]
    return max(1, WINDOWS[budget][window] * share // 100)


def used(account: BrokerAccount, budget: Budget, now: dt.datetime) -> dict[int, int]:
    """Calls made in each window that ends now: {seconds: calls}.

    A row that was given up before anything could leave is none.
    """
    windows = list(WINDOWS[budget])
    spans = [_span(window) for window in windows]
    spans = [spans[0]] * (4 - len(spans)) + spans
    values = _values(account, budget, now, spans[-1])
    values |= {f"w{index}": span for index, span in enumerate(spans)}
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)
        counts = cursor.fetchone()
    return dict(zip(windows, counts[4 - len(windows) :], strict=True))


_Known = tuple[dt.datetime, dict[int, int]]
_counted: dict[tuple[int, Budget], _Known] = {}  # by this process, not long ago


def _used_at_most(account: BrokerAccount, budget: Budget, now: dt.datetime) -> dict[int, int]:
    """``used``, or a little more in long windows: a day's calls are not counted for every call.

    What was counted lately plus all calls since, and shortly before, is at least as many as there
    are now.
    """
    key = (account.pk, budget)
    at, counts = _counted.get(key, (now, {}))
    if not counts or not dt.timedelta(0) <= now - at < _COUNT_AGAIN:
        counts = used(account, budget, now)
        _counted[key] = (now, counts)
        return counts
    short = _counted_anew(budget)
    values = _values(account, budget, now, max(_span(_SHORT), _COUNT_AGAIN.total_seconds()))
    values |= {f"w{index}": _span(window) for index, window in enumerate([*short, 0, 0][:2])}
    values["since"] = at - _UNSEEN
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_SHORT, values)
        *exact, since = cursor.fetchone()
    lately = dict(zip(short, exact, strict=False))
    return {window: lately.get(window, counts[window] + since) for window in WINDOWS[budget]}


def _counted_anew(budget: Budget) -> list[int]:
    """The windows that are counted for every call: the shortest two, unless they are long."""
    return sorted(window for window in WINDOWS[budget] if window <= _SHORT)[:2]


def wait_needed(
    account: BrokerAccount, budget: Budget, priority: Priority = Priority.EXIT
) -> dt.timedelta | None:
    """None when a call may go now, else how long to wait: until the next slot of its own comes
    free, or 5 s. Hold the account's lock while asking.
    """
    now = timezone.now()
    full = _full(_used_at_most(account, budget, now), budget, priority)
    if not full.keys() <= set(_counted_anew(budget)):
        full = _full(used(account, budget, now), budget, priority)
    waits = [_until_free(account, budget, now, *one) for one in full.items()]
    return max(waits, default=None)


def _full(counts: dict[int, int], budget: Budget, priority: Priority) -> dict[int, int]:
    """Windows without a slot for this priority: {seconds: slots}."""
    slots = {window: allowed(budget, window, priority) for window in counts}
    return {window: slots[window] for window, count in counts.items() if count >= slots[window]}


def _until_free(
    account: BrokerAccount, budget: Budget, now: dt.datetime, window: int, slots: int
) -> dt.timedelta:
    """Until the oldest of the last ``slots`` calls leaves the window; it may be leaving now."""
    span = _span(window)
    with connection.cursor() as cursor:
        values = _values(account, budget, now, span)
        cursor.execute(_NTH_LAST, values | {"skip": slots - 1})
        row = cursor.fetchone()
    arrived = min(row[0], now) if row else now
    left = (arrived - now).total_seconds() + span
    return dt.timedelta(seconds=min(max(left, 0.0) + 0.005, _LOOK_AGAIN))


def _span(window: int) -> float:
    return window + (_MARGIN if window < 60 else 0)


def _values(
    account: BrokerAccount, budget: Budget, now: dt.datetime, longest: float
) -> dict[str, Any]:
    return {
        "account": account.pk,
        "budget": budget.value,
        "now": now,
        "longest": longest,
        "on_its_way": _ON_ITS_WAY,
    }


def changes_used(correlation_id: str) -> int:
    """Changes of an order that may have reached the broker: the broker takes so many, no more."""
    calls = WireCall.objects.filter(correlation_id=correlation_id, verb=Verb.MODIFY)
    return calls.exclude(outcome=CallOutcome.NOT_SENT).count()


def no_more_changes(correlation_id: str) -> str | None:
    """Why the order cannot be changed once more, and what would be right; None when it can."""
    used_up, most = changes_used(correlation_id), settings.CHANGES_PER_ORDER
    if used_up < most:
        return None
    return (
        f"the broker takes {most} changes of an order and {used_up} were sent: "
        "cancel it and place a new one"
    )
