"""What a copy trader's database becomes in the desk."""

from __future__ import annotations

import csv
import json
import shutil
from decimal import Decimal

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from apps.brokers.models import Instrument
from apps.brokers.port import (
    BrokerState,
    OrderReport,
    OrderType,
    Product,
    Segment,
    Side,
)
from apps.orders import outside
from apps.orders.ingest import named
from apps.orders.models import (
    Bracket,
    BracketLeg,
    Fill,
    ImportedRow,
    LeftOut,
    LegacyImport,
    Order,
    OrderEvent,
)
from apps.risk.models import Decision, Hold
from tests.legacy.past import (
    MIXED_UP_LEGS,
    V2_COLUMNS,
    V2_LEGS,
    Past,
    a_bracket,
    at,
    leg,
    order,
)

pytestmark = pytest.mark.django_db(transaction=True)


def counts(table: str) -> dict[str, int]:
    """Of the newest import."""
    return LegacyImport.objects.first().counts[table]


def reasons() -> dict[str, str]:
    """Of the newest import: legacy id → why it stayed behind."""
    rows = LeftOut.objects.filter(left_by=LegacyImport.objects.first())
    return dict(rows.values_list("legacy_id", "reason"))


def all_add_up() -> bool:
    return all(
        count["read"] == count["carried"] + count["known"] + count["left_out"]
        for count in LegacyImport.objects.first().counts.values()
    )


def test_an_order_keeps_its_facts_its_names_and_where_it_came_from(migrate, past, accounts):
    path = past.orders(order("112111182198")).done()
    migrate(path)
    row = Order.every.get()
    assert (row.account, row.side, row.quantity, row.price) == (
        accounts["first"], "BUY", 10, Decimal("1400.5"),
    )  # fmt: skip
    assert (row.status, row.source, row.filled_quantity) == ("IMPORTED", "LEGACY", 10)
    assert (row.broker_order_id, row.origin.correlation_id) == ("112111182198", "copy-112111182198")
    assert (row.origin.table, row.origin.legacy_id) == ("orders", "112111182198")
    assert row.origin.content["raw_response"]["orderId"] == "112111182198"
    assert row.origin.brought_by.path == str(path)
    assert len(row.origin.brought_by.sha256) == 64
    assert int(row.created_at.timestamp()) == at()
    assert row.instrument.symbol == "RELIANCE"


def test_no_question_of_today_meets_it(migrate, past):
    migrate(past.orders(order("1")).done())
    assert Order.every.count() == 1
    assert Order.objects.count() == 0
    assert not Hold.objects.exists()
    assert not Decision.objects.exists()
    assert not Fill.objects.exists()


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("TRADED", "FILLED"),
        ("CANCELLED", "CANCELLED"),
        ("rejected", "REJECTED"),
        ("EXPIRED", "EXPIRED"),
        ("PENDING", "UNRECORDED"),
        ("TRANSIT", "UNRECORDED"),
        ("PART_TRADED", "UNRECORDED"),
    ],
)
def test_its_status_there_is_kept_by_a_closed_table(migrate, past, word, outcome):
    migrate(past.orders(order("1", status=word)).done())
    row = ImportedRow.objects.get(table="orders")
    assert (row.word, row.outcome) == (word, outcome)


def test_how_an_order_at_work_ended_is_not_guessed(migrate, past):
    past.orders(order("1", status="PART_TRADED"))
    past.add("trades", order_id="1", trade_id="t", quantity=4, price=1400.0)
    migrate(past.done())
    row = Order.every.get()
    assert row.filled_quantity == 4
    assert "how it ended is not in its file" in row.reason


