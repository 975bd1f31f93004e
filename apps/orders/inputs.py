"""What a review needs and the rows do not have fresh: read from the broker before any transaction.

A read that fails leaves the old row: the rules see its age and decide. Here, too, a MARKET order
becomes the protected limit that is reviewed and sent.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog
from django.db import connection
from django.utils import timezone

from apps.brokers import asking, holdings, margins, quotes, reporting
from apps.brokers.models import BrokerAccount, HoldingsReport, Instrument
from apps.brokers.port import (
    Intent,
    OrderRequest,
    OrderType,
    Product,
    ReadFailed,
    Segment,
    Side,
)
from apps.orders.protection import Band, beyond
from apps.orders.reconcile import reconcile
from apps.risk import book, footing

if TYPE_CHECKING:
    from apps.orders.services import OrderIntent

log = structlog.get_logger(__name__)

FUNDS_GOOD_FOR = dt.timedelta(seconds=30)
MARGIN_GOOD_FOR = 10.0  # seconds
AT_ONCE = dt.timedelta(0)  # a refusal rests on what was read just now
SENT_AS = {OrderType.MARKET: OrderType.LIMIT, OrderType.STOP_MARKET: OrderType.STOP_LIMIT}


@dataclass(frozen=True)
class _Policy:
    """What the limits in force say of inputs; and when the funds were read."""

    max_quote_age: int
    max_data_age: int
    protection_percent: Decimal
    stop_protection_percent: Decimal
    price_band_percent: Decimal | None
    check_margin: bool
    funds_as_of: dt.datetime | None


def prepare(intent: OrderIntent) -> OrderIntent:
    """The order as it will be sent, once all that its review needs is read.

    No transaction may be open. A MARKET order whose limit cannot be found out comes back without a
    price: the review says why.
    """
    request = _request(intent)
    policy = _policy_for(intent.account, request)
    _refresh(intent.account, intent.instrument, request, policy)
    if intent.order_type in SENT_AS:
        intent = _protected(intent, policy)
        request = _request(intent)
    _weigh(intent.account, request, policy)
    return intent


def limit_now(intent: OrderIntent, times: int = 1) -> Decimal | None:
    """The limit that a MARKET order would be sent at, by what is known now; None: not known.

    ``times`` as far from the last price, but not further than the policy lets any price be.
    """
    policy = _policy(intent.account)
    if policy is None:
        return None
    percent = policy.protection_percent * times
    if policy.price_band_percent is not None:
        percent = min(percent, policy.price_band_percent)
    return _limit(intent, replace(policy, protection_percent=percent))


def refresh_inputs(account: BrokerAccount, instrument: Instrument, request: OrderRequest) -> None:
    """The same for an order whose terms stand: a change of them, or an approval."""
    policy = _policy_for(account, request)
    _refresh(account, instrument, request, policy)
    _weigh(account, request, policy)


def _refresh(
    account: BrokerAccount,
    instrument: Instrument,
    request: OrderRequest,
    policy: _Policy | None,
) -> None:
    """Positions for an exit, funds for anything else, a price where the rules will ask for one.

    Before a sale of DELIVERY the holdings come first: positions read later miss no sale of theirs.
    """
    reads: list[Callable[[], object]] = []
    sale = request.side is Side.SELL and request.product is Product.DELIVERY
    if sale:
        reads.append(lambda: _holdings(account, request))
    if sale or request.intent is Intent.EXIT:
        reads.append(lambda: _positions(account, instrument, request))
    if request.intent is not Intent.EXIT and account.enabled and not _fresh_funds(policy):
        reads.append(lambda: reporting.store_funds(account, retries=False))
    if policy is not None and _needs_price(instrument, request, policy):
        # Half the age that the rules allow: it must still be fresh when they look.
        within = policy.max_quote_age / 2
        if quotes.stale([instrument], account.market, within):
            reads.append(lambda: asking.refresh(account, [instrument], within))
    _try(account, reads)


def _positions(account: BrokerAccount, instrument: Instrument, request: OrderRequest) -> None:
    """The positions; and the order book, when they show what our own count does not have yet.

    A fill that nobody told us of must not keep its owner from leaving; nor an order that ended
    and did not say what it had filled.
    """
    report = footing.read_positions(account, retries=False)
    key = (instrument.segment, instrument.security_id, str(request.product))
    if not footing.explains(account, key, report) or book.fills_await_a_book(account):
        reconcile(account)


def _holdings(account: BrokerAccount, request: OrderRequest) -> None:
    """Delivered shares and what may leave; anew when a sale moved them, or they would refuse."""
    kept = holdings.of(account)
    key = (request.segment, request.security_id, request.product)
    known = kept is not None and _deliverable(kept, request)
    if kept is None or not known or key in footing.moved_since(account, kept.mark):
        holdings.refresh(account, AT_ONCE)
    else:
        holdings.refresh(account)


def _deliverable(kept: HoldingsReport, request: OrderRequest) -> bool:
    """Whether the holding plainly covers the sale; an approval may be used up or new by now."""
    row = kept.row(request.segment, request.security_id)
    if row is None or not kept.todays:
        return False
    return kept.ddpi is True and int(row["available"]) >= request.quantity


def _try(account: BrokerAccount, reads: list[Callable[[], object]]) -> None:
    if not reads or account.token() is None:
        return
    for read in reads:
        try:
            read()
        except ReadFailed as error:
            log.warning("input not refreshed", account=account.name, error=str(error))


def _needs_price(instrument: Instrument, request: OrderRequest, policy: _Policy) -> bool:
    """An exit that names its price waits for nobody's; an entry is measured, a sale is valued."""
    kind = request.asked_type or request.order_type
    if kind is OrderType.MARKET:
        return True
    if request.intent is Intent.EXIT:
        return False
    if kind is not OrderType.LIMIT or policy.price_band_percent is not None:
        return True
    return request.side is Side.SELL and instrument.limits(timezone.localdate())[1] is None


