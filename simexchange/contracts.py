"""Contracts of one underlying: when they end, what they are called and what they cost.

Expiry days and lots as of November 2026 (circulars of NSE and BSE): index contracts of NSE end on
Tuesdays, those of BSE on Thursdays, and a day earlier where that is a holiday.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from simexchange.instruments import Instrument
from simexchange.money import tick_above, tick_below

TUESDAY, THURSDAY = 1, 3
HOLIDAYS = {
    date(2026, *day)
    for day in (
        (1, 15), (1, 26), (3, 3), (3, 26), (3, 31), (4, 3), (4, 14), (5, 1), (5, 28), (6, 26),
        (9, 14), (10, 2), (10, 20), (11, 10), (11, 24), (12, 25),
    )
}  # fmt: skip
FIRST_DAY = date(2024, 1, 1)
DAYS, SLOTS = 4096, 1024
FUTURE_SLOT = SLOTS - 1


@dataclass(frozen=True, slots=True)
class Underlying:
    """What contracts are written on. Prices in rupees, sizes in units.

    `number` is its own for ever: with the expiry and the strike it makes the security id, so that
    a contract has the same id on every day. `dated` symbols carry the day of the expiry.
    """

    number: int
    segment: str
    root: str
    security_id: str
    future: str
    option: str
    spot: Decimal
    step: Decimal
    lot: int
    freeze: int
    option_tick: Decimal
    future_tick: Decimal
    volatility: float = 0.15
    dated: bool = False


def weekly(today: date, weekday: int, past: int, coming: int) -> list[date]:
    """Expiries of weekly contracts, oldest first: some past ones and the coming ones."""
    first = today + timedelta((weekday - today.weekday()) % 7)
    return [_trading(first + timedelta(7 * week)) for week in range(-past, coming)]


def monthly(today: date, weekday: int, past: int, coming: int) -> list[date]:
    """Expiries of monthly contracts, oldest first; this month's is coming until it is over."""
    this = today.year * 12 + today.month - 1
    start = this if last_of_month(this, weekday) >= today else this + 1
    return [last_of_month(month, weekday) for month in range(start - past, start + coming)]


def last_of_month(month: int, weekday: int) -> date:
    """The last such weekday of a month, counted in months since the year 0, or a day before it."""
    year, index = divmod(month + 1, 12)
    end = date(year, index + 1, 1) - timedelta(1)
    return _trading(end - timedelta((end.weekday() - weekday) % 7))


def _trading(day: date) -> date:
    while day in HOLIDAYS or day.weekday() > 4:
        day -= timedelta(1)
    return day


def future_of(on: Underlying, expiry: date, today: date) -> Instrument:
    days = max((expiry - today).days, 0)
    close = _tick(on.spot * (1 + Decimal(days) / 5000), on.future_tick)
    return Instrument(
        **_common(on, expiry, FUTURE_SLOT),
        symbol=f"{on.root}-{_month(on, expiry)}-FUT",
        name=f"{on.root} {expiry:%b} FUT".upper(),
        kind=on.future,
        tick=on.future_tick,
        close=close,
        lower=tick_above(close * Decimal("0.9"), on.future_tick),
        upper=tick_below(close * Decimal("1.1"), on.future_tick),
    )


def options_of(on: Underlying, expiry: date, each_side: int, today: date) -> Iterator[Instrument]:
    """Calls and puts at the strikes around the spot, the lowest strike first."""
    middle = int(on.spot / on.step)
    for slot in range(max(middle - each_side, 1), middle + each_side + 1):
        for option in ("CE", "PE"):
            yield _option(on, expiry, slot, middle, option, today)


def _option(
    on: Underlying, expiry: date, slot: int, middle: int, option: str, today: date
) -> Instrument:
    strike = on.step * slot
    close = _tick(_premium(on, strike, option, (expiry - today).days), on.option_tick)
    shown = f"{strike.normalize():f}"
    word = {"CE": "CALL", "PE": "PUT"}[option]
    place = (slot - middle + SLOTS // 4) * 2 + (option == "PE")
    return Instrument(
        **_common(on, expiry, place),
        symbol=f"{on.root}-{_month(on, expiry)}-{shown}-{option}",
        name=f"{on.root} {expiry:%d %b} {shown} {word}".upper(),
        kind=on.option,
        tick=on.option_tick,
        close=close,
        lower=on.option_tick,
        upper=tick_below(close * 3 + on.step / 5, on.option_tick),
        option=option,
        strike=strike,
    )


def _common(on: Underlying, expiry: date, slot: int) -> dict[str, Any]:
    day = (expiry - FIRST_DAY).days % DAYS
    return {
        "segment": on.segment,
        "security_id": str((on.number * DAYS + day) * SLOTS + slot),
        "lot": on.lot,
        "freeze": on.freeze,
        "expiry": expiry.isoformat(),
        "underlying": on.security_id,
        "asleep": True,
    }


def _month(on: Underlying, expiry: date) -> str:
    return f"{expiry:%d%b%Y}" if on.dated else f"{expiry:%b%Y}"


def _premium(on: Underlying, strike: Decimal, option: str, days: int) -> Decimal:
    """Intrinsic value and a hump of time value around the spot: plausible, no model."""
    spot, at = float(on.spot), float(strike)
    inner = max(spot - at, 0.0) if option == "CE" else max(at - spot, 0.0)
    if days < 0:
        return Decimal(str(round(inner, 4)))
    spread = spot * on.volatility * math.sqrt((days + 0.5) / 365)
    hump = 0.4 * spread * math.exp(-0.5 * ((at - spot) / spread) ** 2)
    return Decimal(str(round(inner + hump, 4)))


def _tick(price: Decimal, tick: Decimal) -> Decimal:
    return max(tick_below(price, tick), tick)
