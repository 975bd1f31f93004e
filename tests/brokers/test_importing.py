"""A master file changes what it changes and nothing else, or nothing at all."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import time_machine
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.alerts.models import Alert, Severity
from apps.brokers import importing
from apps.brokers.importing import Busy, Wish, import_file, instruments_age
from apps.brokers.locks import turn_if_free
from apps.brokers.models import Closed, Instrument, InstrumentImport
from tests.brokers.master_rows import (
    AMARA,
    BANKNIFTY_CALL,
    COMPACT,
    COMPACT_ROWS,
    CRUDE_FUTURE,
    NIFTY,
    NIFTY_CALL,
    NSE_GOLD,
    RELIANCE,
    changed,
    shares,
    write,
)

pytestmark = pytest.mark.django_db
COMMITTED = pytest.mark.django_db(transaction=True)

TODAY = dt.datetime(2026, 9, 8, 9, 0, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30)))
Import = Callable[..., InstrumentImport]


@pytest.fixture(autouse=True)
def today() -> Any:
    with time_machine.travel(TODAY, tick=True) as traveller:
        yield traveller


@pytest.fixture
def take(tmp_path: Path) -> Import:
    """Import these rows as a file written just now."""

    def run(*rows: str, header: str | None = None, **wish: Any) -> InstrumentImport:
        path = tmp_path / "master.csv"
        write(path, rows, **({"header": header} if header else {}))
        os.utime(path, (time.time(), time.time()))
        return import_file(path, Wish(**wish))

    return run


def counts(row: InstrumentImport) -> dict[str, int]:
    names = ("added", "changed", "unchanged", "gone", "reused", "doubtful", "left_out")
    return {name: getattr(row, name) for name in names if getattr(row, name)}


def everything() -> list[Any]:
    """Every row as it is, with the transaction that wrote it last."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text, i.* FROM brokers_instrument i ORDER BY id")
        return cursor.fetchall()


def one(security_id: str) -> Instrument:
    return Instrument.objects.get(security_id=security_id)


# --- what is written ------------------------------------------------------------------------


def test_a_first_import_stores_what_the_file_says(take: Import) -> None:
    row = take(RELIANCE, NIFTY_CALL, NIFTY, CRUDE_FUTURE, NSE_GOLD)
    assert (row.outcome, row.layout, row.rows) == ("APPLIED", "detailed", 5)
    assert counts(row) == {"added": 4, "left_out": 1}
    call = one("35084")
    assert (call.symbol, call.lot_size, call.tick_size) == (
        "NIFTY-29SEP2026-29150-CE",
        65,
        Decimal("0.05"),
    )
    assert (call.expiry, call.strike, call.option_type) == (dt.date(2026, 9, 29), 29150, "CE")
    assert (call.lower_limit, call.upper_limit, call.limits_on) == (
        Decimal("0.05"),
        Decimal("20.1"),
        TODAY.date(),
    )
    assert (call.freeze_quantity, call.tradable) == (1755, True)
    closed = Instrument.objects.filter(tradable=False).values_list("symbol", "closed")
    assert set(closed) == {("NIFTY", "INDEX"), ("CRUDEOIL-21SEP2026-FUT", "UNITS")}


@COMMITTED
def test_a_second_import_writes_nothing(take: Import) -> None:
    rows = (RELIANCE, NIFTY_CALL, NIFTY, CRUDE_FUTURE, *shares(20))
    first = take(*rows)
    before = everything()
    second = take(*rows)
    assert counts(second) == {"unchanged": 24}
    assert second.sha256 == first.sha256
    assert everything() == before


def test_only_the_row_that_changed_is_written(take: Import) -> None:
    take(RELIANCE, AMARA, NIFTY_CALL)
    before = {row[1]: row for row in everything()}
    row = take(RELIANCE, changed(AMARA, {"TICK_SIZE": "10.0000"}), NIFTY_CALL)
    assert counts(row) == {"changed": 1, "unchanged": 2}
    assert one("100").tick_size == Decimal("0.1")
    assert [row[1] for row in everything() if row != before[row[1]]] == [one("100").pk]