@pytest.mark.parametrize(
    ("different", "reason"),
    [
        ({"status": "HALFWAY"}, "status 'HALFWAY' is not a word this command knows"),
        ({"status": None}, "status is missing"),
        ({"side": "HOLD"}, "side 'HOLD'"),
        ({"account_type": "boss"}, "account_type 'boss'"),
        ({"account_type": None}, "account_type is missing"),
        ({"product": "XYZ"}, "product 'XYZ'"),
        ({"order_type": "ICEBERG"}, "order_type 'ICEBERG'"),
        ({"validity": None}, "validity is missing"),
        ({"exchange_segment": "NYSE"}, "exchange_segment 'NYSE'"),
        ({"security_id": None}, "security_id is missing"),
        ({"quantity": None}, "quantity is missing"),
        ({"quantity": 0}, "quantity '0' is not a positive whole number"),
        ({"quantity": -5}, "quantity '-5' is not a positive whole number"),
        ({"quantity": "ten"}, "quantity 'ten' is not a number"),
        ({"price": -1.0}, "price '-1.0' is not a price in rupees"),
        ({"price": float("inf")}, "price 'inf' is not a number"),
        ({"created_at": None}, "created_at is missing"),
        ({"created_at": 1_700_000_000_000}, "created_at '1700000000000' is not a time in seconds"),
        ({"side": b"\xff\xfe"}, "side \"b'\\\\xff\\\\xfe'\" is not a word this command knows"),
        ({"correlation_id": "a\x00b"}, "correlation_id is damaged: it is not text"),
    ],
)
def test_a_row_that_cannot_be_carried_says_which_column_and_why(migrate, past, different, reason):
    migrate(past.orders(order("1", **different), order("2")).done())
    assert reason in reasons()["1"]
    assert counts("orders") == {"read": 2, "carried": 1, "known": 0, "left_out": 1}
    assert [row.broker_order_id for row in Order.every.all()] == ["2"]


def test_a_text_that_is_not_utf_8_stays_behind(migrate, past):
    past.orders(order("1"), order("2"))
    past.db.execute("UPDATE orders SET raw_request = CAST(x'fffe41' AS TEXT) WHERE id = '1'")
    migrate(past.done())
    assert reasons() == {"1": "raw_request is damaged: it is not text"}


def test_an_order_without_an_id_is_named_by_its_row(migrate, past):
    migrate(past.orders(order("1"), order("2", id=None)).done())
    assert reasons() == {"row 2": "id is missing"}


def test_an_order_of_tomorrow_stays_behind(migrate, past):
    migrate(past.orders(order("1", created_at=at(-1)), order("2")).done())
    assert "its day has not begun" in reasons()["1"]
    assert Order.every.count() == 1


def test_an_order_of_today_is_history_beside_what_the_broker_tells_of_it(migrate, past, accounts):
    path = past.orders(order("4711", created_at=at(0, 0, 1), status="PENDING")).done()
    migrate(path)
    assert "orders: 1 are of today" in notes()[0]
    history = Order.every.get()
    account = accounts["first"]
    assert named(account, "4711") is None
    shown = OrderReport(
        broker_order_id="4711",
        state=BrokerState.WORKING,
        state_word="PENDING",
        correlation_id=history.origin.correlation_id,
        segment=Segment.NSE_EQ,
        security_id="2885",
        side=Side.BUY,
        product=Product.INTRADAY,
        order_type=OrderType.LIMIT,
        quantity=10,
        price=Decimal(1400),
    )
    assert outside.import_order(account, shown, timezone.now()) == ""
    live = Order.objects.get()
    assert (live.source, live.status, live.broker_order_id) == ("EXTERNAL", "OPEN", "4711")
    assert named(account, "4711") == live
    history.refresh_from_db()
    assert history.status == "IMPORTED"
    migrate(path)
    assert (Order.every.count(), counts("orders")["known"]) == (2, 1)


def test_an_order_of_today_that_the_desk_has_is_known(migrate, past, accounts):
    account = accounts["first"]
    made = Order.objects.create(
        account=account,
        instrument=Instrument.objects.get(symbol="RELIANCE"),
        side="BUY",
        quantity=10,
        order_type="LIMIT",
        product="INTRADAY",
        source="EXTERNAL",
        actor="somebody",
        status="OPEN",
        broker_order_id="4711",
    )
    migrate(past.orders(order("4711", created_at=at(0, 0, 1))).done())
    assert counts("orders") == {"read": 1, "carried": 0, "known": 1, "left_out": 0}
    assert Order.every.get() == made


def test_an_order_of_no_known_table_row_and_its_events_stay_behind_together(migrate, past):
    past.orders(order("1", status="HALFWAY"))
    past.add("order_events", order_id="1", event_type="x")
    past.add("order_events", order_id="404", event_type="x")
    migrate(past.done())
    assert counts("order_events") == {"read": 2, "carried": 0, "known": 0, "left_out": 2}
    assert reasons()["2"] == "its order '404' is not in the file, or was left out"


