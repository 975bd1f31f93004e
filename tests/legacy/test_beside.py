"""Links, odd names, closed doors, and a report that would fall on the file itself."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from apps.orders.legacy.source import Refused, opened
from apps.orders.models import LegacyImport, Order
from tests.legacy.past import Past, order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def real(tmp_path) -> Path:
    """A file with one order in another folder than the link to it."""
    (tmp_path / "real").mkdir()
    return Past(tmp_path / "real" / "a.sqlite3").orders(order("1")).done()


@pytest.fixture
def link(tmp_path, real) -> Path:
    link = tmp_path / "link.sqlite3"
    link.symlink_to(real)
    return link


class TestLink:
    def test_changes_that_wait_beside_the_file_are_carried(self, migrate, real, link, held):
        program = held(
            real,
            "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
            "UPDATE orders SET quantity = 7 WHERE id = '1';",
        )
        program.kill()
        program.wait()
        migrate(link)
        assert Order.every.get().quantity == 7
        assert list(LegacyImport.objects.get().beside) == ["-wal"]

    def test_half_a_change_is_undone(self, migrate, tmp_path, held):
        (tmp_path / "real").mkdir()
        past = Past(tmp_path / "real" / "b.sqlite3")
        past.db.execute("BEGIN")
        past.orders(*(order(str(number)) for number in range(500)))
        past.db.execute("COMMIT")
        link = tmp_path / "link.sqlite3"
        link.symlink_to(past.done())
        program = held(
            link,
            "PRAGMA cache_size=1; PRAGMA cache_spill=1; BEGIN; UPDATE orders SET quantity = 99;",
        )
        program.kill()
        program.wait()
        migrate(link)
        assert set(Order.every.values_list("quantity", flat=True)) == {10}

    @pytest.mark.parametrize("mode", ["DELETE", "WAL"])
    def test_a_writer_of_the_file_is_seen(self, migrate, real, link, held, mode):
        held(real, f"PRAGMA journal_mode={mode}; BEGIN IMMEDIATE; UPDATE orders SET quantity = 9;")
        with pytest.raises(CommandError, match=r"another program is writing link\.sqlite3"):
            migrate(link)

    def test_in_a_circle(self, migrate, tmp_path):
        (tmp_path / "a").symlink_to(tmp_path / "b")
        (tmp_path / "b").symlink_to(tmp_path / "a")
        with pytest.raises(CommandError, match="there is no file"):
            migrate(tmp_path / "a")


class TestReport:
    @pytest.mark.parametrize("how", ["itself", "symlink", "hard link"])
    def test_over_the_file_is_refused(self, migrate, tmp_path, how):
        path = Past(tmp_path / "copy.csv").orders(order("1")).done()
        where = path if how == "itself" else tmp_path / "left.csv"
        if how == "symlink":
            where.symlink_to(path)
        elif how == "hard link":
            where.hardlink_to(path)
        before = path.read_bytes()
        with pytest.raises(CommandError, match="would overwrite the SOURCE: name another file"):
            migrate(path, "--report", str(where))
        assert path.read_bytes() == before
        assert not Order.every.exists()

    @pytest.mark.parametrize("end", ["-wal", "-journal", "-shm"])
    def test_over_what_belongs_to_the_file_is_refused(self, migrate, tmp_path, real, link, end):
        where = tmp_path / "left.json"
        where.symlink_to(real.with_name(real.name + end))
        with pytest.raises(CommandError, match="would overwrite the SOURCE"):
            migrate(link, "--report", str(where))
        assert not real.with_name(real.name + end).exists()

    def test_a_refused_run_leaves_no_empty_one(self, migrate, tmp_path):
        (tmp_path / "a.sqlite3").touch()
        with pytest.raises(CommandError, match="is empty"):
            migrate(tmp_path / "a.sqlite3", "--report", str(tmp_path / "r.csv"))
        assert not (tmp_path / "r.csv").exists()

    def test_a_refused_run_leaves_an_earlier_one_as_it_was(self, migrate, tmp_path):
        (tmp_path / "r.csv").write_text("earlier")
        with pytest.raises(CommandError, match="there is no file"):
            migrate(tmp_path / "none", "--report", str(tmp_path / "r.csv"))
        assert (tmp_path / "r.csv").read_text() == "earlier"


class TestNames:
    def test_a_file_name_that_is_no_text(self, migrate, real, tmp_path):
        odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.sqlite3"))
        shutil.copy(real, odd)
        migrate(odd)
        assert Order.every.count() == 1

    @pytest.mark.parametrize("words", [(), ("--rollback",)], ids=["import", "rollback"])
    @pytest.mark.parametrize("name", ["x" * 300, "a\0b"], ids=["too long", "NUL"])
    def test_a_name_that_no_file_can_have(self, migrate, tmp_path, name, words):
        with pytest.raises(CommandError, match=r"cannot be read|there is no file"):
            migrate(f"{tmp_path}/{name}", *words)

    @pytest.mark.parametrize("what", [b"raw_request TEXT", b"zzzzzzz"], ids=["column", "table"])
    def test_a_name_in_the_schema_that_is_no_text(self, migrate, past, what):
        past.db.execute("CREATE TABLE zzzzzzz (a)")
        path = past.orders(order("1")).done()
        path.write_bytes(path.read_bytes().replace(what, b"\xff" + what[1:]))
        with pytest.raises(CommandError, match="is damaged: a name in its schema is not text"):
            migrate(path)

    def test_an_empty_one_is_no_wish_for_a_check(self, migrate):
        with pytest.raises(CommandError, match="SOURCE is empty: name the file"):
            migrate("")


@contextmanager
def as_anybody() -> Iterator[None]:
    """Without the rights of root, whom no door keeps out."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


class TestClosedDoors:
    @pytest.fixture
    def path(self) -> Iterator[Path]:
        """In a folder that everybody may look into; with changes that wait beside it."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            path = folder / "a.sqlite3"
            database = sqlite3.connect(path, isolation_level=None)
            database.executescript("PRAGMA journal_mode=WAL; CREATE TABLE orders (id);")
            yield path
            folder.chmod(0o755)
            database.close()

    @pytest.mark.parametrize("end", ["", "-wal", "-shm"])
    def test_a_file_that_may_not_be_read(self, path, end):
        closed = path.with_name(path.name + end)
        closed.chmod(0)
        with (
            as_anybody(),
            pytest.raises(Refused, match=f"{closed} cannot be read: Permission denied"),
            opened(path),
        ):
            pass
        closed.chmod(0o644)

    def test_a_folder_that_may_not_be_searched(self, path):
        path.parent.chmod(0o600)
        with as_anybody(), pytest.raises(Refused, match="Permission denied"), opened(path):
            pass

    def test_no_room_for_the_private_copy(self, path, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
        why = r"the changes beside a\.sqlite3 cannot be applied: No such file"
        with pytest.raises(Refused, match=why), opened(path):
            pass