def test_new_limits_are_of_a_new_day(take: Import, today: Any) -> None:
    take(RELIANCE)
    today.shift(dt.timedelta(days=1))
    row = take(changed(RELIANCE, {"SM_UPPER_LIMIT": "1500.0000"}))
    assert counts(row) == {"changed": 1}
    tomorrow = TODAY.date() + dt.timedelta(days=1)
    assert one("2885").limits(tomorrow) == (Decimal("1173.4"), Decimal(1500))
    assert one("2885").limits(TODAY.date()) == (None, None)


def test_an_older_file_does_not_bring_older_limits(take: Import, tmp_path: Path) -> None:
    take(RELIANCE)
    old = write(tmp_path / "old.csv", [changed(RELIANCE, {"SM_UPPER_LIMIT": "1500.0000"})])
    stamp = (TODAY - dt.timedelta(days=3)).timestamp()
    os.utime(old, (stamp, stamp))
    import_file(old, Wish())
    assert one("2885").upper_limit == Decimal(1434)


def test_the_compact_file_takes_nothing_away(take: Import) -> None:
    take(RELIANCE, BANKNIFTY_CALL, NIFTY)
    before = everything()
    row = take(
        *(COMPACT_ROWS[name] for name in ("RELIANCE", "BANKNIFTY_CALL", "NIFTY")), header=COMPACT
    )
    assert (row.layout, counts(row)) == ("compact", {"unchanged": 3})
    assert everything() == before


def test_whether_the_broker_keeps_brackets_is_stored_and_taken_back(take: Import) -> None:
    allowed = changed(RELIANCE, {"BRACKET_FLAG": "Y"})
    take(allowed, changed(AMARA, {"COVER_FLAG": "Y"}), NIFTY_CALL)
    flags = {
        each.security_id: (each.bracket_orders, each.cover_orders)
        for each in Instrument.objects.all()
    }
    assert flags == {"2885": (True, False), "100": (False, True), "35084": (False, False)}
    assert counts(take(allowed, AMARA, NIFTY_CALL)) == {"changed": 1, "unchanged": 2}
    assert (one("2885").bracket_orders, one("100").cover_orders) == (True, False)
    take(COMPACT_ROWS["RELIANCE"], header=COMPACT, even_if_fewer=True)
    assert one("2885").bracket_orders
    take(RELIANCE, AMARA, NIFTY_CALL)
    assert not one("2885").bracket_orders


def test_limits_and_freeze_known_from_elsewhere_survive_a_file_that_has_none(take: Import) -> None:
    take(RELIANCE)
    silent = {"SM_UPPER_LIMIT": "0.0000", "SM_LOWER_LIMIT": "0.0000", "SM_FREEZE_QTY": "-1"}
    Instrument.objects.update(freeze_quantity=77, lower_limit=5, upper_limit=9, limits_on=None)
    take(changed(RELIANCE, silent))
    share = one("2885")
    assert (share.freeze_quantity, share.lower_limit, share.upper_limit) == (77, 5, 9)


def test_what_was_there_before_any_import_is_taken_over(take: Import) -> None:
    old = Instrument.objects.create(
        segment="NSE_FNO",
        security_id="35084",
        symbol="NIFTY-Sep2026-29150-CE",
        kind="OPTIDX",
        lot_size=75,
        tick_size=Decimal("0.05"),
        expiry=dt.date(2026, 9, 29),
        strike=29150,
        option_type="CE",
    )
    assert counts(take(NIFTY_CALL)) == {"changed": 1}
    old.refresh_from_db()
    assert (old.symbol, old.lot_size, old.underlying) == ("NIFTY-29SEP2026-29150-CE", 65, "NIFTY")


# --- what goes, ends, is blocked --------------------------------------------------------------


