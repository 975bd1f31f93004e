"""What a signal asks for: one order, in a closed vocabulary, checked field by field."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from apps.brokers.port import Intent, OrderType, Product, Side, Validity

_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)
_AMOUNT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,4})?", re.ASCII)
_DELAYED = re.compile(r"_DLY?$", re.IGNORECASE)
_YES_NO = {"true": True, "false": False}
DELAYED_TEXT = "the exchange's data are delayed (_DL, _DLY): trade on real-time data"


class BadSignal(ValueError):
    """The body asks for nothing that can be an order; each field with what would be right."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {text}" for field, text in fields.items()))
        self.fields = fields


def shown(name: object) -> str:
    """A name that came from outside, short and in plain characters."""
    return ascii(str(name)[:60])[1:-1]


def is_delayed(exchange: object) -> bool:
    """True for the name of an exchange whose data come late."""
    return isinstance(exchange, str) and _DELAYED.search(exchange.strip()) is not None


def _wrong(text: str) -> PydanticCustomError:
    return PydanticCustomError("wrong", "{text}", {"text": text})


def _word(kind: type[StrEnum]) -> BeforeValidator:
    def read(value: object) -> StrEnum:
        try:
            return kind(str(value).strip().upper() if isinstance(value, str) else "")
        except ValueError:
            raise _wrong(f"must be one of {', '.join(kind)}") from None

    return BeforeValidator(read)


def _text(longest: int) -> BeforeValidator:
    def read(value: object) -> str | None:
        if value is None or (isinstance(value, str) and value.isprintable()):
            text = (value or "").strip()
            if len(text) <= longest:
                return text or None
        raise _wrong(f"must be text of at most {longest} printable characters")

    return BeforeValidator(read)


def _number(form: re.Pattern[str], make: Callable[[str], Any], text: str) -> BeforeValidator:
    def read(value: object) -> Any:  # noqa: ANN401 - int or Decimal, as ``make`` says
        if value is None:
            return None
        number = isinstance(value, int | Decimal | str) and not isinstance(value, bool)
        if not number or not form.fullmatch(str(value)) or make(str(value)) <= 0:
            raise _wrong(f"must be {text}, as a number or as text")
        return make(str(value))

    return BeforeValidator(read)


def _yes_no(value: object) -> object:
    known = _YES_NO.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(known, bool):
        raise _wrong("must be true or false")
    return known


def _instrument(value: object) -> object:
    if not value:
        raise _wrong("is missing; for example NSE_EQ:RELIANCE")
    if isinstance(value, str) and is_delayed(value.rpartition(":")[0]):
        raise _wrong(DELAYED_TEXT)
    return value


_Whole = Annotated[int | None, _number(_WHOLE, int, "a whole number above 0 (at most nine digits)")]
_Rupees = Annotated[
    Decimal | None, _number(_AMOUNT, Decimal, "rupees above 0 with at most four decimals")
]


class Wish(BaseModel):
    """One order as a signal wishes it. Unknown keys are refused: a typo must not be silent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: Annotated[str | None, _text(40)] = None
    instrument: Annotated[str, BeforeValidator(_instrument), _text(100)]
    side: Annotated[Side, _word(Side)]
    quantity: _Whole = None
    lots: _Whole = None
    type: Annotated[OrderType, _word(OrderType)]
    price: _Rupees = None
    trigger_price: _Rupees = None
    stop_price: _Rupees = None
    target_price: _Rupees = None
    trailing_jump: _Rupees = None
    product: Annotated[Product, _word(Product)] = Product.INTRADAY
    validity: Annotated[Validity, _word(Validity)] = Validity.DAY
    intent: Annotated[Intent, _word(Intent)]
    strategy: Annotated[str | None, _text(80)] = None
    test_mode: Annotated[bool, BeforeValidator(_yes_no)] = False
    after_market: Annotated[bool, BeforeValidator(_yes_no)] = False
    reason: Annotated[str | None, _text(200)] = None
    event_id: Annotated[str | None, _text(100)] = None
    extra: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values for the row; ``Wish(**row)`` reads them back."""
        return self.model_dump(mode="json", exclude={"extra"}, exclude_none=True)


def wish_of(values: dict[str, Any]) -> Wish:
    """The wish that parsed JSON holds. Raises ``BadSignal`` with every field that is wrong."""
    try:
        wish = Wish.model_validate(values)
    except ValidationError as error:
        raise BadSignal(_problems(error)) from None
    problems = _together(wish)
    if problems:
        raise BadSignal(problems)
    return wish


def _problems(error: ValidationError) -> dict[str, str]:
    found: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=False)[:10]:
        field = shown(problem["loc"][0]) if problem["loc"] else "body"
        found[field] = {
            "missing": "is missing",
            "extra_forbidden": f"is not a known key; known are {', '.join(Wish.model_fields)}",
            "wrong": problem["msg"],
        }.get(problem["type"], "has the wrong type")
    return found


def _together(wish: Wish) -> dict[str, str]:
    """What only two fields together can get wrong."""
    problems = {}
    if (wish.quantity is None) == (wish.lots is None):
        problems["quantity"] = "give either quantity (units) or lots"
    market = wish.type in {OrderType.MARKET, OrderType.STOP_MARKET}
    stop = wish.type in {OrderType.STOP_LIMIT, OrderType.STOP_MARKET}
    if market and wish.price is not None:
        problems["price"] = f"a {wish.type} order has no price"
    if not market and wish.price is None:
        problems["price"] = f"a {wish.type} order needs a price"
    if stop and wish.trigger_price is None:
        problems["trigger_price"] = f"a {wish.type} order needs a trigger price"
    if not stop and wish.trigger_price is not None:
        problems["trigger_price"] = "only a stop has a trigger price"
    return problems | _of_exits(wish)


def _of_exits(wish: Wish) -> dict[str, str]:
    """What an entry with exits can get wrong; a target and a trailing stop need a stop."""
    exits = (wish.stop_price, wish.target_price, wish.trailing_jump)
    if not any(exits):
        return {}
    problems = {}
    if wish.stop_price is None:
        problems["stop_price"] = "a target and a trailing stop need it"
    if wish.type not in {OrderType.LIMIT, OrderType.MARKET}:
        problems["type"] = "with a stop_price it must be LIMIT or MARKET"
    if wish.intent is not Intent.ENTRY:
        problems["intent"] = "only an ENTRY can have a stop_price"
    if wish.after_market or wish.validity is not Validity.DAY:
        problems["validity"] = "with a stop_price it must be DAY, and not after market"
    return problems
