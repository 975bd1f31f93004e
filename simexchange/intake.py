"""Reads the bodies of place and modify requests; what has a bad form is refused at once.

Fields and values: DhanHQ v2 documentation, orders page. Numbers may come as text; an empty
text counts as a bad value, a null as absent (both measured against the broker's sandbox).
"""

import re
from collections.abc import Container
from dataclasses import replace
from decimal import Decimal
from typing import Any

from simexchange.instruments import Instrument, Key
from simexchange.money import ZERO, read_rupees
from simexchange.orders import COVER, ENTRY, NATIVE, STOP, TARGET, Change, Ticket
from simexchange.replies import BAD_INPUT, RefusedError, order_error, required
from simexchange.supers import Levels

Body = dict[str, Any]

SIDES = {"BUY", "SELL"}
PRODUCTS = {"CNC", "INTRADAY", "MARGIN", "MTF"}
ORDER_TYPES = {"LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_MARKET"}
SUPER_TYPES = {"LIMIT", "MARKET"}
VALIDITIES = {"DAY", "IOC"}
AMO_TIMES = {"PRE_OPEN", "OPEN", "OPEN_30", "OPEN_60"}
CORRELATION_ID = re.compile(r"[A-Za-z0-9 _.-]{1,25}")
"""25 characters pass and 26 do not (measured); the documentation says 30."""
DISCLOSED_SHARE = Decimal("0.30")


def read_ticket(body: Body, instruments: dict[Key, Instrument]) -> Ticket:
    segment, security_id = _text(body, "exchangeSegment"), str(_needed(body, "securityId"))
    instrument = instruments.get((segment, security_id))
    if instrument is None or instrument.is_index:
        raise RefusedError(BAD_INPUT)
    quantity = _quantity(_needed(body, "quantity"))
    _check_amo(body)
    ticket = Ticket(
        side=_one_of(body, "transactionType", SIDES),
        segment=segment,
        security_id=security_id,
        product=_one_of(body, "productType", PRODUCTS),
        order_type=_one_of(body, "orderType", ORDER_TYPES),
        validity=_one_of(body, "validity", VALIDITIES),
        quantity=quantity,
        price=_price(body, "price") or ZERO,
        trigger=_price(body, "triggerPrice") or ZERO,
        disclosed=_disclosed(body, quantity) or 0,
        after_market=body.get("afterMarketOrder") is True,
        correlation_id=_correlation_id(body),
    )
    check_prices(ticket.order_type, ticket.side, ticket.price, ticket.trigger)
    return ticket


def read_change(body: Body) -> Change:
    quantity = body.get("quantity")
    return Change(
        order_type=_one_of(body, "orderType", ORDER_TYPES),
        validity=_one_of(body, "validity", VALIDITIES),
        quantity=None if quantity is None else _quantity(quantity),
        price=_price(body, "price"),
        trigger=_price(body, "triggerPrice"),
        disclosed=_disclosed(body, None),
    )


def read_super(body: Body, instruments: dict[Key, Instrument]) -> tuple[Ticket, Levels]:
    """A super order; target and stop are needed, both above zero, and `trailingJump` too."""
    _one_of(body, "orderType", SUPER_TYPES)
    ticket = read_ticket({**body, "validity": "DAY", "triggerPrice": None}, instruments)
    _needed(body, "trailingJump")
    return ticket, Levels(_level(body, "targetPrice"), _level(body, "stopLossPrice"), _jump(body))


def read_native(body: Body, instruments: dict[Key, Instrument]) -> Ticket:
    """A bracket or cover order; the trigger of the latter is where its stop is to stand."""
    product = _one_of(body, "productType", NATIVE)
    _one_of(body, "orderType", SUPER_TYPES)
    plain = {**body, "productType": "INTRADAY", "triggerPrice": None}
    ticket = replace(read_ticket(plain, instruments), product=product)
    if product == COVER:
        return replace(ticket, trigger=_level(body, "triggerPrice"))
    profit, loss = _level(body, "boProfitValue"), _level(body, "boStopLossValue")
    return replace(ticket, profit_by=profit, loss_by=loss)