def test_what_is_not_in_the_file_any_more_is_kept_and_cannot_be_traded(take: Import) -> None:
    take(RELIANCE, AMARA, *shares(98))
    row = take(RELIANCE, *shares(98))
    assert counts(row) == {"unchanged": 99, "gone": 1}
    assert (one("100").closed, one("100").tradable) == (Closed.GONE, False)
    assert counts(take(RELIANCE, *shares(98))) == {"unchanged": 99}
    back = take(RELIANCE, AMARA, *shares(98))
    assert counts(back) == {"changed": 1, "unchanged": 99}
    assert one("100").tradable


def test_a_contract_that_is_over_is_kept_and_cannot_be_traded(take: Import, today: Any) -> None:
    take(NIFTY_CALL)
    today.move_to(TODAY.replace(day=29, hour=23))
    take(NIFTY_CALL)
    assert one("35084").tradable
    today.move_to(TODAY.replace(day=30, hour=1))
    take(NIFTY_CALL)
    assert (one("35084").closed, one("35084").tradable) == (Closed.EXPIRED, False)


def test_what_a_person_blocked_stays_blocked(take: Import) -> None:
    take(RELIANCE, AMARA)
    one("100").block(True)
    take(RELIANCE, changed(AMARA, {"TICK_SIZE": "10.0000"}))
    assert (one("100").tick_size, one("100").tradable) == (Decimal("0.1"), False)
    one("100").block(False)
    assert one("100").tradable


def test_unblocking_opens_nothing_that_the_master_closed(take: Import) -> None:
    take(NIFTY, RELIANCE)
    one("13").block(True)
    one("13").block(False)
    assert not one("13").tradable


def test_the_database_lets_nothing_closed_be_tradable(take: Import) -> None:
    take(NIFTY)
    with pytest.raises(DatabaseError, match="tradable_is_neither"), transaction.atomic():
        Instrument.objects.update(tradable=True)


# --- ids that name something else -------------------------------------------------------------


NEXT = {
    "UNDERLYING_SYMBOL": "NIFTY",
    "DISPLAY_NAME": "NIFTY 29 DEC 25000 PUT",
    "SM_EXPIRY_DATE": "2026-12-29",
    "STRIKE_PRICE": "25000.00000",
    "OPTION_TYPE": "PE",
    "LOT_SIZE": "65.0",
    "SM_FREEZE_QTY": "1756",
}


def test_an_id_of_a_contract_that_is_over_names_another_one(take: Import, today: Any) -> None:
    take(BANKNIFTY_CALL, RELIANCE)
    old = one("35000")
    today.move_to(TODAY.replace(month=10))
    row = take(changed(BANKNIFTY_CALL, NEXT), RELIANCE)
    assert row.reused == 1
    new = one("35000")
    assert new.pk != old.pk
    assert (new.symbol, new.tradable) == ("NIFTY-29DEC2026-25000-PE", True)
    old = Instrument.every.get(pk=old.pk)
    assert (old.symbol, old.lot_size) == ("BANKNIFTY-29SEP2026-72600-CE", 30)
    assert (old.closed, old.tradable) == (Closed.REUSED, False)
    assert old.retired_at is not None
    assert not Alert.objects.exists()


def test_a_retired_row_stays_what_it_was(take: Import, today: Any) -> None:
    take(BANKNIFTY_CALL)
    old = one("35000")
    today.move_to(TODAY.replace(month=10))
    take(changed(BANKNIFTY_CALL, NEXT))
    for columns in ({"retired_at": None}, {"symbol": "X"}):
        with pytest.raises(DatabaseError, match="it stays what it was"), transaction.atomic():
            Instrument.every.filter(pk=old.pk).update(**columns)
    with pytest.raises(DatabaseError, match="keeps its segment"), transaction.atomic():
        Instrument.objects.filter(security_id="35000").update(security_id="1")


