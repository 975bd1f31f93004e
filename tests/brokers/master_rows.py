"""Rows of the published master files, and files made of them.

Recorded from DhanHQ's files of August and September 2026; what a recording had cut off is filled in
as its neighbours have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

DETAILED = (
    "EXCH_ID,SEGMENT,SECURITY_ID,ISIN,INSTRUMENT,UNDERLYING_SECURITY_ID,UNDERLYING_SYMBOL,"
    "SYMBOL_NAME,DISPLAY_NAME,INSTRUMENT_TYPE,SERIES,LOT_SIZE,SM_EXPIRY_DATE,STRIKE_PRICE,"
    "OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,BRACKET_FLAG,COVER_FLAG,ASM_GSM_FLAG,ASM_GSM_CATEGORY,"
    "BUY_SELL_INDICATOR,BUY_CO_MIN_MARGIN_PER,BUY_CO_SL_RANGE_MAX_PERC,BUY_CO_SL_RANGE_MIN_PERC,"
    "BUY_BO_MIN_MARGIN_PER,BUY_BO_PROFIT_RANGE_MAX_PERC,BUY_BO_PROFIT_RANGE_MIN_PERC,MTF_LEVERAGE,"
    "SM_UPPER_LIMIT,SM_LOWER_LIMIT,SM_FREEZE_QTY,"
)
COMPACT = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,"
    "SEM_TRADING_SYMBOL,SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,"
    "SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,"
    "SM_SYMBOL_NAME"
)
BANKNIFTY_CALL = (
    "NSE,D,35000,NA,OPTIDX,26009,BANKNIFTY,BANKNIFTY-Sep2026-72600-CE,BANKNIFTY 29 SEP 72600 CALL,"
    "OP,NA,30.0,2026-09-29,72600.00000,CE,5.0000,M,N,N,N,NA,A,0,0,0,0,0,0,0,20.0500,0.0500,601,"
)
AMARA = (
    "NSE,E,100,INE885A01032,EQUITY,,ARE&M,AMARA RAJA ENERGY MOB LTD,Amara Raja Energy & Mobility,"
    "ES,EQ,1.0,,,,5.0000,NA,N,N,N,NA,A,0,0,0.00,0,0,0.00,3.254149,1037.0000,691.4000,115672,"
)
NIFTY_CALL = (
    "NSE,D,35084,NA,OPTIDX,26000,NIFTY,NIFTY-Sep2026-29150-CE,NIFTY 29 SEP 29150 CALL,OP,NA,65.0,"
    "2026-09-29,29150.00000,CE,5.0000,M,N,N,N,NA,A,0,0,0,0,0,0,0,20.1000,0.0500,1756,"
)
USDINR_FUTURE = (
    "BSE,C,1026077,NA,FUTCUR,600,USDINR,USDINR,USDINR AUG FUT,FUTCUR,NA,1.0,2024-08-28,-0.01000,"
    "XX,0.2500,M,N,N,N,NA,A,0,0,0,0,0,0,0,86.4500,81.4100,701,"
)
NIFTY = (
    "NSE,I,13,NA,INDEX,13,NIFTY,NIFTY,Nifty 50,INDEX,NA,1.0,0001-01-01,,XX,0.0500,N,N,N,N,NA,A,"
    "0,0,0,0,0,0,0,0.0000,0.0000,0,"
)
SENSEX_CALL = (
    "BSE,D,869699,NA,OPTIDX,1,SENSEX,BSXOPT,SENSEX 17 SEP 74300 CALL,OPTIDX,NA,20.0,2026-09-17,"
    "74300.00000,CE,5.0000,W,N,N,N,NA,A,0,0,0,0,0,0,0,410.0000,0.0500,1000,"
)
CRUDE_FUTURE = (
    "MCX,M,565899,NA,FUTCOM,294,CRUDEOIL,CRUDEOIL,CRUDEOIL SEP FUT,FUTCOM,2,1.0,2026-09-21,"
    "0.00000,XX,100.0000,M,N,N,N,NA,A,0,0,0,0,0,0,0,5800.0000,5200.0000,100,"
)
NSE_GOLD = (
    "NSE,M,35000,NA,OPTFUT,200,GOLD,GOLD,GOLD 24 NOV 72000 CALL,OPTFUT,NA,1.0,2026-11-24,"
    "72000.00000,CE,100.0000,M,N,N,N,NA,A,0,0,0,0,0,0,0,100.0000,0.0500,0,"
)
WARRANT = (
    "NSE,E,18116,INE086A13020,EQUITY,,ELECTCAST,ELECTCAST WARRANTS,Electcast Warrants,ES,W1,"
    "33340.0,,,,5.0000,NA,N,N,N,NA,A,0,0,0,0,0,0,0,30.0000,20.0000,-1,"
)
RELIANCE = (
    "NSE,E,2885,INE002A01018,EQUITY,,RELIANCE,RELIANCE INDUSTRIES LTD,Reliance Industries,ES,EQ,"
    "1.0,,,,10.0000,NA,N,N,N,NA,A,0,0,0,0,0,0,0,1434.0000,1173.4000,400001,"
)
COMPACT_ROWS = {
    "NIFTY": "NSE,I,13,INDEX,0,NIFTY,1.0,Nifty 50,0001-01-01,,XX,0.0500,,INDEX,X,NIFTY",
    "RELIANCE": (
        "NSE,E,2885,EQUITY,0,RELIANCE,1.0,Reliance Industries,,,,10.0000,NA,ES,EQ,"
        "RELIANCE INDUSTRIES LTD"
    ),
    "BANKNIFTY_CALL": (
        "NSE,D,35000,OPTIDX,0,BANKNIFTY-Sep2026-72600-CE,30.0,BANKNIFTY 29 SEP 72600 CALL,"
        "2026-09-29 14:30:00,72600.00000,CE,5.0000,M,OP,NA,"
    ),
    "CRUDE_FUTURE": (
        "MCX,M,565899,FUTCOM,0,CRUDEOIL-21Sep2026-FUT,1.0,CRUDEOIL SEP FUT,2026-09-21 23:30:00,"
        "0.00000,XX,100.0000,M,FUTCOM,2,CRUDEOIL"
    ),
}
ALL = (
    BANKNIFTY_CALL,
    AMARA,
    NIFTY_CALL,
    USDINR_FUTURE,
    NIFTY,
    SENSEX_CALL,
    CRUDE_FUTURE,
    NSE_GOLD,
    WARRANT,
    RELIANCE,
)


def changed(row: str, columns: Mapping[str, str], header: str = DETAILED) -> str:
    """The row with other values in the named columns."""
    fields = row.split(",")
    for name, value in columns.items():
        fields[header.split(",").index(name)] = value
    return ",".join(fields)


def shares(number: int, *, first: int = 1, **columns: str) -> list[str]:
    """So many shares of their own."""
    return [
        changed(
            RELIANCE,
            {
                "SECURITY_ID": str(70_000 + each),
                "ISIN": f"INE{each:06d}018",
                "UNDERLYING_SYMBOL": f"SHARE{each}",
                "DISPLAY_NAME": f"Share {each}",
            }
            | columns,
        )
        for each in range(first, first + number)
    ]


def text_of(rows: Iterable[str], header: str = DETAILED) -> str:
    return "".join(f"{line}\n" for line in (header, *rows))


def write(path: Path, rows: Iterable[str], header: str = DETAILED) -> Path:
    path.write_text(text_of(rows, header))
    return path
