"""Find instruments as people write them: NIFTY 25 NOV 24500 CE, BANKNIFTY FUT, an ISIN, an id.

What is typed is read word by word: a type of option, a future, a date or a part of one, a strike,
an exchange; what is left names the underlying or the company. The nearest expiry comes first.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from decimal import Decimal

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from apps.brokers.models import Instrument
from apps.brokers.port import Segment

LONGEST = 100  # characters
MOST_WORDS = 8
_MONTHS = {
    name: number
    for number, name in enumerate(
        "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(),  # noqa: SIM905 - a table
        start=1,
    )
}
_TYPES = {"CE": "CE", "CALL": "CE", "C": "CE", "PE": "PE", "PUT": "PE", "P": "PE"}
_FUTURES = {"FUT", "FUTS", "FUTURE", "FUTURES"}
_EXCHANGES = {
    "NSE": ("NSE_EQ", "NSE_FNO", "NSE_CURRENCY"),
    "BSE": ("BSE_EQ", "BSE_FNO", "BSE_CURRENCY"),
    "NFO": ("NSE_FNO",),
    "BFO": ("BSE_FNO",),
    "MCX": ("MCX_COMM",),
} | {segment.value: (segment.value,) for segment in Segment}
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,4})?", re.ASCII)
_ISO = re.compile(r"(20[0-9]{2})-([0-9]{2})-([0-9]{2})", re.ASCII)
_DAY = re.compile(r"0?[1-9]|[12][0-9]|3[01]", re.ASCII)
_DAY_MONTH = re.compile(r"([0-9]{1,2})?([A-Z]{3})([0-9]{4}|[0-9]{2})?", re.ASCII)
_STRIKE_TYPE = re.compile(r"([A-Z&]{2,})?([0-9]{1,10}(?:\.[0-9]{1,4})?)(CE|PE)", re.ASCII)


@dataclass
class Asked:
    """What was typed, understood. ``numbers`` are strikes; alone, one may be a security id."""

    words: list[str] = field(default_factory=list)
    exchange: str = ""
    numbers: list[Decimal] = field(default_factory=list)
    option_type: str = ""
    future: bool = False
    day: int | None = None
    month: int | None = None
    year: int | None = None
    isin: str = ""
    security_id: str = ""

    @property
    def a_contract(self) -> bool:
        """True when only contracts can be meant."""
        return bool(self.option_type or self.future or self.month or (self.words and self.numbers))

    @property
    def segments(self) -> tuple[str, ...]:
        """Where to look; everywhere when no exchange was named."""
        return _EXCHANGES.get(self.exchange, tuple(Segment))


def understand(text: str) -> Asked:
    """Read what a person typed; nothing that cannot be understood is lost, it is a word."""
    asked = Asked()
    words = _words(text)
    while words:
        words = words[_take(asked, words) :]
    if asked.exchange and not asked.words and (asked.a_contract or not asked.numbers):
        asked.words, asked.exchange = [asked.exchange], ""  # BSE and MCX are shares as well
    if not asked.words and len(asked.numbers) == 1 and not asked.a_contract:
        number = asked.numbers[0]
        asked.security_id = f"{number:f}" if number == number.to_integral_value() else ""
    return asked


def _words(text: str) -> list[str]:
    """Upper case; dates and contracts that are written as one word are taken apart."""
    found: list[str] = []
    for word in re.split(r"[\s:,/]+", text[:LONGEST].upper().strip()):
        for part in [word] if _ISO.fullmatch(word) else word.split("-"):
            strike = _STRIKE_TYPE.fullmatch(part)
            found += [group or "" for group in strike.groups()] if strike else [part]
    return [word for word in found if word][:MOST_WORDS]


def _take(asked: Asked, words: list[str]) -> int:
    """Understand the first word, or the first few; how many that were."""
    word = words[0]
    if _ISIN.fullmatch(word):
        asked.isin = word
    elif word in _EXCHANGES:
        asked.exchange = word
    elif word in _TYPES and (asked.words or asked.numbers):
        asked.option_type = _TYPES[word]
    elif word in _FUTURES:
        asked.future = True
    elif iso := _ISO.fullmatch(word):
        asked.year, asked.month, asked.day = (int(part) for part in iso.groups())
    elif taken := _take_date(asked, words):
        return taken
    elif _NUMBER.fullmatch(word):
        asked.numbers.append(Decimal(word))
    else:
        asked.words.append(word)
    return 1


def _take_date(asked: Asked, words: list[str]) -> int:
    """``25 NOV``, ``25NOV``, ``NOV``, ``NOV2026``, ``25 NOV 2026``; 0 when it is no date."""
    if _DAY.fullmatch(words[0]) and len(words) > 1:
        after = _DAY_MONTH.fullmatch(words[1])
        if after and after[1] is None and after[2] in _MONTHS:
            return 1 + _take_month(asked, int(words[0]), after, words[2:])
    found = _DAY_MONTH.fullmatch(words[0])
    if found is None or found[2] not in _MONTHS or not (asked.words or found[1] or found[3]):
        return 0  # MAR alone may begin a name
    return _take_month(asked, int(found[1]) if found[1] else None, found, words[1:])


def _take_month(asked: Asked, day: int | None, found: re.Match[str], rest: list[str]) -> int:
    """Set the date; how many words were used besides the day's own."""
    asked.day, asked.month = day, _MONTHS[found[2]]
    if found[3]:
        asked.year = int(found[3]) if len(found[3]) == 4 else 2000 + int(found[3])
    elif rest and re.fullmatch(r"20[2-9][0-9]", rest[0]) and len(rest) > 1:
        asked.year = int(rest[0])
        return 2
    return 1


