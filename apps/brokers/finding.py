"""Find the one instrument that is meant, or none: what trades by itself must not guess."""

from __future__ import annotations

from django.db.models import Q
from django.utils import timezone

from apps.brokers.models import Instrument
from apps.brokers.rows import read_rows
from apps.brokers.searching import suggestions

NAMED = 5


class NotFound(LookupError):
    """No instrument, or several, answer to the text; the message says which would."""


def find_instrument(text: str, *, leaving: bool = False) -> Instrument:
    """The instrument named ``SYMBOL``, ``SEGMENT:SYMBOL`` or ``SEGMENT:SECURITY_ID[:SYMBOL]``.

    Exactly that one, in any case of letters. An id that names another symbol than the one beside
    it is refused: the broker may have given the id to another contract since. ``leaving`` also
    finds, when nothing tradable is meant, what a position can only be left in.
    """
    try:
        return _find_tradable(text.strip())
    except NotFound:
        found = _leavable(text.strip()) if leaving else []
        if len(found) == 1:
            return found[0]
        raise


def _leavable(text: str) -> list[Instrument]:
    """Up to two that the file lost, or that a person blocked, by the same three forms."""
    segment, _, name = text.rpartition(":") if text.count(":") < 2 else text.partition(":")
    rows = Instrument.objects.filter(Instrument.leavable_today(timezone.localdate()))
    if segment:
        rows = rows.filter(segment=segment.upper())
    security_id, _, symbol = name.partition(":")
    if symbol:
        return list(rows.filter(security_id=security_id, symbol__iexact=symbol)[:2])
    by_id = rows.filter(security_id=name) if segment else rows.none()
    return list(by_id[:2]) or list(rows.filter(symbol__iexact=name)[:2])


def _find_tradable(text: str) -> Instrument:
    segment, _, name = text.partition(":") if ":" in text else ("", "", text)
    today = timezone.localdate()
    named = read_rows(Instrument, _CALLED, [text, today], 2)
    if len(named) == 1:
        return named[0]
    living = Instrument.objects.filter(Instrument.living(today))
    if segment:
        living = living.filter(segment=segment.upper())
        security_id, _, symbol = name.partition(":")
        by_id = living.filter(security_id=security_id).first()
        if by_id is not None and symbol.upper() in {"", by_id.symbol.upper()}:
            return by_id
        if by_id is not None:
            raise NotFound(f"“{text}”: the id is {by_id.symbol}'s now")
        name = symbol or name
    found = list(living.filter(symbol__iexact=name).order_by("segment", "symbol")[: NAMED + 1])
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound(f"“{text}” is not unique; say one of {_names(found)}")
    raise NotFound(f"no tradable instrument is called “{text}”{_hint(name)}{_why_not(name)}")


# What most programs say is just a symbol.
_CALLED = """
    UPPER(symbol) = UPPER(%s) AND tradable AND (expiry IS NULL OR expiry >= %s)
    AND retired_at IS NULL
"""


def _hint(name: str) -> str:
    near = suggestions(name, timezone.localdate(), NAMED)
    return f"; near it: {_names(near)}" if near else ""


def _why_not(name: str) -> str:
    """One that has this name and cannot be traded, if there is one."""
    named = Instrument.objects.filter(symbol__iexact=name).exclude(
        Q(tradable=True) & (Q(expiry__isnull=True) | Q(expiry__gte=timezone.localdate()))
    )
    closed = named.first()
    if closed is None:
        return ""
    reason = closed.why_not or f"it expired on {closed.expiry:%d %b %Y}"
    return f". {closed} cannot be traded: {reason}"


def _names(found: list[Instrument]) -> str:
    return ", ".join(row.exact_name for row in found)
