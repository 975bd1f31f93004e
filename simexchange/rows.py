"""REST rows in the field names and spellings of the wire.

Names follow the DhanHQ v2 documentation (orders, portfolio and funds pages); where a live
recording differs from it ("NA" for no leg, "0" for no error), the recording is followed.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from simexchange.accounts import Account, Position
from simexchange.clock import IST, Clock, stamp
from simexchange.holdings import Holding
from simexchange.instruments import Instrument
from simexchange.money import wire
from simexchange.orders import Order, Trade

Row = dict[str, Any]

AVERAGE = Decimal("0.0001")
OPTION_WORDS = {"CE": "CALL", "PE": "PUT"}


def accepted(order: Order) -> Row:
    return {"orderId": order.order_id, "orderStatus": "TRANSIT"}


def order_row(order: Order, instrument: Instrument) -> Row:
    return {
        "dhanClientId": order.client_id,
        "orderId": order.shown_id,
        "exchangeOrderId": order.exchange_order_id,
        "correlationId": order.correlation_id,
        "orderStatus": order.status.value,
        "transactionType": order.side,
        "exchangeSegment": order.segment,
        "productType": order.product,
        "orderType": order.order_type,
        "validity": order.validity,
        "tradingSymbol": instrument.symbol,
        "securityId": order.security_id,
        "quantity": order.quantity,
        "disclosedQuantity": order.disclosed,
        "price": wire(order.price),
        "triggerPrice": wire(order.trigger),
        "afterMarketOrder": order.after_market,
        "boProfitValue": wire(order.profit_by),
        "boStopLossValue": wire(order.loss_by),
        "legName": order.leg or "NA",
        "createTime": stamp(order.created),
        "updateTime": stamp(order.updated),
        "exchangeTime": stamp(order.reached),
        **_derivative(instrument),
        "omsErrorCode": "0",
        "omsErrorDescription": order.reason,
        "algoId": "0",
        "remainingQuantity": order.remaining,
        "averageTradedPrice": wire(order.average, AVERAGE),
        "filledQty": order.filled,
    }


def trade_row(trade: Trade, order: Order, instrument: Instrument) -> Row:
    return {
        "dhanClientId": trade.client_id,
        "orderId": order.shown_id,
        "exchangeOrderId": order.exchange_order_id,
        "exchangeTradeId": trade.trade_id,
        "transactionType": trade.side,
        "exchangeSegment": trade.segment,
        "productType": trade.product,
        "orderType": order.order_type,
        "tradingSymbol": instrument.symbol,
        "customSymbol": instrument.name,
        "securityId": trade.security_id,
        "tradedQuantity": trade.quantity,
        "tradedPrice": wire(trade.price),
        "createTime": stamp(order.created),
        "updateTime": stamp(trade.at),
        "exchangeTime": stamp(trade.at),
        **_derivative(instrument),
    }


def position_row(client_id: str, position: Position, last: Decimal) -> Row:
    """One row per instrument and product; a squared-off one stays, as CLOSED."""
    instrument = position.instrument
    carried_buy, carried_sell = max(position.carried, 0), max(-position.carried, 0)
    bought = position.buy_quantity + carried_buy
    sold = position.sell_quantity + carried_sell
    buy_carried, sell_carried = (n * position.carried_cost for n in (carried_buy, carried_sell))
    return {
        "dhanClientId": client_id,
        "tradingSymbol": instrument.symbol,
        "securityId": instrument.security_id,
        "positionType": _position_type(position.net),
        "exchangeSegment": instrument.segment,
        "productType": position.product,
        "buyAvg": wire(_average(position.buy_value + buy_carried, bought), AVERAGE),
        "buyQty": bought,
        "costPrice": wire(position.cost, AVERAGE),
        "sellAvg": wire(_average(position.sell_value + sell_carried, sold), AVERAGE),
        "sellQty": sold,
        "netQty": position.net,
        "realizedProfit": wire(position.realised),
        "unrealizedProfit": wire(position.unrealised(last)),
        "rbiReferenceRate": 1.0,
        "multiplier": 1,
        "carryForwardBuyQty": carried_buy,
        "carryForwardSellQty": carried_sell,
        "carryForwardBuyValue": wire(buy_carried),
        "carryForwardSellValue": wire(sell_carried),
        "dayBuyQty": position.buy_quantity,
        "daySellQty": position.sell_quantity,
        "dayBuyValue": wire(position.buy_value),
        "daySellValue": wire(position.sell_value),
        **_derivative(instrument),
        "crossCurrency": False,
    }


def fund_row(account: Account) -> Row:
    """Rupees. `availabelBalance` and `receiveableAmount` are the wire's own spellings."""
    return {
        "dhanClientId": account.client_id,
        "availabelBalance": wire(account.available),
        "sodLimit": wire(account.day_start),
        "collateralAmount": 0.0,
        "receiveableAmount": 0.0,
        "utilizedAmount": wire(account.utilised),
        "blockedPayoutAmount": 0.0,
        "withdrawableBalance": wire(max(account.available, Decimal(0))),
    }


