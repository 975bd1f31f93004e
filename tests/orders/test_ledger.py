"""The position ledger: the same rows whatever came first, however often, and made anew at will."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, DataError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.brokers.models import PositionsReport
from apps.brokers.port import Fill, Product, Segment, Side
from apps.orders import ledger
from apps.orders.ingest import apply_fills
from apps.orders.models import LedgerPosition, OpeningEntry, Order, Source, trading_day
from apps.orders.reconcile import reconcile
from tests.orders.telling import OnTheSide

pytestmark = pytest.mark.django_db(transaction=True)

NOON = dt.datetime(2026, 3, 2, 6, 30, tzinfo=dt.UTC)


@pytest.fixture
def at_broker(account, reliance):
    """An order that the broker has, as a row; nothing was sent."""
    made = []

    def make(side: str = "BUY", quantity: int = 1000, **fields: Any) -> Order:
        number = len(made) + 1
        order = Order.objects.create(
            account=account,
            instrument=reliance,
            side=side,
            quantity=quantity,
            order_type="LIMIT",
            price=Decimal(1400),
            product=fields.pop("product", "INTRADAY"),
            source=fields.pop("source", Source.ADMIN),
            actor="Alice",
            status="OPEN",
            broker_order_id=str(number),
            **fields,
        )
        made.append(order)
        return order

    return make


def traded(order: Order, number: int, quantity: int, price: object, second: int = 0) -> Fill:
    return Fill(
        broker_order_id=order.broker_order_id,
        exchange_trade_id=f"T{number}",
        segment=Segment.NSE_EQ,
        security_id="2885",
        side=Side(order.side),
        product=Product.INTRADAY,
        quantity=quantity,
        price=Decimal(str(price)),
        traded_at=NOON + dt.timedelta(seconds=second),
    )


def rows() -> list[tuple[Any, ...]]:
    names = ("owner", "product", "net", "cost", "realised", "bought", "sold", "last_key")
    return list(LedgerPosition.objects.order_by("owner", "product").values_list(*names))


@pytest.mark.parametrize("price", ["100.00005", "99.99994999", "0.00005", "1234567.12345678"])
def test_it_counts_a_price_as_it_is_stored(at_broker, price):
    order = at_broker()
    for number in (1, 2):
        apply_fills(order.pk, [traded(order, number, 7, price, second=number)])
    assert rows()[0][3] == 14 * order.fills.first().price
    call_command("rebuild_ledger", "--check", stdout=StringIO())
    assert ledger.rebuild() == []


def test_a_price_beyond_all_columns_is_left_for_the_database_to_refuse(at_broker):
    order = at_broker()
    with pytest.raises(DataError):
        apply_fills(order.pk, [traded(order, 1, 7, "1E+40")])
    assert rows() == []


def test_a_fill_counts_for_the_owner_of_its_order(at_broker):
    mine = at_broker(strategy="momentum")
    hers = at_broker("SELL")
    theirs = at_broker(source=Source.EXTERNAL)
    for order, quantity in ((mine, 10), (hers, 4), (theirs, 1)):
        apply_fills(order.pk, [traded(order, order.pk, quantity, 1400)])
    found = dict(LedgerPosition.objects.values_list("owner", "net"))
    assert found == {"strategy:momentum": 10, "manual": -4, "external": 1}


def test_the_same_trade_again_counts_once(at_broker):
    order = at_broker()
    trade = traded(order, 1, 5, 1400)
    assert len(apply_fills(order.pk, [trade, trade])) == 1
    assert apply_fills(order.pk, [trade]) == []
    assert LedgerPosition.objects.get().net == 5


ARRIVALS = st.lists(
    st.tuples(st.sampled_from("BS"), st.integers(1, 50), st.integers(1, 9), st.integers(0, 5)),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(trades=ARRIVALS, data=st.data())
def test_any_order_of_arrival_and_any_repetition_gives_the_rows_of_history(at_broker, trades, data):
    with transaction.atomic():
        orders = {"B": at_broker(), "S": at_broker("SELL")}
        said = [
            (orders[side], traded(orders[side], number, quantity, price, second))
            for number, (side, quantity, price, second) in enumerate(trades)
        ]
        again = data.draw(st.permutations(said + said[: len(said) // 2]))
        for order, trade in again:
            apply_fills(order.pk, [trade])
        arrived = rows()
        assert ledger.rebuild() == []
        LedgerPosition.objects.all().delete()
        ledger.rebuild()
        assert rows() == arrived
        transaction.set_rollback(True)


def test_two_writers_at_once_count_both(at_broker):
    first, second = at_broker(), at_broker()
    sides = [
        OnTheSide(apply_fills, order.pk, [traded(order, number, 1, 1400 + number)])
        for number, order in enumerate([first, second])
    ]
    assert all(len(side.over()) == 1 for side in sides)
    assert LedgerPosition.objects.get().net == 2
    assert ledger.check() == []


@pytest.fixture
def officer() -> User:
    return User.objects.create(username="rita")


def entry(order: Order, user: User, **different: Any) -> OpeningEntry:
    fields: dict[str, Any] = {
        "account": order.account,
        "instrument": order.instrument,
        "product": "INTRADAY",
        "owner": "manual",
        "quantity": 100,
        "price": Decimal(1300),
        "reason": "held before the desk began",
        "user": user,
    }
    return OpeningEntry(**(fields | different))


def test_an_opening_entry_counts_before_the_fills_of_its_day(at_broker, officer):
    order = at_broker("SELL")
    apply_fills(order.pk, [traded(order, 1, 40, 1400)])
    assert LedgerPosition.objects.get().net == -40
    ledger.book_entry(entry(order, officer))
    row = LedgerPosition.objects.get()
    assert (row.net, row.average, row.realised) == (60, 1300, 4000)
    assert ledger.check() == []


def test_what_was_earned_on_a_day_leaves_the_days_before_out(at_broker, officer):
    order = at_broker("SELL")
    yesterday = trading_day() - dt.timedelta(days=1)
    ledger.book_entry(entry(order, officer, trading_day=yesterday))
    apply_fills(order.pk, [traded(order, 1, 10, 1310)])
    mine = ledger.whose(order)
    before, then = ledger.around(mine, trading_day())
    assert (before.net, then.net, then.realised - before.realised) == (100, 90, 100)
    before, then = ledger.around(mine, yesterday)
    assert (before.net, then.net, then.realised - before.realised) == (0, 100, 0)


@pytest.mark.parametrize("different", [{"quantity": 0}, {"price": Decimal(0)}, {"reason": ""}])
def test_the_database_takes_no_empty_entry(at_broker, officer, different):
    with pytest.raises(DatabaseError), transaction.atomic():
        ledger.book_entry(entry(at_broker(), officer, **different))


def test_an_entry_is_never_changed(at_broker, officer):
    ledger.book_entry(entry(at_broker(), officer))
    with pytest.raises(DatabaseError, match="history"), transaction.atomic():
        OpeningEntry.objects.update(quantity=1)


def test_the_command_finds_a_wrong_row_and_mends_it(at_broker):
    order = at_broker()
    apply_fills(order.pk, [traded(order, 1, 5, 1400)])
    right = rows()
    LedgerPosition.objects.update(net=6, realised=1)
    said = StringIO()
    with pytest.raises(CommandError, match="1 rows are wrong"):
        call_command("rebuild_ledger", "--check", stdout=said)
    assert "net 6 is 5" in said.getvalue()
    assert LedgerPosition.objects.get().net == 6
    call_command("rebuild_ledger", stdout=said)
    assert rows() == right
    call_command("rebuild_ledger", "--check", stdout=said)
    assert "every row is right" in said.getvalue()


def test_an_upgrade_counts_the_fills_that_are_there_already(at_broker):
    order = at_broker()
    apply_fills(order.pk, [traded(order, 1, 5, 1400)])
    LedgerPosition.objects.all().delete()
    ledger.on_migrate()
    assert LedgerPosition.objects.get().net == 5
    LedgerPosition.objects.update(net=6)
    ledger.on_migrate()
    assert LedgerPosition.objects.get().net == 6


def test_owners_add_up_to_the_brokers_net(working, account, exchange):
    for quantity in (3, 4):
        order = working(quantity=quantity)
        exchange.control("fill", orderId=order.broker_order_id)
    reconcile(account)
    (row,) = PositionsReport.objects.get(account=account).rows
    assert LedgerPosition.objects.get().net == row["net_quantity"] == 7
