"""However a run ends, what it says afterwards is what holds."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from apps.orders.models import LegacyImport, Order
from tests.legacy.past import Past, order
from tests.legacy.telling import elsewhere
from tests.legacy.test_killed import ROOT

pytestmark = pytest.mark.django_db(transaction=True)
CHILD = """
import sys
sys.path.insert(0, {root!r})
import django
django.setup()
from django.db import connection
connection.settings_dict["NAME"] = {name!r}
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "migrate_bo_schema", {path!r}, "--map", "leader=first"])
"""


@pytest.fixture
def path(tmp_path):
    return Past(tmp_path / "a.sqlite3").orders(order("1")).done()


def test_figures_that_cannot_be_renewed_are_a_note_of_what_was_kept(migrate, path, tmp_path):
    """Somebody vacuums a table just then: the rows are in, and so is the report."""
    with connection.cursor() as cursor, elsewhere(connection) as other:
        cursor.execute("SET lock_timeout = '200ms'")
        other.execute("BEGIN; LOCK TABLE orders_bracket IN SHARE UPDATE EXCLUSIVE MODE")
        said = migrate(path, "--report", str(tmp_path / "r.json"))
        again = migrate(path, "--rollback")
        other.execute("ROLLBACK")
        cursor.execute("RESET lock_timeout")
    assert "note: kept; the planner's figures are of before it: canceling" in said
    assert json.loads((tmp_path / "r.json").read_text())["counts"]["orders"]["carried"] == 1
    assert "Taken back" in again


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (KeyboardInterrupt, "Interrupted; it had been done, and holds."),
        (None, "The database did not take it; it had been done, and holds: "),
    ],
    ids=["Ctrl-C", "the connection"],
)
def test_what_breaks_off_after_the_commit_does_not_deny_it(
    migrate, path, monkeypatch, breaks, said
):
    from apps.orders.legacy import carrying
    from apps.orders.management.commands import migrate_bo_schema

    def broken_off(*words):
        report = carrying.carry(*words)
        if breaks:
            raise breaks
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return report

    monkeypatch.setattr(migrate_bo_schema, "carry", broken_off)
    with pytest.raises(CommandError) as error:
        migrate(path)
    assert str(error.value).startswith(said)
    assert LegacyImport.objects.get().total("carried") == 2
    assert Order.every.count() == 1


def test_ctrl_c_keeps_nothing_and_says_so_without_a_traceback(accounts, reliance, tmp_path):
    past = Past(tmp_path / "a.sqlite3")
    past.db.execute("BEGIN")
    past.orders(*(order(str(number)) for number in range(30_000)))
    past.db.execute("COMMIT")
    name = connection.settings_dict["NAME"]
    code = CHILD.format(root=str(ROOT), name=name, path=str(past.done()))
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == b"a.sqlite3: reading every page\n"
        assert b" of 30,000 rows" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[1].decode()
    assert "Interrupted; nothing was changed." in said
    assert "Traceback" not in said
    assert child.returncode == 130
    assert not Order.every.exists()
    assert not LegacyImport.objects.exists()


class TestRollbackOfAFileThatChanged:
    @pytest.fixture
    def changed(self, migrate, path, tmp_path):
        """Imported, then changed where it lies."""
        migrate(path)
        Past(tmp_path / "b.sqlite3").orders(order("1", status="CANCELLED")).done().replace(path)
        return path

    def test_the_import_of_what_it_was_is_named(self, migrate, changed):
        was = LegacyImport.objects.get()
        with pytest.raises(CommandError) as error:
            migrate(changed, "--rollback")
        assert f"give --rollback {was.sha256[:12]}" in str(error.value)

    def test_and_still_is_when_the_new_one_was_imported_too(self, migrate, changed):
        was = LegacyImport.objects.get()
        migrate(changed)
        said = migrate(changed, "--rollback")
        assert f"give --rollback {was.sha256[:12]}" in said
        assert Order.every.count() == 1
        migrate(was.sha256[:12], "--rollback")
        assert not Order.every.exists()


class TestCheckWithoutAFile:
    def test_it_asks_who_is_meant(self, accounts):
        with pytest.raises(CommandError, match="nobody of that name may use the desk"):
            call_command("migrate_bo_schema", "--as", "nobody-there")

    def test_a_book_is_read_once_however_many_brackets_wait(self, accounts, reliance):
        from apps.orders.models import Bracket, BracketLeg

        for _ in range(3):
            facts = {"account": accounts["first"], "instrument": reliance, "side": "BUY",
                     "product": "INTRADAY", "quantity": 1, "source": "COMMAND",
                     "actor": "x"}  # fmt: skip
            bracket = Bracket.objects.create(**facts, style="MANAGED", entry_price=10, stop_price=9)
            BracketLeg.objects.create(
                bracket=bracket, account=accounts["first"], leg="ENTRY", quantity=1,
                order=Order.objects.create(**facts, order_type="LIMIT"),
            )  # fmt: skip
        out = io.StringIO()
        with pytest.raises(CommandError, match="1 accounts not read"):
            call_command("migrate_bo_schema", stdout=out)
        assert out.getvalue().count("not read: the order book of first") == 1
