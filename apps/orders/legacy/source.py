"""Another system's SQLite file, read without ever writing to it or beside it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

HEAD = b"SQLite format 3\x00"
BESIDE = ("-wal", "-journal")
_ALL = ("", *BESIDE, "-shm")
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
    with _told(path):
        file = path.resolve()
        beside = {
            end: _sha256(extra)
            for end in BESIDE
            if (extra := _beside(file, end)).is_file() and extra.stat().st_size
        }
        return Fingerprint(_sha256(file), beside, file.stat().st_size)


def is_of(path: Path, other: Path) -> bool:
    """Whether the other path is the database, or what SQLite keeps or would keep beside it."""
    with _told(path):
        files = [_beside(where, end) for where in (path, path.resolve()) for end in _ALL]
        return any(_same(file, other) for file in files)


def _same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system does not let us do with the file, in words."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{error.filename or path} cannot be read: {error.strerror}") from None
    except (RuntimeError, ValueError) as error:  # links in a circle; a NUL in the name
        raise Refused(f"{path} cannot be read: {error}") from None


@contextmanager
def opened(path: Path) -> Iterator[tuple[sqlite3.Connection, Fingerprint]]:
    """The file as a database, and what it is. Afterwards it is proved that no byte changed.

    Changes that wait in a -wal or -journal are applied to a private copy, never to the file. Of a
    link it is the file that it leads to: SQLite keeps what belongs to it there.
    Raises ``Refused``: no database, damaged, being written, or changed while it was read.
    """
    _check_kind(path)
    _check_nobody_writes(path)
    before = fingerprint(path)
    try:
        with _readable(path, before) as database:
            _check_pages(database)
            yield database, before
    except UnicodeError:
        raise Refused(f"{path.name} is damaged: a name in its schema is not text") from None
    except sqlite3.DatabaseError as error:
        raise Refused(f"{path.name} is damaged: {error}. {_MEND}") from None
    if fingerprint(path) != before:
        raise Refused(f"{path.name} changed while it was read: stop the other system first")


_MEND = "Repair it with `sqlite3 FILE .recover` into a new file, look at that, and import it"


def _check_kind(path: Path) -> None:
    with _told(path):
        if path.is_dir():
            raise Refused(f"{path} is a directory; name the SQLite file")
        if not path.is_file():
            raise Refused(f"there is no file {path}")
        with path.open("rb") as file:
            head = file.read(len(HEAD))
    if not head:
        raise Refused(f"{path.name} is empty")
    if head != HEAD:
        raise Refused(f"{path.name} is not an SQLite database")


def _check_nobody_writes(path: Path) -> None:
    """Ask for the locks of a writer without taking any: that changes nothing for anybody."""
    for end, start, length in _LOCKS:
        asked = struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, start, length, 0)
        with _told(path):
            beside = _beside(path.resolve(), end)
            if not beside.is_file():
                continue
            with beside.open("rb") as file:
                found = fcntl.fcntl(file.fileno(), fcntl.F_GETLK, asked)
        if struct.unpack("hhqqi4x", found)[0] != fcntl.F_UNLCK:
            raise Refused(f"another program is writing {path.name}: stop the other system first")


@contextmanager
def _readable(path: Path, known: Fingerprint) -> Iterator[sqlite3.Connection]:
    if not known.beside:
        with closing(_connect(path.resolve(), "mode=ro&immutable=1")) as database:
            yield database
        return
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="legacy-"))
            copy = Path(folder) / "copy.sqlite3"
            for end in ("", *known.beside):
                shutil.copyfile(_beside(path.resolve(), end), _beside(copy, end))
        except OSError as error:
            why = f"{error.strerror} ({tempfile.gettempdir()} needs room for a copy of it)"
            raise Refused(f"the changes beside {path.name} cannot be applied: {why}") from None
        if fingerprint(copy) != known:
            raise Refused(f"{path.name} changed while it was read: stop the other system first")
        yield stack.enter_context(closing(_connect(copy, "mode=rw")))


def _connect(path: Path, how: str) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path))}?{how}"
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
