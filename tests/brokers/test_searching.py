"""What people type finds what they mean; what trades by itself gets exactly it, or a list."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from apps.brokers.finding import NotFound, find_instrument
from apps.brokers.models import Instrument
from apps.brokers.searching import search, suggestions, understand

pytestmark = pytest.mark.django_db

TODAY = dt.date(2026, 11, 16)
EXPIRIES = ("2026-11-17", "2026-11-25", "2026-12-29", "2027-12-28")


@pytest.fixture(autouse=True)
def market(time_machine: Any) -> None:
    time_machine.move_to(dt.datetime(2026, 11, 16, 5, tzinfo=dt.UTC))
    rows: list[Instrument] = []

    def add(symbol: str, segment: str = "NSE_FNO", **columns: Any) -> None:
        given_columns = {
            "security_id": str(1000 + len(rows)),
            "kind": "EQUITY",
            "lot_size": 1,
            "tick_size": Decimal("0.05"),
            "underlying": symbol.partition("-")[0],
        } | columns
        rows.append(Instrument(segment=segment, symbol=symbol, **given_columns))

    add("RELIANCE", "NSE_EQ", name="Reliance Industries", isin="INE002A01018", security_id="2885")
    add("RELIANCE", "BSE_EQ", name="Reliance Industries", isin="INE002A01018", security_id="500325")
    add("RELINFRA", "NSE_EQ", name="Reliance Infrastructure")
    add("M&M", "NSE_EQ", name="Mahindra & Mahindra")
    add("BAJAJ-AUTO", "NSE_EQ", name="Bajaj Auto", underlying="BAJAJ-AUTO")
    add("BSE", "NSE_EQ", name="BSE")
    add("ELECTCAST", "NSE_EQ", name="Electrosteel Castings")
    add("ELECTCAST-W1", "NSE_EQ", name="Electcast Warrants")
    add("NIFTY", "INDEX", name="Nifty 50", kind="INDEX", closed="INDEX", tradable=False)
    for root, strikes in (("NIFTY", (24400, 24500)), ("BANKNIFTY", (55000,)), ("BSE", (2500,))):
        for expiry in EXPIRIES:
            end = dt.date.fromisoformat(expiry)
            day = f"{end:%d%b%Y}".upper()
            add(f"{root}-{day}-FUT", kind="FUTIDX", expiry=end)
            for strike in strikes:
                for option in ("CE", "PE"):
                    columns = {"expiry": end, "strike": strike, "option_type": option}
                    add(f"{root}-{day}-{strike}-{option}", kind="OPTIDX", **columns)
    over = {"expiry": dt.date(2026, 11, 10), "strike": 24500, "option_type": "CE"}
    add("NIFTY-10NOV2026-24500-CE", kind="OPTIDX", closed="EXPIRED", tradable=False, **over)
    yesterday = over | {"expiry": dt.date(2026, 11, 15)}
    add("NIFTY-15NOV2026-24500-CE", kind="OPTIDX", **yesterday)
    Instrument.objects.bulk_create(rows)


def found(text: str) -> list[str]:
    return [row.symbol for row in suggestions(text, TODAY, 20)]


DAYS = ("17NOV2026", "25NOV2026", "29DEC2026", "28DEC2027")


def futures(root: str) -> list[str]:
    return [f"{root}-{day}-FUT" for day in DAYS]


CALLS = [
    "NIFTY-17NOV2026-24500-CE",
    "NIFTY-25NOV2026-24500-CE",
    "NIFTY-29DEC2026-24500-CE",
    "NIFTY-28DEC2027-24500-CE",
]


@pytest.mark.parametrize(
    "text",
    [
        "NIFTY 24500 CE",
        "nifty 24500 call",
        "  NIFTY   24500CE ",
        "NIFTY24500CE",
        "NFO NIFTY 24500 CE",
    ],
)
def test_an_option_without_a_date_is_found_at_every_expiry_the_nearest_first(text: str) -> None:
    assert found(text) == CALLS


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("NIFTY 25 NOV 24500 CE", ["NIFTY-25NOV2026-24500-CE"]),
        ("NIFTY 25NOV 24500 CE", ["NIFTY-25NOV2026-24500-CE"]),
        ("NIFTY 25 NOV 2026 24500 CE", ["NIFTY-25NOV2026-24500-CE"]),
        ("NIFTY 25NOV2026 24500 CE", ["NIFTY-25NOV2026-24500-CE"]),
        ("NIFTY 2026-11-25 24500 CE", ["NIFTY-25NOV2026-24500-CE"]),
        ("NIFTY-25NOV2026-24500-CE", ["NIFTY-25NOV2026-24500-CE"]),
        ("NSE_FNO:NIFTY-25NOV2026-24500-CE", ["NIFTY-25NOV2026-24500-CE"]),
        ("NIFTY-Nov2026-24500-CE", CALLS[:2]),
        ("NIFTY NOV 24500 CE", CALLS[:2]),
        ("NIFTY DEC 24500 CE", CALLS[2:]),
        ("NIFTY DEC 2027 24500 CE", CALLS[3:]),
        ("NIFTY 28 DEC 24500 CE", CALLS[3:]),
        ("NIFTY 24 NOV 24500 CE", CALLS[:2]),  # none ends that day: the month's
        ("NIFTY 31 NOV 2026 24500 CE", CALLS[:2]),
        ("BANKNIFTY FUT", futures("BANKNIFTY")),
        ("bank nifty futures", futures("BANKNIFTY")),
        ("BSE FUT", futures("BSE")),
        ("INE002A01018", ["RELIANCE", "RELIANCE"]),
        ("2885", ["RELIANCE"]),
        ("BSE 500325", ["RELIANCE"]),
        ("NSE 500325", []),
        ("RELIANCE", ["RELIANCE", "RELIANCE", "RELINFRA"]),
        ("reliance bse", ["RELIANCE"]),
        ("reliance ind", ["RELIANCE", "RELIANCE"]),
        ("infrastructure", ["RELINFRA"]),
        ("m&m", ["M&M"]),
        ("bajaj auto", ["BAJAJ-AUTO"]),
        ("BAJAJ-AUTO", ["BAJAJ-AUTO"]),
        ("electcast", ["ELECTCAST", "ELECTCAST-W1"]),
        ("NIFTY 99999 CE", []),
        ("", []),
        ("-", []),
    ],
)
def test_what_is_typed_finds_what_is_meant(text: str, symbols: list[str]) -> None:
    assert found(text) == symbols


def test_an_underlying_alone_shows_what_it_is_first_then_its_futures() -> None:
    assert found("nifty")[:2] == ["NIFTY-17NOV2026-FUT", "NIFTY-25NOV2026-FUT"]
    assert found("bse")[:2] == ["BSE", "BSE-17NOV2026-FUT"]


def test_what_cannot_be_traded_is_for_the_admin_alone() -> None:
    rows = [row.symbol for row in search(Instrument.every.all(), "NIFTY 24500 CE")]
    assert rows == ["NIFTY-10NOV2026-24500-CE", "NIFTY-15NOV2026-24500-CE", *CALLS]


def test_a_number_may_belong_to_a_name() -> None:
    assert [row.symbol for row in search(Instrument.every.all(), "nifty 50")] == ["NIFTY"]


def test_the_list_of_the_admin_is_searched_the_same_way(client: Client) -> None:
    client.force_login(User.objects.create_superuser("otto"))
    page = client.get("/admin/brokers/instrument/", {"q": "NIFTY 25 NOV 24500 CE"}).content.decode()
    assert "NIFTY-25NOV2026-24500-CE" in page
    assert "NIFTY-17NOV2026-24500-CE" not in page


@pytest.mark.parametrize(
    ("text", "security_id"),
    [
        ("NSE_EQ:RELIANCE", "2885"),
        ("bse_eq:reliance", "500325"),
        ("NSE_EQ:2885", "2885"),
        ("NSE_EQ:2885:RELIANCE", "2885"),
        (" BAJAJ-AUTO ", "1004"),
        ("electcast-w1", "1007"),
    ],
)
def test_a_program_names_exactly_one(text: str, security_id: str) -> None:
    assert find_instrument(text).security_id == security_id


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RELIANCE", "is not unique; say one of BSE_EQ:500325:RELIANCE, NSE_EQ:2885:RELIANCE"),
        ("NIFTY 24500 CE", "no tradable instrument is called “NIFTY 24500 CE”; near it: NSE_FNO:"),
        ("2885", "near it: NSE_EQ:2885:RELIANCE"),
        ("NSE_EQ:2885:TCS", "the id is RELIANCE's now"),
        ("NSE_FNO:2885", "no tradable instrument"),
        ("NIFTY", "NIFTY cannot be traded: an index is not traded"),
        ("NIFTY-10NOV2026-24500-CE", "cannot be traded: the contract is over"),
        ("NIFTY-15NOV2026-24500-CE", "cannot be traded: it expired on 15 Nov 2026"),
        ("NSE_EQ:", "no tradable instrument"),
        ("", "no tradable instrument"),
    ],
)
def test_a_program_gets_no_guess(text: str, said: str) -> None:
    with pytest.raises(NotFound, match=said.replace("(", "\\(")):
        find_instrument(text)


MANY = """
    INSERT INTO brokers_instrument
        (segment, security_id, symbol, name, series, kind, isin, lot_size, tick_size, underlying,
         expiry, strike, option_type, closed, blocked, tradable, updated_at)
    SELECT 'NSE_FNO', (100000 + n)::text, 'S' || n, 'Some ' || n, '', 'OPTSTK', '', 1, 0.05,
        'STOCK' || n % 100, date '2026-12-29' + n % 3, n, 'CE', '', FALSE, TRUE, now()
    FROM generate_series(1, 20000) n
"""


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("NIFTY 24500 CE", "instrument_by_contract"),
        ("BANKNIFTY FUT", "instrument_by_contract"),
        ("2885", "instrument_is_segment_and_id"),
        ("INE002A01018", "instrument_by_isin"),
        ("RELIANCE", "instrument_without_expiry"),
    ],
)
def test_what_is_typed_is_looked_up_in_an_index(text: str, index: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MANY)
        cursor.execute("ANALYZE brokers_instrument")
    plan = search(Instrument.objects.filter(tradable=True), text)[:20].explain()
    assert index in plan
    assert "Seq Scan" not in plan
    assert "instrument_by_upper_symbol" in Instrument.objects.filter(symbol__iexact="a").explain()


@given(st.text(max_size=60))
def test_nothing_that_can_be_typed_breaks_the_reading(text: str) -> None:
    asked = understand(text)
    assert len(asked.words) + len(asked.numbers) <= 8


@pytest.mark.parametrize(
    "text", ["%", "_", "\\", "'; DROP TABLE x", "٣٤", "😀", "NIFTY %", "(" * 90]
)
def test_odd_characters_find_nothing_and_break_nothing(text: str) -> None:
    assert found(text) == []