def test_rows_of_all_other_tables_are_kept_as_they_stand(migrate, past):
    past.orders(order("1"), order("2", account_type="follower"))
    past.add("order_events", order_id="1", event_type="TRADED", event_data='{"qty": 10}')
    past.add("trades", order_id="1", trade_id="t1", quantity=10, price=1400.5)
    past.add("positions", account_type="leader", security_id="2885", quantity=10)
    past.add("funds", account_type="follower", available=1000.5)
    past.add("copy_mappings", leader_order_id="1", follower_order_id="2", status="placed")
    past.add("audit_log", action="place", account_type="leader", request_data="{}")
    migrate(past.done())
    kept = {row.table: row for row in ImportedRow.objects.exclude(table="orders")}
    assert set(kept) == {
        "order_events", "trades", "positions", "funds", "copy_mappings", "audit_log", "config",
    }  # fmt: skip
    assert kept["order_events"].content["event_data"] == {"qty": 10}
    assert kept["trades"].about.broker_order_id == "1"
    assert kept["copy_mappings"].about.broker_order_id == "1"
    assert kept["funds"].account.name == "second"
    assert all_add_up()


def test_no_secret_comes_along(migrate, past):
    past.orders(order("1", raw_request='{"access-token": "sesame", "qty": 1}'))
    past.add("config", key="leader_access_token", value="sesame")
    past.add("audit_log", action="login", request_data='{"pin": "sesame"}')
    migrate(past.done())
    assert "sesame" not in json.dumps(list(ImportedRow.objects.values_list("content", flat=True)))


def test_a_table_nobody_knows_stays_behind_row_by_row(migrate, past):
    past.db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
    past.add("notes", text="a")
    migrate(past.orders(order("1")).done())
    assert counts("notes") == {"read": 1, "carried": 0, "known": 0, "left_out": 1}


class TestInstruments:
    def test_a_contract_that_is_not_surely_todays_gets_a_retired_row(self, migrate, past):
        today = Instrument.objects.create(
            segment="NSE_FNO", security_id="43225", symbol="NIFTY-29DEC2026-24500-CE",
            kind="OPTIDX", lot_size=75, tick_size=Decimal("0.05"), expiry="2026-12-29",
            strike=24500, option_type="CE",
        )  # fmt: skip
        past.add("instruments", security_id="43225", exchange_segment="NSE_FNO",
                 symbol="NIFTY-OLD", instrument_type="OPTIDX", expiry_date="2025-01-30",
                 strike_price=21000.0, option_type="PE")  # fmt: skip
        migrate(past.orders(order("1", security_id="43225", exchange_segment="NSE_FNO")).done())
        used = Order.every.get().instrument
        assert used != today
        assert (used.symbol, used.closed, used.tradable) == ("NIFTY-OLD", "IMPORTED", False)
        assert not Instrument.objects.filter(pk=used.pk).exists()
        assert LegacyImport.objects.get().instruments == [used.pk]

    def test_the_same_contract_is_recognised_by_expiry_strike_and_type(self, migrate, past):
        today = Instrument.objects.create(
            segment="NSE_FNO", security_id="43225", symbol="NIFTY-29DEC2026-24500-CE",
            kind="OPTIDX", lot_size=75, tick_size=Decimal("0.05"), expiry="2026-12-29",
            strike=24500, option_type="CE",
        )  # fmt: skip
        past.add("instruments", security_id="43225", exchange_segment="NSE_FNO", symbol="x",
                 expiry_date="2026-12-29 14:30:00", strike_price=24500.0,
                 option_type="CALL")  # fmt: skip
        migrate(past.orders(order("1", security_id="43225", exchange_segment="NSE_FNO")).done())
        assert Order.every.get().instrument == today

    def test_a_share_under_another_name_is_not_todays(self, migrate, past, reliance):
        past.add("instruments", security_id="2885", exchange_segment="NSE_EQ", symbol="OLDCO")
        migrate(past.orders(order("1")).done())
        assert Order.every.get().instrument.symbol == "OLDCO"

    def test_two_orders_in_an_unknown_contract_share_one_row(self, migrate, past):
        migrate(past.orders(order("1", security_id="7"), order("2", security_id="7")).done())
        assert {row.instrument.symbol for row in Order.every.all()} == {"ID 7"}
        assert Instrument.every.filter(closed="IMPORTED").count() == 1


