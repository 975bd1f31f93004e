"""What DhanHQ's rows mean, unit by unit; and what is not understood is never guessed."""

from __future__ import annotations

import csv
import datetime as dt
import string
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.brokers.dhan.master import DhanMaster
from apps.brokers.port import Doubt, Listing, Segment
from tests.brokers import master_rows
from tests.brokers.master_rows import COMPACT, COMPACT_ROWS, DETAILED, changed

D = Decimal


def understood(row: str, header: str = DETAILED) -> Listing | None:
    layout = DhanMaster().layout_of(header.split(","))
    return layout.understand(next(csv.reader([row])))


def listing(row: str, header: str = DETAILED) -> Listing:
    found = understood(row, header)
    assert found is not None
    return found


def test_an_index_option():
    assert listing(master_rows.BANKNIFTY_CALL)._asdict() == {
        "segment": Segment.NSE_FNO,
        "security_id": "35000",
        "symbol": "BANKNIFTY-29SEP2026-72600-CE",
        "name": "BANKNIFTY 29 SEP 72600 CALL",
        "series": "",
        "kind": "OPTIDX",
        "isin": None,
        "lot_size": 30,
        "tick_size": D("0.05"),
        "freeze_quantity": 600,
        "lower_limit": D("0.05"),
        "upper_limit": D("20.05"),
        "underlying": "BANKNIFTY",
        "expiry": dt.date(2026, 9, 29),
        "strike": D(72600),
        "option_type": "CE",
        "closed": "",
        "bracket_orders": False,
        "cover_orders": False,
    }


@pytest.mark.parametrize(
    ("word", "allowed"), [("Y", True), ("y", True), ("N", False), ("", False), ("1", False)]
)
def test_only_a_y_lets_the_broker_keep_brackets(word, allowed):
    share = listing(changed(master_rows.RELIANCE, {"BRACKET_FLAG": word}))
    assert (share.bracket_orders, share.cover_orders) == (allowed, False)
    share = listing(changed(master_rows.RELIANCE, {"COVER_FLAG": word}))
    assert (share.bracket_orders, share.cover_orders) == (False, allowed)


def test_without_its_columns_nothing_is_said_of_brackets():
    share = listing(COMPACT_ROWS["RELIANCE"], COMPACT)
    assert (share.bracket_orders, share.cover_orders) == (None, None)


def test_a_share():
    share = listing(master_rows.AMARA)
    assert (share.segment, share.security_id, share.symbol) == ("NSE_EQ", "100", "ARE&M")
    assert (share.name, share.series) == ("Amara Raja Energy & Mobility", "EQ")
    assert (share.isin, share.lot_size, share.tick_size) == ("INE885A01032", 1, D("0.05"))
    assert (share.lower_limit, share.upper_limit) == (D("691.4"), D(1037))
    assert (share.expiry, share.strike, share.option_type) == (None, None, "")
    assert share.freeze_quantity == 115_671


def test_an_index_has_its_tick_in_rupees_and_is_not_traded():
    index = listing(master_rows.NIFTY)
    assert (index.segment, index.symbol, index.closed) == (Segment.INDEX, "NIFTY", "INDEX")
    assert index.tick_size == D("0.05")
    assert (index.lower_limit, index.freeze_quantity) == (None, None)
    nameless = listing(changed(master_rows.NIFTY, {"TICK_SIZE": "0.0000", "LOT_SIZE": "0.0"}))
    assert (nameless.tick_size, nameless.lot_size) == (D("0.01"), 1)


@pytest.mark.parametrize(
    ("columns", "freeze"),
    [
        ({"SM_FREEZE_QTY": "1756", "LOT_SIZE": "65.0"}, 1755),
        ({"SM_FREEZE_QTY": "601", "LOT_SIZE": "30.0"}, 600),
        ({"SM_FREEZE_QTY": "600", "LOT_SIZE": "30.0"}, 600),
        ({"SM_FREEZE_QTY": "1000", "LOT_SIZE": "20.0"}, 1000),
        ({"SM_FREEZE_QTY": "1799", "LOT_SIZE": "65.0"}, 1755),
        ({"SM_FREEZE_QTY": "-1"}, None),
        ({"SM_FREEZE_QTY": "0"}, None),
        ({"SM_FREEZE_QTY": ""}, None),
    ],
)
def test_the_freeze_quantity_is_the_largest_order_in_whole_lots(columns, freeze):
    assert listing(changed(master_rows.NIFTY_CALL, columns)).freeze_quantity == freeze