def search(rows: QuerySet[Instrument], text: str) -> QuerySet[Instrument]:
    """The instruments among ``rows`` that answer to the text, the likeliest first."""
    asked = understand(text)
    if asked.isin:
        return rows.filter(isin=asked.isin).order_by("-segment", "symbol")
    if asked.exchange or asked.security_id:
        rows = rows.filter(segment__in=asked.segments)
    if asked.security_id:  # with the segments, the index on segment and id answers
        return rows.filter(security_id=asked.security_id).order_by("-segment", "symbol")
    if not asked.words:
        return rows.none()
    found = rows.filter(_meant(asked))
    return found.annotate(near=_nearness(asked), form=_FORM).order_by(
        "near", "form", "expiry", "-segment", "strike", "symbol"
    )


def suggestions(text: str, today: dt.date, most: int) -> list[Instrument]:
    """What can be traded and is probably meant, the nearest expiry first.

    When nothing ends on the day that was typed, what ends in that month.
    """
    living = Instrument.objects.filter(Instrument.living(today))
    found = list(search(living, text)[:most])
    asked = understand(text)
    if found or asked.day is None or asked.month is None:
        return found
    asked.day = None
    again = living.filter(_contract(asked), segment__in=asked.segments)
    return list(again.order_by("expiry", "-segment", "strike", "symbol")[:most])


def _meant(asked: Asked) -> Q:
    if not asked.a_contract:
        return _named(asked)
    if asked.option_type or asked.future or asked.month:
        return _contract(asked)
    return _contract(asked) | _name([*asked.words, *map(str, asked.numbers)])  # NIFTY 50


def _contract(asked: Asked) -> Q:
    """Contracts on the underlying that the words name, or begin."""
    wanted = _root(asked)
    if asked.numbers:
        wanted &= Q(strike__in=asked.numbers)
    if asked.option_type:
        wanted &= Q(option_type=asked.option_type)
    if asked.future:
        wanted &= Q(strike__isnull=True, kind__startswith="FUT")
    if asked.year and asked.month and asked.day:
        return wanted & _on(asked.year, asked.month, asked.day)
    wanted &= Q(expiry__isnull=False)
    for part in ("day", "month", "year"):
        value = getattr(asked, part)
        if value is not None:
            wanted &= Q(**{f"expiry__{part}": value})
    return wanted


def _on(year: int, month: int, day: int) -> Q:
    try:
        return Q(expiry=dt.date(year, month, day))
    except ValueError:
        return Q(pk__in=[])


def _root(asked: Asked) -> Q:
    """``BANK NIFTY`` and ``BANKNIFTY``, ``BAJAJ AUTO`` and ``BAJAJ-AUTO``, or a beginning."""
    return Q(underlying__in=_spellings(asked.words)) | Q(
        underlying__startswith="".join(asked.words)
    )


def _named(asked: Asked) -> Q:
    """A symbol, its beginning, or every word in the name of a share or an index."""
    return _root(asked) | Q(symbol__istartswith="-".join(asked.words)) | _name(asked.words)


def _name(words: list[str]) -> Q:
    """Every word in the name, or the symbol, of a share or an index."""
    name = Q(expiry__isnull=True)
    for word in words:
        name &= Q(name__icontains=word) | Q(symbol__icontains=word)
    return name


# Shares and indices, then futures, then options.
_FORM = Case(
    When(expiry__isnull=True, then=Value(0)),
    When(strike__isnull=True, then=Value(1)),
    default=Value(2),
    output_field=IntegerField(),
)


def _nearness(asked: Asked) -> Case:
    """The underlying itself before what only begins like it, before names that hold the words."""
    return Case(
        When(symbol__in=_spellings(asked.words), then=Value(0)),
        When(underlying__in=_spellings(asked.words), then=Value(1)),
        When(underlying__startswith="".join(asked.words), then=Value(2)),
        default=Value(3),
        output_field=IntegerField(),
    )


def _spellings(words: list[str]) -> list[str]:
    return sorted({joint.join(words) for joint in ("", "-", " ", "&")})
