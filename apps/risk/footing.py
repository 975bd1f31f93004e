"""What a position rests on: our own orders' fills, and what only the broker's reads explain.

A read of positions may be older than it says. What our orders have filled since is then not in it,
and an exit measured against it alone could go through zero. So an exit is measured against our own
count as well. Units that no order of ours explains (held before the desk, traded elsewhere) count
once reads agree on them that lie as far apart as a broker may lag behind (``SETTLE_TIME``), while
no order of ours filled, and a clean read of the order book begun after that time explains nothing.

Our own count goes on over the days. A share that we bought lies in the broker's holdings from the
next day on: of DELIVERY the position and the holding are weighed together (``risk.held``), and not
at all while the holdings of today are not known.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Case, F, Sum, When
from django.utils import timezone

from apps.brokers import reporting
from apps.brokers.locks import turn_if_free, turn_taken
from apps.brokers.models import BrokerAccount, PositionsReport
from apps.brokers.port import OrderRequest, Product, Side
from apps.risk import book, held
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
    ours = _owned(account)
    for row in Footing.objects.filter(account=account):
        ours[_key(row)] = ours.get(_key(row), 0) + row.foreign
    today = _of_today(account)
    shown = held.shown(account, report)
    keys = dict(keys_held(report)).keys() | ours.keys() | today.keys()
    return all(_fits(key, shown, ours.get(key, 0), today.get(key, 0)) for key in keys)


def explains(account: BrokerAccount, key: Key, report: PositionsReport) -> bool:
    """True when our own count explains this position of the read."""
    shown = held.shown_for(key[2], account, report)
    today = _of_today(account).get(key, 0) if key[2] == Product.DELIVERY else 0
    return _fits(key, shown, total(account, key), today)


def _fits(key: Key, shown: held.Shown, ours: int, today: int) -> bool:
    """Of DELIVERY a position is what was traded today; the rest of our count was delivered.

    A broker may still show yesterday's as a position: then both together are what we count.
    """
    if key[2] != Product.DELIVERY:
        return shown.net(key) == ours
    return shown.positions.net(*key) == today or shown.net(key) == ours


def _of_today(account: BrokerAccount) -> dict[Key, int]:
    """Net units of DELIVERY that the account's orders of today have filled."""
    signed = Sum(Case(When(side=Side.SELL, then=-F("filled")), default=F("filled")))
    todays = Hold.objects.filter(
        account=account, product=Product.DELIVERY, taken_at__gte=book.midnight()
    )
    rows = todays.order_by().values_list(*_KEY).annotate(signed=signed)
    return {(segment, number, product): int(net) for segment, number, product, net in rows}


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


def read_positions(
    account: BrokerAccount, *, retries: bool = True, attributed: bool = False
) -> PositionsReport:
    """Read and keep the positions, and compare them with our own count. Raises ``ReadFailed``.

    ``attributed``: the order book was just read, and nothing in it waits to be attributed.
    """
    report = reporting.store_positions(account, retries=retries)
    observe(account, report, attributed=attributed)
    return report


def observe(account: BrokerAccount, report: PositionsReport, *, attributed: bool = False) -> None:
    """Confirm what two reads leave over; ask for the order book when one read does.

    Whoever finds somebody else at it leaves it to the next read.
    """
    with turn_if_free(f"footing:{account.name}") as mine:
        if mine:
            _weigh(account, report, attributed=attributed)


def _weigh(account: BrokerAccount, report: PositionsReport, *, attributed: bool) -> None:
    footings = {_key(row): row for row in Footing.objects.filter(account=account)}
    if attributed and any(row.suspected for row in footings.values()):
        suspect(account, {})
    shown = held.shown(account, report)
    owned, filled = _counted(account, shown.older(Product.DELIVERY))
    moved = {key for key, last in filled.items() if _may_lack(shown.older(key[2]), last)}
    known = BrokerAccount.objects.filter(pk=account.pk, reconcile_wanted=False)
    new = False
    _forget_candidates([row for key, row in footings.items() if key in moved])
    for key in (shown.keys() | footings.keys() | owned.keys()) - moved:
        footing = footings.get(key) or Footing(account=account, **dict(zip(_KEY, key, strict=True)))
        net = shown.net(key)
        if net is None:
            continue
        left_over = net - owned.get(key, 0)
        new |= _judge(footing, left_over, shown.older(key[2]), books_read=known.exists)
    if new:
        BrokerAccount.objects.filter(pk=account.pk).update(reconcile_wanted=True)


_Last = tuple[int, dt.datetime | None]  # moment and time of a position's last fill

