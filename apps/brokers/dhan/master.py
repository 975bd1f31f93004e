"""DhanHQ's two master files, row by row.

Source: DhanHQ v2 documentation, instruments page, for the columns and words; the published files
for what it does not say: ticks are in paise except an index's, price limits in rupees, a freeze
quantity is the first one that is too large, ids are unique only within a segment, several weekly
contracts share one trading symbol, and the commodities of NSE have no segment to trade them under.
Columns are found by their names, never by their places.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

from django.conf import settings

from apps.brokers.dhan.fields import MOST_PRICE, MOST_UNITS, number
from apps.brokers.dhan.words import SOCKET_SEGMENTS
from apps.brokers.port import Doubt, Listing, Segment
from apps.brokers.storable import clean_text

HOST = "https://images.dhan.co"
PATHS = {
    "detailed": "/api-data/api-scrip-master-detailed.csv",
    "compact": "/api-data/api-scrip-master.csv",
}
COLUMNS = {
    "detailed": {
        "exchange": "EXCH_ID",
        "letter": "SEGMENT",
        "security_id": "SECURITY_ID",
        "kind": "INSTRUMENT",
        "symbol": "UNDERLYING_SYMBOL",
        "name": "DISPLAY_NAME",
        "series": "SERIES",
        "lot": "LOT_SIZE",
        "expiry": "SM_EXPIRY_DATE",
        "strike": "STRIKE_PRICE",
        "option": "OPTION_TYPE",
        "tick": "TICK_SIZE",
        "isin": "ISIN",
    },
    "compact": {
        "exchange": "SEM_EXM_EXCH_ID",
        "letter": "SEM_SEGMENT",
        "security_id": "SEM_SMST_SECURITY_ID",
        "kind": "SEM_INSTRUMENT_NAME",
        "symbol": "SEM_TRADING_SYMBOL",
        "name": "SEM_CUSTOM_SYMBOL",
        "series": "SEM_SERIES",
        "lot": "SEM_LOT_UNITS",
        "expiry": "SEM_EXPIRY_DATE",
        "strike": "SEM_STRIKE_PRICE",
        "option": "SEM_OPTION_TYPE",
        "tick": "SEM_TICK_SIZE",
    },
}
# In the detailed file alone, the first three in no documentation: read when they are there.
OPTIONAL = {
    "upper": "SM_UPPER_LIMIT",
    "lower": "SM_LOWER_LIMIT",
    "freeze": "SM_FREEZE_QTY",
    "bracket": "BRACKET_FLAG",
    "cover": "COVER_FLAG",
}

SEGMENTS = SOCKET_SEGMENTS | {("NSE", "I"): Segment.INDEX, ("BSE", "I"): Segment.INDEX}
LEFT_OUT = {("NSE", "M")}
LETTERS_OF_KIND = {
    "INDEX": "I",
    "EQUITY": "E",
    "FUTIDX": "DM",
    "OPTIDX": "DM",
    "FUTSTK": "D",
    "OPTSTK": "D",
    "FUTCUR": "C",
    "OPTCUR": "C",
    "FUTCOM": "M",
    "OPTFUT": "M",
}
# A lot of 1 there means "one lot", and the files do not say what one holds.
IN_LOTS = {Segment.MCX_COMM, Segment.NSE_CURRENCY, Segment.BSE_CURRENCY}
CURRENCIES = {Segment.NSE_CURRENCY, Segment.BSE_CURRENCY}
PAISE = Decimal(100)
PAISA = Decimal("0.01")

_NONE = {"", "NA", "N/A", "0001-01-01"}
_ID = re.compile(r"[0-9]{1,20}", re.ASCII)
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?: \d{2}:\d{2}:\d{2})?", re.ASCII)
_SYMBOL = re.compile(r"[!#-9;-\[\]-~](?:[ !#-9;-\[\]-~]{0,49})", re.ASCII)  # no quote, no colon
_CONTRACT = re.compile(
    r"(?P<root>.+)-(?:\d{1,2})?[A-Z]{3}\d{4}-(?:FUT|[0-9.]+-(?:CE|PE))", re.ASCII
)
_TEST = re.compile(r"\d*(?:NSE|BSE|MCX)TEST", re.ASCII)


class DhanMaster:
    """Where the files are and how they are read."""

    layouts = tuple(PATHS)

    def address(self, layout: str) -> str:
        """The setting's for the detailed file; else the simulated exchange's or the broker's."""
        chosen = settings.INSTRUMENT_URLS.get("dhan", "")
        if chosen and layout == "detailed":
            return str(chosen)
        return f"{settings.SIMEXCHANGE_URL or HOST}{PATHS[layout]}"

    def layout_of(self, header: Sequence[str]) -> DhanLayout:
        """The file whose id column this header has."""
        for name, columns in COLUMNS.items():
            if columns["security_id"] in header:
                return DhanLayout(name, header)
        wanted = " or ".join(columns["security_id"] for columns in COLUMNS.values())
        raise Doubt(wanted, "the column is missing: this is none of the broker's master files")


