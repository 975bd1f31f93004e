"""As many instruments as are asked for, like the real list: indices, shares, contracts, the rest.

All follows from the seed, the number and the day. Companies beyond the first thirty-odd are
invented.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import count, islice
from random import Random
from typing import NamedTuple

from simexchange.contracts import (
    THURSDAY,
    TUESDAY,
    Underlying,
    future_of,
    monthly,
    options_of,
    weekly,
)
from simexchange.instruments import Instrument
from simexchange.money import tick_above, tick_below

SMALL = 50_000
"""Below this many, fewer expiries and strikes: the near ones, and something of everything."""


class Index(NamedTuple):
    """An index and what its contracts are like."""

    segment: str
    symbol: str
    name: str
    security_id: str
    spot: int
    step: int
    lot: int
    freeze: int
    weekday: int
    weekly: bool = False


INDICES = (
    Index("NSE_FNO", "NIFTY", "Nifty 50", "13", 24500, 50, 65, 1755, TUESDAY, weekly=True),
    Index("NSE_FNO", "BANKNIFTY", "Nifty Bank", "25", 55200, 100, 30, 600, TUESDAY),
    Index("BSE_FNO", "SENSEX", "Sensex", "51", 80400, 100, 20, 1000, THURSDAY, weekly=True),
    Index("NSE_FNO", "FINNIFTY", "Nifty Fin Service", "27", 26100, 50, 60, 1800, TUESDAY),
    Index("NSE_FNO", "MIDCPNIFTY", "Nifty Midcap Select", "442", 13200, 25, 120, 2760, TUESDAY),
    Index("NSE_FNO", "NIFTYNXT50", "Nifty Next 50", "38", 67300, 100, 25, 600, TUESDAY),
    Index("BSE_FNO", "BANKEX", "Bankex", "69", 61800, 100, 30, 900, THURSDAY),
)
VOLATILITY = Index("", "INDIA VIX", "India VIX", "21", 14, 1, 1, 0, 0)
COMPANIES = (
    # symbol, name, id at NSE, at BSE, ISIN, price
    ("AXISBANK", "Axis Bank", 5900, 532215, "INE238A01034", "1184.30"),
    ("BAJFINANCE", "Bajaj Finance", 317, 500034, "INE296A01032", "921.45"),
    ("BAJAJ-AUTO", "Bajaj Auto", 16669, 532977, "INE917I01010", "8712.50"),
    ("BHARTIARTL", "Bharti Airtel", 10604, 532454, "INE397D01024", "1913.20"),
    ("BPCL", "Bharat Petroleum", 526, 500547, "INE029A01011", "331.15"),
    ("CIPLA", "Cipla", 694, 500087, "INE059A01026", "1502.60"),
    ("COALINDIA", "Coal India", 20374, 533278, "INE522F01014", "387.95"),
    ("DRREDDY", "Dr Reddys Laboratories", 881, 500124, "INE089A01031", "1248.70"),
    ("EICHERMOT", "Eicher Motors", 910, 505200, "INE066A01021", "6805.50"),
    ("GRASIM", "Grasim Industries", 1232, 500300, "INE047A01021", "2742.80"),
    ("HCLTECH", "HCL Technologies", 7229, 532281, "INE860A01027", "1466.10"),
    ("HEROMOTOCO", "Hero MotoCorp", 1348, 500182, "INE158A01026", "5312.50"),
    ("HINDALCO", "Hindalco Industries", 1363, 500440, "INE038A01020", "762.35"),
    ("HINDUNILVR", "Hindustan Unilever", 1394, 500696, "INE030A01027", "2513.90"),
    ("ICICIBANK", "ICICI Bank", 4963, 532174, "INE090A01021", "1392.40"),
    ("JSWSTEEL", "JSW Steel", 11723, 500228, "INE019A01038", "1148.20"),
    ("KOTAKBANK", "Kotak Mahindra Bank", 1922, 500247, "INE237A01028", "2061.70"),
    ("LT", "Larsen & Toubro", 11483, 500510, "INE018A01030", "3744.60"),
    ("M&M", "Mahindra & Mahindra", 2031, 500520, "INE101A01026", "3488.30"),
    ("MARUTI", "Maruti Suzuki", 10999, 532500, "INE585B01010", "15342.00"),
    ("NTPC", "NTPC", 11630, 532555, "INE733E01010", "338.40"),
    ("ONGC", "Oil & Natural Gas", 2475, 500312, "INE213A01029", "247.86"),
    ("POWERGRID", "Power Grid Corporation", 14977, 532898, "INE752E01010", "287.55"),
    ("SUNPHARMA", "Sun Pharmaceutical", 3351, 524715, "INE044A01036", "1671.80"),
    ("TATASTEEL", "Tata Steel", 3499, 500470, "INE081A01020", "173.42"),
    ("TECHM", "Tech Mahindra", 13538, 532755, "INE669C01036", "1439.50"),
    ("TITAN", "Titan Company", 3506, 500114, "INE280A01028", "3561.40"),
    ("ULTRACEMCO", "UltraTech Cement", 11532, 532538, "INE481G01011", "12210.00"),
    ("WIPRO", "Wipro", 3787, 507685, "INE075A01022", "247.31"),
)
CURRENCIES = {"USDINR": "88.4500", "EURINR": "102.7500", "GBPINR": "117.2000", "JPYINR": "57.1000"}
COMMODITIES = (
    # symbol, spot, step, tick
    ("GOLD", 122500, 1000, "1"),
    ("GOLDM", 121900, 500, "1"),
    ("SILVER", 151000, 1000, "1"),
    ("SILVERM", 150600, 500, "1"),
    ("CRUDEOIL", 5350, 50, "1"),
    ("NATURALGAS", 392, 5, "0.1"),
    ("COPPER", 1012, 5, "0.05"),
    ("ZINC", 304, 2, "0.05"),
)
SYLLABLES = [
    words.split()
    for words in (
        "A BHA CHE DE GA HI IN JAI KA LA MA NA OM PRA RA SA TA UD VA YA",
        "RVI NDRA LCO MITRA NKAR RESH SUN TRON VEER XIS BHAV DURG KIRAN LOK MEGH",
        "TECH FIN STEEL CHEM AGRO POWER INFRA PHARM TEX AUTO FOOD CEM PLAST GEMS LOG",
    )
]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much there is of everything."""

    past: int
    weeks: int
    months: int
    each_side: int
    stocks: int
    stock_side: int
    companies: int
    commodities: int