def _weigh(account: BrokerAccount, request: OrderRequest, policy: _Policy | None) -> None:
    """Ask the broker what an entry would tie up."""
    if policy is None or not policy.check_margin or not account.enabled:
        return
    if request.intent is Intent.EXIT or request.price is None or request.quantity <= 0:
        return
    _try(account, [lambda: margins.refresh(account, request, MARGIN_GOOD_FOR)])


def _protected(intent: OrderIntent, policy: _Policy | None) -> OrderIntent:
    """Asked for at the market: sent at a limit of ours."""
    return replace(
        intent,
        order_type=SENT_AS[intent.order_type],
        asked_type=intent.order_type,
        price=None if policy is None else _limit(intent, policy),
    )


def _limit(intent: OrderIntent, policy: _Policy) -> Decimal | None:
    """Around the last price, or beyond the trigger; None when that is not known.

    An exit takes a price as old as positions may be: if the market has moved in its favour it
    trades better, if against it, it rests and is priced anew.
    """
    quote = quotes.quote_of(intent.instrument, intent.account.market)
    lower, upper = quote.circuits if quote else (None, None)
    master = intent.instrument
    listed_lower, listed_upper = master.limits(timezone.localdate())
    band = Band(master.tick_size, lower or listed_lower, upper or listed_upper)
    if intent.order_type is OrderType.STOP_MARKET:
        trigger = intent.trigger_price
        percent = policy.stop_protection_percent
        return None if trigger is None else beyond(trigger, percent, intent.side, band)
    exiting = intent.intent is Intent.EXIT
    within = max(policy.max_quote_age, policy.max_data_age) if exiting else policy.max_quote_age
    last = quote.price(within) if quote else None
    percent = policy.protection_percent
    return None if last is None else beyond(last.value, percent, intent.side, band)


def _request(intent: OrderIntent) -> OrderRequest:
    """The terms as the brokers' side knows them; the order has no id yet."""
    return OrderRequest(
        account=intent.account.name,
        correlation_id="",
        segment=Segment(intent.instrument.segment),
        security_id=intent.instrument.security_id,
        instrument=intent.instrument.pk,
        side=intent.side,
        quantity=intent.quantity,
        order_type=intent.order_type,
        price=intent.price,
        trigger_price=intent.trigger_price,
        product=intent.product,
        validity=intent.validity,
        disclosed_quantity=intent.disclosed_quantity,
        intent=intent.intent,
        test=intent.test,
        after_market=intent.after_market,
        asked_type=intent.asked_type or None,
    )


_LOOK = """
    SELECT policy.max_quote_age, policy.max_data_age, policy.protection_percent,
           policy.stop_protection_percent, policy.price_band_percent, policy.check_margin,
           funds.as_of
    FROM risk_riskpolicy policy
    LEFT JOIN brokers_fundsreport funds ON funds.account_id = policy.account_id
    WHERE policy.account_id = %s ORDER BY policy.version DESC LIMIT 1
"""


def _policy_for(account: BrokerAccount, request: OrderRequest) -> _Policy | None:
    """The limits where they say what to read or to send; a priced exit asks them nothing."""
    kind = request.asked_type or request.order_type
    if request.intent is Intent.EXIT and kind not in SENT_AS:
        return None
    return _policy(account)


def _policy(account: BrokerAccount) -> _Policy | None:
    """The limits in force and the time of the last read of the funds: one look for every order."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [account.pk])
        row = cursor.fetchone()
    return None if row is None else _Policy(*row)


def _fresh_funds(policy: _Policy | None) -> bool:
    now = timezone.now()
    as_of = policy.funds_as_of if policy else None
    return as_of is not None and now - FUNDS_GOOD_FOR < as_of <= now
