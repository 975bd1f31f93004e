"""The book of holds: what every order may still do, kept in the order's own transactions."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from django.db.models import F, Q, Sum
from django.utils import timezone

from apps.brokers.models import BrokerAccount
from apps.brokers.port import OrderRequest
from apps.risk.models import Hold


def take(account: BrokerAccount, request: OrderRequest, value: Decimal | None) -> Hold:
    """Hold what an approved order may do. Call with the account's risk row locked."""
    return Hold.objects.create(
        correlation_id=request.correlation_id,
        account=account,
        segment=request.segment,
        security_id=request.security_id,
        product=request.product,
        side=request.side,
        intent=request.intent,
        quantity=request.quantity,
        value=value,
    )


def give_to_sender(correlation_id: str, claim_id: UUID) -> None:
    """Only this claim may send the order now."""
    Hold.objects.filter(correlation_id=correlation_id).update(claim_id=claim_id)


def take_from_sender(correlation_id: str) -> None:
    """Nobody may send the order any more, whoever still thinks so."""
    Hold.objects.filter(correlation_id=correlation_id).update(claim_id=None)


def widen(correlation_id: str, quantity: int) -> None:
    """Raise a hold to the larger quantity of a modification; it never shrinks here."""
    Hold.objects.filter(correlation_id=correlation_id, quantity__lt=quantity).update(
        quantity=quantity
    )


def follow(correlation_id: str, *, quantity: int, filled: int, over: bool) -> None:
    """Let the hold follow its order: what filled, and whether it is over or came alive again."""
    hold = Hold.objects.filter(correlation_id=correlation_id)
    if over:
        hold.filter(released_at=None).update(released_at=timezone.now(), claim_id=None)
    else:
        hold.exclude(released_at=None).update(released_at=None)
        widen(correlation_id, quantity)
    hold.update(filled=filled)


def settle_quantity(correlation_id: str, quantity: int) -> None:
    """Set the hold to the quantity that the broker has confirmed."""
    Hold.objects.filter(correlation_id=correlation_id).update(quantity=quantity)


def open_orders(account: BrokerAccount) -> int:
    """How many orders of the account may still trade, UNKNOWN ones included."""
    return Hold.objects.open().filter(account=account).count()


def exits_pending(account: BrokerAccount, request: OrderRequest, since: object) -> int:
    """Units that exits like this one may have taken, or may yet take, since a position read.

    A working exit counts whole. One that ended after the read began counts what it filled,
    because the read may not have seen it.
    """
    same = Hold.objects.filter(
        account=account,
        segment=request.segment,
        security_id=request.security_id,
        product=request.product,
        side=request.side,
        intent="EXIT",
    ).exclude(correlation_id=request.correlation_id)
    working = same.open().aggregate(total=Sum("quantity"))["total"] or 0
    ended = same.filter(Q(released_at__gte=since)).aggregate(total=Sum(F("filled")))["total"] or 0
    return int(working + ended)