def margin_row(account: Account, instrument: Instrument, needed: Decimal, value: Decimal) -> Row:
    """Rupees. Here, unlike in the fund row, the balance is spelt `availableBalance`."""
    derivative = instrument.is_future or instrument.is_option
    return {
        "totalMargin": wire(needed),
        "spanMargin": wire(needed) if derivative else 0.0,
        "exposureMargin": 0.0,
        "availableBalance": wire(account.available),
        "variableMargin": 0.0 if derivative else wire(needed),
        "insufficientBalance": wire(max(needed - account.available, Decimal(0))),
        "brokerage": 0.0,
        "leverage": f"{value / needed:.2f}",
    }


def margins_row(account: Account, needed: list[tuple[Instrument, Decimal]]) -> Row:
    """Several orders together; names as the portal's margin page prints them."""
    parts = _by_kind(needed)
    return {
        "clientId": account.client_id,
        "totalMargin": wire(sum(parts.values(), Decimal(0))),
        "spanMargin": wire(parts["fo"] + parts["commodity"] + parts["currency"]),
        "exposure": 0.0,
        "equityMargin": wire(parts["equity"]),
        "foMargin": wire(parts["fo"]),
        "commodity": wire(parts["commodity"]),
        "currency": wire(parts["currency"]),
    }


def margins_row_in_texts(_: Account, needed: list[tuple[Instrument, Decimal]]) -> Row:
    """The same under the names of the classic funds page, where every figure is a text."""
    parts = _by_kind(needed)
    figures = {
        "total_margin": sum(parts.values(), Decimal(0)),
        "span_margin": parts["fo"] + parts["commodity"] + parts["currency"],
        "exposure_margin": Decimal(0),
        "equity_margin": parts["equity"],
        "fo_margin": parts["fo"],
        "commodity_margin": parts["commodity"],
    }
    texts = {name: f"{amount:.2f}" for name, amount in figures.items()}
    return {**texts, "currency": "INR", "hedge_benefit": ""}


def _by_kind(needed: list[tuple[Instrument, Decimal]]) -> dict[str, Decimal]:
    kinds = {"E": "equity", "D": "fo", "M": "commodity", "C": "currency"}
    parts = dict.fromkeys(kinds.values(), Decimal(0))
    for instrument, alone in needed:
        parts[kinds[instrument.segment_letter]] += alone
    return parts


def profile_row(account: Account, clock: Clock) -> Row:
    ends = account.access.ends or clock() + timedelta(days=1)
    return {
        "dhanClientId": account.client_id,
        "tokenValidity": f"{ends.astimezone(IST):%d/%m/%Y %H:%M}",
        "activeSegment": "E, D, C, M, ",
        "ddpi": "Active" if account.delivery.ddpi else "Deactive",
        "mtf": "Deactive",
        "dataPlan": "Active",
        "dataValidity": f"{clock() + timedelta(days=30):%Y-%m-%d %H:%M:%S}.0",
    }


def address_row(account: Account, remote: str) -> Row:
    """The last three keys are on the wire only; the word for no match is invented."""
    right = account.access.address_allowed
    return {
        "modifyDateSecondary": "2025-09-30",
        "secondaryIP": "192.0.2.2",
        "modifyDatePrimary": "2025-09-28",
        "primaryIP": remote if right else "192.0.2.1",
        "detectedIP": remote,
        "ipMatchStatus": "PRIMARY" if right else "NO_MATCH",
        "ordersAllowed": right,
    }


def holding_row(holding: Holding, sold: int, instrument: Instrument) -> Row:
    """`sold` units leave it as soon as their sale trades."""
    quantity = holding.quantity - sold
    return {
        "exchange": "ALL",
        "tradingSymbol": instrument.symbol,
        "securityId": instrument.security_id,
        "isin": instrument.isin,
        "totalQty": quantity,
        "dpQty": quantity,
        "t1Qty": 0,
        "availableQty": quantity,
        "collateralQty": 0,
        "avgCostPrice": float(holding.cost),
    }


def _derivative(instrument: Instrument) -> Row:
    return {
        "drvExpiryDate": instrument.expiry or "0001-01-01",
        "drvOptionType": OPTION_WORDS.get(instrument.option or "", "NA"),
        "drvStrikePrice": wire(instrument.strike),
    }


def _position_type(net: int) -> str:
    if net == 0:
        return "CLOSED"
    return "LONG" if net > 0 else "SHORT"


def _average(value: Decimal, quantity: int) -> Decimal:
    return value / quantity if quantity else Decimal(0)
