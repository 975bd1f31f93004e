"""The book of holds: what every order may still do, kept in the order's own transactions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.brokers.models import BrokerAccount, HoldingsReport, PositionsReport
from apps.brokers.port import STRATEGY, Intent, OrderRequest, Product
from apps.brokers.rows import update_rows
from apps.risk.models import Hold, TradingState


def hold(
    account: BrokerAccount,
    request: OrderRequest,
    value: Decimal | None,
    *,
    claim_id: UUID | None = None,
    counts_from: dt.datetime | None = None,
    margin: Decimal | None = None,
) -> Hold:
    """What an approved order may do, held for its sender if there already is one.

    To be stored with its decision, while the account's risk row is locked. What waits for a later
    opening is held as of that opening, and so counts on its day too.
    """
    return Hold(
        correlation_id=request.correlation_id,
        account=account,
        segment=request.segment,
        security_id=request.security_id,
        product=request.product,
        side=request.side,
        intent=request.intent,
        owner=request.owner,
        group=request.group,
        quantity=request.quantity,
        value=value,
        margin=margin,
        claim_id=claim_id,
        taken_at=counts_from or timezone.now(),
    )


def lock(account: BrokerAccount) -> None:
    """No review of the account begins or ends before this transaction does."""
    TradingState.objects.select_for_update().filter(account=account).first()


def lock_group(account: BrokerAccount, group: str) -> None:
    """The holds of orders that exclude each other, before any hold that comes with them."""
    list(Hold.objects.select_for_update().filter(account=account, group=group).order_by("pk"))


def hold_from_outside(account: BrokerAccount, request: OrderRequest) -> None:
    """What an order may do that the desk did not send: counted like any other.

    Its margin the broker has counted itself. Takes the account's risk lock.
    """
    lock(account)
    hold(account, request, None).save(force_insert=True)


def give_to_sender(correlation_id: str, claim_id: UUID) -> bool:
    """Only this claim may send the order now. False when another has it, or it is over."""
    free = "correlation_id = %s AND claim_id IS NULL AND released_at IS NULL"
    return update_rows(Hold, {"claim_id": claim_id}, free, [correlation_id]) == 1


def take_from_sender(correlation_id: str) -> None:
    """Nobody may send the order any more, whoever still thinks so."""
    Hold.objects.filter(correlation_id=correlation_id).update(claim_id=None)


def give_change_to_sender(correlation_id: str, claim_id: UUID | None) -> None:
    """Only this claim may send the change of terms now; None: nobody may."""
    Hold.objects.filter(correlation_id=correlation_id).update(change_claim=claim_id)


def widen(correlation_id: str, quantity: int, more_margin: Decimal | None = None) -> None:
    """Raise a hold to the larger quantity of a modification; it never shrinks here.

    What it ties up more, the broker has not counted yet: the whole is promised anew.
    """
    mine = Hold.objects.filter(correlation_id=correlation_id)
    mine.filter(quantity__lt=quantity).update(quantity=quantity)
    if more_margin:
        held = Coalesce(F("margin"), Value(Decimal(0)))
        mine.update(margin=held + more_margin, reached_mark=None)


def follow(
    correlation_id: str,
    *,
    quantity: int,
    filled: int,
    over: bool,
    shown: bool = False,
    certain: bool = True,
) -> None:
    """Let the hold follow its order: what filled, and whether it is over or came alive again.

    Whoever held the order for sending holds it no longer. What changes takes a new mark, so that
    a position read is known to have begun before or after it whatever the clocks say. ``shown``:
    the exchange shows the order at work, so a later read of the funds has counted it. ``certain``:
    what ended is said to have filled this and no more; else it counts whole until a book tells.
    """
    values: dict[str, Any] = {"id": correlation_id, "quantity": quantity, "filled": filled}
    values |= {"shown": shown, "certain": certain, "now": timezone.now()}
    with connection.cursor() as cursor:
        cursor.execute(_FOLLOW_TO_THE_END if over else _FOLLOW, values)


# What filled is its owner's in the same statement: the count is never behind the holds.
_FILLED = """
    WITH before AS (
        SELECT id, filled FROM risk_hold WHERE correlation_id = %(id)s FOR UPDATE
    ), hold AS (
    UPDATE risk_hold SET claim_id = NULL, filled = %(filled)s,
        filled_mark = CASE WHEN risk_hold.filled = %(filled)s THEN filled_mark
                           ELSE nextval('brokers_moment') END,
        filled_at = CASE WHEN risk_hold.filled = %(filled)s THEN filled_at ELSE %(now)s END,
        reached_mark = CASE WHEN reached_mark IS NULL AND %(shown)s
                            THEN nextval('brokers_moment') ELSE reached_mark END,
"""
_COUNT_FOR_OWNER = """
    FROM before WHERE risk_hold.id = before.id
    RETURNING account_id, segment, security_id, product, owner,
              (risk_hold.filled - before.filled) * CASE side WHEN 'BUY' THEN 1 ELSE -1 END AS more
    )
    INSERT INTO risk_ownedposition (account_id, segment, security_id, product, owner, net)
    SELECT account_id, segment, security_id, product, owner, more FROM hold WHERE more <> 0
    ON CONFLICT (account_id, segment, security_id, product, owner)
    DO UPDATE SET net = risk_ownedposition.net + excluded.net
