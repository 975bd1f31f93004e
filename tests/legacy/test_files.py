"""Files in every state: whatever is wrong, it is said, nothing is kept, and no byte changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from apps.orders.models import ImportedRow, LeftOut, LegacyImport, Order
from tests.legacy.past import V2_COLUMNS, V2_LEGS, Past, a_bracket, order

pytestmark = pytest.mark.django_db(transaction=True)


def seen(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file there, by its bytes and the time of its last change."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if path.is_file()
    }


@pytest.fixture
def refused(migrate, tmp_path):
    """Run the command on a file that must be refused; why it was."""

    def run(path: Path) -> str:
        before = seen(tmp_path)
        with pytest.raises(CommandError) as error:
            migrate(path)
        assert seen(tmp_path) == before
        assert not LegacyImport.objects.exists()
        assert not ImportedRow.objects.exists()
        assert not Order.every.exists()
        return str(error.value)

    return run


def big(path: Path) -> Path:
    past = Past(path)
    past.db.execute("BEGIN")
    past.orders(*(order(str(number)) for number in range(500)))
    past.db.execute("COMMIT")
    return past.done()


def test_nothing_of_a_good_file_changes(migrate, tmp_path):
    path = a_bracket(Past.second(tmp_path / "a.sqlite3")).done()
    path.chmod(0o400)
    before = seen(tmp_path)
    for words in (("--dry-run",), (), (), ("--rollback",)):
        migrate(path, *words)
        assert seen(tmp_path) == before


def test_a_name_with_marks_of_an_address_is_only_a_name(migrate, tmp_path):
    path = Past(tmp_path / "a?mode=rwc#%41 b.sqlite3").orders(order("1")).done()
    before = seen(tmp_path)
    migrate(path)
    assert seen(tmp_path) == before
    assert LegacyImport.objects.get().total("carried") == 2


def test_no_file(refused, tmp_path):
    assert "there is no file" in refused(tmp_path / "none.sqlite3")


def test_a_directory(refused, tmp_path):
    (tmp_path / "folder").mkdir()
    assert "is a directory" in refused(tmp_path / "folder")


def test_an_empty_file(refused, tmp_path):
    (tmp_path / "a.sqlite3").touch()
    assert "a.sqlite3 is empty" in refused(tmp_path / "a.sqlite3")


def test_a_text_file(refused, tmp_path):
    (tmp_path / "a.sqlite3").write_text("id,status\n1,TRADED\n")
    assert "is not an SQLite database" in refused(tmp_path / "a.sqlite3")


def test_another_sqlite_database(refused, tmp_path):
    database = sqlite3.connect(tmp_path / "a.sqlite3")
    database.executescript("CREATE TABLE bookmarks (url TEXT);")
    database.close()
    said = refused(tmp_path / "a.sqlite3")
    assert "not a copy trader's database: orders is not among its tables (bookmarks)" in said


def test_a_view_of_orders(refused, tmp_path):
    past = Past(tmp_path / "a.sqlite3").orders(order("1"))
    past.db.executescript(
        "ALTER TABLE orders RENAME TO old; CREATE VIEW orders AS SELECT * FROM old;"
    )
    assert "orders is a view in it, and not a table" in refused(past.done())


def test_a_table_of_orders_with_other_columns(refused, tmp_path):
    database = sqlite3.connect(tmp_path / "a.sqlite3")
    database.executescript("CREATE TABLE orders (id TEXT, status TEXT, pizza TEXT);")
    database.close()
    assert "lacks the columns account_type, side, product" in refused(tmp_path / "a.sqlite3")


@pytest.mark.parametrize("version", ["3", "12", "3.0", "v3", "V2.1", "99999999999999"])
def test_a_later_version(refused, tmp_path, version):
    path = Past(tmp_path / "a.sqlite3", version).orders(order("1")).done()
    assert f"schema version {version}, and this command knows versions 1 and 2" in refused(path)


@pytest.mark.parametrize("key", ["SCHEMA_VERSION", " schema_version "])
def test_a_later_version_under_a_key_in_other_letters(refused, tmp_path, key):
    past = Past(tmp_path / "a.sqlite3", None).orders(order("1"))
    past.add("config", key=key, value="3")
    assert "schema version 3" in refused(past.done())


def test_a_later_version_that_an_index_hides(refused, tmp_path):
    past = Past(tmp_path / "a.sqlite3", "3").orders(order("1"))
    found = past.db.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_config_1'"
    )
    page, size = found.fetchone()[0], past.db.execute("PRAGMA page_size").fetchone()[0]
    path = past.done()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        torn = file.read(size).replace(b"schema_version", b"schema_versioo")
        file.seek((page - 1) * size)
        file.write(torn)
    assert "schema version 3" in refused(path)


@pytest.mark.parametrize("version", ["2.0", "v2", "V2", " 2 ", "1.0", "v1.0.0"])
def test_a_version_in_other_letters_is_that_version(migrate, tmp_path, version):
    columns = () if "1" in version else tuple(V2_COLUMNS)
    past = Past(tmp_path / "a.sqlite3", version, columns, V2_LEGS if columns else "")
    migrate(past.orders(order("1")).done())
    row = LegacyImport.objects.get()
    assert (row.version, row.notes) == ("2" if columns else "1", [])


@pytest.mark.parametrize("version", ["two", "-1", "1e400", "２"])
def test_a_version_that_is_no_number_is_told_and_columns_count(migrate, tmp_path, version):
    migrate(Past(tmp_path / "a.sqlite3", version).orders(order("1")).done())
    notes = LegacyImport.objects.get().notes
    assert f"its config says schema_version {version!r}, which is no version" in notes
    assert Order.every.count() == 1


@pytest.mark.parametrize("version", [None, "1", "2", ""])
def test_a_half_migrated_file_is_read_by_its_columns_whatever_it_calls_itself(
    migrate, tmp_path, version
):
    path = Past(tmp_path / "a.sqlite3", version, ("parent_order_id",)).orders(order("1")).done()
    migrate(path)
    row = LegacyImport.objects.get()
    assert row.version == "1, half-migrated to 2"
    assert any("it lacks co_stop_loss_value" in note for note in row.notes)
    assert Order.every.count() == 1


def test_overwritten_pages(refused, tmp_path):
    path = big(tmp_path / "a.sqlite3")
    with path.open("r+b") as file:
        file.seek(4096 * 12)
        file.write(b"\xa5" * 4096 * 4)
    assert "a.sqlite3 is damaged" in refused(path)


def test_a_damaged_schema(refused, tmp_path):
    path = big(tmp_path / "a.sqlite3")
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 600)
    assert "a.sqlite3 is damaged" in refused(path)


@pytest.mark.parametrize("part", [0.9, 0.5, 0.02])
def test_a_truncated_file(refused, tmp_path, part):
    path = big(tmp_path / "a.sqlite3")
    os.truncate(path, int(path.stat().st_size * part))
    assert "a.sqlite3 is damaged" in refused(path)


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_file_that_another_program_writes(refused, tmp_path, held, how, mode):
    path = big(tmp_path / "a.sqlite3")
    held(path, f"PRAGMA journal_mode={mode}; BEGIN {how}; UPDATE orders SET quantity = 99;")
    assert "another program is writing a.sqlite3" in refused(path)


def test_changes_that_wait_in_a_wal_are_carried_and_the_wal_stays(migrate, tmp_path, held):
    path = Past(tmp_path / "a.sqlite3").orders(order("1"), order("2")).done()
    held(
        path,
        "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; DELETE FROM orders WHERE id = '1';",
    )
    before = seen(tmp_path)
    assert before["a.sqlite3-wal"]
    migrate(path)
    assert seen(tmp_path) == before
    assert [row.broker_order_id for row in Order.every.all()] == ["2"]
    assert list(LegacyImport.objects.get().beside) == ["-wal"]


def test_a_wal_left_by_a_killed_program_is_carried_and_stays(migrate, tmp_path, held):
    path = Past(tmp_path / "a.sqlite3").orders(order("1"), order("2")).done()
    script = "PRAGMA journal_mode=WAL; UPDATE orders SET quantity = 7 WHERE id = '2';"
    program = held(path, script)
    program.kill()
    program.wait()
    (tmp_path / "a.sqlite3-shm").unlink()
    before = seen(tmp_path)
    migrate(path)
    assert seen(tmp_path) == before
    assert Order.every.get(broker_order_id="2").quantity == 7


def test_a_journal_of_half_a_change_is_undone_in_a_copy_alone(migrate, tmp_path, held):
    """The other system died while it wrote: what it had not committed never happened."""
    path = big(tmp_path / "a.sqlite3")
    program = held(
        path,
        "PRAGMA cache_size=1; PRAGMA cache_spill=1; BEGIN; UPDATE orders SET quantity = 99;",
    )
    program.kill()
    program.wait()
    before = seen(tmp_path)
    assert before["a.sqlite3-journal"]
    migrate(path)
    assert seen(tmp_path) == before
    assert Order.every.count() == 500
    assert set(Order.every.values_list("quantity", flat=True)) == {10}
    assert list(LegacyImport.objects.get().beside) == ["-journal"]


def test_a_file_that_changes_while_it_is_read_keeps_nothing(migrate, tmp_path, monkeypatch):
    """Somebody copies another version over it in the middle of the import."""
    from apps.orders.legacy import carrying

    path = big(tmp_path / "a.sqlite3")
    other = Past(tmp_path / "b.sqlite3").orders(order("1", quantity=7)).done()
    record = carrying._carry_all

    def overtaken(*words):
        done = record(*words)
        shutil.copyfile(other, path)
        return done

    monkeypatch.setattr(carrying, "_carry_all", overtaken)
    with pytest.raises(CommandError, match="changed while it was read"):
        migrate(path)
    assert not Order.every.exists()


def test_what_rows_break_of_their_own_rules_is_the_rows_matter(migrate, tmp_path):
    """A NOT NULL or CHECK that older rows break is no damage of the file."""
    past = Past(tmp_path / "a.sqlite3").orders(order("1"), order("2", status=None))
    past.db.executescript(
        "PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql ="
        " replace(sql, 'status TEXT,', 'status TEXT NOT NULL,') WHERE name = 'orders';"
    )
    migrate(past.done())
    assert LegacyImport.objects.get().counts["orders"]["left_out"] == 1


def test_a_table_that_is_held_makes_it_give_up_and_keep_nothing(migrate, tmp_path):
    from django.db import connection

    from tests.legacy.telling import elsewhere

    path = Past(tmp_path / "a.sqlite3").orders(order("1")).done()
    with connection.cursor() as cursor, elsewhere(connection) as other:
        cursor.execute("SET lock_timeout = '200ms'")
        other.execute("BEGIN; LOCK TABLE orders_orderevent IN EXCLUSIVE MODE")
        with pytest.raises(CommandError, match="The database did not take it; nothing was changed"):
            migrate(path)
        other.execute("ROLLBACK")
        cursor.execute("RESET lock_timeout")
    assert not ImportedRow.objects.exists()
    migrate(path)
    assert Order.every.count() == 1


def test_names_of_tables_and_columns_are_read_in_any_case(migrate, tmp_path):
    past = Past(tmp_path / "a.sqlite3").orders(order("1"))
    past.db.executescript(
        "ALTER TABLE orders RENAME TO Old; ALTER TABLE Old RENAME TO ORDERS;"
        "ALTER TABLE ORDERS RENAME COLUMN status TO Status;"
    )
    migrate(past.done())
    assert Order.every.count() == 1


def test_another_import_at_the_same_time_waits_for_its_turn(migrate, tmp_path):
    from django.db import connection

    from apps.orders.legacy.carrying import TURN
    from tests.legacy.telling import elsewhere

    path = Past(tmp_path / "a.sqlite3").orders(order("1")).done()
    with elsewhere(connection) as cursor:
        cursor.execute("SELECT pg_advisory_lock(7204, hashtext(%s))", [TURN])
        with pytest.raises(CommandError, match="another import or rollback is under way"):
            migrate(path)
        cursor.execute("SELECT pg_advisory_unlock(7204, hashtext(%s))", [TURN])
    migrate(path)
    assert Order.every.count() == 1


def test_names_in_other_alphabets_keep_their_capitals(migrate, tmp_path):
    """SQLite folds the letters A to Z alone."""
    past = Past(tmp_path / "a.sqlite3").orders(order("1"))
    past.db.executescript('CREATE TABLE "ÄRGER" ("Ö" TEXT); INSERT INTO "ÄRGER" VALUES (1);')
    migrate(past.done())
    assert Order.every.count() == 1
    assert LegacyImport.objects.get().counts["Ärger"]["left_out"] == 1


def test_a_table_with_a_column_called_rowid(migrate, tmp_path):
    past = Past(tmp_path / "a.sqlite3").orders(order("1"))
    past.db.execute("CREATE TABLE odd (rowid TEXT, a)")
    past.add("odd", rowid="a\x00b", a=1)
    migrate(past.done())
    assert LeftOut.objects.get().legacy_id == "row 1"


def test_columns_that_are_calculated_are_columns(migrate, tmp_path):
    past = Past(tmp_path / "a.sqlite3").orders(order("1"))
    past.db.executescript(
        "CREATE TABLE new AS SELECT * FROM orders; ALTER TABLE new RENAME COLUMN status TO word;"
        "ALTER TABLE new ADD COLUMN status TEXT GENERATED ALWAYS AS (word);"
        "DROP TABLE orders; ALTER TABLE new RENAME TO orders;"
    )
    migrate(past.done())
    assert Order.every.count() == 1


def test_views_and_virtual_tables_are_told_of(migrate, tmp_path):
    past = Past(tmp_path / "a.sqlite3").orders(order("1"))
    past.db.executescript(
        "CREATE VIRTUAL TABLE found USING fts5(text); CREATE VIEW mine AS SELECT 1;"
        "DROP TABLE trades; CREATE VIEW trades AS SELECT id AS order_id, quantity FROM orders;"
    )
    migrate(past.done())
    assert LegacyImport.objects.get().notes == [
        "trades is a view, which is not read", "found is a virtual table, which is not read",
    ]  # fmt: skip


def test_large_rows_are_taken_a_few_at_a_time(tmp_path):
    from apps.orders.legacy.schema import rows_of

    past = Past(tmp_path / "a.sqlite3")
    past.orders(*(order(str(number), raw_response="x" * 12_000_000) for number in range(7)))
    assert [len(chunk) for chunk in rows_of(past.db, "orders")] == [3, 3, 1]
    past.done()
