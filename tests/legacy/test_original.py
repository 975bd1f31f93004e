"""The other system's own data, as its own scripts and writers leave it, comes whole and right."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.management import call_command

from apps.brokers.models import Instrument
from apps.orders.models import Bracket, BracketLeg, ImportedRow, LeftOut, LegacyImport, Order
from tests.legacy.original import LEGS_AS_WRITTEN, Original
from tests.legacy.past import MIXED_UP_LEGS, V2_COLUMNS, Past, leg, order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def original(tmp_path) -> Original:
    return Original(tmp_path / "copy_trading.db")


def all_was_carried() -> bool:
    """Every row of every table, and nothing was left out or known."""
    counts = LegacyImport.objects.first().counts
    return all(count["read"] == count["carried"] for count in counts.values())


def reasons() -> list[str]:
    rows = LeftOut.objects.filter(left_by=LegacyImport.objects.first())
    return [str(row) for row in rows]


def said(name: str) -> tuple[str, str, str]:
    """Product, order type and outcome of an order."""
    row = Order.every.get(broker_order_id=name)
    return row.product, row.order_type, row.origin.outcome


# The words of its schema's own remarks and views, then those that the broker sends it.
WORDS = {
    "1": ({"status": "PENDING", "product": "MIS", "order_type": "MARKET"},
          ("INTRADAY", "MARKET", "UNRECORDED")),
    "2": ({"status": "OPEN", "product": "CNC", "order_type": "LIMIT"},
          ("DELIVERY", "LIMIT", "UNRECORDED")),
    "3": ({"status": "EXECUTED", "product": "NRML", "order_type": "SL", "trigger_price": 1399.0},
          ("MARGIN", "STOP_LIMIT", "FILLED")),
    "4": ({"status": "CANCELLED", "product": "MIS", "order_type": "SL-M", "trigger_price": 1399.0},
          ("INTRADAY", "STOP_MARKET", "CANCELLED")),
    "5": ({"status": "REJECTED", "product": "NRML", "validity": "IOC"},
          ("MARGIN", "LIMIT", "REJECTED")),
    "6": ({"status": "PARTIAL", "product": "MIS"}, ("INTRADAY", "LIMIT", "UNRECORDED")),
    "7": ({"status": "TRANSIT", "product": "MARGIN", "order_type": "STOP_LOSS"},
          ("MARGIN", "STOP_LIMIT", "UNRECORDED")),
    "8": ({"status": "TRADED", "product": "MTF", "order_type": "STOP_LOSS_MARKET"},
          ("MTF", "STOP_MARKET", "FILLED")),
    "9": ({"status": "PART_TRADED", "product": "INTRA"}, ("INTRADAY", "LIMIT", "UNRECORDED")),
    "10": ({"status": "CONFIRM", "product": "CNC"}, ("DELIVERY", "LIMIT", "UNRECORDED")),
    "11": ({"status": "Confirmed", "product": "CNC"}, ("DELIVERY", "LIMIT", "UNRECORDED")),
    "12": ({"status": "CLOSED", "product": "INTRADAY", "order_type": "SLM"},
           ("INTRADAY", "STOP_MARKET", "UNRECORDED")),
}  # fmt: skip


def fill(original: Original) -> None:
    """Orders of every word with what belongs to them."""
    for number, (name, (words, _expected)) in enumerate(WORDS.items()):
        original.order(name, "follower" if number % 2 else "leader", **words)
        original.event(name, "PLACED", 1)
        original.event(name, "EXECUTED")
    original.trade("T1", "6", 4, "follower")
    original.trade("T2", "3", 10)
    original.mapping("1", "2")
    original.mapping("3", None, "failed")
    original.snapshots()
    original.instrument("2885", "NSE_EQ", "RELIANCE", instrument_type="EQUITY")


@pytest.mark.parametrize("columns", [0, 1, 4, 7], ids=lambda count: f"{count} columns of schema 2")
def test_all_of_it_comes_with_the_right_words(migrate, original, columns):
    original.migrated(columns)
    fill(original)
    migrate(original.done())
    assert all_was_carried(), reasons()
    assert {name: said(name) for name in WORDS} == {
        name: expected for name, (_words, expected) in WORDS.items()
    }
    assert Order.every.get(broker_order_id="6").filled_quantity == 4
    assert Order.every.get(broker_order_id="4").trigger_price == Decimal(1399)
    assert Order.every.get(broker_order_id="5").validity == "IOC"
    assert {row.account.name for row in Order.every.all()} == {"first", "second"}
    assert {row.instrument.symbol for row in Order.every.all()} == {"RELIANCE"}
    assert ImportedRow.objects.filter(table="order_events", about=None).count() == 0
    version = LegacyImport.objects.get().version
    assert version == {0: "1", 7: "2"}.get(columns, "1, half-migrated to 2")


def test_currency_futures_are_of_their_segment(migrate, original):
    original.order("1", exchange_segment="CDS_FUT", security_id="10093", quantity=1)
    migrate(original.done())
    assert Order.every.get().instrument.segment == "NSE_CURRENCY"


def bracket_orders(original: Original, parent: str, role: str = "leader", **more: object) -> None:
    original.order(parent, role, product="BO", **more)
    original.order(f"{parent}1", role, product="BO", side="SELL", price=1420.5)
    original.order(f"{parent}2", role, product="BO", side="SELL", order_type="STOP_LOSS",
                   status="CANCELLED", price=1389.0, trigger_price=1390.5)  # fmt: skip


def legs_of(bracket: Bracket) -> dict[str, tuple[str, str | None, int]]:
    """Leg → the broker's id, the order that is it, units filled."""
    return {
        row.leg: (row.leg_order_id, row.order and row.order.broker_order_id, row.filled_quantity)
        for row in bracket.legs.select_related("order")
    }


