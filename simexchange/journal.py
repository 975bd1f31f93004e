"""What the exchange must not forget: an append-only file of JSON lines.

Each line holds everything one operation changed and is handed to the operating system before
the reply goes out, so a killed process forgets nothing it has accepted. The newest copy of an
order or an account wins. A last line cut short by a crash is ignored.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from simexchange.instruments import DECIMALS, Instrument
from simexchange.orders import Order, Status, Trade

Entry = dict[str, Any]


class StartError(Exception):
    """A file given on the command line cannot be used; the text says why."""


class Journal:
    """The file behind `--state`; without a path it remembers nothing.

    A lock beside it keeps a second exchange away: it would shorten the file under the first.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = None if path is None else _lock(path)
        self._file = None if path is None else path.open("ab", buffering=0)

    def append(self, entry: Entry) -> None:
        if self._file is not None:
            self._file.write(json.dumps(entry, default=str).encode() + b"\n")

    def rewrite(self, entries: list[Entry]) -> None:
        """Replace the file with a shorter one that says the same, in one step."""
        if self._path is None or self._file is None:
            return
        shorter = self._path.with_name(self._path.name + ".new")
        with shorter.open("wb") as file:
            file.writelines(json.dumps(entry, default=str).encode() + b"\n" for entry in entries)
            file.flush()
            os.fsync(file.fileno())
        self._file.close()
        shorter.replace(self._path)
        self._file = self._path.open("ab", buffering=0)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._lock is not None:
            self._lock.close()


def _lock(path: Path) -> IO[bytes]:
    file = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as taken:
        file.close()
        raise StartError(f"another exchange is using {path}") from taken
    return file


def read(path: Path | None) -> Iterator[Entry]:
    """The entries of a journal, oldest first."""
    if path is None or not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def instrument_entry(instrument: Instrument) -> Entry:
    return {field.name: getattr(instrument, field.name) for field in fields(Instrument)}


def instrument_from(entry: Entry) -> Instrument:
    decimals = {name: Decimal(entry[name]) for name in DECIMALS}
    return Instrument(**{**entry, **decimals})


def order_entry(order: Order) -> Entry:
    return {field.name: getattr(order, field.name) for field in fields(Order)}


def trade_entry(trade: Trade) -> Entry:
    return {field.name: getattr(trade, field.name) for field in fields(Trade)}


def order_from(entry: Entry) -> Order:
    values = dict(entry)
    for name in ("price", "trigger", "value", "last_traded", "profit_by", "loss_by"):
        values[name] = Decimal(values.get(name, 0))
    for name in ("created", "received", "updated", "reached"):
        values[name] = _moment(values[name])
    values["status"] = Status(values["status"])
    return Order(**values)


def trade_from(entry: Entry) -> Trade:
    price, at = Decimal(entry["price"]), datetime.fromisoformat(entry["at"])
    return Trade(**{**entry, "price": price, "at": at})


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
