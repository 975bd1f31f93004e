"""Bring what a master file lists into the instruments, set by set: all of it, or nothing.

Rows are first copied into a table of this connection alone, where nobody waits for them. One
short transaction then compares, judges and writes only what changed. Readers and new orders go on
meanwhile; whoever holds a row for longer than ``LOCK_SECONDS`` makes the merge give up.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from apps.brokers.masterfile import Reading
from apps.brokers.port import Listing

LOCK_SECONDS = 5
MERGE_SECONDS = 120
COPY_SECONDS = 600
MOST_MISSING = 0.02  # of the contracts that live on
MOST_SWAPPED = 0.01
MOST_RESIZED = 0.5  # revisions of lots and ticks have met far fewer at once
FEW_RESIZED = 100
NAMED = 10

_TABLE = """
    CREATE TEMPORARY TABLE staged_instrument (
        line integer, segment varchar, security_id varchar, symbol varchar, name varchar,
        series varchar, kind varchar, isin varchar, lot_size integer, tick_size numeric,
        freeze_quantity integer, lower_limit numeric, upper_limit numeric, underlying varchar,
        expiry date, strike numeric, option_type varchar, closed varchar,
        bracket_orders boolean, cover_orders boolean)
"""
# In the file, but not understood: such a row is neither changed nor gone.
_UNCLEAR = "CREATE TEMPORARY TABLE unclear_instrument (segment varchar, security_id varchar)"
_COPY = f"COPY staged_instrument (line, {', '.join(Listing._fields)}) FROM STDIN"
_DROP = "DROP TABLE IF EXISTS staged_instrument, unclear_instrument, compared_instrument"
_TWINS = """
    SELECT segment, security_id, array_agg(line ORDER BY line) FROM staged_instrument
    GROUP BY segment, security_id HAVING count(*) > 1 ORDER BY min(line)
"""
_EXPIRE = """
    UPDATE staged_instrument SET closed = 'EXPIRED' WHERE closed = '' AND expiry < %(today)s
"""
# Is it the same contract under its id? A share keeps its id through a new symbol or a split (a
# new ISIN), not through both; a broker's two files may spell an underlying differently.
# ``becomes``: what the row will say, where the file does not say everything.
_COMPARE = """
    CREATE TEMPORARY TABLE compared_instrument AS
    SELECT s.line, i.id, becomes.*,
        CASE WHEN i.kind <> s.kind THEN FALSE
             WHEN s.kind = 'INDEX' THEN TRUE
             WHEN s.kind = 'EQUITY' THEN
                 i.symbol = s.symbol OR i.name <> '' AND i.name = s.name
                 OR i.isin <> '' AND i.isin = coalesce(s.isin, '')
             ELSE i.expiry IS NOT DISTINCT FROM s.expiry
                 AND i.strike IS NOT DISTINCT FROM s.strike AND i.option_type = s.option_type
                 AND (i.underlying = ''
                      OR regexp_replace(upper(i.underlying), '[^A-Z0-9]', '', 'g')
                         = regexp_replace(s.underlying, '[^A-Z0-9]', '', 'g'))
        END AS same,
        i.closed <> 'GONE' AND (i.expiry IS NULL OR i.expiry >= %(today)s) AS lives,
        (i.lot_size, i.tick_size) IS DISTINCT FROM (s.lot_size, s.tick_size) AS resized,
        (i.symbol, i.name, i.series, i.lot_size, i.tick_size, i.underlying, i.expiry, i.strike,
         i.option_type, i.closed, i.isin, i.freeze_quantity, i.lower_limit, i.upper_limit,
         i.limits_on, i.tradable, i.bracket_orders, i.cover_orders)
        IS DISTINCT FROM
        (s.symbol, s.name, s.series, s.lot_size, s.tick_size, s.underlying, s.expiry, s.strike,
         s.option_type, s.closed, becomes.isin, becomes.freeze_quantity, becomes.lower_limit,
         becomes.upper_limit, becomes.limits_on, becomes.tradable,
         becomes.bracket_orders, becomes.cover_orders) AS differs
    FROM staged_instrument s
    JOIN brokers_instrument i
        ON i.segment = s.segment AND i.security_id = s.security_id AND i.retired_at IS NULL
    CROSS JOIN LATERAL (
        SELECT s.upper_limit IS NOT NULL AND coalesce(i.limits_on <= %(limits_on)s, TRUE) AS news
    ) limits
    CROSS JOIN LATERAL (
        SELECT coalesce(s.isin, i.isin) AS isin,
            coalesce(s.freeze_quantity, i.freeze_quantity) AS freeze_quantity,
            CASE WHEN news THEN s.lower_limit ELSE i.lower_limit END AS lower_limit,
            CASE WHEN news THEN s.upper_limit ELSE i.upper_limit END AS upper_limit,
            CASE WHEN news THEN %(limits_on)s::date ELSE i.limits_on END AS limits_on,
            s.closed = '' AND NOT i.blocked AS tradable,
            coalesce(s.bracket_orders, i.bracket_orders) AS bracket_orders,
            coalesce(s.cover_orders, i.cover_orders) AS cover_orders
    ) becomes
