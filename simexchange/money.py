"""Rupee prices as decimals: reading them, and keeping them on the tick."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation

ZERO = Decimal(0)
PAISA = Decimal("0.01")


def read_rupees(value: object) -> Decimal | None:
    """A number, or a number written as text, in rupees; None when it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def on_tick(price: Decimal, tick: Decimal) -> bool:
    return price % tick == 0


def tick_below(price: Decimal, tick: Decimal) -> Decimal:
    return (price / tick).to_integral_value(ROUND_FLOOR) * tick


def tick_above(price: Decimal, tick: Decimal) -> Decimal:
    return (price / tick).to_integral_value(ROUND_CEILING) * tick


def wire(amount: Decimal, places: Decimal = PAISA) -> float:
    """A JSON number of rupees, rounded to the paisa unless told otherwise."""
    return float(amount.quantize(places))
