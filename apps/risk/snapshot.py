"""Gather what a decision may see, under the account's lock and from committed rows only."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.brokers.ages import age_of
from apps.brokers.models import BrokerAccount, Instrument, PositionsReport
from apps.brokers.models.quotes import is_of_today
from apps.brokers.port import Intent, OrderRequest
from apps.risk import book, margin
from apps.risk.models import Approval, RiskPolicy, TradingState, Verdict
from apps.risk.rules import InstrumentFacts, Limits, Snapshot


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
    seen = _read(account, instrument)
    positions = seen.positions
    limits = _limits(account)
    needs_two = limits is not None and limits.approval_above_value is not None
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
        limits=limits,
        open_orders=seen.open_orders - (1 if changes else 0),
        last_price=seen.last_price,
        last_price_age=age_of(seen.price_as_of, now),
        funds_age=age_of(seen.funds_as_of, now),
        net_position=_net(positions, request),
        position_age=age_of(positions.as_of if positions else None, now),
        pending=_pending(account, request, positions),
        own_filled=_own_filled(positions, request) if changes else 0,
        changes=changes,
        **(_approved(request.correlation_id) if needs_two else {}),
        **seen.circuits,
        **margin.facts(account, request, limits, changes),
    )


@dataclass(frozen=True)
class _Seen:
    """The newest reports of the account and its open orders: one look, one statement."""

    last_price: Decimal | None
    price_as_of: dt.datetime | None
    circuits: dict[str, Any]
    funds_as_of: dt.datetime | None
    positions: PositionsReport | None
    open_orders: int


_LOOK = """
    SELECT quote.last_price, quote.as_of,
           quote.lower_circuit, quote.upper_circuit, quote.circuit_as_of,
           funds.as_of, report.as_of, report.mark, report.rows,
           (SELECT count(*) FROM risk_hold
            WHERE account_id = account.id AND released_at IS NULL AND taken_at >= %s)
    FROM brokers_brokeraccount account
    LEFT JOIN brokers_fundsreport funds ON funds.account_id = account.id
    LEFT JOIN brokers_positionsreport report ON report.account_id = account.id
    LEFT JOIN brokers_quote quote ON quote.instrument_id = %s AND quote.market = %s
    WHERE account.id = %s
"""


def _read(account: BrokerAccount, instrument: Instrument | None) -> _Seen:
    instrument_id = instrument.pk if instrument else None
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [book.midnight(), instrument_id, account.market.value, account.pk])
        price, price_at, *circuits, funds_at, positions_at, mark, rows, open_orders = (
            cursor.fetchone()
        )
    positions = None
    if positions_at is not None:
        positions = PositionsReport(as_of=positions_at, mark=mark, rows=json.loads(rows))
    return _Seen(price, price_at, _circuits(*circuits), funds_at, positions, open_orders)


def _circuits(
    lower: Decimal | None, upper: Decimal | None, as_of: dt.datetime | None
) -> dict[str, Any]:
    """The day's band as it was quoted; yesterday's says nothing of today."""
    known = is_of_today(as_of)
    return {
        "lower_circuit": lower if known else None,
        "upper_circuit": upper if known else None,
    }


def _pending(
    account: BrokerAccount, request: OrderRequest, positions: PositionsReport | None
) -> int:
    """Only an exit is measured against the position."""
    if positions is None or request.intent is not Intent.EXIT:
        return 0
    return book.pending(account, request, positions.mark)


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
        max_quote_age=policy.max_quote_age,
        price_band_percent=policy.price_band_percent,
        check_margin=policy.check_margin,
        refuse_unknown_margin=policy.refuse_unknown_margin,
    )
