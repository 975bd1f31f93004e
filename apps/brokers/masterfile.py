"""Read a master file line by line: text, quotes and fields checked before anything is understood.

Nothing here knows a broker's columns. Whatever does not fit ends the reading with ``BadMaster``,
which names the line and the column; rows that only a broker's reader does not understand are
counted and skipped.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from apps.brokers.port import Doubt, Layout, Listing, Master

LONGEST_LINE = 65_536  # bytes
LARGEST = 400 * 1024 * 1024  # bytes of text; the published files are about 35 MB
TELL_EVERY = 20_000  # rows
DOUBTS_KEPT = 20
_GZIP = b"\x1f\x8b"


class BadMaster(ValueError):
    """The file is not what it should be; nothing of it may be used. Names line and column."""

    def __init__(self, why: str, *, line: int | None = None, column: str = "") -> None:
        where = [f"line {line}"] if line else []
        where += [f"column {column}"] if column else []
        super().__init__(": ".join([", ".join(where), why] if where else [why]))


@contextmanager
def open_master(path: Path) -> Iterator[BinaryIO]:
    """The file's text as bytes, unpacked if it is packed with gzip."""
    try:
        with path.open("rb") as packed:
            magic = packed.read(2)
            packed.seek(0)
            if magic == _GZIP:
                with gzip.open(packed) as file:
                    yield cast(BinaryIO, file)
            else:
                yield packed
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadMaster(f"the packed file is broken or cut short ({error})") from None


class Reading:
    """One pass over a master file; the counts are whole once it has been iterated to its end.

    ``unclear`` names the rows that are in the file and not understood: segment and security id.
    """

    def __init__(
        self,
        file: BinaryIO,
        master: Master,
        *,
        whole: bool = False,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        """``whole``: the sender's word for the length was kept, so no line is cut short."""
        self._file = file
        self._master = master
        self._whole = whole
        self._tell = tell
        self._digest = hashlib.sha256()
        self.layout = ""
        self.sha256 = ""
        self.rows = self.left_out = self.doubtful = 0
        self.doubts: list[str] = []
        self.unclear: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[tuple[int, Listing]]:
        """Line numbers and what their rows say."""
        records = self._records()
        _, header = next(records, (1, []))
        if not header:
            raise BadMaster("the file is empty")
        layout = self._layout(header)
        for line, fields in records:
            if len(fields) != len(header):
                text = f"{len(fields)} fields where the header has {len(header)}"
                raise BadMaster(text, line=line)
            self.rows += 1
            if self.rows % TELL_EVERY == 0:
                self._tell(f"{self.rows:,} rows read")
            listing = self._understood(layout, line, fields)
            if listing is not None:
                yield line, listing
        if not self.rows:
            raise BadMaster("there is not one row in it")
        self.sha256 = self._digest.hexdigest()

    def _understood(self, layout: Layout, line: int, fields: list[str]) -> Listing | None:
        try:
            listing = layout.understand(fields)
        except Doubt as doubt:
            self.doubt(line, doubt.column, str(doubt))
            if doubt.key is not None:
                self.unclear.append(doubt.key)
            return None
        self.left_out += listing is None
        return listing

    def doubt(self, line: int, column: str, text: str) -> None:
        """Count a row that is skipped, and keep the first few."""
        self.doubtful += 1
        if len(self.doubts) < DOUBTS_KEPT:
            self.doubts.append(f"line {line}, column {column}: {text}")

    def _layout(self, header: list[str]) -> Layout:
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if twice:
            raise BadMaster("the column is there twice", line=1, column=", ".join(twice))
        try:
            layout = self._master.layout_of(header)
        except Doubt as doubt:
            raise BadMaster(str(doubt), line=1, column=doubt.column) from None
        self.layout = layout.name
        return layout

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """One record a line: a quote that is left open would swallow the lines after it."""
        reader = csv.reader(self._lines(), strict=True)
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise BadMaster(f"broken quoting ({error})", line=line) from None
            if fields is None:
                return
            if reader.line_num != line:
                raise BadMaster("a quote is opened here and not closed", line=line)
            yield line, [name.strip() for name in fields] if line == 1 else fields

    def _lines(self) -> Iterator[str]:
        number = size = 0
        raw = b"\n"
        while more := self._file.readline(LONGEST_LINE + 1):
            raw, number, size = more, number + 1, size + len(more)
            if len(raw) > LONGEST_LINE:
                raise BadMaster("a line this long belongs to no master file", line=number)
            if size > LARGEST:
                raise BadMaster(f"larger than {LARGEST >> 20} MB", line=number)
            self._digest.update(raw)
            yield _text(raw, number)
        if not raw.endswith(b"\n") and not self._whole:
            raise BadMaster("the last line has no end: the file is cut short", line=number)


def _text(raw: bytes, number: int) -> str:
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise BadMaster(f"byte {error.start + 1} is no text", line=number) from None
    if "\0" in text:
        raise BadMaster(f"byte {text.index(chr(0)) + 1} is no text", line=number)
    if number == 1 and text.lstrip().startswith("<"):
        raise BadMaster("this is a web page, not the file", line=1)
    return text