FEW = Scale(1, 4, 2, 20, 4, 8, 40, 3)
MANY = Scale(2, 8, 4, 100, 210, 20, 9_500, 8)


def universe(rows: int, seed: int, today: date) -> Iterator[Instrument]:
    """The first so many instruments of the list for this day."""
    return islice(_all(FEW if rows < SMALL else MANY, seed, today), rows)


def _all(scale: Scale, seed: int, today: date) -> Iterator[Instrument]:
    shares = list(islice(_shares(seed), scale.companies))
    yield from _indices()
    yield from shares
    for number, index in enumerate(INDICES):
        yield from _index_contracts(_index_underlying(number, index), index, scale, today)
    for number, share in enumerate(shares[: scale.stocks]):
        yield from _stock_contracts(share, 16 + number, scale, today)
    yield from _currency_contracts(scale, today)
    yield from _commodity_contracts("MCX_COMM", scale, today)
    if scale is MANY:
        for number, share in enumerate(shares[: scale.stocks]):
            yield from _stock_contracts(_at_bse(share, number), 16 + number, scale, today)
        yield from _commodity_contracts("NSE_COMM", scale, today)
        yield from _tests()
    for number, share in enumerate(shares[scale.stocks :]):
        yield _at_bse(share, scale.stocks + number)
    yield from _bonds(seed)


