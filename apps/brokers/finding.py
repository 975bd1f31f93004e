"""Find the instrument that a person means."""

from __future__ import annotations

from apps.brokers.models import Instrument
from apps.brokers.rows import read_rows


class NotFound(LookupError):
    """No instrument, or several, answer to the text; the message says which would."""


def find_instrument(text: str) -> Instrument:
    """The instrument named ``SYMBOL``, ``SEGMENT:SYMBOL`` or ``SEGMENT:SECURITY_ID[:SYMBOL]``."""
    named = read_rows(Instrument, _CALLED, [text.strip()], 2)
    if len(named) == 1:
        return named[0]
    segment, _, name = text.strip().partition(":") if ":" in text else ("", "", text.strip())
    candidates = Instrument.objects.filter(tradable=True)
    if segment:
        candidates = candidates.filter(segment=segment.upper())
        by_id = candidates.filter(security_id=name.partition(":")[0]).first()
        if by_id is not None:
            return by_id
    found = list(candidates.filter(symbol__iexact=name)[:6])
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound(f"“{text}” is not unique; say one of {_names(found)}")
    near = list(candidates.filter(symbol__icontains=name)[:5]) if name else []
    hint = f"; near it: {_names(near)}" if near else ""
    raise NotFound(f"no tradable instrument is called “{text}”{hint}")


_CALLED = "UPPER(symbol) = UPPER(%s) AND tradable"  # what most programs say: just a symbol


def _names(found: list[Instrument]) -> str:
    return ", ".join(row.exact_name for row in found)
