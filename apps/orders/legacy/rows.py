"""One row of the other system in our words, or why it cannot be carried."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.brokers.port import OrderType, Product, Segment, Side, Validity
from apps.orders.legacy.words import (
    BRACKETS,
    LEGS,
    ORDER_TYPES,
    OUTCOMES,
    PRODUCTS,
    ROLES,
    SEGMENTS,
    SIDES,
    VALIDITIES,
    CannotCarry,
    Outcome,
    translated,
)

Row = Mapping[str, Any]
_FIRST = 946_684_800  # 2000-01-01, seconds
_LAST = 4_102_444_800  # 2100-01-01
_MOST_UNITS = 2_000_000_000
_NO_QUANTITY = {None, "", 0, "0"}
MOST_RUPEES = Decimal(10_000_000_000)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
_WAS_A_NUMBER = re.compile(r"(\d+)\.0", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class PastOrder:
    """An order of the other system. Prices in rupees, quantities in units, times aware."""

    legacy_id: str
    role: str
    word: str
    outcome: Outcome
    side: Side
    quantity: int
    order_type: OrderType
    price: Decimal | None
    trigger_price: Decimal | None
    product: Product
    product_word: str
    validity: Validity
    disclosed: int
    segment: Segment
    security_id: str
    correlation_id: str
    created_at: dt.datetime
    updated_at: dt.datetime | None
    parent: str
    leg: str
    bo_profit: Decimal | None
    bo_stop_loss: Decimal | None
    co_stop_loss: Decimal | None
    co_trigger: Decimal | None

    @property
    def is_bracket(self) -> bool:
        """True of a bracket's or cover order's entry."""
        return self.product_word in BRACKETS and self.leg in {"", "ENTRY"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PastLeg:
    """A leg as the other system kept it. ``role`` is empty where its writer named no account."""

    parent: str
    leg_order_id: str
    leg: str
    role: str
    word: str
    outcome: Outcome
    quantity: int | None
    price: Decimal | None
    trigger_price: Decimal | None
    created_at: dt.datetime | None
    updated_at: dt.datetime | None


def past_order(row: Row) -> PastOrder:
    """Raises ``CannotCarry`` naming the first column that is wrong."""
    check_storable(row)
    leg = row.get("leg_type")
    return PastOrder(
        legacy_id=identifier(row, "id"),
        role=translated(ROLES, row["account_type"], "account_type"),
        word=str(row["status"] or "").strip()[:40],
        outcome=translated(OUTCOMES, row["status"], "status"),
        side=translated(SIDES, row["side"], "side"),
        quantity=units(row["quantity"], "quantity"),
        order_type=translated(ORDER_TYPES, row["order_type"], "order_type"),
        price=_price(row, "price"),
        trigger_price=_price(row, "trigger_price"),
        product=translated(PRODUCTS, row["product"], "product"),
        product_word=str(row["product"]).strip().upper(),
        validity=translated(VALIDITIES, row["validity"], "validity"),
        disclosed=_disclosed(row),
        segment=translated(SEGMENTS, row["exchange_segment"], "exchange_segment"),
        security_id=identifier(row, "security_id", 30),
        correlation_id=str(row.get("correlation_id") or "")[:100],
        created_at=moment(row["created_at"], "created_at"),
        updated_at=_moment_if_any(row, "updated_at"),
        parent=_text(row, "parent_order_id"),
        leg=translated(LEGS, leg, "leg_type") if leg else "",
        bo_profit=_price(row, "bo_profit_value"),
        bo_stop_loss=_price(row, "bo_stop_loss_value"),
        co_stop_loss=_price(row, "co_stop_loss_value"),
        co_trigger=_price(row, "co_trigger_price"),
    )


def past_leg(row: Row) -> PastLeg:
    """Raises ``CannotCarry``. Some writers put the leg's id into a column ``order_id``."""
    check_storable(row)
    parent = identifier(row, "parent_order_id")
    quantity, role = row.get("quantity"), row.get("account_type")
    return PastLeg(
        parent=parent,
        leg_order_id=_id_of_leg(row, parent),
        leg=translated(LEGS, row.get("leg_type"), "leg_type"),
        role="" if role in {None, ""} else translated(ROLES, role, "account_type"),
        word=str(row.get("status") or "").strip()[:40],
        outcome=translated(OUTCOMES, row.get("status"), "status"),
        quantity=None if quantity in _NO_QUANTITY else units(quantity, "quantity"),
        price=_price(row, "price"),
        trigger_price=_price(row, "trigger_price"),
        created_at=_moment_if_any(row, "created_at"),
        updated_at=_moment_if_any(row, "updated_at"),
    )