def test_an_id_of_a_living_contract_that_names_another_is_told(take: Import) -> None:
    take(BANKNIFTY_CALL, RELIANCE)
    row = take(changed(BANKNIFTY_CALL, NEXT), RELIANCE)
    assert (row.outcome, row.reused) == ("APPLIED", 1)
    alert = Alert.objects.get()
    assert alert.severity == Severity.CRITICAL
    assert "35000 was BANKNIFTY-29SEP2026-72600-CE, is NIFTY-29DEC2026-25000-PE" in alert.text


def test_many_living_ids_that_name_others_are_not_believed(take: Import) -> None:
    take(*shares(150))
    before = everything()
    moved = [
        changed(row, {"SECURITY_ID": str(70_000 + (number + 1) % 150 + 1)})
        for number, row in enumerate(shares(150))
    ]
    row = take(*moved)
    assert row.outcome == "REFUSED"
    assert "150 of 150 ids of living contracts name other contracts" in row.why
    assert everything() == before


@pytest.mark.parametrize(
    "columns",
    [
        {"UNDERLYING_SYMBOL": "RIL", "DISPLAY_NAME": "Ril"},  # a new symbol
        {"ISIN": "INE002A01026"},  # a split
        {"SERIES": "BE", "ISIN": "INE002A01026"},  # another series, by its name
        {"LOT_SIZE": "5.0", "TICK_SIZE": "5.0000"},
    ],
)
def test_a_share_that_changes_stays_the_same_share(take: Import, columns: Any) -> None:
    take(RELIANCE)
    share = one("2885")
    assert counts(take(changed(RELIANCE, columns))) == {"changed": 1}
    assert one("2885").pk == share.pk


def test_another_company_under_the_id_of_a_share_is_another_share(take: Import) -> None:
    take(RELIANCE)
    other = {"UNDERLYING_SYMBOL": "OTHER", "DISPLAY_NAME": "Other", "ISIN": "INE999A01018"}
    assert take(changed(RELIANCE, other)).reused == 1
    assert Instrument.every.count() == 2


def test_an_underlying_spelt_differently_is_the_same(take: Import) -> None:
    take(changed(NIFTY_CALL, {"UNDERLYING_SYMBOL": "BAJAJ-AUTO"}))
    assert take(changed(NIFTY_CALL, {"UNDERLYING_SYMBOL": "BAJAJ AUTO"})).reused == 0


# --- what is refused ----------------------------------------------------------------------------


@COMMITTED
def test_a_bad_file_changes_nothing_and_says_why(take: Import) -> None:
    take(RELIANCE, AMARA)
    before = everything()
    row = take(RELIANCE, AMARA[:-5])
    assert (row.outcome, counts(row)) == ("REFUSED", {})
    assert row.why == "line 3: 32 fields where the header has 33"
    assert everything() == before
    alert = Alert.objects.get()
    assert alert.key == "instruments:refused:dhan"
    assert row.why in alert.text
    take(RELIANCE, AMARA)
    alert.refresh_from_db()
    assert alert.acknowledged_reason == "a file was imported since"


def test_a_file_without_much_of_what_lives_is_refused(take: Import) -> None:
    take(*shares(100))
    before = everything()
    row = take(*shares(97))
    assert row.outcome == "REFUSED"
    assert "3 of 100 instruments that live on are not in it" in row.why
    assert "NSE_EQ:70098:SHARE98" in row.why
    assert everything() == before
    row = take(*shares(97), even_if_fewer=True)
    assert counts(row) == {"unchanged": 97, "gone": 3}


@pytest.mark.parametrize(
    "units", [{"TICK_SIZE": "1000.0000"}, {"LOT_SIZE": "100.0"}], ids=["ticks", "lots"]
)
def test_a_file_in_other_units_is_refused(take: Import, units: dict[str, str]) -> None:
    take(*shares(150))
    before = everything()
    row = take(*shares(150, **units))
    assert row.outcome == "REFUSED"
    assert "150 of 150 instruments that live on have another lot or tick, such as" in row.why
    assert everything() == before
    assert take(*shares(150, **units), even_if_fewer=True).changed == 150