class TestBrackets:
    def legs_of(self, bracket):
        return {leg.leg: leg for leg in bracket.legs.all()}

    @pytest.mark.parametrize("mixed", [False, True], ids=["leg_order_id", "order_id mix-up"])
    def test_a_bracket_comes_with_its_three_legs(self, migrate, tmp_path, mixed):
        past = Past.second(tmp_path / "b.sqlite3", MIXED_UP_LEGS if mixed else V2_LEGS)
        migrate(a_bracket(past, mixed=mixed).done())
        bracket = Bracket.objects.get()
        legs = self.legs_of(bracket)
        assert (bracket.style, bracket.status, bracket.parent_broker_id) == (
            "NATIVE", "IMPORTED", "100",
        )  # fmt: skip
        assert {name: leg.leg_order_id for name, leg in legs.items()} == {
            "ENTRY": "100", "TARGET": "1001", "STOP_LOSS": "1002",
        }  # fmt: skip
        assert {name: leg.order.broker_order_id for name, leg in legs.items()} == {
            "ENTRY": "100", "TARGET": "1001", "STOP_LOSS": "1002",
        }  # fmt: skip
        assert [legs[name].filled_quantity for name in ("ENTRY", "TARGET", "STOP_LOSS")] == [
            10, 10, 0,
        ]  # fmt: skip
        assert all(leg.status == "IMPORTED" for leg in legs.values())
        assert counts("bracket_order_legs")["carried"] == 3
        assert all_add_up()

    def test_prices_come_from_the_distances_where_no_leg_tells(self, migrate, tmp_path):
        past = Past.second(tmp_path / "b.sqlite3")
        past.orders(order("1", product="BO", bo_profit_value=20.0, bo_stop_loss_value=10.0))
        migrate(past.done())
        bracket = Bracket.objects.get()
        assert (bracket.entry_price, bracket.target_price, bracket.stop_price) == (
            Decimal("1400.5"), Decimal("1420.5"), Decimal("1390.5"),
        )  # fmt: skip

    def test_columns_without_the_table_still_tell_the_legs(self, migrate, tmp_path):
        past = Past(tmp_path / "b.sqlite3", "1", tuple(V2_COLUMNS))
        past.orders(
            order("1", product="BO"),
            order("2", side="SELL", leg_type="TARGET", parent_order_id="1"),
            order("3", side="SELL", leg_type="SL", parent_order_id="1", order_type="STOP_LOSS",
                  trigger_price=1390.0),
            order("4", side="SELL", leg_type="SL", parent_order_id="404"),
        )  # fmt: skip
        migrate(past.done())
        assert set(self.legs_of(Bracket.objects.get())) == {"ENTRY", "TARGET", "STOP_LOSS"}
        assert any("order 4: carried, but not as a leg" in n for n in notes())
        assert LegacyImport.objects.get().version == "1, half-migrated to 2"

    def test_the_table_without_the_columns_tells_them_too(self, migrate, tmp_path):
        past = Past(tmp_path / "b.sqlite3", None, legs=V2_LEGS)
        past.orders(order("1", product="BO"))
        past.legs(leg("1", "1", "ENTRY"), leg("1", None, "TARGET"), leg("1", "", "SL"))
        migrate(past.done())
        legs = self.legs_of(Bracket.objects.get())
        assert {name: leg.leg_order_id for name, leg in legs.items()} == {
            "ENTRY": "1", "TARGET": "", "STOP_LOSS": "",
        }  # fmt: skip

    def test_some_of_the_columns_are_read_as_far_as_they_go(self, migrate, tmp_path):
        past = Past(tmp_path / "b.sqlite3", "2", ("parent_order_id", "leg_type"))
        past.orders(order("1"), order("2", side="SELL", leg_type="SL", parent_order_id="1"))
        migrate(past.done())
        bracket = Bracket.objects.get()
        assert bracket.style == "MANAGED"
        assert set(self.legs_of(bracket)) == {"ENTRY", "STOP_LOSS"}

    @pytest.mark.parametrize(
        ("rows", "reason"),
        [
            ([leg("404", "x", "SL")], "its order '404' is not in the file, or was left out"),
            ([leg("1", "x", "HEDGE")], "leg_type 'HEDGE' is not a word"),
            ([leg("1", "x", "SL", status="?")], "status '?' is not a word"),
            ([leg("1", "x", "SL", account_type="follower")], "its order '1' is not in the file"),
            ([leg("1", "a", "SL"), leg("1", "b", "SL")], "has its STOP_LOSS leg already"),
            ([leg("1", "a", "SL"), leg("1", "a", "SL")], "another row of the same name"),
            ([leg("1", "a", "SL"), leg("2", "a", "SL")], "is the STOP_LOSS leg of another bracket"),
            ([leg(None, "a", "SL")], "parent_order_id is missing"),
        ],
        ids=range(8),
    )
    def test_a_leg_that_fits_nowhere_stays_behind(self, migrate, tmp_path, rows, reason):
        past = Past.second(tmp_path / "b.sqlite3").orders(order("1"), order("2")).legs(*rows)
        migrate(past.done())
        assert any(reason in text for text in reasons().values()), reasons()
        assert counts("bracket_order_legs")["carried"] == len(rows) - 1
        assert all_add_up()

    def test_ids_that_contradict_each_other_are_not_chosen_from(self, migrate, tmp_path):
        past = Past.second(tmp_path / "b.sqlite3")
        past.db.execute("ALTER TABLE bracket_order_legs ADD COLUMN order_id TEXT")
        past.orders(order("1")).legs(
            leg("1", "7", "SL", order_id="8"), leg("1", "9", "TARGET", order_id="1")
        )
        migrate(past.done())
        assert "leg_order_id '7' and order_id '8' disagree" in reasons()["1"]
        assert BracketLeg.objects.get(leg="TARGET").leg_order_id == "9"