"""
_FOLLOW = f"""{_FILLED}
        released_at = NULL, released_mark = NULL, fills_known = true,
        quantity = greatest(quantity, %(quantity)s)
    {_COUNT_FOR_OWNER}"""
_FOLLOW_TO_THE_END = f"""{_FILLED}
        released_at = coalesce(released_at, %(now)s),
        fills_known = %(certain)s OR released_at IS NOT NULL AND fills_known,
        released_mark = CASE WHEN released_at IS NULL THEN nextval('brokers_moment')
                             ELSE released_mark END
    {_COUNT_FOR_OWNER}"""


def fills_await_a_book(account: BrokerAccount) -> bool:
    """True while an order of the account has ended and no book has told yet what it filled."""
    return Hold.objects.filter(account=account, fills_known=False).exists()


def fills_are_told(account: BrokerAccount, filled: Mapping[str, int]) -> None:
    """A book shows these orders as over: what each has filled, by our correlation id, is final.

    Where we know of less the order's own report comes first.
    """
    for hold in Hold.objects.filter(account=account, fills_known=False):
        if filled.get(hold.correlation_id) == hold.filled:
            same = Hold.objects.filter(pk=hold.pk, filled=hold.filled)
            same.exclude(released_at=None).update(fills_known=True)


def settle_quantity(correlation_id: str, quantity: int) -> None:
    """Set the hold to the quantity that the broker has confirmed; what it ties up is counted."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, [quantity, correlation_id])


_SETTLE = """
    UPDATE risk_hold SET quantity = %s,
        reached_mark = coalesce(reached_mark, nextval('brokers_moment'))
    WHERE correlation_id = %s
"""


def midnight() -> dt.datetime:
    """When the trading day began."""
    return _midnight_before(timezone.now())


def day_of(read_at: dt.datetime) -> dt.datetime:
    """When the trading day began that a read of the positions shows, as late as it may be."""
    return _midnight_before(read_at - dt.timedelta(seconds=settings.SETTLE_TIME))


def _midnight_before(at: dt.datetime) -> dt.datetime:
    return timezone.localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Taken:
    """Units of a position that other orders of one side may have taken, or may yet take.

    ``read``: since a read of the broker's positions. ``total``: on top of what all owners' counts
    have seen. ``owner``: the same of the asking owner alone. Of a group that excludes each other
    only the largest remainder counts; ``group`` is the one that the asking order shares.
    """

    read: int
    total: int
    owner: int
    group: int


