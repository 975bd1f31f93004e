"""What a position rests on: our own orders' fills, and what only the broker's reads explain.

A read of positions may be older than it says. What our orders have filled since is then not in it,
and an exit measured against it alone could go through zero. So an exit is measured against our own
count as well. Units that no order of ours explains (held before the desk, traded elsewhere) count
once reads agree on them that lie as far apart as a broker may lag behind (``SETTLE_TIME``), while
no order of ours filled, and a clean read of the order book begun after that time explains nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q, Sum

from apps.brokers import reporting
from apps.brokers.locks import turn_if_free, turn_taken
from apps.brokers.models import BrokerAccount, PositionsReport
from apps.brokers.port import OrderRequest
from apps.risk.models import Footing, Hold, OwnedPosition

Key = tuple[str, str, str]  # segment, security id, product
_KEY = ("segment", "security_id", "product")


@dataclass(frozen=True)
class Standing:
    """Net units by our own count, explained or confirmed: of the account, and of one owner."""

    total: int
    owner: int


def total(account: BrokerAccount, key: Key) -> int:
    """Net units of the account by our own count, explained or confirmed."""
    own = OwnedPosition.objects.filter(account=account, **dict(zip(_KEY, key, strict=True)))
    confirmed = Footing.objects.filter(account=account, **dict(zip(_KEY, key, strict=True))).first()
    return (own.aggregate(Sum("net"))["net__sum"] or 0) + (confirmed.foreign if confirmed else 0)


def agrees(account: BrokerAccount, report: PositionsReport) -> bool:
    """True when our own count explains every position of the read, and misses none."""
    confirmed = {_key(row): row.foreign for row in Footing.objects.filter(account=account)}
    owned = _owned(account)
    held = dict(keys_held(report))
    return all(
        held.get(key, 0) == owned.get(key, 0) + confirmed.get(key, 0)
        for key in held.keys() | owned.keys() | confirmed.keys()
    )


_STANDING = """
    SELECT coalesce(sum(net), 0)
           + coalesce((SELECT "foreign"
                              + CASE WHEN suspected * %(sign)s > 0 THEN suspected ELSE 0 END
                       FROM risk_footing WHERE account_id = %(account)s
                       AND segment = %(segment)s AND security_id = %(security)s
                       AND product = %(product)s), 0),
           coalesce(sum(net) FILTER (WHERE owner = %(owner)s), 0)
    FROM risk_ownedposition WHERE account_id = %(account)s AND segment = %(segment)s
         AND security_id = %(security)s AND product = %(product)s
