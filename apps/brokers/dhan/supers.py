"""Super orders: an entry whose target and stop DhanHQ keeps. Its list as our words, and requests.

Sources: DhanHQ v2 documentation, super order page, classic and portal, which describe a leg in two
ways. Neither of them was ever recorded with a fill, so numbers of a leg that contradict its status
are no news; the order book has its fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from apps.brokers.dhan import words
from apps.brokers.dhan.legs import EXITS, as_part, exit_id
from apps.brokers.dhan.mapping import as_float, known, report_from_row, type_word
from apps.brokers.dhan.schemas import SuperLegRow, SuperRow, read
from apps.brokers.port import (
    BadWire,
    BracketKind,
    BrokerState,
    Exits,
    LegAddress,
    LegName,
    ModifyRequest,
    OrderReport,
    OrderRequest,
    OrderType,
    Validity,
)
from apps.brokers.storable import Kept

_CUT_OFF = frozenset({BrokerState.CANCELLED, BrokerState.EXPIRED, BrokerState.REJECTED})
_NOT_STARTED = frozenset({BrokerState.IN_TRANSIT, BrokerState.WORKING})


def reports_from_supers(rows: Sequence[object], zone: ZoneInfo) -> list[OrderReport]:
    """Each entry, then its target and stop. Raises ``BadWire``."""
    found: list[OrderReport] = []
    for number, row in enumerate(rows):
        what = f"super orders row {number}"
        entry = report_from_row(row, zone, what)
        if entry.part in EXITS:
            raise BadWire(f"{what}: legName is not that of an entry")
        entry = as_part(entry, LegName.ENTRY)
        told = read(SuperRow, row, what)
        legs = [
            _exit(entry, leg, f"{what}, leg {place}")
            for place, leg in enumerate(told.legs)
            if not _is_entry(leg)
        ]
        found += [replace(entry, exits=_exits(legs)), *legs]
    return found


def _exits(legs: Sequence[OrderReport]) -> Exits | None:
    """Where the entry's ways out are. Not how the stop trails: the legs tell that differently."""
    levels = {leg.part: leg.price or leg.trigger_price for leg in legs}
    stop = levels.get(LegName.STOP_LOSS)
    if stop is None:
        return None
    return Exits(kind=BracketKind.SUPER, stop=stop, target=levels.get(LegName.TARGET))


def _is_entry(leg: object) -> bool:
    """The page lists ENTRY_LEG among the names of a leg; the row itself tells of the entry."""
    return isinstance(leg, dict) and leg.get("legName") == words.LEG_WORD[LegName.ENTRY]


def _exit(entry: OrderReport, row: object, what: str) -> OrderReport:
    found = read(SuperLegRow, row, what)
    part = known(words.LEGS, found.leg)
    if part is None or part is LegName.ENTRY:
        raise BadWire(f"{what}: legName is a word that we do not know")
    own_id = None if found.order_id == entry.broker_order_id else found.order_id
    state = words.state_of(found.status, part)
    quantity, filled = _units(entry, found, state, what)
    is_stop = part is LegName.STOP_LOSS
    # Only the portal tells a trigger; on the classic page the level of a stop is its price.
    trigger = found.trigger if "trigger" in found.model_fields_set else found.price
    return OrderReport(
        broker_order_id=own_id or exit_id(entry.broker_order_id, part),
        state=state,
        state_word=found.status[:40],
        exchange_order_id=None if found.exchange_order_id == "0" else found.exchange_order_id,
        segment=entry.segment,
        security_id=entry.security_id,
        side=known(words.SIDES, found.side),
        product=entry.product,
        order_type=known(words.ORDER_TYPES, found.order_type),
        quantity=quantity,
        filled_quantity=filled,
        price=None if is_stop else found.price,
        trigger_price=trigger if is_stop else None,
        leg=True,
        part=part,
        whole_id=entry.broker_order_id,
        raw=Kept(row),
    )