# A working order counts what it may still fill; since a read it counts its fills too, unless the
# read began after them. One that ended after the read began counts whole, and so does one that
# ended by news that do not say what it filled, until a book has told. An order for the day cannot
# fill after it.
#
# A strategy's exit is bounded by its own part, so another strategy's entry the same way that is
# at work, with nothing about it in doubt, takes no more than that one holds: the rest of it opens
# a position of its own, and is no part of what the exit leaves. Its fills count as any others'.
_MINE = """
    WITH mine AS (
        SELECT owner, correlation_id,
               COALESCE(NULLIF("group", ''), correlation_id) AS bundle,
               least(greatest(quantity - filled, 0),
                     CASE WHEN %(opens_pass)s AND intent = 'ENTRY'
                               AND owner LIKE 'strategy:%%' AND owner <> %(owner)s
                               AND reached_mark IS NOT NULL AND released_at IS NULL
                               AND claim_id IS NULL AND change_claim IS NULL
                          THEN greatest(coalesce(part.net, 0) * %(way)s, 0)
                          ELSE quantity END) AS remaining,
               CASE WHEN filled_mark < %(since)s
                         AND (released_at IS NULL OR released_mark < %(since)s)
                    THEN 0 ELSE filled END AS unseen
        FROM risk_hold
        LEFT JOIN risk_ownedposition part USING (account_id, segment, security_id, product, owner)
        WHERE account_id = %(account)s AND segment = %(segment)s AND security_id = %(security)s
          AND product = %(product)s AND side = %(side)s AND correlation_id <> %(own)s
          AND taken_at >= %(midnight)s
          AND (released_at IS NULL OR released_mark >= %(since)s OR NOT fills_known)
    )
"""
_TAKEN = """
    , bundles AS (
        SELECT bundle, max(remaining) AS most, sum(unseen) AS unseen,
               max(remaining) FILTER (WHERE owner = %(owner)s) AS owners
        FROM mine GROUP BY bundle
    )
    SELECT coalesce(sum(most + unseen), 0), coalesce(sum(most), 0), coalesce(sum(owners), 0),
           coalesce(max(most) FILTER (WHERE bundle = %(group)s), 0)
    FROM bundles
"""


def taken(
    account: BrokerAccount, request: OrderRequest, report: PositionsReport | HoldingsReport
) -> Taken:
    """What other orders of the request's side may take of its position; see ``Taken``."""
    with connection.cursor() as cursor:
        cursor.execute(_MINE + _TAKEN, _values(account, request, report))
        return Taken(*map(int, cursor.fetchone()))


_OTHERS = """
    SELECT correlation_id FROM mine WHERE owner <> %(owner)s AND remaining + unseen > 0
    ORDER BY correlation_id
"""


def in_the_way(
    account: BrokerAccount, request: OrderRequest, report: PositionsReport | HoldingsReport
) -> list[str]:
    """Correlation ids of other owners' orders that may take of its position."""
    with connection.cursor() as cursor:
        cursor.execute(_MINE + _OTHERS, _values(account, request, report))
        return [row[0] for row in cursor.fetchall()]


_CAN_BE_SHORT = {Product.INTRADAY, Product.MARGIN}  # of the others a sale takes what is there


def _values(
    account: BrokerAccount, request: OrderRequest, report: PositionsReport | HoldingsReport
) -> dict[str, Any]:
    bounded = request.intent is Intent.EXIT and request.owner.startswith(STRATEGY)
    return {
        "account": account.pk,
        "segment": request.segment,
        "security": request.security_id,
        "product": request.product,
        "side": request.side,
        "own": request.correlation_id,
        "owner": request.owner,
        "group": request.group,
        "midnight": day_of(report.as_of or timezone.now()),
        "since": report.mark,
        "way": -request.side.sign,
        "opens_pass": bounded and request.product in _CAN_BE_SHORT,
    }


@dataclass(frozen=True)
class Own:
    """An order's own hold, units: what a read of the positions has seen of its fills, all of its
    fills, and what it may fill in all."""

    seen: int = 0
    filled: int = 0
    quantity: int = 0


def own(correlation_id: str, since: int) -> Own:
    """The order's own hold, for a read begun at ``since``; nothing when it has none."""
    hold = Hold.objects.filter(correlation_id=correlation_id).first()
    if hold is None:
        return Own()
    seen = hold.filled if hold.filled_mark < since else 0
    return Own(seen, hold.filled, hold.quantity)