"""
_COUNT = """
    SELECT (SELECT count(*) FROM staged_instrument),
        count(*), count(*) FILTER (WHERE NOT same), count(*) FILTER (WHERE same AND differs),
        count(*) FILTER (WHERE same AND lives AND resized),
        count(*) FILTER (WHERE NOT same AND lives), count(*) FILTER (WHERE lives),
        (SELECT count(*) FROM brokers_instrument
         WHERE retired_at IS NULL AND closed <> 'GONE'
             AND (expiry IS NULL OR expiry >= %(today)s)
             AND (segment, security_id) NOT IN (SELECT * FROM unclear_instrument))
    FROM compared_instrument
"""
_SWAPPED = """
    SELECT i.segment, i.security_id, i.symbol, s.symbol
    FROM compared_instrument c JOIN brokers_instrument i ON i.id = c.id
        JOIN staged_instrument s ON s.line = c.line
    WHERE NOT c.same AND c.lives ORDER BY s.line LIMIT %(named)s
"""
_MISSING = """
    SELECT segment, security_id, symbol FROM brokers_instrument i
    WHERE retired_at IS NULL AND closed <> 'GONE' AND (expiry IS NULL OR expiry >= %(today)s)
        AND NOT EXISTS (SELECT 1 FROM compared_instrument c WHERE c.id = i.id)
        AND (segment, security_id) NOT IN (SELECT * FROM unclear_instrument)
    ORDER BY segment, symbol LIMIT %(named)s
"""
_RESIZED = """
    SELECT s.segment, s.symbol, s.lot_size, i.lot_size, trim_scale(s.tick_size),
        trim_scale(i.tick_size)
    FROM compared_instrument c JOIN brokers_instrument i ON i.id = c.id
        JOIN staged_instrument s ON s.line = c.line
    WHERE c.same AND c.lives AND c.resized ORDER BY s.line LIMIT 3
"""
_RETIRE = """
    UPDATE brokers_instrument i
    SET retired_at = %(now)s, closed = 'REUSED', tradable = FALSE, updated_at = %(now)s
    FROM compared_instrument c WHERE c.id = i.id AND NOT c.same
"""
_CHANGE = """
    UPDATE brokers_instrument i
    SET symbol = s.symbol, name = s.name, series = s.series, lot_size = s.lot_size,
        tick_size = s.tick_size, underlying = s.underlying, expiry = s.expiry,
        strike = s.strike, option_type = s.option_type, closed = s.closed, isin = c.isin,
        freeze_quantity = c.freeze_quantity, lower_limit = c.lower_limit,
        upper_limit = c.upper_limit, limits_on = c.limits_on, tradable = c.tradable,
        bracket_orders = c.bracket_orders, cover_orders = c.cover_orders,
        updated_at = %(now)s
    FROM compared_instrument c JOIN staged_instrument s ON s.line = c.line
    WHERE c.id = i.id AND c.same AND c.differs
"""
_ADD = """
    INSERT INTO brokers_instrument
        (segment, security_id, symbol, name, series, kind, isin, lot_size, tick_size,
         freeze_quantity, lower_limit, upper_limit, limits_on, underlying, expiry, strike,
         option_type, closed, bracket_orders, cover_orders, blocked, tradable, updated_at)
    SELECT s.segment, s.security_id, s.symbol, s.name, s.series, s.kind, coalesce(s.isin, ''),
        s.lot_size, s.tick_size, s.freeze_quantity, s.lower_limit, s.upper_limit,
        CASE WHEN s.upper_limit IS NOT NULL THEN %(limits_on)s::date END, s.underlying,
        s.expiry, s.strike, s.option_type, s.closed, coalesce(s.bracket_orders, FALSE),
        coalesce(s.cover_orders, FALSE), FALSE, s.closed = '', %(now)s
    FROM staged_instrument s LEFT JOIN compared_instrument c ON c.line = s.line
    WHERE c.line IS NULL OR NOT c.same
    ORDER BY s.line
"""
_LEAVE = """
    UPDATE brokers_instrument i SET closed = 'GONE', tradable = FALSE, updated_at = %(now)s
    WHERE retired_at IS NULL AND closed <> 'GONE'
        AND NOT EXISTS (SELECT 1 FROM staged_instrument s
                        WHERE s.segment = i.segment AND s.security_id = i.security_id)
        AND (segment, security_id) NOT IN (SELECT * FROM unclear_instrument)