def read_levels_of_change(body: Body, leg: str) -> Levels:
    """Of an exit changed as a plain order: `price` for the target, `triggerPrice` for the stop."""
    if leg == TARGET:
        return Levels(_level(body, "price"), ZERO)
    return Levels(ZERO, _level(body, "triggerPrice"))


def read_leg(name: object) -> str:
    if name not in (ENTRY, STOP, TARGET):
        raise RefusedError(BAD_INPUT)
    return str(name)


def read_entry_change(body: Body) -> tuple[Change, Levels]:
    """Of the whole super order; an absent level stays (0), an absent jump ends the trailing."""
    _one_of(body, "orderType", SUPER_TYPES)
    change = read_change({**body, "validity": "DAY", "triggerPrice": None})
    target, stop = (
        ZERO if body.get(name) is None else _level(body, name)
        for name in ("targetPrice", "stopLossPrice")
    )
    return change, Levels(target, stop, _jump(body))


def read_exit_change(body: Body, leg: str) -> Levels:
    if leg == TARGET:
        return Levels(_level(body, "targetPrice"), ZERO)
    return Levels(ZERO, _level(body, "stopLossPrice"), _jump(body))


def check_prices(order_type: str, side: str, price: Decimal, trigger: Decimal) -> None:
    """A limit needs a price, a stop a trigger on the right side of its price."""
    if order_type == "STOP_LOSS_MARKET":
        raise RefusedError(order_error("Trigger Price should be greater than Price"))
    if order_type == "MARKET":
        return
    if not price:
        raise RefusedError(required("price"))
    if order_type != "STOP_LOSS":
        return
    if not trigger:
        raise RefusedError(required("triggerPrice"))
    if side == "BUY" and trigger > price:
        raise RefusedError(order_error("Trigger Price should be less than Price"))
    if side == "SELL" and trigger < price:
        raise RefusedError(order_error("Trigger Price should be greater than Price"))


def _needed(body: Body, name: str) -> object:
    value: object = body.get(name)
    if value is None:
        raise RefusedError(required(name))
    return value


def _text(body: Body, name: str) -> str:
    value = _needed(body, name)
    if not isinstance(value, str) or not value:
        raise RefusedError(BAD_INPUT)
    return value


def _one_of(body: Body, name: str, allowed: Container[str]) -> str:
    value = _text(body, name)
    if value not in allowed:
        raise RefusedError(BAD_INPUT)
    return value


def _quantity(value: object) -> int:
    number = read_rupees(value)
    if number is None or number <= 0 or number % 1:
        raise RefusedError(BAD_INPUT)
    return int(number)


def _price(body: Body, name: str) -> Decimal | None:
    if body.get(name) is None:
        return None
    number = read_rupees(body[name])
    if number is None or number < 0:
        raise RefusedError(BAD_INPUT)
    return number


def _level(body: Body, name: str) -> Decimal:
    _needed(body, name)
    if not (price := _price(body, name)):
        raise RefusedError(BAD_INPUT)
    return price


def _jump(body: Body) -> Decimal:
    return _price(body, "trailingJump") or ZERO


def _disclosed(body: Body, quantity: int | None) -> int | None:
    """More than 30 % of the quantity and not above it, or nothing at all."""
    number = _price(body, "disclosedQuantity")
    if not number:
        return None if number is None else 0
    if number % 1 or (quantity and not quantity * DISCLOSED_SHARE < number <= quantity):
        raise RefusedError(BAD_INPUT)
    return int(number)


def _check_amo(body: Body) -> None:
    if body.get("afterMarketOrder") is True:
        _one_of(body, "amoTime", AMO_TIMES)
    elif body.get("amoTime") == "":
        raise RefusedError(BAD_INPUT)


def _correlation_id(body: Body) -> str:
    value = body.get("correlationId")
    if value is None:
        return ""
    if not isinstance(value, str) or not CORRELATION_ID.fullmatch(value):
        raise RefusedError(BAD_INPUT)
    return value
