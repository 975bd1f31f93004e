"""The broker's two master files, in its own columns and units.

Columns, words and oddities: DhanHQ v2 documentation, instruments page, and rows of the published
files: ticks in paise except an index's, limits in rupees, a freeze quantity that is the first one
too large, -1 for none, futures with a strike of -0.01, a comma at the end of every detailed line.
"""

from collections.abc import Iterable, Iterator

from simexchange.instruments import Instrument

PATHS = {
    "compact": "/api-data/api-scrip-master.csv",
    "detailed": "/api-data/api-scrip-master-detailed.csv",
}
COMPACT = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,"
    "SEM_TRADING_SYMBOL,SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,"
    "SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,"
    "SM_SYMBOL_NAME"
)
DETAILED = (
    "EXCH_ID,SEGMENT,SECURITY_ID,ISIN,INSTRUMENT,UNDERLYING_SECURITY_ID,UNDERLYING_SYMBOL,"
    "SYMBOL_NAME,DISPLAY_NAME,INSTRUMENT_TYPE,SERIES,LOT_SIZE,SM_EXPIRY_DATE,STRIKE_PRICE,"
    "OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,BRACKET_FLAG,COVER_FLAG,ASM_GSM_FLAG,ASM_GSM_CATEGORY,"
    "BUY_SELL_INDICATOR,BUY_CO_MIN_MARGIN_PER,BUY_CO_SL_RANGE_MAX_PERC,BUY_CO_SL_RANGE_MIN_PERC,"
    "BUY_BO_MIN_MARGIN_PER,BUY_BO_PROFIT_RANGE_MAX_PERC,BUY_BO_PROFIT_RANGE_MIN_PERC,MTF_LEVERAGE,"
    "SM_UPPER_LIMIT,SM_LOWER_LIMIT,SM_FREEZE_QTY,"
)
_MIDNIGHT = {"MCX": "23:30:00"}


def lines(kind: str, instruments: Iterable[Instrument], *, native: bool = False) -> Iterator[str]:
    """The file, line by line, each with its end. `native`: bracket and cover orders are taken."""
    yield f"{COMPACT if kind == 'compact' else DETAILED}\n"
    for each in instruments:
        row = _compact(each) if kind == "compact" else _detailed(each, native=native)
        yield f"{','.join(map(_quoted, row))}\n"


def _compact(of: Instrument) -> list[str]:
    close = _MIDNIGHT.get(of.exchange, "14:30:00")
    expiry = f"{of.expiry} {close}" if of.expiry else "0001-01-01" if of.is_index else ""
    return [
        *(of.exchange, of.segment_letter, of.security_id, of.kind, "0"),
        *(of.symbol, f"{of.lot}.0", of.name, expiry, _strike(of), of.option or "XX"),
        *(_tick(of), "M" if of.expiry else "NA", _type(of), _series(of)),
        *("" if of.expiry and of.exchange == "NSE" else _mnemonic(of),),
    ]


def _detailed(of: Instrument, *, native: bool) -> list[str]:
    flag = "Y" if native and not of.is_index else "N"
    expiry = of.expiry or ("0001-01-01" if of.is_index else "")
    contract = of.symbol if of.segment == "NSE_FNO" else _mnemonic(of)
    limits = ("0.0000", "0.0000") if of.is_index else (f"{of.upper:.4f}", f"{of.lower:.4f}")
    return [
        *(of.exchange, of.segment_letter, of.security_id, of.isin, of.kind, of.underlying or ""),
        *(of.root, contract, of.name, _type(of), _series(of), f"{of.lot}.0", expiry),
        *(_strike(of), "" if of.is_equity else of.option or "XX", _tick(of)),
        *("M" if of.expiry else "NA", flag, flag, "N", "NA", "A"),
        *("0", "0", "0", "0", "0", "0", "0", *limits, _freeze(of), ""),
    ]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text


def _tick(of: Instrument) -> str:
    return f"{of.tick if of.is_index else of.tick * 100:.4f}"


def _strike(of: Instrument) -> str:
    if of.is_option:
        return f"{of.strike:.5f}"
    if of.is_future:
        return "0.00000" if of.exchange == "MCX" else "-0.01000"
    return ""


def _freeze(of: Instrument) -> str:
    if of.is_index:
        return "0"
    if not of.freeze:
        return "-1"
    return str(of.freeze if of.segment == "BSE_FNO" else of.freeze + 1)


def _type(of: Instrument) -> str:
    if of.segment == "NSE_FNO":
        return "OP" if of.is_option else "FUT"
    return "ES" if of.is_equity else of.kind


def _series(of: Instrument) -> str:
    return of.series if of.is_equity else "NA"


def _mnemonic(of: Instrument) -> str:
    if of.segment == "BSE_FNO":
        return f"{of.root[:4]}{'OPT' if of.is_option else 'FUT'}"
    return f"{of.name} Limited".upper() if of.is_equity else of.root
