"""Which instrument an old order was in. Brokers give old ids to new contracts: an id is no proof.

A share of today keeps its id, unless the file calls it by another name. A contract with an expiry
is today's only when the file names the same expiry, strike and type. For anything else a retired
instrument is made from what the file says, which nothing can be placed in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils import timezone

from apps.brokers.models import Instrument
from apps.brokers.models.instruments import Closed
from apps.brokers.port import Segment

Key = tuple[str, str]  # segment, security id
_SYMBOL = ("symbol", "trading_symbol", "tradingsymbol")
_KIND = ("instrument_type", "instrument", "kind", "type")
_CALLS = {"CE": "CE", "CALL": "CE", "PE": "PE", "PUT": "PE"}


class Contracts:
    """Finds or makes the instruments of one file; ``made`` are the ids of new rows."""

    def __init__(self, named: Mapping[Key, Mapping[str, Any]]) -> None:
        self._named = named
        self._found: dict[Key, int] = {}
        self.made: list[int] = []

    def of(self, segment: Segment, security_id: str) -> int:
        """The instrument's key."""
        key = (segment.value, security_id)
        if key not in self._found:
            self._found[key] = self._look(key)
        return self._found[key]

    def _look(self, key: Key) -> int:
        said = _Said(self._named.get(key, {}))
        today = Instrument.objects.filter(segment=key[0], security_id=key[1]).first()
        if today is not None and said.is_surely(today):
            return today.pk
        return self._retired(key, said)

    def _retired(self, key: Key, said: _Said) -> int:
        names = {
            "segment": key[0],
            "security_id": key[1],
            "symbol": said.symbol or f"ID {key[1]}",
            "expiry": said.expiry,
            "strike": said.strike,
            "option_type": said.option_type,
            "closed": Closed.IMPORTED,
        }
        known = Instrument.every.filter(**names).first()
        if known is not None:
            return known.pk
        new = Instrument.every.create(
            **names,
            kind=said.kind,
            lot_size=1,  # not known, and never asked: what is closed and retired cannot be placed
            tick_size=Decimal("0.0001"),
            tradable=False,
            retired_at=timezone.now(),
        )
        self.made.append(new.pk)
        return new.pk


class _Said:
    """What the file's own table of instruments says of one; empty where it says nothing."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row
        self.symbol = self._first(*_SYMBOL).upper()[:80]
        self.kind = self._first(*_KIND).upper()[:20] or "UNKNOWN"
        self.expiry = _day(self._first("expiry_date", "expiry"))
        self.strike = _strike(self._first("strike_price", "strike"))
        self.option_type = _CALLS.get(self._first("option_type").upper(), "")

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

    def _first(self, *columns: str) -> str:
        values = (str(self._row[name]).strip() for name in columns if self._row.get(name))
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
    if not value.is_finite() or not 0 < value < Decimal(10_000_000_000):
        return None
    return round(value, 4)
