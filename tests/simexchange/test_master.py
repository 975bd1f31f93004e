"""The list of instruments: as the broker publishes it, of any size, and all of it tradable."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from simexchange import instruments, master
from simexchange.contracts import THURSDAY, TUESDAY, monthly, weekly
from simexchange.instruments import Instrument
from simexchange.listing import listed
from tests.simexchange.harness import ROOT, Server, limit_order

DAY = date(2026, 11, 23)
SHIPPED = instruments.load()


def table(rows: int, seed: int = 1, day: date = DAY) -> list[Instrument]:
    return list(listed(SHIPPED, rows, seed, day))


def parsed(kind: str, of: list[Instrument]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(master.lines(kind, of)))))


@pytest.mark.parametrize("rows", [0, 16, 4000, 60_000])
def test_so_many_are_listed_and_no_key_is_there_twice(rows: int) -> None:
    found = table(rows)
    assert len(found) == max(rows, len(SHIPPED))
    assert len({each.key for each in found}) == len(found)
    assert [each.key for each in found[: len(SHIPPED)]] == list(SHIPPED)


def test_the_same_arguments_give_the_same_list() -> None:
    assert table(3000) == table(3000)
    assert table(60_000, seed=1)[-100:] != table(60_000, seed=2)[-100:]


def test_a_contract_keeps_its_id_from_day_to_day() -> None:
    def ids(day: date) -> dict[tuple[str, str, str | None], str]:
        return {
            (each.segment, each.symbol, each.expiry): each.security_id
            for each in table(4000, day=day)
        }

    today, later = ids(DAY), ids(DAY + timedelta(8))
    both = today.keys() & later.keys()
    assert len(both) > 2000
    assert all(today[name] == later[name] for name in both)
    owner = {(name[0], value): name for name, value in today.items()}
    assert all(owner.get((name[0], value), name) == name for name, value in later.items())


def test_every_price_is_on_its_tick_and_inside_its_band() -> None:
    for each in table(60_000):
        assert each.lower <= each.close <= each.upper, each
        for price in (each.close, each.lower, each.upper):
            assert price > 0
            assert price % each.tick == 0, each
        assert each.lot > 0
        assert each.freeze % each.lot == 0, each


def test_expiries_are_trading_days_and_the_month_s_last() -> None:
    assert weekly(DAY, TUESDAY, 1, 3) == [
        date(2026, 11, 17),
        date(2026, 11, 23),  # the Tuesday is a holiday
        date(2026, 12, 1),
        date(2026, 12, 8),
    ]
    assert monthly(DAY, TUESDAY, 1, 2) == [
        date(2026, 10, 27),
        date(2026, 11, 23),
        date(2026, 12, 29),
    ]
    assert monthly(date(2026, 12, 30), THURSDAY, 0, 2) == [date(2026, 12, 31), date(2027, 1, 28)]


def test_the_detailed_file_has_the_broker_s_units() -> None:
    found = parsed("detailed", table(4000))
    by_id = {(row["EXCH_ID"], row["SEGMENT"], row["SECURITY_ID"]): row for row in found}
    call = by_id["NSE", "D", "53103"]
    assert {name: call[name] for name in list(call)[:16]} == {
        "EXCH_ID": "NSE",
        "SEGMENT": "D",
        "SECURITY_ID": "53103",
        "ISIN": "NA",
        "INSTRUMENT": "OPTIDX",
        "UNDERLYING_SECURITY_ID": "13",
        "UNDERLYING_SYMBOL": "NIFTY",
        "SYMBOL_NAME": "NIFTY-Dec2027-24500-CE",
        "DISPLAY_NAME": "NIFTY 28 DEC 24500 CALL",
        "INSTRUMENT_TYPE": "OP",
        "SERIES": "NA",
        "LOT_SIZE": "65.0",
        "SM_EXPIRY_DATE": "2027-12-28",
        "STRIKE_PRICE": "24500.00000",
        "OPTION_TYPE": "CE",
        "TICK_SIZE": "5.0000",
    }
    assert (call["SM_UPPER_LIMIT"], call["SM_LOWER_LIMIT"]) == ("617.2500", "0.0500")
    assert call["SM_FREEZE_QTY"] == "1756"
    assert by_id["NSE", "I", "13"]["TICK_SIZE"] == "0.0500"
    assert by_id["NSE", "D", "53001"]["STRIKE_PRICE"] == "-0.01000"
    assert by_id["BSE", "I", "51"]["UNDERLYING_SYMBOL"] == "SENSEX"
    assert all(row[""] == "" for row in found)


def test_the_two_files_list_the_same() -> None:
    of = table(60_000)
    long, short = parsed("detailed", of), parsed("compact", of)
    names = {
        "EXCH_ID": "SEM_EXM_EXCH_ID",
        "SEGMENT": "SEM_SEGMENT",
        "SECURITY_ID": "SEM_SMST_SECURITY_ID",
        "INSTRUMENT": "SEM_INSTRUMENT_NAME",
        "LOT_SIZE": "SEM_LOT_UNITS",
        "TICK_SIZE": "SEM_TICK_SIZE",
        "STRIKE_PRICE": "SEM_STRIKE_PRICE",
        "DISPLAY_NAME": "SEM_CUSTOM_SYMBOL",
    }
    for one, other in zip(long, short, strict=True):
        assert [one[name] for name in names] == [other[name] for name in names.values()]


def test_brackets_are_listed_as_long_as_the_broker_takes_them(market: Server) -> None:
    def flags() -> set[tuple[str, str, bool]]:
        text = requests.get(f"{market.url}{master.PATHS['detailed']}", timeout=30).text
        return {
            (row["BRACKET_FLAG"], row["COVER_FLAG"], row["INSTRUMENT"] == "INDEX")
            for row in csv.DictReader(io.StringIO(text))
        }

    assert flags() == {("N", "N", True), ("N", "N", False)}
    market.sim("super", {"native": True})
    assert flags() == {("N", "N", True), ("Y", "Y", False)}
    market.sim("super", {"native": False})
    assert flags() == {("N", "N", True), ("N", "N", False)}


def test_the_generator_writes_the_same_file_twice(tmp_path: Path) -> None:
    def generate(name: str, *more: str) -> bytes:
        words = ["--rows", "2000", "--seed", "7", "--day", "2026-11-23", "--out", name, *more]
        command = [sys.executable, "-m", "simexchange.generate", *words]
        subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
        return Path(name).read_bytes()

    detailed = generate(str(tmp_path / "a"))
    assert generate(str(tmp_path / "b"), "--detailed") == detailed
    assert detailed.count(b"\n") == 2001
    assert generate(str(tmp_path / "c"), "--compact").startswith(b"SEM_EXM_EXCH_ID,")


# --- served -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def market() -> Iterator[Server]:
    server = Server("--no-rate-limits", "--universe", "4000", "--tick-ms", "100000")
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def healed(market: Server) -> None:
    market.http.delete(f"{market.url}/_sim/faults", timeout=5)


def rows_of(server: Server) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file_of(server, "detailed").text)))


def file_of(server: Server, kind: str) -> requests.Response:
    return server.http.get(f"{server.url}{master.PATHS[kind]}", timeout=5)


@pytest.mark.parametrize("kind", master.PATHS)
def test_both_files_are_served_whole(market: Server, kind: str) -> None:
    reply = file_of(market, kind)
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "text/csv"
    assert int(reply.headers["Content-Length"]) == len(reply.content)
    assert "Last-Modified" in reply.headers
    assert reply.text.count("\n") == 4001


def test_what_is_listed_has_a_price_and_can_be_traded(market: Server) -> None:
    rows = rows_of(market)
    segments = {"E": "EQ", "D": "FNO", "C": "CURRENCY", "M": "COMM"}
    by_segment: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        if row["SEGMENT"] != "I":
            name = f"{row['EXCH_ID']}_{segments[row['SEGMENT']]}"
            by_segment.setdefault(name, []).append(row)
    for segment, listed_there in by_segment.items():
        for row in listed_there[:: max(len(listed_there) // 5, 1)]:
            prices = market.call("POST", "/marketfeed/ltp", {segment: [int(row["SECURITY_ID"])]})
            price = prices.json()["data"][segment][row["SECURITY_ID"]]["last_price"]
            assert price > 0
            lot = int(float(row["LOT_SIZE"]))
            order = limit_order(
                exchangeSegment=segment,
                securityId=row["SECURITY_ID"],
                quantity=lot,
                price=float(row["SM_UPPER_LIMIT"]),
                productType="MARGIN",
            )
            reply = market.call("POST", "/orders", order)
            assert reply.status_code == 200, (row, reply.text)
            settled = market.settled(reply.json()["orderId"])
            assert settled["orderStatus"] in {"TRADED", "REJECTED"}
            if settled["orderStatus"] == "REJECTED":
                assert "insufficient funds" in settled["omsErrorDescription"]


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ({"fault": "http_500"}, (500, b"DH-908")),
        ({"fault": "html", "status": 200}, (200, b"<html>")),
        ({"fault": "wrong_schema"}, (200, b'{"foo":1}')),
    ],
)
def test_faults_of_the_files(market: Server, fault: dict[str, Any], seen: Any) -> None:
    market.sim("faults", {"endpoint": "master", "times": 1, **fault})
    reply = file_of(market, "compact")
    assert (reply.status_code, seen[1] in reply.content) == (seen[0], True)
    assert file_of(market, "compact").text.startswith("SEM_EXM_EXCH_ID")


def test_a_garbled_file_has_its_length_and_other_bytes(market: Server) -> None:
    whole = file_of(market, "compact").content
    market.sim("faults", {"endpoint": "master", "fault": "garbage", "accept": True, "times": 1})
    garbled = file_of(market, "compact").content
    assert len(garbled) == len(whole)
    assert sum(a != b for a, b in zip(garbled, whole, strict=True)) == 2000


def test_a_truncated_file_ends_in_the_middle(market: Server) -> None:
    market.sim("faults", {"endpoint": "master", "fault": "truncated", "times": 1})
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        file_of(market, "detailed")


def test_a_truncated_reply_to_an_order_is_no_reply(market: Server) -> None:
    market.sim("faults", {"endpoint": "place", "fault": "truncated", "times": 1})
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        market.call("POST", "/orders", limit_order(correlationId="cut"))
    assert len(market.sim("report")["accepted"]["cut"]) == 1


def test_a_new_day_lists_and_trades_new_contracts(market: Server) -> None:
    before = {row["SECURITY_ID"] for row in rows_of(market)}
    market.sim("clock", {"shift_seconds": 40 * 86400})
    try:
        rows = rows_of(market)
        new = [r for r in rows if r["SECURITY_ID"] not in before and r["EXCH_ID"] == "NSE"]
        assert new
        asked = {"NSE_FNO": [int(new[0]["SECURITY_ID"])]}
        prices = market.call("POST", "/marketfeed/ltp", asked).json()["data"]["NSE_FNO"]
        assert prices[new[0]["SECURITY_ID"]]["last_price"] > 0
    finally:
        market.sim("clock", {"shift_seconds": 0})


def test_an_order_in_a_contract_that_is_not_listed_any_more_comes_back(tmp_path: Path) -> None:
    words = ("--state", str(tmp_path / "state"), "--tick-ms", "100000")
    server = Server("--universe", "600", *words)
    call = next(row for row in rows_of(server)[20:] if row["INSTRUMENT"] == "OPTIDX")
    order_id = server.place(
        exchangeSegment="NSE_FNO",
        securityId=call["SECURITY_ID"],
        quantity=int(float(call["LOT_SIZE"])),
        price=float(call["SM_LOWER_LIMIT"]),
    )
    server.settled(order_id)
    server.kill()
    server = Server(*words)  # lists the shipped ones alone
    try:
        assert server.row(order_id)["securityId"] == call["SECURITY_ID"]
        assert server.sim("state")["accounts"][0]["orders"][0]["orderId"] == order_id
    finally:
        server.kill()