def test_a_revision_of_many_ticks_is_believed(take: Import) -> None:
    take(*shares(150))
    revised = [*shares(75, TICK_SIZE="1.0000"), *shares(75, first=76)]
    assert take(*revised).changed == 75


def test_expired_contracts_may_leave_the_file_together(take: Import, today: Any) -> None:
    calls = [
        changed(NIFTY_CALL, {"SECURITY_ID": str(n), "STRIKE_PRICE": f"{n}.00000"})
        for n in range(20_000, 20_040)
    ]
    take(RELIANCE, *calls, *shares(60))
    today.move_to(TODAY.replace(month=10))
    row = take(RELIANCE, *shares(60))
    assert (row.outcome, row.gone) == ("APPLIED", 40)


def test_far_fewer_rows_than_last_time_are_refused(take: Import, today: Any) -> None:
    calls = [
        changed(NIFTY_CALL, {"SECURITY_ID": str(n), "STRIKE_PRICE": f"{n}.00000"})
        for n in range(20_000, 20_040)
    ]
    take(RELIANCE, *calls)
    today.move_to(TODAY.replace(month=10))
    assert "1 rows, where the last import had 41" in take(RELIANCE).why


def test_two_rows_with_one_id_are_refused(take: Import) -> None:
    row = take(RELIANCE, AMARA, changed(AMARA, {"SECURITY_ID": "2885"}))
    assert row.outcome == "REFUSED"
    assert "NSE_EQ 2885 is on lines 2, 4" in row.why
    assert not Instrument.objects.exists()


def test_an_index_that_is_there_twice_is_only_doubtful(take: Import) -> None:
    twin = changed(NIFTY, {"EXCH_ID": "BSE", "UNDERLYING_SYMBOL": "OTHER"})
    row = take(NIFTY, twin, *shares(200))
    assert counts(row) == {"added": 201, "doubtful": 1}
    assert one("13").symbol == "NIFTY"


def test_a_few_rows_in_doubt_are_skipped_and_told_once(take: Import) -> None:
    odd = [changed(row, {"EXCH_ID": "XYZ"}) for row in shares(2, first=900)]
    take(*shares(200), changed(AMARA, {}))
    row = take(*shares(200), *odd, changed(AMARA, {"LOT_SIZE": "some"}), even_if_fewer=True)
    assert (row.outcome, row.doubtful) == ("REFUSED", 3)  # 3 of 203 are more than 1 %
    row = take(*shares(200), odd[0], changed(AMARA, {"LOT_SIZE": "some"}))
    assert (row.outcome, row.doubtful) == ("APPLIED", 2)
    assert row.doubts[1].startswith("line 203, column LOT_SIZE")
    told = Alert.objects.get(key="instruments:doubtful:dhan")
    assert (told.times, "XYZ/E" in told.text) == (1, True)


def test_a_row_in_doubt_is_neither_changed_nor_gone(take: Import) -> None:
    take(*shares(200), AMARA)
    before = everything()
    row = take(*shares(200), changed(AMARA, {"LOT_SIZE": "some"}))
    assert counts(row) == {"unchanged": 200, "doubtful": 1}
    assert everything() == before


def test_the_other_file_than_the_one_asked_for_is_refused(take: Import) -> None:
    assert "this is the detailed file, not the compact one" in take(RELIANCE, layout="compact").why


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    row = import_file(tmp_path / "none.csv", Wish())
    assert (row.outcome, "cannot be read" in row.why) == ("REFUSED", True)


# --- beside others --------------------------------------------------------------------------------


def other_connection() -> psycopg.Connection[Any]:
    wanted = connection.get_connection_params()
    return psycopg.connect(
        dbname=wanted["dbname"], user=wanted["user"], host=wanted["host"], port=wanted["port"]
    )


