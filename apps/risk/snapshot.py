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

from apps.brokers import holdings, readiness
from apps.brokers.ages import age_of
from apps.brokers.models import (
    BrokerAccount,
    ImportOutcome,
    Instrument,
    PositionsReport,
    Quote,
    is_simulated,
)
from apps.brokers.port import STRATEGY, Intent, Market, OrderRequest, Product, Side
from apps.brokers.rows import columns_of, from_columns
from apps.risk import book, footing, held, hours, leaving, margin
from apps.risk.delivering import DeliveryFacts
from apps.risk.held import Shown
from apps.risk.models import DESK, Approval, RiskPolicy, TradingState, Verdict
from apps.risk.rules import InstrumentFacts, Limits, Snapshot


@dataclass(frozen=True)
class Seen:
    """What one look at the account shows: rows as they are, None for what is not there."""

    account: BrokerAccount
    instrument: Instrument | None
    policy: RiskPolicy | None
    desk_switch: str | None
    quote: Quote | None
    funds_as_of: dt.datetime | None
    positions: PositionsReport | None
    open_orders: int
    simulated_facts: bool


# The desk's switch is held in share mode, so that a halt waits for what is being written down.
_LOOK = f"""
    SELECT {columns_of(BrokerAccount, "account")}, {columns_of(Instrument, "instrument")},
           {columns_of(RiskPolicy, "policy")},
           {columns_of(Quote, "real")}, {columns_of(Quote, "simulated")},
           desk.switch, funds.as_of, report.as_of, report.mark, report.rows,
           (SELECT count(*) FROM risk_hold
            WHERE account_id = account.id AND released_at IS NULL),
           (SELECT source FROM brokers_instrumentimport
            WHERE broker = account.broker AND outcome = '{ImportOutcome.APPLIED}'
            ORDER BY at DESC LIMIT 1)
    FROM brokers_brokeraccount account
    LEFT JOIN brokers_instrument instrument
        ON instrument.segment = %s AND instrument.security_id = %s
        AND (instrument.id = %s::bigint
             OR (%s::bigint IS NULL AND instrument.retired_at IS NULL))
    LEFT JOIN LATERAL (SELECT * FROM risk_riskpolicy WHERE account_id = account.id
                       ORDER BY version DESC LIMIT 1) policy ON true
    LEFT JOIN (SELECT switch FROM risk_tradingstate WHERE scope = '{DESK}' FOR SHARE) desk ON true
    LEFT JOIN brokers_fundsreport funds ON funds.account_id = account.id
    LEFT JOIN brokers_positionsreport report ON report.account_id = account.id
    LEFT JOIN brokers_quote real
        ON real.instrument_id = instrument.id AND real.market = '{Market.REAL}'
    LEFT JOIN brokers_quote simulated
        ON simulated.instrument_id = instrument.id AND simulated.market = '{Market.SIMULATED}'
    WHERE account.name = %s
"""  # noqa: S608 - names of columns


def look(request: OrderRequest) -> Seen | None:
    """Everything a review reads of the account, in one statement. None: no such account."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [*_named(request), request.account])
        row = cursor.fetchone()
    if row is None:
        return None
    account, at = from_columns(BrokerAccount, row, 0)
    instrument, at = from_columns(Instrument, row, at)
    policy, at = from_columns(RiskPolicy, row, at)
    real, at = from_columns(Quote, row, at)
    simulated, at = from_columns(Quote, row, at)
    desk, funds_at, positions_at, mark, rows, open_orders, master = row[at:]
    positions = None
    if positions_at is not None:
        positions = PositionsReport(as_of=positions_at, mark=mark, rows=json.loads(rows))
    assert account is not None
    quote = real if account.market is Market.REAL else simulated
    made_up = is_simulated(master or "")
    return Seen(account, instrument, policy, desk, quote, funds_at, positions, open_orders, made_up)


def _named(request: OrderRequest) -> list[Any]:
    """The order's own contract, also when its id names another one by now."""
    return [request.segment, request.security_id, request.instrument, request.instrument]


def take_snapshot(
    request: OrderRequest, state: TradingState | None, seen: Seen, changes: str | None
) -> Snapshot:
    """The snapshot for one request. What is not known is None, never zero."""
    now = timezone.now()
    account, positions, quote = seen.account, seen.positions, seen.quote
    lower_circuit, upper_circuit = quote.circuits if quote else (None, None)
    limits = _limits(seen.policy)
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
        desk_switch=seen.desk_switch,
        instrument=_facts(seen.instrument, timezone.localdate()),
        simulated_facts=seen.simulated_facts,
        limits=limits,
        open_orders=seen.open_orders - (1 if changes else 0),
        last_price=quote.last_price if quote else None,
        last_price_age=age_of(quote.as_of if quote else None, now),
        lower_circuit=lower_circuit,
        upper_circuit=upper_circuit,
        funds_age=age_of(seen.funds_as_of, now),
        position_age=age_of(positions.as_of if positions else None, now),
        **_position(account, request, positions, changes),
        changes=changes,
        not_ready=() if request.intent is Intent.EXIT else readiness.reasons_against(account),
        market=hours.market_of(account, request.segment, request.security_id, now),
        **(_approved(request.whole_id or request.correlation_id) if needs_two else {}),
        **margin.facts(account, request, limits, changes),
    )


