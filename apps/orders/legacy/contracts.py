"""Which instrument an old order was in. Brokers give old ids to new contracts: an id is no proof.

A share of today keeps its id, unless the file calls it by another name. A contract with an expiry
is today's only when the file names the same expiry, strike and type. For anything else a retired
instrument is made from what the file says, which nothing can be placed in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils import timezone

from apps.brokers.models import Instrument
from apps.brokers.models.instruments import Closed
from apps.brokers.port import Segment
from apps.orders.legacy.rows import MOST_RUPEES
from apps.orders.legacy.tables import Filling, new_ids

Key = tuple[str, str]  # segment, security id
_NAMES = ("segment", "security_id", "symbol", "expiry", "strike", "option_type")
_Names = tuple[str, str, str, dt.date | None, Decimal | None, str]  # the same
_SYMBOL = ("symbol", "trading_symbol", "tradingsymbol")
_KIND = ("instrument_type", "instrument", "kind", "type")
_CALLS = {"CE": "CE", "CALL": "CE", "PE": "PE", "PUT": "PE"}


@dataclass(frozen=True, slots=True)
class Said:
    """What the file's own table of instruments says of one; empty where it says nothing."""

    symbol: str = ""
    kind: str = "UNKNOWN"
    expiry: dt.date | None = None
    strike: Decimal | None = None
    option_type: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Said:
        """As far as it can be understood."""
        return cls(
            symbol=_first(row, *_SYMBOL).upper()[:80],
            kind=_first(row, *_KIND).upper()[:20] or "UNKNOWN",
            expiry=_day(_first(row, "expiry_date", "expiry")),
            strike=_strike(_first(row, "strike_price", "strike")),
            option_type=_CALLS.get(_first(row, "option_type").upper(), ""),
        )

    def is_surely(self, today: Instrument) -> bool:
        """True when today's instrument of that id cannot be another one."""
        if today.expiry is None:
            share = today.kind == "EQUITY" and self.expiry is None
            return share and self.symbol in {"", today.symbol.upper()}
        return (
            self.expiry == today.expiry
            and self.strike == (today.strike or None)
            and self.option_type == today.option_type
        )


class Contracts:
    """Finds or makes the instruments of one file; ``made`` are the ids of new rows."""

    def __init__(self, named: Mapping[Key, Said]) -> None:
        self._named = named
        self._found: dict[Key, int] = {}
        self._rows = Filling(
            Instrument,
            closed=Closed.IMPORTED,
            lot_size=1,  # not known, and never asked: what is closed and retired cannot be placed
            tick_size=Decimal("0.0001"),
            tradable=False,
            retired_at=timezone.now(),
        )
        self.made: list[int] = []

    def of(self, segment: Segment, security_id: str) -> int:
        """The key of an instrument that has been met."""
        return self._found[(segment.value, security_id)]

    def meet(self, contracts: Iterable[tuple[Segment, str]]) -> None:
        """Find all of these, and make those that the desk does not know."""
        keys = {(segment.value, security_id) for segment, security_id in contracts}
        said = {key: self._named.get(key, Said()) for key in keys - set(self._found)}
        for row in _todays(said):
            key = (row.segment, row.security_id)
            if key in said and said[key].is_surely(row):
                self._found[key] = row.pk
        names = {key: _names(key, what) for key, what in said.items() if key not in self._found}
        known = _retired(names.values())
        missing = []
        for key, name in names.items():
            if name in known:
                self._found[key] = known[name]
            else:
                missing.append(key)
        self._make(missing, said, names)

    def _make(
        self, missing: Sequence[Key], said: Mapping[Key, Said], names: Mapping[Key, _Names]
    ) -> None:
        ids = new_ids(Instrument, len(missing))
        for pk, key in zip(ids, missing, strict=True):
            segment, security_id, symbol, expiry, strike, option_type = names[key]
            self._rows.add(
                id=pk,
                segment=segment,
                security_id=security_id,
                symbol=symbol,
                expiry=expiry,
                strike=strike,
                option_type=option_type,
                kind=said[key].kind,
            )
            self._found[key] = pk
        self._rows.write()
        self.made += ids


def _names(key: Key, said: Said) -> _Names:
    return (*key, said.symbol or f"ID {key[1]}", said.expiry, said.strike, said.option_type)


def _todays(keys: Collection[Key]) -> Iterable[Instrument]:
    """Today's instruments with these ids, and some others."""
    segments, ids = {key[0] for key in keys}, [key[1] for key in keys]
    return Instrument.objects.filter(segment__in=segments, security_id__in=ids) if keys else ()


def _retired(names: Collection[_Names]) -> dict[_Names, int]:
    """Retired rows that imports made, by what names them."""
    if not names:
        return {}
    rows = Instrument.every.filter(
        segment__in={name[0] for name in names},
        symbol__in=[name[2] for name in names],
        closed=Closed.IMPORTED,
    )
    return {row[:-1]: row[-1] for row in rows.order_by("-pk").values_list(*_NAMES, "pk")}


def _first(row: Mapping[str, Any], *columns: str) -> str:
    values = (str(row[name]).strip() for name in columns if row.get(name))
    return next((value for value in values if value), "")


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError:
        return None


def _strike(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite() or not 0 < value < MOST_RUPEES:
        return None
    strike = round(value, 4)
    return strike if 0 < strike < MOST_RUPEES else None