def _indices() -> Iterator[Instrument]:
    """All but NIFTY, which the shipped table has; and one that nobody writes contracts on."""
    tick = Decimal("0.05")
    for index in (*INDICES[1:], VOLATILITY):
        spot = Decimal(index.spot)
        yield Instrument(
            segment="IDX_I",
            security_id=index.security_id,
            symbol=index.symbol,
            name=index.name,
            kind="INDEX",
            lot=1,
            tick=tick,
            freeze=0,
            close=spot,
            lower=tick_above(spot * Decimal("0.9"), tick),
            upper=tick_below(spot * Decimal("1.1"), tick),
            asleep=True,
        )


def _index_underlying(number: int, index: Index) -> Underlying:
    at_nse = "0.05" if index.spot <= 15_000 else "0.1" if index.spot <= 30_000 else "0.2"
    return Underlying(
        number, index.segment, index.symbol, index.security_id, "FUTIDX", "OPTIDX",
        Decimal(index.spot), Decimal(index.step), index.lot, index.freeze, Decimal("0.05"),
        Decimal(at_nse if index.segment == "NSE_FNO" else "0.05"),
    )  # fmt: skip


def _index_contracts(
    on: Underlying, index: Index, scale: Scale, today: date
) -> Iterator[Instrument]:
    months = monthly(today, index.weekday, scale.past, scale.months)
    for expiry in months:
        yield future_of(on, expiry, today)
    ends = set(months)
    if index.weekly:
        ends |= set(weekly(today, index.weekday, scale.past, scale.weeks))
    for expiry in sorted(ends):
        yield from options_of(on, expiry, scale.each_side, today)


