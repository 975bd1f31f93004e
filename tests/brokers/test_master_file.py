"""A file that is not what it should be is refused, with its line and its column."""

from __future__ import annotations

import gzip
import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.brokers.dhan.master import DhanMaster
from apps.brokers.masterfile import BadMaster, Reading, open_master
from tests.brokers.master_rows import ALL, DETAILED, NSE_GOLD, RELIANCE, changed, text_of

WHOLE = text_of(ALL).encode()


def read(content: bytes, *, whole: bool = False) -> Reading:
    """Read to the end."""
    reading = Reading(io.BytesIO(content), DhanMaster(), whole=whole)
    for _ in reading:
        pass
    return reading


def test_a_whole_file_is_counted():
    reading = read(WHOLE)
    assert (reading.layout, reading.rows, reading.left_out, reading.doubtful) == (
        "detailed",
        len(ALL),
        1,
        0,
    )


def test_doubtful_rows_are_skipped_and_told():
    odd = changed(RELIANCE, {"EXCH_ID": "XYZ"})
    reading = read(text_of([RELIANCE, odd, NSE_GOLD]).encode())
    assert (reading.rows, reading.doubtful, reading.left_out) == (3, 1, 1)
    assert reading.doubts == ["line 3, column SEGMENT: XYZ/E is no segment that we know"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (DETAILED.encode() + b"\n", "not one row"),
        (b"<!DOCTYPE html>\n<html></html>\n", "line 1: this is a web page"),
        (b"  <html><body>502</body></html>", "line 1: this is a web page"),
        (b'{"errorType":"Rate_Limit"}\n', "line 1, column SECURITY_ID or SEM_SMST_SECURITY_ID"),
        (text_of(ALL, DETAILED.replace("TICK_SIZE", "TICK")).encode(), "line 1, column TICK_SIZE"),
        (
            text_of(ALL, DETAILED.replace(",LOT_SIZE", ",SERIES")).encode(),
            "line 1, column SERIES: the column is there twice",
        ),
        (text_of([RELIANCE, RELIANCE[:-1]]).encode(), "line 3: 32 fields where the header has 33"),
        (text_of([RELIANCE, RELIANCE + ","]).encode(), "line 3: 34 fields"),
        (text_of([RELIANCE, "", RELIANCE]).encode(), "line 3: 0 fields"),
        (text_of([RELIANCE, RELIANCE.replace("Rel", '"Rel')]).encode(), "line 3: broken quoting"),
        (
            text_of([RELIANCE.replace(",Rel", ',"Rel'), *[RELIANCE] * 3, '"']).encode(),
            "line 2: ",
        ),
        (text_of([RELIANCE, RELIANCE.replace(",Rel", ',"Rel"x')]).encode(), "line 3: broken quot"),
        (text_of([RELIANCE]).encode().replace(b"Rel", b"\xff\xfe"), "line 2: byte "),
        (text_of([RELIANCE]).encode().replace(b"Rel", b"\0"), "line 2: byte "),
        (text_of([RELIANCE, "x" * 70_000]).encode(), "line 3: a line this long"),
        (WHOLE[:-1], "the last line has no end"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(content, said):
    with pytest.raises(BadMaster, match=said.replace("(", "\\(")):
        read(content)


def test_a_quote_is_not_open_over_lines():
    with pytest.raises(BadMaster, match="line 2: a quote is opened here and not closed"):
        read(text_of([RELIANCE.replace(",Rel", ',"Rel'), 'x",' + RELIANCE]).encode())


def test_quotes_windows_line_ends_and_a_byte_order_mark_are_fine():
    rows = [RELIANCE.replace("Reliance Industries", '"Reliance, ""the"" Industries"')]
    content = b"\xef\xbb\xbf" + text_of(rows).replace("\n", "\r\n").encode()
    found = [listing for _, listing in Reading(io.BytesIO(content), DhanMaster())]
    assert found[0].name == 'Reliance, "the" Industries'


def test_the_announced_length_stands_for_the_end_of_the_last_line():
    assert read(WHOLE[:-1], whole=True).rows == len(ALL)


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_at_any_byte_but_between_lines_is_refused(cut):
    part = WHOLE[:cut]
    if part.endswith(b"\n") and cut > len(DETAILED) + 1:
        assert read(part).rows == part.count(b"\n") - 1  # for the comparison with the last import
        return
    with pytest.raises(BadMaster):
        read(part)


def test_a_packed_file_is_read_and_a_cut_one_is_not(tmp_path):
    path = tmp_path / "master.csv.gz"
    packed = gzip.compress(WHOLE)
    path.write_bytes(packed)
    with open_master(path) as file:
        assert sum(1 for _ in Reading(file, DhanMaster())) == len(ALL) - 1
    for cut in range(2, len(packed)):
        path.write_bytes(packed[:cut])
        with (
            pytest.raises(BadMaster, match=r"packed file is broken|is empty"),
            open_master(path) as file,
        ):
            list(Reading(file, DhanMaster()))


@given(st.binary(max_size=300), st.integers(0, len(WHOLE)))
def test_garbage_anywhere_ends_in_rows_or_in_a_refusal(garbage, at):
    rows = None
    with suppress(BadMaster):
        rows = read(WHOLE[:at] + garbage + WHOLE[at:]).rows
    assert rows is None or rows >= len(ALL)