def _id_of_leg(row: Row, parent: str) -> str:
    names = [_text(row, "leg_order_id"), _text(row, "order_id")]
    own = {name for name in names if name and name != parent} or {n for n in names if n}
    if len(own) > 1:
        raise CannotCarry(f"leg_order_id {names[0]!r} and order_id {names[1]!r} disagree")
    name = own.pop() if own else ""
    if len(name) > 40:
        raise CannotCarry("leg_order_id is longer than any id of an order")
    return name


def check_storable(row: Row) -> None:
    """Raises ``CannotCarry`` for text that no database of text can keep as it is."""
    if not _UNSTORABLE.search("".join([value for value in row.values() if type(value) is str])):
        return
    for column, value in row.items():
        if isinstance(value, str) and _UNSTORABLE.search(value):
            raise CannotCarry(f"{column} is damaged: it is not text")


def identifier(row: Row, column: str, most: int = 40) -> str:
    """A name that a broker gave. Raises ``CannotCarry`` when there is none."""
    text = _text(row, column)
    if not text:
        raise CannotCarry(f"{column} is missing")
    if len(text) > most:
        raise CannotCarry(f"{column} is longer than {most} characters")
    return text


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    if isinstance(value, bytes):
        raise CannotCarry(f"{column} is damaged: it is not text")
    return name_of(value)


def name_of(value: object) -> str:
    """An id as text; SQLite turns 2885 into 2885.0 in a column of another kind."""
    text = "" if value is None else str(value).strip()
    number = _WAS_A_NUMBER.fullmatch(text)
    return number[1] if number else text


def units(value: object, column: str) -> int:
    """A positive whole number of units."""
    number = _number(value, column)
    if number != number.to_integral_value() or not 0 < number <= _MOST_UNITS:
        raise CannotCarry(f"{column} {str(value)[:40]!r} is not a positive whole number")
    return int(number)


def _disclosed(row: Row) -> int:
    value = row.get("disclosed_qty")
    if value in _NO_QUANTITY:
        return 0
    return units(value, "disclosed_qty")


def _price(row: Row, column: str) -> Decimal | None:
    """Rupees; 0 and nothing both mean that the order had none."""
    value = row.get(column)
    if value is None or value == "":
        return None
    number = _number(value, column)
    price = round(number, 4) if 0 <= number < MOST_RUPEES else MOST_RUPEES
    if price >= MOST_RUPEES:
        raise CannotCarry(f"{column} {str(value)[:40]!r} is not a price in rupees")
    return price or None


def _number(value: object, column: str) -> Decimal:
    if value is None or value == "":
        raise CannotCarry(f"{column} is missing")
    text = str(value).strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or (isinstance(value, str) and not _NUMBER.fullmatch(text)):
        raise CannotCarry(f"{column} {str(value)[:40]!r} is not a number")
    return number


def moment(value: object, column: str) -> dt.datetime:
    """A time in whole or broken seconds since 1970."""
    seconds = _number(value, column)
    if not _FIRST <= seconds <= _LAST:
        raise CannotCarry(f"{column} {str(value)[:40]!r} is not a time in seconds since 1970")
    return dt.datetime.fromtimestamp(float(seconds), dt.UTC)


def _moment_if_any(row: Row, column: str) -> dt.datetime | None:
    value = row.get(column)
    return None if value in {None, "", 0, "0"} else moment(value, column)


def identity(*parts: object) -> str:
    """What a row is, wherever it is found: a function of its names alone."""
    return _sha("|".join(str(part) for part in parts))


def digest(row: Row) -> str:
    """What a row says; columns that say nothing, as of a half migration, do not count."""
    return _sha(repr(sorted([pair for pair in row.items() if pair[1] is not None])))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