def _stock_contracts(
    share: Instrument, number: int, scale: Scale, today: date
) -> Iterator[Instrument]:
    nse = share.segment == "NSE_EQ"
    spot = share.close
    tick = Decimal("0.01") if nse and spot < 250 else Decimal("0.05")
    lot = max(int(Decimal(600_000) / spot / 25) * 25, 25)
    on = Underlying(
        number, "NSE_FNO" if nse else "BSE_FNO", share.symbol, share.security_id,
        "FUTSTK", "OPTSTK", spot, _step(spot), lot, lot * 40, tick,
        share.tick if nse else tick, volatility=0.28,
    )  # fmt: skip
    ends = monthly(today, TUESDAY if nse else THURSDAY, min(scale.past, 1), min(scale.months, 3))
    for expiry in ends:
        yield future_of(on, expiry, today)
        yield from options_of(on, expiry, scale.stock_side // (1 if nse else 2), today)


def _step(spot: Decimal) -> Decimal:
    """Strikes about one and a half per cent apart, on a round number."""
    steps = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    return Decimal(next((step for step in steps if step * 80 >= spot), steps[-1]))


def _currency_contracts(scale: Scale, today: date) -> Iterator[Instrument]:
    for place, segment in enumerate(("NSE_CURRENCY", "BSE_CURRENCY")):
        for number, (root, spot) in enumerate(CURRENCIES.items()):
            on = Underlying(
                place * 8 + number, segment, root, str(600 + number), "FUTCUR", "OPTCUR",
                Decimal(spot), Decimal("0.25"), 1, 700, Decimal("0.0025"), Decimal("0.0025"),
                volatility=0.05, dated=True,
            )  # fmt: skip
            for expiry in monthly(today, TUESDAY, scale.past, scale.months):
                yield future_of(on, expiry, today)
                yield from options_of(on, expiry, scale.each_side // 4, today)


def _commodity_contracts(segment: str, scale: Scale, today: date) -> Iterator[Instrument]:
    """MCX and NSE list the same goods; at NSE nobody can trade them through the broker."""
    side = 120 if segment == "NSE_COMM" else min(scale.each_side, 60)
    for number, (root, spot, step, tick) in enumerate(COMMODITIES[: scale.commodities]):
        on = Underlying(
            number, segment, root, str(200 + number), "FUTCOM", "OPTFUT", Decimal(spot),
            Decimal(step), 1, 100, Decimal(tick), Decimal(tick), volatility=0.2, dated=True,
        )  # fmt: skip
        for expiry in monthly(today, THURSDAY, scale.past, scale.months):
            if segment == "MCX_COMM":
                yield future_of(on, expiry, today)
            yield from options_of(on, expiry, side, today)


def _tests() -> Iterator[Instrument]:
    """Symbols that an exchange lists for tests of its own."""
    for number in range(18):
        root = f"{number * 10 + 11:03d}NSETEST"
        yield _share(
            "NSE_EQ", str(990_000 + number), root, "Test", f"DUMMYSAN{number:03d}", "10.00"
        )


def _shares(seed: int) -> Iterator[Instrument]:
    """Shares at NSE: known companies, then invented ones, some in other series."""
    for symbol, name, at_nse, _, isin, price in COMPANIES:
        yield _share("NSE_EQ", str(at_nse), symbol, name, isin, price)
    chance = Random(f"{seed}/companies")
    taken = {row[0] for row in COMPANIES}
    for number in count():
        symbol = "".join(chance.choice(part) for part in SYLLABLES)
        symbol = symbol if symbol not in taken else f"{symbol[:12]}{number}"
        taken.add(symbol)
        price = f"{min(10 ** chance.uniform(0.8, 4.2), 15_000):.2f}"
        series = chance.choices(("EQ", "BE", "SM", "GS", "W1"), (80, 8, 6, 5, 1))[0]
        isin = f"INE{number:05d}A0{number % 1000:03d}"[:12]
        yield _share(
            "NSE_EQ", str(100_000 + number), symbol, f"{symbol.title()} India", isin, price, series
        )


def _at_bse(share: Instrument, number: int) -> Instrument:
    known = {str(row[2]): row[3] for row in COMPANIES}
    security_id = str(known.get(share.security_id, 540_000 + number))
    price = f"{share.close:.2f}"
    return _share("BSE_EQ", security_id, share.symbol, share.name, share.isin, price, "A")


def _bonds(seed: int) -> Iterator[Instrument]:
    """Without end."""
    chance = Random(f"{seed}/bonds")
    for number in count():
        year = chance.randint(27, 49)
        symbol = f"{chance.randint(60, 119)}BND{year}{number}"
        isin = f"INE{number:05d}Z{number % 1000:03d}"
        price = f"{chance.uniform(900, 1100):.2f}"
        yield _share("BSE_EQ", str(930_000 + number), symbol, f"Bond {year}", isin, price, "F")


def _share(
    segment: str,
    security_id: str,
    symbol: str,
    name: str,
    isin: str,
    price: str,
    series: str = "EQ",
) -> Instrument:
    tick = _share_tick(Decimal(price)) if segment == "NSE_EQ" else Decimal("0.05")
    close = max(tick_below(Decimal(price), tick), tick)
    return Instrument(
        segment=segment,
        security_id=security_id,
        symbol=symbol,
        name=name,
        kind="EQUITY",
        lot=1,
        tick=tick,
        freeze=max(int(150_000_000 / close), 1000) if segment == "NSE_EQ" else 0,
        close=close,
        lower=tick_above(close * Decimal("0.9"), tick),
        upper=max(tick_below(close * Decimal("1.1"), tick), close),
        isin=isin,
        series=series,
        asleep=True,
    )


def _share_tick(price: Decimal) -> Decimal:
    """NSE's steps since 15 April 2025."""
    steps = ((250, "0.01"), (1000, "0.05"), (5000, "0.1"), (10_000, "0.5"), (20_000, "1"))
    return Decimal(next((tick for most, tick in steps if price < most), "5"))