_COUNTED = """
    SELECT segment, security_id, product, sum(net), NULL::bigint, NULL::timestamptz
    FROM risk_ownedposition WHERE account_id = %(account)s GROUP BY 1, 2, 3
    UNION ALL
    SELECT segment, security_id, product, NULL, max(filled_mark), max(filled_at)
    FROM risk_hold WHERE account_id = %(account)s
         AND (filled_mark >= %(mark)s OR filled_at > %(late)s) GROUP BY 1, 2, 3
"""


def _counted(account: BrokerAccount, read: held.Read) -> tuple[dict[Key, int], dict[Key, _Last]]:
    """Our own count of every position; and the last fill of those that filled about a read."""
    values: dict[str, Any] = {"account": account.pk, "mark": read.mark, "late": _late(read)}
    owned: dict[Key, int] = {}
    filled: dict[Key, _Last] = {}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, values)
        for segment, number, product, net, mark, at in cursor.fetchall():
            if mark is None:
                owned[segment, number, product] = int(net)
            else:
                filled[segment, number, product] = (mark, at)
    return owned, filled


def _may_lack(read: held.Read, last: _Last) -> bool:
    """True when a read may lack a fill: it began before it, or so shortly after."""
    mark, at = last
    return mark >= read.mark or (at is not None and at > _late(read))


def _late(read: held.Read) -> dt.datetime:
    return (read.as_of or timezone.now()) - dt.timedelta(seconds=settings.SETTLE_TIME)


def _judge(
    footing: Footing,
    left_over: int,
    report: held.Read,
    *,
    books_read: Callable[[], bool],
) -> bool:
    """Weigh one read; True when it leaves over something new: the order book may explain it."""
    was = (footing.foreign, footing.candidate)
    if left_over == footing.foreign:
        if footing.candidate is not None:
            footing.candidate = None
            _keep(footing, was)
        return False
    if footing.candidate != left_over:
        footing.candidate, footing.candidate_mark = left_over, report.mark
        footing.candidate_at, footing.books_asked = report.as_of, False
        _keep(footing, was)
        return True
    apart = dt.timedelta(seconds=settings.SETTLE_TIME)
    first, now = footing.candidate_at, report.as_of
    early = first is None or now is None or now - first < apart
    if early or report.mark == footing.candidate_mark:
        return False
    if not footing.books_asked:
        footing.books_asked = True
        _keep(footing, was)
        return True
    if not books_read() or turn_taken(f"reconcile:{footing.account.name}"):
        return False
    footing.foreign, footing.candidate = left_over, None
    _keep(footing, was)
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
    footing.save(update_fields=["foreign", "candidate"])


def suspect(account: BrokerAccount, units: Mapping[Key, int]) -> None:
    """Net units that orders have filled which may be somebody's or ours: these and no others."""
    mine = Footing.objects.filter(account=account)
    cleared = [row.pk for row in mine.exclude(suspected=0) if _key(row) not in units]
    mine.filter(pk__in=cleared).update(suspected=0)
    for key, suspected in units.items():
        named: dict[str, Any] = dict(zip(_KEY, key, strict=True))
        footing, _ = Footing.objects.get_or_create(account=account, **named)
        mine.filter(pk=footing.pk).update(suspected=suspected)


_WEIGHED = ["foreign", "candidate", "candidate_mark", "candidate_at", "books_asked"]


def _keep(footing: Footing, was: tuple[int, int | None]) -> None:
    """What was weighed, and nothing that others write; unless an order was explained meanwhile."""
    if not footing.pk:
        footing.save()
        return
    same = Footing.objects.filter(pk=footing.pk, foreign=was[0], candidate=was[1])
    same.update(**{name: getattr(footing, name) for name in _WEIGHED})


def _owned(account: BrokerAccount) -> dict[Key, int]:
    rows = OwnedPosition.objects.filter(account=account).values_list(*_KEY).annotate(Sum("net"))
    return {(segment, number, product): int(net) for segment, number, product, net in rows}


def moved_since(account: BrokerAccount, mark: int) -> set[Key]:
    """Positions in which an order filled after the read began: the read may lack it."""
    holds = Hold.objects.filter(account=account, filled_mark__gte=mark)
    return {(row[0], row[1], row[2]) for row in holds.values_list(*_KEY).distinct()}


def keys_open(report: PositionsReport) -> Iterator[tuple[Key, int]]:
    """The same without what was sold out of the depository today: it is delivered over night.

    Nobody has to buy it back. A broker takes a sale of DELIVERY only for what is there.
    """
    for key, net in keys_held(report):
        if key[2] != Product.DELIVERY or net > 0:
            yield key, net


def _key(row: Footing) -> Key:
    return row.segment, row.security_id, row.product


def keys_held(report: PositionsReport) -> Iterator[tuple[Key, int]]:
    """Each position that the read shows open, with its net units."""
    for key in dict.fromkeys((r["segment"], r["security_id"], r["product"]) for r in report.rows):
        net = report.net(*key)
        if net:
            yield key, net
