"""What the exchange did, for the tests that must prove nothing was sent twice or lost."""

from collections import Counter
from typing import Any

from simexchange import rows
from simexchange.exchange import Exchange
from simexchange.faults import Faults
from simexchange.limits import RateLimits
from simexchange.orders import API, Order, Trade
from simexchange.request_log import RequestLog


def report(
    exchange: Exchange, limits: RateLimits, faults: Faults, log: RequestLog
) -> dict[str, Any]:
    """Every accepted order by correlation id; `doubled` lists ids accepted more than once.

    The slices of one slicing request count as one acceptance. `by_hand` are those nobody sent
    over the API. `fills` are all trades, oldest first.
    """
    accepted: dict[str, list[dict[str, Any]]] = {}
    requests: dict[str, set[tuple[str, int]]] = {}
    orders, trades = exchange.ledger.orders.values(), exchange.ledger.trades
    for order in (order for order in orders if order.source == API):
        accepted.setdefault(order.correlation_id, []).append(_summary(order))
        requests.setdefault(order.correlation_id, set()).add((order.client_id, order.request))
    return {
        "accepted": accepted,
        "by_hand": [_summary(order) for order in orders if order.source != API],
        "fills": [_fill(trade, exchange.ledger.orders[trade.order_id]) for trade in trades],
        "orders": len(exchange.ledger.orders),
        "trades": len(trades),
        "doubled": [name for name, times in requests.items() if len(times) > 1],
        "statuses": dict(Counter(o.status.value for o in orders)),
        "requests": dict(log.counts),
        "rate_limited": limits.refused,
        "faults": [{"id": f.id, "fault": f.fault, "fired": f.fired} for f in faults],
        "fired": dict(faults.fired),
    }


def state(exchange: Exchange) -> dict[str, Any]:
    """Accounts with funds, positions and orders as the wire shows them, and the prices."""
    ledger, prices = exchange.ledger, exchange.floor.prices()
    return {
        "walk": exchange.walk_on,
        "auto": exchange.floor.auto_on,
        "hours": exchange.hours.on,
        "prices": {"/".join(key): float(price) for key, price in prices.items()},
        "accounts": [
            {
                "funds": rows.fund_row(account),
                "positions": [
                    rows.position_row(account.client_id, p, exchange.markets[p.instrument.key].last)
                    for p in account.positions.values()
                ],
                "orders": [
                    rows.order_row(order, ledger.instruments[order.key])
                    for order in exchange.orders_of(account)
                ],
            }
            for account in ledger.accounts.values()
        ],
    }


def _fill(trade: Trade, order: Order) -> dict[str, Any]:
    return {
        "orderId": order.shown_id,
        "correlationId": order.correlation_id,
        "byHand": order.source != API,
        "clientId": trade.client_id,
        "transactionType": trade.side,
        "exchangeSegment": trade.segment,
        "securityId": trade.security_id,
        "productType": trade.product,
        "quantity": trade.quantity,
        "at": trade.at.isoformat(),
    }


def _summary(order: Order) -> dict[str, Any]:
    return {
        "orderId": order.shown_id,
        "legName": order.leg or "NA",
        "clientId": order.client_id,
        "orderStatus": order.status.value,
        "transactionType": order.side,
        "exchangeSegment": order.segment,
        "securityId": order.security_id,
        "quantity": order.quantity,
        "filledQty": order.filled,
        "price": float(order.price),
        "triggerPrice": float(order.trigger),
        "averageTradedPrice": float(order.average),
        "omsErrorDescription": order.reason,
        "acceptedAt": order.created.isoformat(),
    }