@pytest.mark.parametrize(
    ("paise", "rupees"),
    [("1.0000", "0.01"), ("5.0000", "0.05"), ("10.0000", "0.1"), ("500", "5"), ("100.0", "1")],
)
def test_ticks_are_in_paise(paise, rupees):
    assert listing(changed(master_rows.RELIANCE, {"TICK_SIZE": paise})).tick_size == D(rupees)


def test_a_currency_tick_is_a_quarter_of_a_paisa():
    assert listing(master_rows.USDINR_FUTURE).tick_size == D("0.0025")


def test_a_tick_in_rupees_is_noticed():
    with pytest.raises(Doubt, match="below the smallest tick") as doubt:
        understood(changed(master_rows.RELIANCE, {"TICK_SIZE": "0.1000"}))
    assert doubt.value.column == "TICK_SIZE"


def test_weekly_contracts_that_share_a_symbol_have_symbols_of_their_own():
    weekly = changed(
        master_rows.NIFTY_CALL, {"SECURITY_ID": "47317", "SM_EXPIRY_DATE": "2026-09-15"}
    )
    assert weekly.split(",")[7] == master_rows.NIFTY_CALL.split(",")[7]
    assert listing(weekly).symbol == "NIFTY-15SEP2026-29150-CE"
    assert listing(master_rows.NIFTY_CALL).symbol == "NIFTY-29SEP2026-29150-CE"


def test_only_the_main_series_has_the_bare_symbol():
    assert listing(master_rows.WARRANT).symbol == "ELECTCAST-W1"
    assert listing(changed(master_rows.RELIANCE, {"SERIES": "BE"})).symbol == "RELIANCE-BE"
    bse = changed(master_rows.RELIANCE, {"EXCH_ID": "BSE", "SERIES": "A", "SECURITY_ID": "500325"})
    assert (listing(bse).segment, listing(bse).symbol) == ("BSE_EQ", "RELIANCE")


def test_what_one_lot_holds_is_not_known_where_the_lot_is_one():
    crude = listing(master_rows.CRUDE_FUTURE)
    assert (crude.symbol, crude.closed) == ("CRUDEOIL-21SEP2026-FUT", "UNITS")
    assert crude.strike is None
    assert listing(master_rows.USDINR_FUTURE).closed == "UNITS"
    assert listing(changed(master_rows.CRUDE_FUTURE, {"LOT_SIZE": "100.0"})).closed == ""


def test_what_cannot_be_traded_at_all_is_left_out():
    assert understood(master_rows.NSE_GOLD) is None
    test_symbol = {"UNDERLYING_SYMBOL": "011NSETEST"}
    assert understood(changed(master_rows.RELIANCE, test_symbol)) is None
    assert understood(changed(master_rows.RELIANCE, {"ISIN": "DUMMYSAN001"})) is None


@pytest.mark.parametrize("name", COMPACT_ROWS)
def test_the_compact_file_says_the_same_as_far_as_it_goes(name):
    short = listing(COMPACT_ROWS[name], COMPACT)
    long = listing(getattr(master_rows, name))
    silent = {"isin", "freeze_quantity", "lower_limit", "upper_limit"}
    silent |= {"bracket_orders", "cover_orders"}
    for column, value in short._asdict().items():
        assert value == (None if column in silent else getattr(long, column)), column


