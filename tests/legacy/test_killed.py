"""kill -9 in the middle of an import: nothing of it is in the desk, and the next run is whole."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from apps.orders.models import ImportedRow, LegacyImport, Order
from tests.legacy.past import Past, order
from tests.legacy.telling import dump, elsewhere

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import sys
sys.path.insert(0, {root!r})
import django
django.setup()
from django.db import connection
connection.settings_dict["NAME"] = {name!r}
from django.core.management import call_command
call_command("migrate_bo_schema", {path!r}, "--map", "leader=first")
"""


def written_by_others() -> int:
    """Transactions of other connections that have written something."""
    with elsewhere(connection) as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_xid IS NOT NULL"
        )
        return int(cursor.fetchone()[0])


def test_nothing_of_a_killed_import_stays(migrate, tmp_path, monkeypatch):
    past = Past(tmp_path / "a.sqlite3")
    past.db.execute("BEGIN")
    past.orders(*(order(str(number)) for number in range(30_000)))
    past.db.execute("COMMIT")
    path = past.done()
    before = dump()
    code = CHILD.format(root=str(ROOT), name=connection.settings_dict["NAME"], path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == b"a.sqlite3: reading every page\n"
        assert b" of 30,000 rows" in child.stderr.readline()
        assert written_by_others() == 1
        child.kill()
    deadline = time.monotonic() + 30
    while written_by_others() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert dump() == before
    assert not LegacyImport.objects.exists()
    assert not ImportedRow.objects.exists()
    migrate(path)
    assert Order.every.count() == 30_000
