"""The instruments traded here, and where they come from."""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

Key = tuple[str, str]
"""Exchange segment and security id: the id alone is not unique at Dhan."""

BSE_INDICES = {"SENSEX", "BANKEX", "SENSEX50"}
_CONTRACT = re.compile(r"(.+)-\d{0,2}[A-Z][a-z]{2}\d{4}-.+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One row of the instrument table. Prices and ticks are in rupees, sizes in units."""

    segment: str
    security_id: str
    symbol: str
    name: str
    kind: str
    lot: int
    tick: Decimal
    freeze: int
    close: Decimal
    lower: Decimal
    upper: Decimal
    isin: str = "NA"
    series: str = "XX"
    expiry: str | None = None
    option: str | None = None
    strike: Decimal = Decimal(0)
    underlying: str | None = None
    asleep: bool = False
    """Its market opens when somebody first asks for it: thousands need not walk for nobody."""

    @property
    def key(self) -> Key:
        return self.segment, self.security_id

    @property
    def exchange(self) -> str:
        if self.is_index:
            return "BSE" if self.symbol in BSE_INDICES else "NSE"
        return self.segment.partition("_")[0]

    @property
    def root(self) -> str:
        """The symbol of what a contract is on; of anything else its own."""
        found = _CONTRACT.fullmatch(self.symbol) if self.expiry else None
        return found[1] if found else self.symbol

    @property
    def segment_letter(self) -> str:
        """The letter of order updates and the instrument file: E, D, C, M, I."""
        letters = {"EQ": "E", "FNO": "D", "CURRENCY": "C", "COMM": "M", "I": "I"}
        return letters[self.segment.partition("_")[2]]

    @property
    def is_index(self) -> bool:
        return self.kind == "INDEX"

    @property
    def is_option(self) -> bool:
        return self.kind.startswith("OPT")

    @property
    def is_future(self) -> bool:
        return self.kind.startswith("FUT")

    @property
    def is_equity(self) -> bool:
        return self.kind == "EQUITY"


FIELDS = {
    "segment": "segment",
    "securityId": "security_id",
    "symbol": "symbol",
    "name": "name",
    "instrument": "kind",
    "lotSize": "lot",
    "tickSize": "tick",
    "freezeQuantity": "freeze",
    "previousClose": "close",
    "lowerCircuit": "lower",
    "upperCircuit": "upper",
    "isin": "isin",
    "series": "series",
    "expiry": "expiry",
    "optionType": "option",
    "strikePrice": "strike",
    "underlyingSecurityId": "underlying",
}
DECIMALS = {"tick", "close", "lower", "upper", "strike"}


def from_row(row: dict[str, Any]) -> Instrument:
    values = {FIELDS[name]: value for name, value in row.items()}
    for name in DECIMALS & values.keys():
        values[name] = Decimal(values[name])
    return Instrument(**values)


def to_row(instrument: Instrument) -> dict[str, Any]:
    row = {name: getattr(instrument, attribute) for name, attribute in FIELDS.items()}
    return {name: float(v) if isinstance(v, Decimal) else v for name, v in row.items()}


def load(path: Path | None = None) -> dict[Key, Instrument]:
    """Read a table of instruments from a JSON list, by default the one that ships."""
    source = path or resources.files("simexchange") / "instruments.json"
    rows = json.loads(source.read_text(), parse_float=Decimal)
    return {instrument.key: instrument for instrument in map(from_row, rows)}