@pytest.mark.parametrize(
    ("row", "columns", "column"),
    [
        ("RELIANCE", {"EXCH_ID": "NCDEX"}, "SEGMENT"),
        ("RELIANCE", {"SEGMENT": "Z"}, "SEGMENT"),
        ("RELIANCE", {"INSTRUMENT": "CRYPTO"}, "INSTRUMENT"),
        ("RELIANCE", {"INSTRUMENT": "OPTIDX"}, "INSTRUMENT"),
        ("RELIANCE", {"SECURITY_ID": "28 85"}, "SECURITY_ID"),
        ("RELIANCE", {"SECURITY_ID": ""}, "SECURITY_ID"),
        ("RELIANCE", {"UNDERLYING_SYMBOL": "NA"}, "UNDERLYING_SYMBOL"),
        ("RELIANCE", {"UNDERLYING_SYMBOL": "A:B"}, "UNDERLYING_SYMBOL"),
        ("RELIANCE", {"LOT_SIZE": "0.0"}, "LOT_SIZE"),
        ("RELIANCE", {"LOT_SIZE": "1.5"}, "LOT_SIZE"),
        ("RELIANCE", {"LOT_SIZE": "nan"}, "LOT_SIZE"),
        ("RELIANCE", {"TICK_SIZE": ""}, "TICK_SIZE"),
        ("RELIANCE", {"TICK_SIZE": "1e2"}, "TICK_SIZE"),
        ("RELIANCE", {"SM_UPPER_LIMIT": "1000"}, "SM_UPPER_LIMIT"),
        ("RELIANCE", {"SM_LOWER_LIMIT": "much"}, "SM_LOWER_LIMIT"),
        ("RELIANCE", {"SM_FREEZE_QTY": "1"}, "SM_FREEZE_QTY"),
        ("NIFTY_CALL", {"SM_FREEZE_QTY": "12"}, "SM_FREEZE_QTY"),
        ("NIFTY_CALL", {"SM_EXPIRY_DATE": "0001-01-01"}, "SM_EXPIRY_DATE"),
        ("NIFTY_CALL", {"SM_EXPIRY_DATE": "29/09/26"}, "SM_EXPIRY_DATE"),
        ("NIFTY_CALL", {"SM_EXPIRY_DATE": "2026-02-30"}, "SM_EXPIRY_DATE"),
        ("NIFTY_CALL", {"STRIKE_PRICE": "-0.01000"}, "STRIKE_PRICE"),
        ("NIFTY_CALL", {"STRIKE_PRICE": "0.00000"}, "STRIKE_PRICE"),
        ("NIFTY_CALL", {"STRIKE_PRICE": "29150.000001"}, "STRIKE_PRICE"),
        ("NIFTY_CALL", {"OPTION_TYPE": "XX"}, "OPTION_TYPE"),
        ("NIFTY_CALL", {"OPTION_TYPE": "CALL"}, "OPTION_TYPE"),
    ],
)
def test_a_doubtful_row_names_its_column(row, columns, column):
    with pytest.raises(Doubt) as doubt:
        understood(changed(getattr(master_rows, row), columns))
    assert doubt.value.column == column


def test_an_undocumented_column_that_vanishes_is_missed_by_nobody():
    header = DETAILED.split(",")
    keep = [place for place, name in enumerate(header) if not name.startswith("SM_F")]
    layout = DhanMaster().layout_of([header[place] for place in keep])
    fields = master_rows.NIFTY_CALL.split(",")
    assert layout.understand([fields[place] for place in keep]).freeze_quantity is None


def test_columns_are_found_by_name():
    header, fields = DETAILED.split(",")[::-1], master_rows.RELIANCE.split(",")[::-1]
    assert DhanMaster().layout_of(header).understand(fields) == listing(master_rows.RELIANCE)


def test_a_missing_column_is_named():
    with pytest.raises(Doubt) as doubt:
        DhanMaster().layout_of(DETAILED.replace("LOT_SIZE", "LOTS").split(","))
    assert doubt.value.column == "LOT_SIZE"


texts = st.text(string.printable + "éⅣ٣\u00a0", max_size=12)
columns = st.sampled_from([name for name in DETAILED.split(",") if name])


@given(row=st.sampled_from(master_rows.ALL), garbled=st.dictionaries(columns, texts, max_size=4))
def test_whatever_a_row_says_it_is_sound_or_doubtful(row, garbled):
    fields = row.split(",")
    for name, value in garbled.items():
        fields[DETAILED.split(",").index(name)] = value
    layout = DhanMaster().layout_of(DETAILED.split(","))
    found, doubted = None, ""
    try:
        found = layout.understand(fields)
    except Doubt as doubt:
        doubted = doubt.column
    assert doubted in DETAILED.split(",")
    if found is None:
        return
    assert found.lot_size > 0
    assert 0 < found.tick_size < 10**8
    assert found.tick_size == round(found.tick_size, 4)
    assert found.freeze_quantity is None or found.freeze_quantity > 0
    assert found.security_id.isascii()
    assert found.security_id.isdigit()
    assert 0 < len(found.symbol) <= 80
    assert len(found.underlying) <= 60
    assert (found.option_type != "") == (found.strike is not None)
    assert (found.lower_limit is None) == (found.upper_limit is None)
    assert found.lower_limit is None or found.lower_limit <= found.upper_limit


@given(st.decimals(min_value="1", max_value="100000", places=2))
def test_rupees_are_exactly_a_hundredth_of_the_paise(paise):
    found = listing(changed(master_rows.RELIANCE, {"TICK_SIZE": f"{paise}"}))
    assert found.tick_size * 100 == paise