def test_a_bracket_of_schema_2(migrate, original):
    original.migrated()
    bracket_orders(original, "100", bo_profit_value=20.0, bo_stop_loss_value=10.0,
                   bo_order_type="LIMIT")  # fmt: skip
    for name, kind in (("100", "ENTRY"), ("1001", "TARGET"), ("1002", "SL")):
        original.leg("100", name, kind)
    migrate(original.done())
    assert all_was_carried(), reasons()
    bracket = Bracket.objects.get()
    assert (bracket.style, bracket.product, bracket.quantity) == ("NATIVE", "INTRADAY", 10)
    assert (bracket.entry_price, bracket.target_price, bracket.stop_price, bracket.stop_limit) == (
        Decimal("1400.5"), Decimal("1420.5"), Decimal("1390.5"), Decimal(1389),
    )  # fmt: skip
    assert legs_of(bracket) == {
        "ENTRY": ("100", "100", 10),
        "TARGET": ("1001", "1001", 10),
        "STOP_LOSS": ("1002", "1002", 0),
    }


@pytest.mark.parametrize("column", ["leg_order_id", "order_id"])
@pytest.mark.parametrize("role", ["leader", "follower"])
def test_legs_as_its_writer_stores_them(migrate, original, column, role):
    """No account, small words, and quantities and prices of 0 where nobody said any."""
    original.migrated(legs=LEGS_AS_WRITTEN.format(id=column))
    bracket_orders(original, "100", role)
    for name, kind in (("100", "entry"), ("1001", "target"), ("1002", "stop_loss")):
        original.written_leg("100", name, kind)
    migrate(original.done())
    assert all_was_carried(), reasons()
    bracket = Bracket.objects.get()
    assert bracket.account.name == {"leader": "first", "follower": "second"}[role]
    assert (bracket.target_price, bracket.stop_price) == (Decimal("1420.5"), Decimal("1390.5"))
    assert legs_of(bracket) == {
        "ENTRY": ("100", "100", 10),
        "TARGET": ("1001", "1001", 10),
        "STOP_LOSS": ("1002", "1002", 0),
    }
    assert {row.quantity for row in BracketLeg.objects.all()} == {10}


