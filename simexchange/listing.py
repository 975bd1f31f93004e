"""What is listed today: the shipped table first, then as much of the universe as was asked for."""

from collections.abc import Iterator
from datetime import date
from itertools import chain, islice

from simexchange.instruments import Instrument, Key
from simexchange.universe import universe


def listed(table: dict[Key, Instrument], rows: int, seed: int, today: date) -> Iterator[Instrument]:
    """So many instruments, no key twice; the table's own come first and always whole."""
    ends = {each.expiry for each in table.values() if each.expiry}
    more = (
        each
        for each in universe(rows + len(table) * 100, seed, today)
        if each.key not in table and not (each.root == "NIFTY" and each.expiry in ends)
    )
    return islice(chain(table.values(), more), max(rows, len(table)))