"""


def standing(account: BrokerAccount, request: OrderRequest) -> Standing:
    """Our own count of the position that the request is about.

    What orders that nobody can attribute yet have filled the request's way is gone already.
    """
    values: dict[str, Any] = {
        "account": account.pk,
        "segment": request.segment,
        "security": request.security_id,
        "product": request.product,
        "owner": request.owner,
        "sign": request.side.sign,
    }
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, values)
        return Standing(*map(int, cursor.fetchone()))


def read_positions(account: BrokerAccount, *, retries: bool = True) -> PositionsReport:
    """Read and keep the positions, and compare them with our own count. Raises ``ReadFailed``."""
    report = reporting.store_positions(account, retries=retries)
    observe(account, report)
    return report


def observe(account: BrokerAccount, report: PositionsReport) -> None:
    """Confirm what two reads leave over; ask for the order book when one read does.

    Whoever finds somebody else at it leaves it to the next read.
    """
    with turn_if_free(f"footing:{account.name}") as mine:
        if mine:
            _weigh(account, report)


def _weigh(account: BrokerAccount, report: PositionsReport) -> None:
    footings = {_key(row): row for row in Footing.objects.filter(account=account)}
    owned = _owned(account)
    held = {(row["segment"], row["security_id"], row["product"]) for row in report.rows}
    moved = _moved_lately(account, report)
    known = BrokerAccount.objects.filter(pk=account.pk, reconcile_wanted=False).exists()
    new = False
    _forget_candidates([row for key, row in footings.items() if key in moved])
    for key in (held | footings.keys() | owned.keys()) - moved:
        footing = footings.get(key) or Footing(account=account, **dict(zip(_KEY, key, strict=True)))
        left_over = report.net(*key) - owned.get(key, 0)
        new |= _judge(footing, left_over, report, books_read=known)
    if new:
        BrokerAccount.objects.filter(pk=account.pk).update(reconcile_wanted=True)


def _judge(footing: Footing, left_over: int, report: PositionsReport, *, books_read: bool) -> bool:
    """Weigh one read; True when it leaves over something new: the order book may explain it."""
    if left_over == footing.foreign:
        if footing.candidate is not None:
            footing.candidate = None
            footing.save()
        return False
    if footing.candidate != left_over:
        footing.candidate, footing.candidate_mark = left_over, report.mark
        footing.candidate_at, footing.books_asked = report.as_of, False
        footing.save()
        return True
    apart = dt.timedelta(seconds=settings.SETTLE_TIME)
    early = footing.candidate_at is None or report.as_of - footing.candidate_at < apart
    if early or report.mark == footing.candidate_mark:
        return False
    if not footing.books_asked:
        footing.books_asked = True
        footing.save()
        return True
    if not books_read:
        return False
    if turn_taken(f"reconcile:{footing.account.name}"):
        return False
    footing.foreign, footing.candidate = left_over, None
    footing.save()
    return False


def _forget_candidates(footings: list[Footing]) -> None:
    """What an earlier read left over is no evidence once an order of ours has filled."""
    Footing.objects.filter(pk__in=[row.pk for row in footings]).update(candidate=None)


def explain(account: BrokerAccount, key: Key, units: int) -> None:
    """An order that was made elsewhere has a row now: units that it filled count as its own.

    They may be among those that are confirmed as nobody's; rather too few than counted twice. For
    the transaction that stores the order.
    """
    of_it = Footing.objects.filter(account=account, **dict(zip(_KEY, key, strict=True)))
    footing = of_it.select_for_update().first()
    if footing is None:
        return
    if footing.foreign * units > 0:
        footing.foreign -= min(footing.foreign, units, key=abs)
    footing.candidate = None
    footing.save()


def suspect(account: BrokerAccount, units: Mapping[Key, int]) -> None:
    """Net units that orders have filled which may be somebody's or ours: these and no others."""
    for footing in Footing.objects.filter(account=account).exclude(suspected=0):
        if _key(footing) not in units:
            Footing.objects.filter(pk=footing.pk).update(suspected=0)
    for key, suspected in units.items():
        named: dict[str, Any] = dict(zip(_KEY, key, strict=True))
        told = {"suspected": suspected}
        Footing.objects.update_or_create(account=account, **named, defaults=told)


def _owned(account: BrokerAccount) -> dict[Key, int]:
    rows = OwnedPosition.objects.filter(account=account).values_list(*_KEY).annotate(Sum("net"))
    return {(segment, number, product): int(net) for segment, number, product, net in rows}


def moved_since(account: BrokerAccount, mark: int) -> set[Key]:
    """Positions in which an order filled after the read began: the read may lack it."""
    holds = Hold.objects.filter(account=account, filled_mark__gte=mark)
    return {(row[0], row[1], row[2]) for row in holds.values_list(*_KEY).distinct()}


def _moved_lately(account: BrokerAccount, report: PositionsReport) -> set[Key]:
    """Positions in which an order filled so shortly before the read that it may lack the fill."""
    late = report.as_of - dt.timedelta(seconds=settings.SETTLE_TIME)
    lately = Q(filled_mark__gte=report.mark) | Q(filled_at__gt=late)
    holds = Hold.objects.filter(lately, account=account)
    return {(row[0], row[1], row[2]) for row in holds.values_list(*_KEY).distinct()}


def _key(row: Footing) -> Key:
    return row.segment, row.security_id, row.product


def keys_held(report: PositionsReport) -> Iterator[tuple[Key, int]]:
    """Each position that the read shows open, with its net units."""
    for key in dict.fromkeys((r["segment"], r["security_id"], r["product"]) for r in report.rows):
        net = report.net(*key)
        if net:
            yield key, net