def _position(
    account: BrokerAccount,
    request: OrderRequest,
    positions: PositionsReport | None,
    changes: str | None,
) -> dict[str, Any]:
    """The position that the order is about: with its holding where that counts."""
    if positions is None:
        return {}
    sale = request.product is Product.DELIVERY and request.side is Side.SELL
    if not sale and request.intent is not Intent.EXIT:
        return {"net_position": _net(positions, request)}
    shown = held.shown_for(request.product, account, positions)
    facts: dict[str, Any] = {"net_position": _net(positions, request)}
    if sale:
        facts["delivery"] = _delivery(account, request, shown, changes)
    if request.intent is Intent.EXIT:
        facts |= _to_leave(account, request, shown, changes)
    return facts


def _to_leave(
    account: BrokerAccount, request: OrderRequest, shown: Shown, changes: str | None
) -> dict[str, Any]:
    """What is left to exit, by each measure; only an exit is measured against the position."""
    net, taken, read = leaving.tightest(account, request, shown)
    counted = footing.standing(account, request)
    own = book.own(request.correlation_id, read.mark) if changes else book.Own()
    known: dict[str, Any] = {"holdings_known": False} if net is None else {"net_position": net}
    return known | {
        "pending": taken.read,
        "standing": counted.total,
        "standing_pending": taken.total,
        "owned": counted.owner if request.owner.startswith(STRATEGY) else None,
        "owned_pending": taken.owner,
        "group_pending": taken.group,
        "own_filled": own.seen,
        "own_filled_now": own.filled,
        "own_quantity": own.quantity,
    }


def _delivery(
    account: BrokerAccount, request: OrderRequest, shown: Shown, changes: str | None
) -> DeliveryFacts:
    """What the depository and today's trades let a sale take."""
    now, read = timezone.now(), shown.positions
    kept = holdings.of(account)
    row = shown.holdings.row(request.segment, request.security_id) if shown.holdings else None
    taken = book.taken(account, request, read)
    own = book.own(request.correlation_id, read.mark) if changes else book.Own()
    todays = kept is not None and kept.approval_is_todays
    isin = row["isin"] if row else ""
    return DeliveryFacts(
        isin=isin or "the share",
        net=_net(shown.positions, request),
        net_age=age_of(shown.positions.as_of, now),
        holdings_age=age_of(shown.holdings.as_of, now) if shown.holdings else None,
        available=row["available"] if row else 0,
        most=row["most_available"] if row else 0,
        t1=row["t1"] if row else 0,
        pending=taken.read,
        pending_all=book.taken(account, request, shown.older(request.product)).read,
        group_pending=taken.group,
        own_filled=own.seen,
        own_quantity=own.quantity,
        ddpi=kept.ddpi if kept else None,
        ddpi_age=age_of(kept.ddpi_as_of, now) if kept else None,
        approved=kept.approved.get(isin) if kept and todays else None,
        approved_age=age_of(kept.approved_as_of, now) if kept else None,
    )


def _approved(subject: str) -> dict[str, Any]:
    """The terms of this order, or of its whole, that a second person has approved, if any."""
    approval = Approval.objects.filter(
        kind="ORDER", subject=subject, decision=Verdict.APPROVED
    ).first()
    if approval is None:
        return {}
    request = approval.payload["request"]
    price = None if request["price"] is None else Decimal(request["price"])
    quantity = request.get("whole") or request["quantity"]
    return {"approved_quantity": quantity, "approved_price": price}


def _net(positions: PositionsReport, request: OrderRequest) -> int:
    return positions.net(request.segment, request.security_id, request.product)


def _facts(instrument: Instrument | None, today: dt.date) -> InstrumentFacts | None:
    if instrument is None:
        return None
    lower_limit, upper_limit = instrument.limits(today)
    return InstrumentFacts(
        lot_size=instrument.lot_size,
        tick_size=instrument.tick_size,
        freeze_quantity=instrument.freeze_quantity,
        lower_limit=lower_limit,
        upper_limit=upper_limit,
        expiry=instrument.expiry,
        tradable=instrument.tradable,
        leavable=instrument.leavable,
    )


def _limits(policy: RiskPolicy | None) -> Limits | None:
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
        protection_percent=policy.protection_percent,
    )
