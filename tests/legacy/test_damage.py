"""Any mix of damage: counts add up, a second run carries nothing, a rollback leaves no trace."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.orders.models import Bracket, BracketLeg, LeftOut, LegacyImport, Order
from tests.legacy.past import MIXED_UP_LEGS, V2_COLUMNS, V2_LEGS, Past, at, leg, order
from tests.legacy.telling import dump

pytestmark = pytest.mark.django_db(transaction=True)

TORN = (
    None, "", "?", 0, -1, 1.5, float("inf"), 10**18, "ten", b"\xff\x00", "a\x00b", "=1+1", "é☃",
    "TRADED", "BUY", "leader", "1", "x" * 5000, '{"a": "\\u0000", "b": "\\ud800", "token": 1}',
    "[" * 50,
)  # fmt: skip
NAMES = st.sampled_from(["1", "2", "3", "4", "404", "", None])
ORDER_COLUMNS = sorted(order("1"))
BRACKET = st.fixed_dictionaries(
    {},
    optional={
        "product": st.sampled_from(["BO", "CO", "INTRADAY"]),
        "leg_type": st.sampled_from(["ENTRY", "TARGET", "SL", "HEDGE", None]),
        "parent_order_id": NAMES,
        "bo_profit_value": st.sampled_from([20.0, 0.0, 9e9, "far", None]),
        "bo_stop_loss_value": st.sampled_from([10.0, 99999.0, None]),
    },
)


@st.composite
def orders(draw):
    """A sound order with some of its columns torn."""
    row = order(draw(st.sampled_from(["1", "2", "3", "4"])))
    row["status"] = draw(st.sampled_from(["TRADED", "PENDING", "CANCELLED", "REJECTED"]))
    row["account_type"] = draw(st.sampled_from(["leader", "follower"]))
    row["created_at"] = at(draw(st.sampled_from([0, 1, 30])), 0, 5)
    torn = draw(st.dictionaries(st.sampled_from(ORDER_COLUMNS), st.sampled_from(TORN), max_size=2))
    return row | torn | draw(BRACKET)


@st.composite
def legs(draw):
    row = leg(draw(NAMES), draw(NAMES), draw(st.sampled_from(["ENTRY", "TARGET", "SL", "?", None])))
    row["account_type"] = draw(st.sampled_from(["leader", "follower", None]))
    columns = st.sampled_from(["status", "created_at", "parent_order_id", "leg_order_id"])
    return row | draw(st.dictionaries(columns, st.sampled_from(TORN), max_size=1))


EVENTS = st.tuples(NAMES, st.sampled_from(TORN))
SHAPES = st.tuples(
    st.sampled_from([None, "1", "2"]),
    st.lists(st.sampled_from(sorted(V2_COLUMNS)), unique=True),
    st.sampled_from(["", V2_LEGS, MIXED_UP_LEGS]),
    st.booleans(),
)


def write(path: Path, shape, its_orders, its_legs, events) -> Path:
    version, columns, table, keyless = shape
    past = Past(path, version, tuple(columns), table)
    if keyless:
        past.db.executescript(
            "ALTER TABLE orders RENAME TO old; CREATE TABLE orders AS SELECT * FROM old;"
            "DROP TABLE old;"
        )
    for row in its_orders:
        there = {k: v for k, v in row.items() if k in ORDER_COLUMNS or k in columns}
        names, places = ", ".join(there), ", ".join("?" * len(there))
        sql = f"INSERT OR IGNORE INTO orders ({names}) VALUES ({places})"
        past.db.execute(sql, tuple(there.values()))
    for row in its_legs if table else ():
        if table == MIXED_UP_LEGS:
            row = row | {"order_id": row["leg_order_id"], "quantity": 10}
            row.pop("leg_order_id")
        past.legs(row)
    for name, text in events:
        past.add("order_events", order_id=name, event_type="x", event_data=text)
        past.add("trades", order_id=name, trade_id="t", quantity=text, price=1.0)
        past.add("audit_log", action="x", request_data=text)
    return past.done()


def run(path: Path, *words: str) -> None:
    mapped = () if "--rollback" in words else ("--map", "leader=first", "--map", "follower=second")
    call_command("migrate_bo_schema", str(path), *mapped, *words, stdout=io.StringIO())


def check_counts() -> LegacyImport:
    newest = LegacyImport.objects.first()
    for table, count in newest.counts.items():
        assert count["read"] == count["carried"] + count["known"] + count["left_out"], table
        assert LeftOut.objects.filter(left_by=newest, table=table).count() == count["left_out"]
    return newest


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    shape=SHAPES,
    its_orders=st.lists(orders(), max_size=8),
    its_legs=st.lists(legs(), max_size=6),
    events=st.lists(EVENTS, max_size=3),
)
def test_whatever_is_wrong_with_the_rows(accounts, shape, its_orders, its_legs, events):
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.sqlite3", shape, its_orders, its_legs, events)
        before = dump()
        run(path)
        first = check_counts()
        assert first.counts["orders"]["carried"] == Order.every.count()
        for bracket in Bracket.objects.all():
            assert bracket.legs.exists()
        assert all(row.bracket.account_id == row.account_id for row in BracketLeg.objects.all())
        there = dump()
        run(path)
        again = check_counts()
        assert again.total("carried") == 0
        assert again.total("left_out") == first.total("left_out")
        assert dump() == there
        run(path, "--rollback")
        assert dump() == before
