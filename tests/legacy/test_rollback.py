"""An import is taken back whole or not at all, and nothing else opens the fence."""

from __future__ import annotations

import shutil

import pytest
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.brokers.models import Instrument
from apps.orders.models import (
    Bracket,
    BracketLeg,
    ImportedRow,
    LeftOut,
    LegacyImport,
    Order,
    OrderEvent,
)
from tests.legacy.past import Past, a_bracket, leg, order
from tests.legacy.telling import dump

pytestmark = pytest.mark.django_db(transaction=True)

MARK = (
    "UPDATE orders_legacyimport SET rolled_back_at = now(), rolled_back_by = 'x',"
    " rollback_xid = pg_current_xact_id()::text::bigint"
)


def some(path):
    past = a_bracket(Past.second(path)).orders(order("5", security_id="7"), order("6", status="?"))
    past.add("order_events", order_id="5", event_type="x")
    past.add("config", key="poll", value="5")
    return past.done()


@pytest.fixture
def path(tmp_path):
    return some(tmp_path / "a.sqlite3")


def test_it_leaves_every_table_as_it_was(migrate, path):
    before = dump()
    migrate(path)
    assert dump() != before
    said = migrate(path, "--rollback")
    assert dump() == before
    assert "3 bracket legs" in said
    assert "4 orders" in said
    assert "1 instruments" in said


def test_the_import_and_what_it_left_out_stay_on_record(migrate, path):
    migrate(path)
    migrate(path, "--rollback")
    row = LegacyImport.objects.get()
    assert row.rolled_back_at is not None
    assert row.rolled_back_by.endswith("(command line)")
    assert LeftOut.objects.filter(left_by=row).count() == 1


def test_it_can_be_imported_again(migrate, path):
    migrate(path)
    once = dump()["orders_order"]
    migrate(path, "--rollback")
    migrate(path)
    assert len(dump()["orders_order"]) == len(once)


def test_two_runs_of_one_file_leave_together(migrate, path, tmp_path):
    before = dump()
    migrate(path)
    migrate(shutil.copy(path, tmp_path / "copy.db"))
    migrate(path, "--rollback")
    assert dump() == before
    with pytest.raises(CommandError, match="no import of it is in the desk"):
        migrate(path, "--rollback")


def test_the_file_may_be_gone_its_hash_is_enough(migrate, path):
    before = dump()
    migrate(path)
    path.unlink()
    migrate(LegacyImport.objects.get().sha256[:16], "--rollback")
    assert dump() == before


def test_a_dry_rollback_says_what_would_leave_and_keeps_it(migrate, path):
    migrate(path)
    there = dump()
    assert "Would take back" in migrate(path, "--rollback", "--dry-run")
    assert dump() == there
    assert LegacyImport.objects.get().rolled_back_at is None


def test_only_its_own_rows_leave(migrate, path, tmp_path):
    migrate(Past(tmp_path / "other.sqlite3").orders(order("77"), order("78")).done())
    before = dump()
    migrate(path)
    migrate(path, "--rollback")
    assert dump() == before


def test_what_a_later_import_uses_stays_until_that_one_has_left(migrate, tmp_path):
    first = Past(tmp_path / "one.sqlite3").orders(order("1", security_id="7")).done()
    later = Past.second(tmp_path / "two.sqlite3").orders(order("1", security_id="7"))
    later = later.legs(leg("1", "1", "ENTRY")).done()
    before = dump()
    migrate(first)
    migrate(later)
    there = dump()
    with pytest.raises(CommandError, match="1 bracket legs refer to its orders") as error:
        migrate(first, "--rollback")
    assert "1 brackets refer to its instruments" in str(error.value)
    assert dump() == there
    migrate(later, "--rollback")
    migrate(first, "--rollback")
    assert dump() == before


def test_an_order_that_one_of_ours_replaced_stays(migrate, path, accounts):
    migrate(path)
    Order.objects.create(
        account=accounts["first"], instrument=Instrument.objects.first(), side="BUY", quantity=1,
        order_type="LIMIT", product="INTRADAY", source="COMMAND", actor="x",
        replaces=Order.every.get(broker_order_id="5"),
    )  # fmt: skip
    with pytest.raises(CommandError, match="it has been used since: 1 orders refer to its orders"):
        migrate(path, "--rollback")
    assert Order.every.count() == 5