@COMMITTED
def test_readers_and_new_orders_go_on_while_it_merges(take: Import) -> None:
    """Another connection reads, and points at a row that is being changed."""
    take(RELIANCE)
    seen: list[Any] = []
    original = importing.merge

    def merge_and_look(*args: Any, **options: Any) -> Any:
        merged = original(*args, **options)
        with other_connection() as line:
            line.execute("SET lock_timeout = '1s'")
            seen.append(line.execute("SELECT lot_size FROM brokers_instrument").fetchall())
            line.execute("SELECT 1 FROM brokers_instrument FOR KEY SHARE")
        return merged

    importing.merge = merge_and_look
    try:
        take(changed(RELIANCE, {"LOT_SIZE": "5.0"}))
    finally:
        importing.merge = original
    assert seen == [[(1,)]]
    assert one("2885").lot_size == 5


@COMMITTED
def test_it_gives_up_when_somebody_holds_a_row_for_too_long(
    take: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.brokers.merging.LOCK_SECONDS", 0.2)
    take(RELIANCE, AMARA)
    before = everything()
    with other_connection() as line:
        line.execute("SELECT 1 FROM brokers_instrument WHERE security_id = '100' FOR UPDATE")
        row = take(RELIANCE, changed(AMARA, {"TICK_SIZE": "10.0000"}))
    assert (row.outcome, "the database did not take it" in row.why) == ("REFUSED", True)
    assert everything() == before
    assert take(RELIANCE, changed(AMARA, {"TICK_SIZE": "10.0000"})).outcome == "APPLIED"


@COMMITTED
def test_only_one_import_runs(take: Import) -> None:
    took, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with turn_if_free("instruments"):
            took.set()
            go_on.wait(10)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    took.wait(10)
    with pytest.raises(Busy):
        take(RELIANCE)
    go_on.set()
    holder.join()
    assert not InstrumentImport.objects.exists()
    assert take(RELIANCE).outcome == "APPLIED"


# --- the history --------------------------------------------------------------------------------


def test_the_history_of_imports_cannot_be_rewritten(take: Import) -> None:
    take(RELIANCE)
    for act in (
        lambda: InstrumentImport.objects.update(rows=5),
        lambda: InstrumentImport.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError, match="is history"), transaction.atomic():
            act()


def test_the_age_of_the_master_is_not_known_before_a_first_import(take: Import) -> None:
    assert instruments_age() is None
    take("no,row")
    assert instruments_age() is None
    take(RELIANCE)
    take("no,row")
    age = instruments_age()
    assert age is not None
    assert dt.timedelta(0) <= age < dt.timedelta(minutes=1)


@COMMITTED
def test_nothing_is_left_in_the_connection(take: Import) -> None:
    take(RELIANCE)
    take("no,row")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname LIKE '%%ed_instrument'")
        assert cursor.fetchone() == (0,)
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("15s",)


# --- properties ---------------------------------------------------------------------------------

POOL = [*shares(12), RELIANCE, NIFTY_CALL, BANKNIFTY_CALL, NIFTY, CRUDE_FUTURE]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(first=st.sets(st.sampled_from(POOL), min_size=1), second=st.sets(st.sampled_from(POOL)))
def test_importing_again_changes_nothing_and_the_order_of_files_does_not_matter(
    take: Import, first: set[str], second: set[str]
) -> None:
    take(*first, even_if_fewer=True)
    take(*(second or first), even_if_fewer=True)
    before = everything()
    again = take(*(second or first), even_if_fewer=True)
    assert counts(again) == {"unchanged": len(second or first)}
    assert everything() == before
    listed = {row.split(",")[2] for row in second or first}
    kept = Instrument.objects.exclude(closed=Closed.GONE).values_list("security_id", flat=True)
    assert set(kept) == listed


def test_the_time_of_an_import_is_its_beginning(take: Import) -> None:
    before = timezone.now()
    assert before <= take(RELIANCE).at <= timezone.now()