class DhanLayout:
    """One header, and so where each value stands in a row."""

    def __init__(self, name: str, header: Sequence[str]) -> None:
        self.name = name
        places = {column: place for place, column in enumerate(header)}
        missing = [column for column in COLUMNS[name].values() if column not in places]
        if missing:
            raise Doubt(", ".join(missing), "the column is missing")
        self._columns = COLUMNS[name] | {
            ours: theirs for ours, theirs in OPTIONAL.items() if theirs in places
        }
        self._names = tuple(self._columns)
        self._pick = itemgetter(*(places[column] for column in self._columns.values()))

    def understand(self, fields: Sequence[str]) -> Listing | None:
        """See ``port.Layout``."""
        said = dict(zip(self._names, self._pick(fields), strict=True))
        return _Row(said, self._columns, compact=self.name == "compact").listing()


class _Row:
    """One row by our names, and what its columns are called in the file."""

    def __init__(
        self, said: Mapping[str, str], columns: Mapping[str, str], *, compact: bool
    ) -> None:
        self._said = said
        self._columns = columns
        self._compact = compact
        self._place = said["exchange"].strip(), said["letter"].strip()

    def listing(self) -> Listing | None:
        said = self._said
        if self._place in LEFT_OUT or self._is_a_test():
            return None
        segment = SEGMENTS.get(self._place)
        if segment is None:
            raise self._doubt("letter", f"{'/'.join(self._place)[:30]} is no segment that we know")
        kind = said["kind"].strip()
        if self._place[1] not in LETTERS_OF_KIND.get(kind, ()):
            raise self._doubt("kind", f"{kind!r} is no kind of instrument that we know there")
        root = self._root(kind)
        expiry, strike, option = self._contract(kind)
        series = _text(said["series"])[:10]
        lot = self._lot(segment)
        return Listing(
            segment=segment,
            security_id=self._id(),
            symbol=_symbol(segment, root, series, expiry, strike, option),
            name=clean_text(_text(said["name"]))[:160],
            series=series if kind == "EQUITY" else "",
            kind=kind,
            isin=self._isin(),
            lot_size=lot,
            tick_size=self._tick(segment),
            freeze_quantity=self._freeze(segment, lot),
            **self._limits(segment),
            underlying=root,
            expiry=expiry,
            strike=strike,
            option_type=option,
            closed=_closed(segment, lot),
            bracket_orders=self._flag("bracket"),
            cover_orders=self._flag("cover"),
        )

    def _doubt(self, ours: str, text: str) -> Doubt:
        segment = SEGMENTS.get(self._place)
        security_id = self._said["security_id"].strip()
        key = (segment.value, security_id) if segment and _ID.fullmatch(security_id) else None
        return Doubt(self._columns[ours], text, key)

    def _read(self, ours: str, read: Callable[[str], Any]) -> Any:  # noqa: ANN401 - as ``read``
        text = self._said[ours]
        try:
            return read(text)
        except ValueError as error:
            raise self._doubt(ours, f"{text[:30]!r} {error}") from None

    def _is_a_test(self) -> bool:
        """The exchanges list symbols for tests of their own."""
        dummy = self._said.get("isin", "").startswith("DUMMY")
        return dummy or _TEST.match(self._said["symbol"].strip()) is not None

    def _id(self) -> str:
        text = self._said["security_id"].strip()
        if not _ID.fullmatch(text):
            raise self._doubt("security_id", f"{text[:30]!r} is not a number")
        return text

    def _root(self, kind: str) -> str:
        """What a contract is on; of a share or an index its own symbol."""
        text = _text(self._said["symbol"]).upper()
        if self._compact and kind not in {"EQUITY", "INDEX"}:
            found = _CONTRACT.fullmatch(text)
            if found is None:
                raise self._doubt("symbol", f"{text[:30]!r} is no symbol of a contract")
            text = found["root"]
        if not _SYMBOL.fullmatch(text):
            raise self._doubt("symbol", f"{text[:30]!r} is no symbol")
        return text

    def _contract(self, kind: str) -> tuple[dt.date | None, Decimal | None, str]:
        if kind in {"EQUITY", "INDEX"}:
            return None, None, ""
        expiry = self._read("expiry", _date)
        if expiry is None:
            raise self._doubt("expiry", "a contract needs an expiry")
        if not kind.startswith("OPT"):
            return expiry, None, ""
        option = self._said["option"].strip()
        if option not in {"CE", "PE"}:
            raise self._doubt("option", f"{option[:10]!r} is neither CE nor PE")
        strike = self._read("strike", _amount)
        if strike is None:
            raise self._doubt("strike", "an option needs a strike above 0")
        return expiry, strike, option

    def _isin(self) -> str | None:
        """The compact file has none."""
        if self._compact:
            return None
        text = _text(self._said["isin"])
        if len(text) > 20:
            raise self._doubt("isin", f"{text[:30]!r} is no ISIN")
        return text or None

    def _lot(self, segment: Segment) -> int:
        lot = self._read("lot", _whole)
        if lot:
            return int(lot)
        if segment is Segment.INDEX:
            return 1
        raise self._doubt("lot", "a lot holds at least one unit")

    def _tick(self, segment: Segment) -> Decimal:
        said = self._read("tick", _amount)
        if segment is Segment.INDEX:  # in rupees, or 0; nobody orders at it
            return said or PAISA
        if said is None:
            raise self._doubt("tick", "a tick is above 0")
        tick: Decimal = said / PAISE
        if tick < PAISA and segment not in CURRENCIES:
            raise self._doubt("tick", f"{said} paise is below the smallest tick: another unit?")
        if tick != round(tick, 4):
            raise self._doubt("tick", f"{said} paise is finer than a hundredth of a paisa")
        return tick

    def _freeze(self, segment: Segment, lot: int) -> int | None:
        """The largest quantity of one order: the file's freezes, or is the last that does not."""
        if "freeze" not in self._said or segment is Segment.INDEX:
            return None
        said = self._read("freeze", _whole)
        if said is None:
            return None
        largest = said // lot * lot if lot > 1 else said - 1
        if largest < 1:
            raise self._doubt("freeze", f"{said} is less than one lot")
        return int(largest)

    def _flag(self, ours: str) -> bool | None:
        """Y allows it, and no other word does; without the column nothing is said."""
        said = self._said.get(ours)
        return None if said is None else said.strip().upper() == "Y"

    def _limits(self, segment: Segment) -> dict[str, Decimal | None]:
        """Rupees, of the day on which the file was written; both or none."""
        limits: dict[str, Decimal | None] = {"lower_limit": None, "upper_limit": None}
        if not {"lower", "upper"} <= self._said.keys() or segment is Segment.INDEX:
            return limits
        lower, upper = self._read("lower", _amount), self._read("upper", _amount)
        if lower is None or upper is None:
            return limits
        if lower > upper:
            raise self._doubt("upper", f"{upper} is below the lower limit {lower}")
        return {"lower_limit": lower, "upper_limit": upper}


