"""Instruments by the thousand: found and made together, each once, whatever file names them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.brokers.models import Instrument
from apps.orders.models import LeftOut, LegacyImport, Order
from tests.legacy.past import Past, order
from tests.legacy.telling import dump, elsewhere

pytestmark = pytest.mark.django_db(transaction=True)


def options(path, contracts: int, orders: int) -> Past:
    """Orders that take turns in contracts which the desk does not know."""
    past = Past(path)
    past.db.execute("BEGIN")
    for number in range(contracts):
        past.add("instruments", security_id=str(50_000 + number), exchange_segment="NSE_FNO",
                 symbol=f"NIFTY-{number}", instrument_type="OPTIDX", expiry_date="2025-01-30",
                 strike_price=20_000.0 + number, option_type="CE")  # fmt: skip
    for number in range(orders):
        past.orders(order(str(number), security_id=str(50_000 + number % contracts),
                          exchange_segment="NSE_FNO"))  # fmt: skip
    past.db.execute("COMMIT")
    return past


def test_each_contract_becomes_one_row_and_leaves_with_its_import(migrate, tmp_path):
    before = dump()
    path = options(tmp_path / "a.sqlite3", contracts=1300, orders=2600).done()
    migrate(path)
    made = Instrument.every.filter(closed="IMPORTED")
    assert made.count() == 1300
    assert set(made.values_list("pk", flat=True)) == set(LegacyImport.objects.get().instruments)
    row = Order.every.get(broker_order_id="1307").instrument
    assert (row.symbol, row.kind, row.strike) == ("NIFTY-7", "OPTIDX", Decimal(20_007))
    assert "1,300 instruments" in migrate(path, "--rollback")
    assert dump() == before


def test_another_file_finds_them_again(migrate, tmp_path):
    migrate(options(tmp_path / "a.sqlite3", contracts=5, orders=5).done())
    past = options(tmp_path / "b.sqlite3", contracts=6, orders=5)
    migrate(past.orders(order("9", security_id="50005", exchange_segment="NSE_FNO")).done())
    assert LegacyImport.objects.first().total("carried") == 2
    assert Instrument.every.filter(closed="IMPORTED").count() == 6


def test_the_number_of_contracts_does_not_count_in_questions(migrate, tmp_path):
    few = options(tmp_path / "a.sqlite3", contracts=2, orders=400).done()
    many = options(tmp_path / "b.sqlite3", contracts=400, orders=400).done()
    asked = []
    for path in (few, many):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            migrate(path, "--dry-run")
        asked.append(len(queries))
    assert asked[1] == asked[0]


class TestAtTheEdge:
    """Of what a price can be here: 9,999,999,999.99995 would be rounded to one more digit."""

    @pytest.mark.parametrize("column", ["price", "trigger_price"])
    def test_a_price_is_the_matter_of_its_row_alone(self, migrate, past, column):
        migrate(past.orders(order("1", **{column: 9999999999.99999}), order("2")).done())
        assert LeftOut.objects.get().reason == (
            f"{column} '9999999999.99999' is not a price in rupees"
        )
        assert Order.every.count() == 1

    @pytest.mark.parametrize("strike", [9999999999.99999, 0.00001])
    def test_a_strike_says_nothing(self, migrate, past, strike):
        past.add("instruments", security_id="7", exchange_segment="NSE_FNO", symbol="x",
                 expiry_date="2026-01-01", strike_price=strike, option_type="CE")  # fmt: skip
        migrate(past.orders(order("1", security_id="7", exchange_segment="NSE_FNO")).done())
        assert Order.every.get().instrument.strike is None


def test_an_order_of_another_role_later_is_that_rows_matter(migrate, tmp_path, accounts):
    """Somebody mapped the file's other role to the same account of the desk."""
    migrate(Past(tmp_path / "one.sqlite3").orders(order("1")).done())
    rows = (order(name, account_type="follower") for name in ("1", "2"))
    path = Past(tmp_path / "two.sqlite3").orders(*rows).done()
    call_command("migrate_bo_schema", str(path), "--map", "follower=first")
    assert LeftOut.objects.get().reason == (
        "first has this order of that day already, from the leader's side of another import"
    )
    assert Order.every.count() == 2


@pytest.mark.parametrize("different", [{"side": "SELL"}, {"quantity": 3}])
def test_an_order_of_the_desk_that_says_something_else_is_not_the_same(
    migrate, past, accounts, reliance, different
):
    from apps.orders.models import trading_day
    from tests.legacy.past import at, dt

    Order.objects.create(
        **{"account": accounts["first"], "instrument": reliance, "side": "BUY", "quantity": 10,
           "order_type": "LIMIT", "product": "INTRADAY", "source": "COMMAND", "actor": "x",
           "broker_order_id": "1",
           "trading_day": trading_day(dt.datetime.fromtimestamp(at(), dt.UTC))} | different
    )  # fmt: skip
    past.orders(order("1"), order("2"))
    past.add("order_events", order_id="1", event_type="x")
    migrate(past.done())
    counts = LegacyImport.objects.get().counts
    assert counts["orders"] == {"read": 2, "carried": 1, "known": 0, "left_out": 1}
    assert counts["order_events"]["left_out"] == 1
    said = LeftOut.objects.get(table="orders").reason
    assert "the desk has an order of that id and day of its own, and it differs" in said
    assert str(next(iter(different.values()))) in said


def test_a_large_import_counts_its_rows_while_it_grows(migrate, tmp_path):
    """Else the planner thinks the table empty, and reads all of it for each name."""
    path = options(tmp_path / "a.sqlite3", contracts=1, orders=4001).done()
    with connection.cursor() as cursor, elsewhere(connection) as other:
        cursor.execute("ANALYZE orders_order")
        other.execute("BEGIN; LOCK TABLE orders_importedrow IN SHARE UPDATE EXCLUSIVE MODE")
        migrate(path, "--dry-run")
        other.execute("ROLLBACK")
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'orders_order'")
        assert cursor.fetchone()[0] == 4000
        cursor.execute("ANALYZE orders_order")