def notes() -> list[str]:
    return LegacyImport.objects.first().notes


class TestAgain:
    def test_a_second_run_carries_nothing(self, migrate, tmp_path):
        path = a_bracket(Past.second(tmp_path / "b.sqlite3")).done()
        migrate(path)
        before = ImportedRow.objects.count()
        migrate(path)
        assert ImportedRow.objects.count() == before
        last = LegacyImport.objects.first()
        assert (last.total("carried"), last.total("left_out")) == (0, 0)
        assert last.total("known") == last.total("read") == 7

    def test_a_renamed_copy_carries_nothing(self, migrate, tmp_path):
        path = a_bracket(Past.second(tmp_path / "b.sqlite3")).done()
        migrate(path)
        migrate(shutil.copy(path, tmp_path / "other.db"))
        assert LegacyImport.objects.first().total("carried") == 0
        assert Bracket.objects.count() == 1

    def test_the_same_rows_in_a_migrated_file_carry_only_what_is_new(self, migrate, tmp_path):
        migrate(Past(tmp_path / "one.sqlite3").orders(order("1"), order("2")).done())
        later = Past.second(tmp_path / "two.sqlite3").orders(order("1"), order("2"), order("3"))
        migrate(later.legs(leg("1", "1", "ENTRY"), leg("1", "2", "SL")).done())
        assert counts("orders") == {"read": 3, "carried": 1, "known": 2, "left_out": 0}
        assert Bracket.objects.get().legs.count() == 2

    def test_a_row_that_says_something_else_now_is_reported_not_changed(self, migrate, tmp_path):
        migrate(Past(tmp_path / "one.sqlite3").orders(order("1", status="PENDING")).done())
        migrate(Past(tmp_path / "two.sqlite3").orders(order("1")).done())
        assert "said something else when it was imported" in reasons()["1"]
        assert ImportedRow.objects.get(table="orders").word == "PENDING"

    def test_the_same_order_twice_in_one_file_comes_once(self, migrate, past):
        past.db.executescript("ALTER TABLE orders RENAME TO old; CREATE TABLE orders AS"
                              " SELECT * FROM old; DROP TABLE old;")  # fmt: skip
        past.orders(order("1"), order("1"), order("1", quantity=5))
        migrate(past.done())
        assert counts("orders") == {"read": 3, "carried": 1, "known": 0, "left_out": 2}
        assert Order.every.get().quantity == 10

    def test_an_order_that_the_desk_has_by_itself_is_not_doubled(self, migrate, past, accounts):
        from apps.orders.models import trading_day
        from tests.legacy.past import dt

        mine = Order.objects.create(
            account=accounts["first"], instrument=Instrument.objects.get(), side="BUY", quantity=10,
            order_type="LIMIT", product="INTRADAY", source="COMMAND", actor="x",
            broker_order_id="1", trading_day=trading_day(dt.datetime.fromtimestamp(at(), dt.UTC)),
        )  # fmt: skip
        past.orders(order("1"))
        past.add("order_events", order_id="1", event_type="x")
        migrate(past.done())
        assert counts("orders") == {"read": 1, "carried": 0, "known": 1, "left_out": 0}
        assert ImportedRow.objects.get(table="order_events").about == mine

    def test_other_accounts_the_second_time_are_an_error_of_the_map(self, migrate, past, accounts):
        from django.core.management import call_command

        path = past.orders(order("1")).done()
        migrate(path)
        call_command("migrate_bo_schema", str(path), "--map", "leader=second")
        assert "as an order of another account: compare --map" in reasons()["1"]
        assert Order.every.get().account == accounts["first"]


