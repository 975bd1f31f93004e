"""Frames of the order update socket.

Keys are camelCase and a zero or empty field is left out, as recorded from the wire; the
documentation prints them with a capital. Letters: DhanHQ v2 documentation, order update page.
"""

import json
import struct
from decimal import Decimal
from typing import Any

from simexchange.clock import stamp
from simexchange.instruments import Instrument
from simexchange.money import wire
from simexchange.orders import API, HEALTHY, NATIVE, STOP, TARGET, OrderEvent, Status

PRODUCTS = {"CNC": "C", "INTRADAY": "I", "MARGIN": "M", "MTF": "F", "CO": "V", "BO": "B"}
ORDER_TYPES = {"LIMIT": "LMT", "MARKET": "MKT", "STOP_LOSS": "SL"}
LEG_NUMBERS = {STOP: 2, TARGET: 3}
ALWAYS_SENT = {"offMktFlag", "algoId", "exchOrderNo"}
TOKEN_EXPIRED = 807


def order_alert(event: OrderEvent, instrument: Instrument) -> str:
    """The text frame that tells of one change of one order."""
    data = {**_order_part(event), **_instrument_part(event, instrument)}
    sent = {name: v for name, v in data.items() if v or name in ALWAYS_SENT}
    return json.dumps({"Data": sent, "Type": "order_alert"})


def farewell(reason: int = TOKEN_EXPIRED) -> bytes:
    """Code 50 packet: the server is about to close, and why.

    Header of eight bytes, little endian (DhanHQ v2 documentation, live market feed page): code,
    length 10, segment 0, security id 0; then the reason.
    """
    return struct.pack("<BhBih", 50, 10, 0, 0, reason)


def _order_part(event: OrderEvent) -> dict[str, Any]:
    order = event.order
    return {
        "source": order.source,
        "securityId": order.security_id,
        "clientId": order.client_id,
        "exchOrderNo": order.exchange_order_id,
        "orderNo": order.shown_id,
        "product": PRODUCTS[order.product],
        "txnType": order.side[0],
        "orderType": ORDER_TYPES[order.order_type],
        "validity": order.validity,
        "discQuantity": order.disclosed,
        "remainingQuantity": order.remaining,
        "quantity": order.quantity,
        "tradedQty": order.filled,
        "price": _number(order.price),
        "triggerPrice": _number(order.trigger),
        "tradedPrice": _number(order.last_traded),
        "avgTradedPrice": _number(order.average),
        "strategyId": "" if order.source == API else "NA",
        "offMktFlag": "1" if order.after_market else "0",
        "orderDateTime": stamp(order.received),
        "exchOrderTime": stamp(order.reached),
        "lastUpdatedTime": stamp(order.updated),
        "remarks": "Super Order" if order.leg and order.product not in NATIVE else " ",
        "mktType": "NL",
        "reasonDescription": _reason(event),
        "legNo": LEG_NUMBERS.get(order.leg, 1),
        "algoOrdNo": order.parent,
        "productName": order.product,
        "status": event.word,
        "goodTillDaysDate": stamp(order.created)[:10],
        "algoId": "0",
        "correlationId": order.correlation_id,
    }


def _instrument_part(event: OrderEvent, instrument: Instrument) -> dict[str, Any]:
    return {
        "exchange": instrument.exchange,
        "segment": instrument.segment_letter,
        "instrument": instrument.kind,
        "symbol": instrument.symbol,
        "lotSize": instrument.lot,
        "strikePrice": _number(instrument.strike),
        "expiryDate": instrument.expiry or stamp(None),
        "optType": instrument.option or "XX",
        "displayName": instrument.name,
        "isin": instrument.isin,
        "series": instrument.series,
        "refLtp": _number(event.last_price),
        "tickSize": float(instrument.tick),
        "multiplier": 1,
    }


def _reason(event: OrderEvent) -> str:
    if event.order.status in {Status.TRADED, Status.PART_TRADED} and event.word != "Modified":
        return "TRADE CONFIRMED"
    return event.order.reason or HEALTHY


def _number(amount: Decimal) -> int | float:
    """Whole rupees are sent without a fraction."""
    value = wire(amount, Decimal("0.0001"))
    return int(value) if value.is_integer() else value
