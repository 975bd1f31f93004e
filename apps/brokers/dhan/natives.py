"""Bracket and cover orders: plain orders of products whose target and stop DhanHQ keeps.

Sources: DhanHQ v2 documentation, orders page and annexure of the classic site; the portal no longer
has them. A bracket order names how far its exits are from the entry, a cover order where its stop
triggers. Neither of them trails.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.brokers.dhan import words
from apps.brokers.dhan.mapping import as_float, modify_arguments, place_arguments
from apps.brokers.port import (
    Exits,
    LegAddress,
    LegName,
    ModifyRequest,
    OrderRequest,
    OrderType,
    Product,
    Validity,
)


def place_native_arguments(request: OrderRequest, exits: Exits) -> dict[str, Any]:
    """The request as keyword arguments of the SDK's ``place_order``.

    Target and stop of a bracket order are sent as their distances from the limit: the broker puts
    them as far from what the entry cost. Raises ``ValueError`` for what cannot be said.
    """
    if request.product is not Product.INTRADAY:
        raise ValueError(f"bracket and cover orders are INTRADAY, not {request.product}")
    if request.after_market:
        raise ValueError("a bracket or cover order cannot wait for the next opening")
    _check_entry(request, exits)
    price, sign = request.price, request.side.sign
    if price is None:
        raise ValueError("an order that needs a price has none")
    loss = _ahead((price - exits.stop) * sign, "stop")
    if exits.target is None:
        kept = {"product_type": words.COVER, "trigger_price": as_float(exits.stop, needed=True)}
    else:
        profit = _ahead((exits.target - price) * sign, "target")
        kept = {
            "product_type": words.BRACKET,
            "bo_profit_value": float(profit),
            "bo_stop_loss_Value": float(loss),
        }
    return place_arguments(request) | kept


def _ahead(distance: Decimal, what: str) -> Decimal:
    if distance <= 0:
        raise ValueError(f"the {what} is on the wrong side of the price")
    return distance


def _check_entry(request: OrderRequest | ModifyRequest, exits: Exits) -> None:
    if exits.trailing_jump:
        raise ValueError("the stop of a bracket or cover order cannot trail")
    if request.order_type is not OrderType.LIMIT:
        raise ValueError(
            f"the entry of a bracket or cover order is a limit, not {request.order_type}"
        )
    if request.validity is not Validity.DAY:
        raise ValueError(f"a bracket or cover order works for the day, not {request.validity}")


def modify_native_arguments(request: ModifyRequest, part: LegAddress) -> dict[str, Any]:
    """The request as keyword arguments of the SDK's ``modify_order``, which names the leg.

    Of an exit only its level can be said. With the entry its exits cannot be changed: those of a
    bracket order stay as far from it as they were, and the stop of a cover order where it was.
    Raises ``ValueError``.
    """
    asked = {
        "order_id": native_id(request.broker_order_id, part),
        "leg_name": words.LEG_WORD[part.leg],
    }
    if part.leg is LegName.ENTRY:
        if request.exits is not None:
            _check_entry(request, request.exits)
        return modify_arguments(request) | asked
    if request.exits is not None and request.exits.trailing_jump:
        raise ValueError("the stop of a bracket or cover order cannot trail")
    is_stop = part.leg is LegName.STOP_LOSS
    kind = OrderType.STOP_LIMIT if is_stop else OrderType.LIMIT
    return asked | {
        "order_type": words.ORDER_TYPE_WORD[kind],
        "validity": words.VALIDITY_WORD[Validity.DAY],
        "quantity": None,
        "disclosed_quantity": None,
        "price": None if is_stop else as_float(request.price, needed=True),
        "trigger_price": as_float(request.trigger_price, needed=True) if is_stop else None,
    }


def native_id(broker_order_id: str, part: LegAddress) -> str:
    """Under which id the broker knows the part: its own, or its entry's where it shares that."""
    named = broker_order_id.partition("/")[0]
    if part.leg is LegName.ENTRY or named in {"", part.whole_id}:
        return part.whole_id
    return broker_order_id


def id_to_cancel(broker_order_id: str, part: LegAddress) -> str:
    """The id that ends this part and no other. Raises ``ValueError`` when there is none.

    The broker's cancel has no way to name a leg: under its entry's id an exit would take all along.
    """
    found = native_id(broker_order_id, part)
    if part.leg is not LegName.ENTRY and found == part.whole_id:
        raise ValueError(f"the {part.leg} has no id of its own, and its entry's would end it all")
    return found