class TestTheFence:
    @pytest.fixture
    def brought(self, migrate, path):
        migrate(path)

    def refused(self, sql: str, *values: object, match: str = "history|on record") -> None:
        with (
            pytest.raises(DatabaseError, match=match),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(sql, values)

    @pytest.mark.parametrize(
        "table",
        [
            "orders_order",
            "orders_orderevent",
            "orders_bracket",
            "orders_bracketleg",
            "orders_importedrow",
            "orders_leftout",
            "orders_legacyimport",
        ],
    )
    def test_no_row_leaves_or_changes_by_itself(self, brought, table):
        self.refused(f"DELETE FROM {table}")
        column = {"orders_legacyimport": "path", "orders_leftout": "reason"}.get(table, "")
        column = column or {"orders_importedrow": "word", "orders_orderevent": "text"}.get(table)
        column = column or "reason"
        self.refused(f"UPDATE {table} SET {column} = 'x'")

    def test_an_import_is_not_marked_without_a_name_or_for_another_transaction(self, brought):
        self.refused("UPDATE orders_legacyimport SET rolled_back_at = now()")
        self.refused("UPDATE orders_legacyimport SET rollback_xid = 1, rolled_back_by = 'x',"
                     " rolled_back_at = now()")  # fmt: skip

    def test_a_mark_of_an_earlier_transaction_opens_nothing(self, migrate, path):
        migrate(path)
        with connection.cursor() as cursor:
            cursor.execute(MARK)
        self.refused("DELETE FROM orders_order")
        self.refused(MARK)

    def test_a_rollback_of_one_import_lets_no_order_of_ours_go(self, migrate, path, accounts):
        Order.objects.create(
            account=accounts["first"], instrument=Instrument.objects.first(), side="BUY",
            quantity=1, order_type="LIMIT", product="INTRADAY", source="COMMAND", actor="x",
        )  # fmt: skip
        migrate(path)
        with (
            pytest.raises(DatabaseError, match="append only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"{MARK}; DELETE FROM orders_order")

    @pytest.mark.parametrize("status", ["APPROVED", "OPEN", "UNKNOWN", "FILLED"])
    def test_it_takes_no_other_status(self, brought, status):
        self.refused(f"UPDATE orders_order SET status = '{status}'")

    def test_nothing_else_may_call_itself_imported(self, accounts):
        for different in ({"status": "IMPORTED"}, {"source": "LEGACY"}):
            fields = {"status": "NEW", "source": "COMMAND"} | different
            with pytest.raises(DatabaseError, match="imported_orders_are_history"):
                Order.objects.create(
                    account=accounts["first"], instrument=Instrument.objects.first(), side="BUY",
                    quantity=1, order_type="LIMIT", product="INTRADAY", actor="x", **fields,
                )  # fmt: skip

    def test_no_decision_permit_hold_or_call_is_about_it(self, brought, accounts):
        name, account = Order.every.first().correlation_id, accounts["first"].pk
        now = timezone.now()
        self.refused(
            "INSERT INTO risk_decision (correlation_id, account_id, action, allowed, request,"
            " inputs, refusals, decided_at, expires_at)"
            " VALUES (%s, %s, 'PLACE', TRUE, '{}', '{}', '[]', %s, %s)",
            name, account, now, now, match="another system's",
        )  # fmt: skip
        self.refused(
            "INSERT INTO risk_permit (id, decision_id, correlation_id, issued_at)"
            " VALUES (gen_random_uuid(), 1, %s, %s)",
            name, now, match="another system's|needs",
        )  # fmt: skip
        self.refused(
            "INSERT INTO risk_hold (correlation_id, account_id, segment, security_id, product,"
            " side, intent, quantity, filled, taken_at, filled_mark)"
            " VALUES (%s, %s, 'NSE_EQ', '1', 'INTRADAY', 'BUY', 'ENTRY', 1, 0, %s, 0)",
            name, account, now, match="another system's",
        )  # fmt: skip
        for verb in ("PLACE", "MODIFY", "CANCEL"):
            self.refused(
                "INSERT INTO brokers_wirecall (account_id, verb, what, budget, correlation_id,"
                " permit, endpoint, request, created_at, send_by, boot_id, boot_at, outcome,"
                " broker_order_id, text) VALUES (%s, %s, 'x', 'ORDER', %s, gen_random_uuid(), 'x',"
                " '{}', %s, %s, 'b', 1, '', '', '')",
                account, verb, name, now, now, match="another system's|names another contract",
            )  # fmt: skip

    def test_no_fill_is_of_it(self, brought, accounts):
        self.refused(
            "INSERT INTO orders_fill (order_id, account_id, trading_day, segment, broker_order_id,"
            " exchange_trade_id, quantity, price, recorded_at, raw)"
            " VALUES (%s, %s, %s, 'NSE_EQ', '1', 't', 1, 1, %s, '{}')",
            Order.every.first().pk, accounts["first"].pk, timezone.localdate(), timezone.now(),
            match="another system's",
        )  # fmt: skip

    def test_no_leg_of_ours_joins_it(self, brought, accounts):
        with pytest.raises(DatabaseError, match="another system's history"):
            BracketLeg.objects.create(
                bracket=Bracket.objects.get(), account=accounts["first"], leg="ENTRY", quantity=1
            )

    def test_the_sweep_the_look_and_the_live_desk_pass_it_by(self, brought, accounts):
        from apps.desk import blotter
        from apps.orders import look
        from apps.orders.ingest import named
        from apps.orders.reconcile import accounts_due
        from apps.orders.sweep import sweep

        there = dump()
        sweep(direct=True)
        now = dump()
        assert now["orders_order"] == there["orders_order"]
        assert now["orders_orderevent"] == there["orders_orderevent"]
        assert not look.due().exists()
        assert accounts_due() == []
        assert blotter.read(blotter.Filters.parse({})).units == []
        assert named(accounts["first"], "5") is None

    def test_its_proof_is_its_row_in_the_file(self, brought):
        from apps.orders.endings import ENDINGS

        found = {}
        for ending in ENDINGS:
            with connection.cursor() as cursor:
                cursor.execute(ending.sql)
                found[ending.status] = found.get(ending.status, 0) + len(cursor.fetchall())
        assert {status: n for status, n in found.items() if n} == {"IMPORTED": 4}
        assert OrderEvent.objects.count() == Order.every.count() == 4
        assert ImportedRow.objects.filter(table="orders").count() == 4