"""


class Refused(Exception):
    """The file can be read, and still it cannot be true; nothing was changed. Says why."""


@dataclass(frozen=True)
class Merged:
    """What a file changed. ``swapped`` names ids of living contracts that mean others now."""

    added: int
    changed: int
    unchanged: int
    gone: int
    reused: int
    swapped: list[str] = field(default_factory=list)


@contextmanager
def staged(reading: Reading) -> Iterator[None]:
    """Copy the file's rows into a table of this connection, which is dropped in the end."""
    try:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{COPY_SECONDS}s'")
            cursor.execute("SET LOCAL client_min_messages = warning")
            cursor.execute(_DROP)
            cursor.execute(_TABLE)
            cursor.execute(_UNCLEAR)
            _copy(cursor, reading)
            cursor.executemany("INSERT INTO unclear_instrument VALUES (%s, %s)", reading.unclear)
            _drop_twins(cursor, reading)
            cursor.execute("CREATE UNIQUE INDEX ON staged_instrument (segment, security_id)")
            cursor.execute("CREATE UNIQUE INDEX ON staged_instrument (line)")
            cursor.execute("ANALYZE staged_instrument")
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(_DROP)


def _copy(cursor: Any, rows: Iterable[tuple[int, Listing]]) -> None:  # noqa: ANN401 - a cursor
    with cursor.copy(_COPY) as copy:
        for line, listing in rows:
            copy.write_row((line, listing.segment.value, *listing[1:]))


def _drop_twins(cursor: Any, reading: Reading) -> None:  # noqa: ANN401 - a cursor
    """Two rows with one id: which one would be traded? Of indices, nobody asks."""
    cursor.execute(_TWINS)
    for segment, security_id, lines in cursor.fetchall():
        said = f"{segment} {security_id} is on lines {', '.join(map(str, lines))}"
        if segment != "INDEX":
            raise Refused(f"one id names several instruments: {said}")
        for line in lines[1:]:
            reading.doubt(line, "security id", said)
        cursor.execute("DELETE FROM staged_instrument WHERE line = ANY(%s)", [lines[1:]])


def merge(
    today: dt.date, limits_on: dt.date, now: dt.datetime, *, even_if_fewer: bool = False
) -> Merged:
    """Compare, judge, write. Call inside the transaction that also writes the history.

    Raises ``Refused`` when the file cannot be true: too much of what lives is not in it, or too
    many ids of living contracts mean others, or most lots or ticks are others. ``even_if_fewer``
    waives the first and the last.
    """
    values: dict[str, Any] = {"today": today, "limits_on": limits_on, "now": now, "named": NAMED}
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        cursor.execute(f"SET LOCAL statement_timeout = '{MERGE_SECONDS}s'")
        cursor.execute(_EXPIRE, values)
        cursor.execute(_COMPARE, values)
        cursor.execute(_COUNT, values)
        listed, known, reused, changed, resized, swapped, there, living = cursor.fetchone()
        if not even_if_fewer:
            _refuse_missing(cursor, values, living - there, living)
            _refuse_resized(cursor, values, resized, there)
        names = _swapped(cursor, values, swapped, living)
        cursor.execute(_RETIRE, values)
        cursor.execute(_CHANGE, values)
        cursor.execute(_ADD, values)
        cursor.execute(_LEAVE, values)
        gone = cursor.rowcount
    return Merged(
        added=listed - known,
        changed=changed,
        unchanged=known - reused - changed,
        gone=gone,
        reused=reused,
        swapped=names,
    )


def _refuse_missing(cursor: Any, values: dict[str, Any], missing: int, living: int) -> None:  # noqa: ANN401
    if missing <= living * MOST_MISSING:
        return
    cursor.execute(_MISSING, values)
    named = ", ".join(":".join(row) for row in cursor.fetchall())
    raise Refused(
        f"{missing:,} of {living:,} instruments that live on are not in it, such as {named}: the "
        "file is cut short, or it is another market's. If it is right all the same, import it "
        "once with --even-if-fewer"
    )


def _refuse_resized(cursor: Any, values: dict[str, Any], resized: int, there: int) -> None:  # noqa: ANN401
    """A file in other units than before would make every price and quantity wrong."""
    if resized <= max(there * MOST_RESIZED, FEW_RESIZED):
        return
    cursor.execute(_RESIZED, values)
    named = "; ".join(f"{a}:{b} lot {c}, was {d}, tick {e}, was {f}" for a, b, c, d, e, f in cursor)
    raise Refused(
        f"{resized:,} of {there:,} instruments that live on have another lot or tick, such as "
        f"{named}: the file is in other units. If it is right all the same, import it once with "
        "--even-if-fewer"
    )


def _swapped(cursor: Any, values: dict[str, Any], swapped: int, living: int) -> list[str]:  # noqa: ANN401
    """The first living contracts whose id means another one now."""
    if not swapped:
        return []
    cursor.execute(_SWAPPED, values)
    names = [f"{a} {b} was {c}, is {d}" for a, b, c, d in cursor.fetchall()]
    if swapped > max(living * MOST_SWAPPED, 1):
        raise Refused(
            f"{swapped:,} of {living:,} ids of living contracts name other contracts than before: "
            f"{'; '.join(names)}"
        )
    return names


def renew_statistics() -> None:
    """Tell the planner of many new rows, so that searches stay quick."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE brokers_instrument")