def _units(
    entry: OrderReport, found: SuperLegRow, state: BrokerState, what: str
) -> tuple[int | None, int | None]:
    """Quantity and filled quantity of a leg, where they are certain.

    A leg that waits for its entry may come to less than it says. What is filled is the total less
    what remains, if it could have been: some of it went to the exchange, and a leg that is done
    or was cut off says so.
    """
    if not entry.filled_quantity:
        return None, None
    if state in _CUT_OFF and found.triggered == 0:  # of nothing that went out, nothing filled
        return found.total, 0
    # The classic page tells a target's total by what remains, while nothing of it went out.
    total = found.total or (found.remaining if found.triggered == 0 else None)
    if not total or found.remaining is None:
        return total or None, None
    filled = total - found.remaining
    if filled < 0:
        raise BadWire(f"{what}: remainingQuantity is more than the leg's quantity")
    return total, filled if _is_plausible(found, state, filled) else None


def _is_plausible(found: SuperLegRow, state: BrokerState, filled: int) -> bool:
    if filled == 0:
        return state not in {BrokerState.FILLED, BrokerState.PARTIALLY_FILLED}
    sent = found.triggered is None or filled <= found.triggered
    reached = "exchange_order_id" not in found.model_fields_set or found.exchange_order_id != "0"
    whole = filled == found.total
    return sent and reached and state not in _NOT_STARTED and whole is (state is BrokerState.FILLED)


def place_super_arguments(request: OrderRequest, exits: Exits) -> dict[str, Any]:
    """The request as keyword arguments of the SDK's ``place_super_order``.

    Raises ``ValueError`` for what a super order cannot say, so that nothing is dropped on the way.
    """
    if request.after_market:
        raise ValueError("a super order cannot wait for the next opening")
    return {
        "security_id": str(request.security_id),
        "exchange_segment": words.SEGMENT_WORD[request.segment],
        "transaction_type": words.SIDE_WORD[request.side],
        "product_type": words.PRODUCT_WORD[request.product],
        "tag": request.correlation_id,
        **_entry_terms(request, exits),
    }


def modify_super_arguments(request: ModifyRequest, part: LegAddress) -> dict[str, Any]:
    """The request as keyword arguments of the SDK's ``modify_super_order``.

    The broker ends the trailing when ``trailingJump`` is left out or 0, and the SDK sends 0 for
    what it is not given: whatever the leg has is said. Raises ``ValueError`` when it is not there.
    """
    asked = {"order_id": part.whole_id, "leg_name": words.LEG_WORD[part.leg]}
    word = words.ORDER_TYPE_WORD[OrderType.LIMIT]  # the SDK wants one, and sends it for the entry
    if part.leg is LegName.TARGET:
        return asked | {
            "order_type": word,
            "targetPrice": as_float(request.price, needed=True),
        }
    if request.exits is None:
        raise ValueError("a change of entry or stop must say how the stop trails")
    if part.leg is LegName.STOP_LOSS:
        return asked | {
            "order_type": word,
            "stopLossPrice": as_float(request.trigger_price, needed=True),
            "trailingJump": as_float(request.exits.trailing_jump, needed=False),
        }
    return asked | _entry_terms(request, request.exits)


def _entry_terms(request: OrderRequest | ModifyRequest, exits: Exits) -> dict[str, Any]:
    if request.order_type is not OrderType.LIMIT:
        raise ValueError(f"the entry of a super order is a limit, not {request.order_type}")
    if request.validity is not Validity.DAY:
        raise ValueError(f"a super order works for the day, not {request.validity}")
    if request.disclosed_quantity:
        raise ValueError("a super order cannot hide a part of its quantity")
    return {
        "order_type": type_word(request.order_type),
        "quantity": request.quantity,
        "price": as_float(request.price, needed=True),
        "targetPrice": as_float(exits.target, needed=True),
        "stopLossPrice": as_float(exits.stop, needed=True),
        "trailingJump": as_float(exits.trailing_jump, needed=False),
    }