def test_legs_as_written_that_say_more_are_believed(migrate, original):
    original.migrated(legs=LEGS_AS_WRITTEN.format(id="leg_order_id"))
    original.order("100", product="BO")
    original.written_leg("100", "7", "target", status="TRADED", quantity=6, price=1430.0)
    original.written_leg("100", "8", "stop_loss", quantity=10, price=1388, trigger_price=1389.5)
    migrate(original.done())
    assert all_was_carried(), reasons()
    target, stop = (BracketLeg.objects.get(leg=name) for name in ("TARGET", "STOP_LOSS"))
    assert (target.quantity, target.price, target.filled_quantity) == (6, Decimal(1430), 6)
    assert (stop.quantity, stop.trigger_price, stop.filled_quantity) == (10, Decimal("1389.5"), 0)
    assert Bracket.objects.get().stop_price == Decimal("1389.5")


def test_a_leg_without_an_account_that_two_orders_may_own_stays_behind(migrate, tmp_path):
    past = Past(tmp_path / "b.sqlite3", "2", tuple(V2_COLUMNS), MIXED_UP_LEGS)
    past.db.executescript("ALTER TABLE orders RENAME TO old; CREATE TABLE orders AS"
                          " SELECT * FROM old; DROP TABLE old;")  # fmt: skip
    past.orders(order("1"), order("1", account_type="follower"), order("2"))
    for parent, kind in (("1", "SL"), ("2", "SL")):
        row = leg(parent, None, kind, account_type=None, quantity=0)
        row["order_id"] = row.pop("leg_order_id")
        past.legs(row)
    migrate(past.done())
    assert reasons() == ["bracket_order_legs 1: its order '1' may be one of 2"]
    assert BracketLeg.objects.get(leg="STOP_LOSS").leg == "STOP_LOSS"


def test_a_second_run_of_such_legs_carries_nothing(migrate, original):
    original.migrated(legs=LEGS_AS_WRITTEN.format(id="order_id"))
    bracket_orders(original, "100")
    original.written_leg("100", "1001", "target")
    path = original.done()
    migrate(path)
    migrate(path)
    newest = LegacyImport.objects.first()
    assert newest.total("known") == newest.total("read")


class TestPrices:
    def one(self, migrate, original, **said: object) -> Bracket:
        original.migrated()
        original.order("1", **{"product": "BO"} | said)
        migrate(original.done())
        assert all_was_carried(), reasons()
        return Bracket.objects.get()

    @pytest.mark.parametrize(
        ("said", "stop"),
        [
            ({"co_trigger_price": 1390.0, "co_stop_loss_value": 1388.0}, 1390),
            ({"co_stop_loss_value": 1388.0}, 1388),
            ({"co_stop_loss_value": 10.0}, None),
            ({"co_stop_loss_value": 1410.0}, None),
            ({"side": "SELL", "co_stop_loss_value": 1410.0}, 1410),
            ({"order_type": "MARKET", "price": 0, "co_stop_loss_value": 1388.0}, None),
            ({"order_type": "MARKET", "price": 0, "co_trigger_price": 1390.0}, 1390),
        ],
        ids=["trigger and level", "level", "no level", "wrong side", "of a sale",
             "level alone", "trigger alone"],
    )  # fmt: skip
    def test_the_stop_of_a_cover_order_is_a_price(self, migrate, original, said, stop):
        bracket = self.one(migrate, original, product="CO", **said)
        assert bracket.stop_price == (stop and Decimal(stop))

    @pytest.mark.parametrize(
        ("side", "target", "stop", "prices"),
        [
            ("BUY", 20.0, 10.0, ("1420.5", "1390.5")),
            ("SELL", 20.0, 10.0, ("1380.5", "1410.5")),
            ("BUY", 1420.0, 1390.0, ("1420", "1390")),
            ("SELL", 1380.0, 1410.0, ("1380", "1410")),
            ("BUY", 900.0, 600.0, ("2300.5", "800.5")),
            ("BUY", 1900.0, 1000.0, (None, None)),
            ("SELL", 1000.0, 1900.0, (None, None)),
        ],
        ids=[
            "distances",
            "of a sale",
            "prices",
            "prices of a sale",
            "far",
            "who knows",
            "who knows of a sale",
        ],
    )
    def test_of_a_bracket_order_distances_and_prices_are_told_apart(
        self, migrate, original, side, target, stop, prices
    ):
        bracket = self.one(
            migrate, original, side=side, bo_profit_value=target, bo_stop_loss_value=stop
        )
        wanted = tuple(price and Decimal(price) for price in prices)
        assert (bracket.target_price, bracket.stop_price) == wanted


