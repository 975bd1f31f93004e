"""The book of holds: what every order may still do, kept in the order's own transactions."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Case, F, Sum, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.brokers.models import BrokerAccount
from apps.brokers.port import OrderRequest
from apps.brokers.rows import update_rows
from apps.risk.models import Hold, HoldQuerySet, TradingState


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
        quantity=request.quantity,
        value=value,
        margin=margin,
        claim_id=claim_id,
        taken_at=counts_from or timezone.now(),
    )


def hold_from_outside(account: BrokerAccount, request: OrderRequest) -> None:
    """What an order may do that was made outside the desk: counted like any other.

    Its margin the broker has counted itself. Takes the account's risk lock.
    """
    TradingState.objects.select_for_update().filter(account=account).first()
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
    correlation_id: str, *, quantity: int, filled: int, over: bool, shown: bool = False
) -> None:
    """Let the hold follow its order: what filled, and whether it is over or came alive again.

    Whoever held the order for sending holds it no longer. What changes takes a new mark, so that
    a position read is known to have begun before or after it whatever the clocks say. ``shown``:
    the exchange shows the order at work, so a later read of the funds has counted it.
    """
    values: dict[str, Any] = {"id": correlation_id, "quantity": quantity, "filled": filled}
    values |= {"shown": shown, "now": timezone.now()}
    with connection.cursor() as cursor:
        cursor.execute(_FOLLOW_TO_THE_END if over else _FOLLOW, values)


_FILLED = """
    UPDATE risk_hold SET claim_id = NULL, filled = %(filled)s,
        filled_mark = CASE WHEN filled = %(filled)s THEN filled_mark
                           ELSE nextval('brokers_moment') END,
        reached_mark = CASE WHEN reached_mark IS NULL AND %(shown)s
                            THEN nextval('brokers_moment') ELSE reached_mark END,
"""
_FOLLOW = f"""{_FILLED}
        released_at = NULL, released_mark = NULL, quantity = greatest(quantity, %(quantity)s)
    WHERE correlation_id = %(id)s
"""
_FOLLOW_TO_THE_END = f"""{_FILLED}
        released_at = coalesce(released_at, %(now)s),
        released_mark = CASE WHEN released_at IS NULL THEN nextval('brokers_moment')
                             ELSE released_mark END
    WHERE correlation_id = %(id)s
"""


def settle_quantity(correlation_id: str, quantity: int) -> None:
    """Set the hold to the quantity that the broker has confirmed; what it ties up is counted."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, [quantity, correlation_id])


_SETTLE = """
    UPDATE risk_hold SET quantity = %s,
        reached_mark = coalesce(reached_mark, nextval('brokers_moment'))
    WHERE correlation_id = %s
"""


def _of_today(account: BrokerAccount) -> HoldQuerySet:
    """Holds of this trading day: an order for the day cannot fill after it."""
    return Hold.objects.filter(account=account, taken_at__gte=midnight())


def midnight() -> dt.datetime:
    """When the trading day began."""
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def pending(account: BrokerAccount, request: OrderRequest, since: int) -> int:
    """Units that other orders of this side may have taken, or may yet take, since a position read.

    A working order counts what it may still fill, and its fills too unless the read began after
    them. One that ended after the read began counts whole: what it filled may not be known yet.
    """
    same = (
        _of_today(account)
        .filter(
            segment=request.segment,
            security_id=request.security_id,
            product=request.product,
            side=request.side,
        )
        .exclude(correlation_id=request.correlation_id)
    )
    seen = Case(When(filled_mark__lt=since, then=F("filled")), default=Value(0))
    working = same.open().aggregate(total=Sum(F("quantity") - seen))["total"] or 0
    ended = same.filter(released_mark__gte=since).aggregate(total=Sum("quantity"))["total"] or 0
    return int(working + ended)


def filled_before(correlation_id: str, since: int) -> int:
    """Units of the order's own fills that a position read begun at ``since`` has seen."""
    hold = Hold.objects.filter(correlation_id=correlation_id, filled_mark__lt=since).first()
    return hold.filled if hold else 0
