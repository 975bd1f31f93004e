"""Gather what a decision may see, under the account's lock and from committed rows only."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import timezone

from apps.brokers.models import BrokerAccount, FundsReport, Instrument, PositionsReport, Quote
from apps.brokers.port import OrderRequest
from apps.risk import book
from apps.risk.models import Approval, RiskPolicy, TradingState, Verdict
from apps.risk.rules import InstrumentFacts, Limits, Snapshot

CLOCK_SLACK = dt.timedelta(seconds=1)


def take_snapshot(
    request: OrderRequest,
    account: BrokerAccount,
    state: TradingState | None,
    desk_switch: str | None,
    changes: str | None,
) -> Snapshot:
    """The snapshot for one request. What is not known is None, never zero."""
    now = timezone.now()
    instrument = Instrument.objects.filter(
        segment=request.segment, security_id=request.security_id
    ).first()
    quote = Quote.objects.filter(instrument=instrument).first() if instrument else None
    funds = FundsReport.objects.filter(account=account).first()
    positions = PositionsReport.objects.filter(account=account).first()
    return Snapshot(
        request=request,
        today=timezone.localdate(),
        account_known=True,
        account_enabled=account.enabled,
        environment=account.environment,
        live_allowed=settings.LIVE_TRADING,
        armed=account.armed_until is not None and account.armed_until > now,
        switch=state.switch if state else None,
        desk_switch=desk_switch,
        instrument=_facts(instrument),
        limits=_limits(account),
        open_orders=book.open_orders(account) - (1 if changes else 0),
        last_price=quote.last_price if quote else None,
        last_price_age=_age(quote.as_of if quote else None, now),
        funds_age=_age(funds.as_of if funds else None, now),
        net_position=_net(positions, request),
        position_age=_age(positions.as_of if positions else None, now),
        pending=book.pending(account, request, positions.mark) if positions else 0,
        own_filled=_own_filled(positions, request) if changes else 0,
        changes=changes,
        **_approved(request.correlation_id),
    )


def _approved(correlation_id: str) -> dict[str, Any]:
    """The terms of this order that a second person has approved, if there are any."""
    approval = Approval.objects.filter(
        kind="ORDER", subject=correlation_id, decision=Verdict.APPROVED
    ).first()
    if approval is None:
        return {}
    request = approval.payload["request"]
    price = None if request["price"] is None else Decimal(request["price"])
    return {"approved_quantity": request["quantity"], "approved_price": price}


def _net(positions: PositionsReport | None, request: OrderRequest) -> int | None:
    if positions is None:
        return None
    return positions.net(request.segment, request.security_id, request.product)


def _own_filled(positions: PositionsReport | None, request: OrderRequest) -> int:
    return 0 if positions is None else book.filled_before(request.correlation_id, positions.mark)


def _facts(instrument: Instrument | None) -> InstrumentFacts | None:
    if instrument is None:
        return None
    return InstrumentFacts(
        lot_size=instrument.lot_size,
        tick_size=instrument.tick_size,
        freeze_quantity=instrument.freeze_quantity,
        lower_limit=instrument.lower_limit,
        upper_limit=instrument.upper_limit,
        expiry=instrument.expiry,
        tradable=instrument.tradable,
    )


def _limits(account: BrokerAccount) -> Limits | None:
    policy = RiskPolicy.objects.filter(account=account).order_by("-version").first()
    if policy is None:
        return None
    return Limits(
        version=policy.version,
        max_order_quantity=policy.max_order_quantity,
        max_order_value=policy.max_order_value,
        max_open_orders=policy.max_open_orders,
        max_data_age=policy.max_data_age,
        order_types=tuple(policy.order_types),
        approval_above_value=policy.approval_above_value,
    )


def _age(as_of: dt.datetime | None, now: dt.datetime) -> float | None:
    """Seconds; None when it is not known, which a time in the future makes of any age."""
    if as_of is None or as_of > now + CLOCK_SLACK:
        return None
    return max((now - as_of).total_seconds(), 0.0)
