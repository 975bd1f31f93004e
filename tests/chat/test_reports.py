"""Figures that orders and trades prove; everything else is said to be unknown."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert
from apps.brokers.models import Instrument
from apps.chat import reports
from apps.chat.figures import of_today
from apps.orders.models import Fill, Order
from apps.orders.states import Event
from tests.chat.conftest import holds
from tests.desk.conftest import happens, unknown, working

pytestmark = pytest.mark.django_db
NUMBERS = iter(range(1, 10_000))


@pytest.fixture
def traded(new_order, account):
    """An order at the broker with the trades it had, as (units, price)."""

    def make(side, *trades, filled=None, **terms):
        number = str(next(NUMBERS))
        order = working(new_order(side=side, quantity=100, **terms), number)
        units = sum(units for units, _ in trades)
        happens(order, Event.PARTIAL, filled_quantity=units if filled is None else filled)
        for units, price in trades:
            Fill.objects.create(
                order=order,
                account=order.account,
                trading_day=order.trading_day,
                segment=order.instrument.segment,
                broker_order_id=number,
                exchange_trade_id=f"T{next(NUMBERS)}",
                quantity=units,
                price=Decimal(price),
            )
        return order

    return make


def figures(name="momentum"):
    return next(row for row in of_today() if row.name == name)


def line(name="momentum"):
    return next(text for text in reports.strategies().splitlines() if f", {name}:" in text)


def test_a_closed_round_trip_is_realised_exactly(traded):
    traded("BUY", (10, "100.05"), (20, "100.20"), strategy="momentum")
    traded("SELL", (30, "101"), strategy="momentum")
    day = figures()
    assert day.realised == Decimal(30) * 101 - (Decimal("1000.50") + Decimal(2004))
    assert (day.orders, day.trades, day.filled) == (2, 3, 60)
    assert "net today flat; realised ₹25.50 before charges" in line()


def test_an_open_part_is_net_and_only_the_closed_part_is_realised(traded):
    traded("SELL", (30, "100"), strategy="momentum")
    traded("BUY", (10, "99"), strategy="momentum")
    assert figures().realised == 10
    assert "net today RELIANCE -20; realised ₹10.00" in line()


def test_strategies_and_accounts_are_apart(traded):
    traded("BUY", (10, "100"), strategy="momentum")
    traded("SELL", (10, "110"), strategy="revert")
    assert (figures("momentum").held[0].net, figures("revert").held[0].net) == (10, -10)
    assert figures("momentum").realised == figures("revert").realised == 0
    assert "no strategy" not in reports.strategies()


@pytest.mark.parametrize("product", ["DELIVERY", "MARGIN", "MTF"])
def test_what_may_have_been_carried_in_is_unknown(traded, product):
    traded("SELL", (10, "100"), strategy="momentum", product=product)
    assert figures().realised is None
    assert "net today RELIANCE -10; realised unknown (carried" in line()


def test_contracts_with_multipliers_are_unknown(traded):
    crude = Instrument.objects.create(
        segment="MCX_COMM",
        security_id="1",
        symbol="CRUDEOIL",
        kind="FUTCOM",
        lot_size=1,
        tick_size=1,
    )
    traded("BUY", (1, "6000"), strategy="momentum", instrument=crude)
    assert figures().realised is None


def test_a_fill_whose_trade_is_not_known_yet_makes_net_and_realised_unknown(traded):
    traded("BUY", (10, "100"), filled=15, strategy="momentum")
    assert figures().realised is None
    assert "(15 units)" in line()
    assert "net today unknown (not every fill has its trade yet); realised unknown" in line()


def test_an_unknown_order_makes_the_figures_unknown(new_order, traded):
    traded("BUY", (10, "100"), strategy="momentum")
    unknown(new_order(strategy="momentum"))
    assert figures().realised is None
    assert "1 UNKNOWN; net today unknown" in line()


def test_refused_and_working_orders_are_counted(new_order, account):
    working(new_order(strategy="momentum"))
    Order.objects.create(
        account=account,
        instrument=Instrument.objects.get(),
        side="BUY",
        quantity=1,
        order_type="MARKET",
        product="INTRADAY",
        source="ADMIN",
        actor="x",
        strategy="momentum",
        status="DENIED",
    )
    assert "2 orders, 0 fills (0 units), 1 rejected, 1 working; net today flat" in line()


def test_orders_of_other_days_do_not_count(traded):
    order = traded("BUY", (10, "100"), strategy="momentum")
    yesterday = order.trading_day - timezone.timedelta(days=1)
    Order.objects.filter(pk=order.pk).update(trading_day=yesterday)
    assert of_today() == []
    assert "No orders today." in reports.strategies()


def test_the_brokers_own_figures_stand_beside_with_their_time(account, reliance):
    rows = [
        {"realised": "100.50", "unrealised": "-20.25"},
        {"realised": "7", "unrealised": "7", "product": "DELIVERY"},
    ]
    holds(account, *rows)
    told = reports.strategies()
    assert "paper-one at the broker: realised ₹100.50, unrealised -₹20.25 without delivery" in told


@pytest.mark.parametrize("age", [None, 3600])
def test_figures_never_read_or_too_old_are_unknown_and_not_zero(account, age):
    if age is not None:
        holds(account, {"realised": "100.50"}, age=age)
    told = reports.strategies()
    assert "paper-one at the broker: unknown (" in told
    assert "100.50" not in told


def test_the_days_end_says_what_is_left_open(account, reliance):
    holds(account, {"net_quantity": 10})
    told = reports.day_end()
    assert "paper-one still holds (as of " in told
    assert "RELIANCE +10 intraday" in told


def test_the_heartbeat_is_one_line_with_its_time(account, monkeypatch):
    monkeypatch.setattr("apps.desk.health.Health.failing", [])
    assert reports.heartbeat().startswith("All is well. ")
    raise_alert("a", "x", Severity.CRITICAL)
    assert reports.heartbeat().startswith("NOT WELL: 1 critical alert(s)")
    assert "\n" not in reports.heartbeat()