class TestUnitsFilled:
    def test_a_leg_that_traded_is_filled_whatever_its_order_last_said(self, migrate, original):
        """The order manager writes PENDING and may never come back to it."""
        original.migrated()
        original.order("1", product="BO", status="PENDING")
        original.order("2", side="SELL", status="PENDING")
        original.leg("1", "1", "ENTRY")
        original.leg("1", "2", "TARGET")
        original.db.execute("UPDATE bracket_order_legs SET status = 'TRADED'")
        migrate(original.done())
        assert set(BracketLeg.objects.values_list("leg", "filled_quantity")) == {
            ("ENTRY", 10), ("TARGET", 10),
        }  # fmt: skip

    def test_a_trade_that_stands_twice_counts_once(self, migrate, past):
        past.orders(order("1", status="PART_TRADED"))
        for _ in range(2):
            past.add("trades", order_id="1", trade_id="t", quantity=4, price=1.0)
        past.add("trades", order_id="1", trade_id="u", quantity=3, price=1.0)
        migrate(past.done())
        assert Order.every.get().filled_quantity == 7

    def test_an_id_as_a_number_and_as_text_is_one_order(self, migrate, past):
        past.db.executescript(
            "DROP TABLE trades; CREATE TABLE trades (id INTEGER PRIMARY KEY, order_id, quantity);"
        )
        past.orders(order("1", status="CANCELLED"))
        past.add("trades", order_id=1, quantity=3)
        past.add("trades", order_id="1", quantity=2)
        migrate(past.done())
        assert Order.every.get().filled_quantity == 5

    @pytest.mark.parametrize(("role", "filled"), [("leader", [0, 4]), (None, [0, 0])])
    def test_a_trade_is_of_the_account_it_names(self, migrate, past, role, filled):
        """Of two orders with one id, a trade without an account is nobody's."""
        past.db.executescript(
            "ALTER TABLE orders RENAME TO old; CREATE TABLE orders AS SELECT * FROM old;"
            "DROP TABLE old; ALTER TABLE trades ADD COLUMN account_type TEXT;"
        )
        past.orders(
            order("1", status="CANCELLED"),
            order("1", account_type="follower", status="CANCELLED"),
        )
        past.add("trades", order_id="1", trade_id="t", quantity=4, account_type=role)
        migrate(past.done())
        assert sorted(Order.every.values_list("filled_quantity", flat=True)) == filled


class TestNumbers:
    @pytest.mark.parametrize("value", [2885.0, "2885.0", 2885])
    def test_an_id_that_became_a_number_is_the_same_id(self, migrate, past, value):
        past.add("instruments", security_id=value, exchange_segment="NSE_EQ", symbol="RELIANCE")
        migrate(past.orders(order("1", security_id=value)).done())
        assert Order.every.get().instrument == Instrument.objects.get()

    def test_an_order_id_that_became_a_number_is_found_by_what_names_it(self, migrate, past):
        past.orders(order("112111182198.0"))
        past.add("order_events", order_id="112111182198", event_type="PLACED")
        migrate(past.done())
        assert Order.every.get().broker_order_id == "112111182198"
        assert ImportedRow.objects.get(table="order_events").about == Order.every.get()

    @pytest.mark.parametrize("text", ["1_0", "１０", "٣", "0x10", "+-1"])
    def test_a_quantity_in_other_figures_is_no_number(self, migrate, past, text):
        migrate(past.orders(order("1", quantity=text)).done())
        assert "is not a number" in reasons()[0]

    def test_a_time_of_0_is_no_time(self, migrate, tmp_path):
        past = Past.second(tmp_path / "b.sqlite3").orders(order("1", product="BO", updated_at=0))
        past.legs(leg("1", "1", "ENTRY", created_at=0, updated_at=0))
        migrate(past.done())
        assert Order.every.get().finished_at is None
        assert BracketLeg.objects.get().created_at == Order.every.get().created_at


