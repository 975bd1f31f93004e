"""Another system's SQLite file, read without ever writing to it or beside it."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

HEAD = b"SQLite format 3\x00"
BESIDE = ("-wal", "-journal")
# SQLite's lock bytes (its documentation, "File Locking And Concurrency"; WAL: "WAL-mode File
# Format"): pending, reserved and the shared range of the file; those of writers in a -shm.
_LOCKS = (("", 0x40000000, 512), ("-shm", 120, 3))
_OF_ROWS = re.compile(r"^(\S+ value in |CHECK constraint failed in |NULL value in )")
_MOST_DAMAGE = 5


class Refused(Exception):
    """The whole file is refused and nothing of it was kept; the text says why and what to do."""


@dataclass(frozen=True)
class Fingerprint:
    """SHA-256 of the file and of what lies beside it and belongs to it."""

    sha256: str
    beside: dict[str, str]
    size: int  # bytes


def fingerprint(path: Path) -> Fingerprint:
    """Read every byte. Raises ``Refused`` when the file cannot be read."""
    try:
        beside = {
            end: _sha256(extra)
            for end in BESIDE
            if (extra := _beside(path, end)).is_file() and extra.stat().st_size
        }
        return Fingerprint(_sha256(path), beside, path.stat().st_size)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None


@contextmanager
def opened(path: Path) -> Iterator[tuple[sqlite3.Connection, Fingerprint]]:
    """The file as a database, and what it is. Afterwards it is proved that no byte changed.

    Changes that wait in a -wal or -journal are applied to a private copy, never to the file.
    Raises ``Refused``: no database, damaged, being written, or changed while it was read.
    """
    _check_kind(path)
    _check_nobody_writes(path)
    before = fingerprint(path)
    try:
        with _readable(path, before) as database:
            _check_pages(database)
            yield database, before
    except sqlite3.DatabaseError as error:
        raise Refused(f"{path.name} is damaged: {error}. {_MEND}") from None
    if fingerprint(path) != before:
        raise Refused(f"{path.name} changed while it was read: stop the other system first")


_MEND = "Repair it with `sqlite3 FILE .recover` into a new file, look at that, and import it"


def _check_kind(path: Path) -> None:
    if path.is_dir():
        raise Refused(f"{path} is a directory; name the SQLite file")
    if not path.is_file():
        raise Refused(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            head = file.read(len(HEAD))
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None
    if not head:
        raise Refused(f"{path.name} is empty")
    if head != HEAD:
        raise Refused(f"{path.name} is not an SQLite database")


def _check_nobody_writes(path: Path) -> None:
    """Ask for the locks of a writer without taking any: that changes nothing for anybody."""
    for end, start, length in _LOCKS:
        beside = _beside(path, end)
        if not beside.is_file():
            continue
        asked = struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, start, length, 0)
        with beside.open("rb") as file:
            found = fcntl.fcntl(file.fileno(), fcntl.F_GETLK, asked)
        if struct.unpack("hhqqi4x", found)[0] != fcntl.F_UNLCK:
            raise Refused(f"another program is writing {path.name}: stop the other system first")


@contextmanager
def _readable(path: Path, known: Fingerprint) -> Iterator[sqlite3.Connection]:
    if not known.beside:
        uri = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
        with closing(_connect(uri)) as database:
            yield database
        return
    with tempfile.TemporaryDirectory(prefix="legacy-") as folder:
        copy = Path(folder) / "copy.sqlite3"
        for end in ("", *known.beside):
            shutil.copyfile(_beside(path, end), _beside(copy, end))
        if fingerprint(copy) != known:
            raise Refused(f"{path.name} changed while it was read: stop the other system first")
        with closing(_connect(f"file:{quote(str(copy))}?mode=rw")) as database:
            yield database


def _connect(uri: str) -> sqlite3.Connection:
    database = sqlite3.connect(uri, uri=True, isolation_level=None)
    database.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return database


def _check_pages(database: sqlite3.Connection) -> None:
    """What is wrong with pages refuses the file; what is wrong with a row is that row's matter."""
    found = [str(text) for (text,) in database.execute("PRAGMA quick_check(100)")]
    damage = [line for line in found if line != "ok" and not _OF_ROWS.match(line)]
    if damage:
        named = "; ".join(damage[:_MOST_DAMAGE]).replace("\n", " ")
        raise sqlite3.DatabaseError(named)


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