def _symbol(
    segment: Segment,
    root: str,
    series: str,
    expiry: dt.date | None,
    strike: Decimal | None,
    option: str,
) -> str:
    """A name of its own for everything: the broker's are shared by weekly contracts and by series.

    NSE lists a company's warrants and bonds under the symbol of its share, so anything but the
    main series carries its own, as the exchange writes it.
    """
    if expiry is not None:
        what = "FUT" if strike is None else f"{strike.normalize():f}-{option}"
        return f"{root}-{_day(expiry)}-{what}"
    if segment is Segment.NSE_EQ and series != "EQ":
        return f"{root}-{series or 'NA'}"
    return root


def _closed(segment: Segment, lot: int) -> str:
    if segment is Segment.INDEX:
        return "INDEX"
    return "UNITS" if lot == 1 and segment in IN_LOTS else ""


def _text(value: str) -> str:
    text = value.strip()
    return "" if text in _NONE or text == "XX" else text


@lru_cache(maxsize=4096)
def _day(date: dt.date) -> str:
    return f"{date:%d%b%Y}".upper()


@lru_cache(maxsize=4096)
def _date(text: str) -> dt.date | None:
    if text.strip()[:10] in _NONE:
        return None
    found = _DATE.fullmatch(text.strip())
    try:
        date = dt.date.fromisoformat(found[1]) if found else None
    except ValueError:
        date = None
    if date is None or not 1990 <= date.year < 2100:
        raise ValueError("is no date such as 2026-12-29")
    return date


@lru_cache(maxsize=65536)
def _amount(text: str) -> Decimal | None:
    """Above 0, with at most four decimals; None for what the files write instead of nothing."""
    if text.strip() in _NONE:
        return None
    amount = number(text)
    if amount <= 0:
        return None
    if amount >= MOST_PRICE or amount != round(amount, 4):
        raise ValueError("is no amount of rupees")
    return amount


@lru_cache(maxsize=65536)
def _whole(text: str) -> int | None:
    """1 or more; None for nothing, 0 or less."""
    if text.strip() in _NONE:
        return None
    amount = number(text)
    if amount != amount.to_integral_value() or abs(amount) > MOST_UNITS:
        raise ValueError("is no whole number")
    return int(amount) if amount > 0 else None