class TestDryRun:
    def test_it_says_the_same_and_keeps_nothing(self, migrate, tmp_path):
        path = a_bracket(Past.second(tmp_path / "b.sqlite3")).orders(order("9", status="?")).done()
        said = migrate(path, "--dry-run", "--report", str(tmp_path / "dry.json"))
        assert "dry run: nothing was kept" in said
        for model in (Order.every, OrderEvent.objects, Bracket.objects, ImportedRow.objects,
                      LegacyImport.objects, LeftOut.objects):  # fmt: skip
            assert not model.exists()
        migrate(path, "--report", str(tmp_path / "wet.json"))
        dry, wet = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("dry", "wet"))
        assert {k: dry[k] for k in ("counts", "left_out", "notes", "sha256")} == {
            k: wet[k] for k in ("counts", "left_out", "notes", "sha256")
        }
        assert dry["left_out"] == [
            {
                "table": "orders",
                "legacy_id": "9",
                "reason": "status '?' is not a word this command knows",
            }
        ]


class TestReport:
    def test_as_csv_it_has_counts_and_every_row_left_out(self, migrate, past, tmp_path):
        migrate(past.orders(order("1"), order("=2", status="?")).done(),
                "--report", str(tmp_path / "r.csv"))  # fmt: skip
        rows = list(csv.DictReader((tmp_path / "r.csv").read_text().splitlines()))
        orders = next(row for row in rows if row["what"] == "count" and row["table"] == "orders")
        assert (orders["read"], orders["carried"], orders["left out"]) == ("2", "1", "1")
        left = [row for row in rows if row["what"] == "left out"]
        assert [(row["table"], row["id"]) for row in left] == [("orders", "'=2")]

    def test_another_ending_is_refused_before_anything_is_read(self, migrate, past, tmp_path):
        with pytest.raises(CommandError, match=r"ends in \.csv or \.json"):
            migrate(past.done(), "--report", str(tmp_path / "r.txt"))

    @pytest.mark.parametrize("name", ["folder.csv", "none/r.csv"])
    def test_where_it_cannot_be_written_nothing_begins(self, migrate, past, tmp_path, name):
        (tmp_path / "folder.csv").mkdir()
        with pytest.raises(CommandError, match=r"--report .* cannot be written: "):
            migrate(past.orders(order("1")).done(), "--report", str(tmp_path / name))
        assert not LegacyImport.objects.exists()

    def test_a_rollback_takes_neither_accounts_nor_a_report(self, migrate, past, tmp_path):
        path = past.orders(order("1")).done()
        with pytest.raises(CommandError, match="--report does not go with --rollback"):
            migrate(path, "--rollback", "--report", str(tmp_path / "r.csv"))


class TestWho:
    @pytest.mark.parametrize(("role", "may"), [("risk officer", False), ("administrator", True)])
    def test_only_administrators_import_in_their_own_name(self, migrate, past, role, may):
        from tests.people.conftest import member

        member("anna", role)
        path = past.orders(order("1")).done()
        if may:
            migrate(path, "--as", "anna")
            assert LegacyImport.objects.get().user.username == "anna"
            assert LegacyImport.objects.get().actor.startswith("anna, by ")
        else:
            with pytest.raises(CommandError, match="this person may not do that"):
                migrate(path, "--as", "anna")


class TestMap:
    def run(self, path, *words):
        from django.core.management import call_command

        call_command("migrate_bo_schema", str(path), *words)

    def test_a_role_nobody_named_lists_the_accounts(self, past, accounts):
        path = past.orders(order("1")).done()
        with pytest.raises(CommandError, match=r"add --map leader=ACCOUNT\. Accounts: first, sec"):
            self.run(path)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--map", "leader=nobody"], "there is no account 'nobody'. Accounts: first, second"),
            (["--map", "boss=first"], "write leader=ACCOUNT or follower=ACCOUNT"),
            (["--map", "leader"], "write leader=ACCOUNT or follower=ACCOUNT"),
            (["--map", "leader=first", "--map", "leader=second"], "was said twice"),
            (["--map", "leader=first", "--map", "follower=first"], "cannot be one account"),
        ],
        ids=range(5),
    )
    def test_a_wrong_map_says_what_would_be_right(self, past, accounts, words, said):
        with pytest.raises(CommandError) as error:
            self.run(past.orders(order("1")).done(), *words)
        assert said in str(error.value)
        assert not Order.every.exists()
