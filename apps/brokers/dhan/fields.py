"""The kinds of value in DhanHQ's rows, as pydantic types that name what is wrong, not its value.

Numbers may come as text (published samples of the orders page). A value that decides nothing
becomes None when it makes no sense; one that decides something is refused.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BeforeValidator

from apps.brokers.storable import clean_text

MOST_UNITS = 2_147_483_647
MOST_RUPEES = Decimal(10) ** 13
MOST_PRICE = Decimal(10) ** 10
_FINEST = Decimal("0.00000001")
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{1,30})?", re.ASCII)
_ID = re.compile(r"[0-9A-Za-z_-]{1,40}", re.ASCII)
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}", re.ASCII)
_ABSENT = {"", "NA", "N/A"}


def number(value: object) -> Decimal:
    """A finite decimal of sane size, or ValueError."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = Decimal(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("is not a number")  # noqa: TRY004 - pydantic collects ValueErrors
    try:
        exact = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
        if not exact.is_finite() or abs(exact) >= MOST_RUPEES:
            raise ValueError("is not a number of sane size")
        return exact.quantize(_FINEST) if _digits_after_point(exact) > 8 else exact
    except InvalidOperation:
        raise ValueError("is not a number of sane size") from None


def _digits_after_point(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def signed_units(value: object) -> int:
    """A whole number of units; less than zero is a short position."""
    exact = number(value)
    if exact != exact.to_integral_value() or abs(exact) > MOST_UNITS:
        raise ValueError("is not a whole number of units")
    return int(exact)


def units(value: object) -> int:
    """A whole number of units, zero or more."""
    whole = signed_units(value)
    if whole < 0:
        raise ValueError("is less than zero")
    return whole


def some_units(value: object) -> int:
    """A whole number of units, one or more."""
    whole = units(value)
    if whole == 0:
        raise ValueError("is zero")
    return whole


def price(value: object) -> Decimal:
    """Rupees, zero or more."""
    exact = number(value)
    if exact < 0 or exact >= MOST_PRICE:
        raise ValueError("is not a price")
    return exact


def identifier(value: object) -> str:
    """An id that is there and can safely be part of a path."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if 0 <= value < 10**40 else ""
    if not isinstance(value, str) or not _ID.fullmatch(value) or value.upper() in _ABSENT:
        raise ValueError("is not an id")
    return value


def token(value: object) -> str:
    """A secret that can stand in an HTTP header, whole."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError("is not a token")
    return value


def word(value: object) -> str:
    """A text that is there."""
    found = _text(value)
    if found is None:
        raise ValueError("is empty")
    return found


def _text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = clean_text(str(value).strip()) if isinstance(value, str) or abs(value) < 10**40 else ""
    return None if text.upper() in _ABSENT else text


def _number_text(value: object) -> str | None:
    """A text, or a whole number: the documentation calls the number of an order a float."""
    if isinstance(value, float | Decimal):
        exact = Decimal(value)
        whole = exact.is_finite() and exact.adjusted() < 40 and exact == exact.to_integral_value()
        return str(int(exact)) if whole else None
    text = _text(value)
    return None if text is None else re.sub(r"(?<=\d)\.0+$", "", text)


def _id_or_none(value: object) -> str | None:
    nobody = _absent(value) or str(value) == "0"
    return None if nobody else identifier(value)


def _list(value: object) -> object:
    if not isinstance(value, list):
        raise ValueError("is not a list")  # noqa: TRY004 - pydantic collects ValueErrors
    return value


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip().upper() in _ABSENT)


def _price_or_none(value: object) -> Decimal | None:
    # The broker writes 0 for "no price".
    return None if _absent(value) else price(value) or None


def _units_or_none(value: object) -> int | None:
    return None if _absent(value) else units(value)


Id = Annotated[str, BeforeValidator(identifier)]
Token = Annotated[str, BeforeValidator(token)]
Word = Annotated[str, BeforeValidator(word)]
NoId = Annotated[str | None, BeforeValidator(_id_or_none)]
Text = Annotated[str | None, BeforeValidator(_text)]
NumberText = Annotated[str | None, BeforeValidator(_number_text)]
Rows = Annotated[list[object], BeforeValidator(_list)]
Flag = Annotated[bool | None, BeforeValidator(_flag)]
Units = Annotated[int, BeforeValidator(units)]
SomeUnits = Annotated[int, BeforeValidator(some_units)]
SignedUnits = Annotated[int, BeforeValidator(signed_units)]
NoUnits = Annotated[int | None, BeforeValidator(_units_or_none)]
Price = Annotated[Decimal, BeforeValidator(price)]
NoPrice = Annotated[Decimal | None, BeforeValidator(_price_or_none)]
Rupees = Annotated[Decimal, BeforeValidator(number)]
Row = dict[str, Any]