def test_a_missing_word_of_an_order_is_still_missing(migrate, original):
    """Where the broker said nothing the writer stores an empty text."""
    original.order("1", product="")
    original.order("2", side="")
    migrate(original.done())
    assert reasons() == ["orders 1: product is missing", "orders 2: side is missing"]


def test_only_a_leader_needs_a_map_when_only_a_leader_is_in_it(original, accounts):
    original.migrated(legs=LEGS_AS_WRITTEN.format(id="leg_order_id"))
    bracket_orders(original, "100")
    original.written_leg("100", "1001", "target")
    call_command("migrate_bo_schema", str(original.done()), "--map", "leader=first")
    assert all_was_carried(), reasons()


class TestOddParents:
    def notes(self, migrate, tmp_path, *rows: dict[str, object]) -> list[str]:
        past = Past.second(tmp_path / "b.sqlite3").orders(*rows)
        migrate(past.done())
        return LegacyImport.objects.get().notes

    def test_an_exit_that_names_itself_or_nobody_is_told_of(self, migrate, tmp_path):
        notes = self.notes(
            migrate, tmp_path, order("1", leg_type="TARGET", parent_order_id="1"),
            order("2", leg_type="SL"),
        )  # fmt: skip
        assert notes == [
            "order 1: carried, but not as a leg: the parent that it names is itself",
            "order 2: carried, but not as a leg: parent_order_id is missing",
        ]
        assert not Bracket.objects.exists()

    def test_orders_that_name_each_other_make_no_bracket(self, migrate, tmp_path):
        notes = self.notes(
            migrate, tmp_path, order("1", leg_type="TARGET", parent_order_id="2"),
            order("2", leg_type="SL", parent_order_id="1"),
        )  # fmt: skip
        assert [note.rpartition(": ")[2] for note in notes] == [
            "the parent that it names is its own leg in turn"
        ] * 2
        assert not Bracket.objects.exists()

    def test_an_entry_that_names_itself_is_an_entry(self, migrate, tmp_path):
        self.notes(
            migrate, tmp_path, order("1", product="BO", leg_type="ENTRY", parent_order_id="1"),
            order("2", side="SELL", leg_type="SL", parent_order_id="1"),
        )  # fmt: skip
        assert set(Bracket.objects.get().legs.values_list("leg", flat=True)) == {
            "ENTRY", "STOP_LOSS",
        }  # fmt: skip

    def test_notes_of_very_many_are_counted(self, migrate, tmp_path):
        rows = (order(str(number), leg_type="SL") for number in range(503))
        notes = self.notes(migrate, tmp_path, *rows)
        assert len(notes) == 501
        assert notes[-1] == "3 more orders: carried, but not as a leg"


def test_an_exit_that_bears_its_parents_id_is_not_the_entry(migrate, original):
    """The broker gives all parts of one super order the same id (DhanHQ, super order)."""
    original.migrated()
    original.order("1", product="BO")
    original.leg("1", "1", "TARGET")
    migrate(original.done())
    assert legs_of(Bracket.objects.get()) == {"TARGET": ("1", None, 0), "ENTRY": ("1", "1", 10)}


def test_tables_without_row_ids_are_read_too(migrate, original):
    fill(original)
    columns = "id TEXT PRIMARY KEY, " + ", ".join(
        row[1] for row in original.db.execute("PRAGMA table_info(orders)") if row[1] != "id"
    )
    original.db.executescript(
        f"PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON; CREATE TABLE new ({columns})"
        " WITHOUT ROWID; INSERT INTO new SELECT * FROM orders; DROP VIEW v_active_orders;"
        "DROP TABLE orders; ALTER TABLE new RENAME TO orders;"
    )
    migrate(original.done())
    assert all_was_carried(), reasons()
    assert Order.every.count() == len(WORDS)
