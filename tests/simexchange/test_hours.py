"""Session hours: off by default; on, the exchange takes orders only while its markets are open."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from simexchange import journal
from simexchange.clock import IST
from simexchange.exchange import OrderRefusedError
from simexchange.orders import Change, Status
from tests.simexchange.harness import Hall, Server, eventually


@pytest.fixture
def keeping(hall: Hall) -> Hall:
    hall.exchange.hours.on = True
    return hall


def at(hall: Hall, text: str) -> None:
    hall.now = datetime.fromisoformat(text).replace(tzinfo=IST)


def test_without_hours_it_trades_on_a_sunday_night(hall):
    at(hall, "2026-11-22 03:00")
    assert hall.place().status is Status.PENDING


@pytest.mark.parametrize(
    ("when", "taken"),
    [
        ("2026-11-23 09:14:59", False),
        ("2026-11-23 09:15:00", True),
        ("2026-11-23 15:29:59", True),
        ("2026-11-23 15:30:00", False),
        ("2026-11-21 10:00:00", False),
        ("2026-11-24 10:00:00", False),
    ],
)
def test_with_hours_it_rejects_what_comes_outside_them(keeping, when, taken):
    keeping.exchange.hours.holidays = {date(2026, 11, 24)}
    at(keeping, when)
    order = keeping.place(price="1300")
    assert (order.status is Status.PENDING) is taken
    if not taken:
        assert order.status is Status.REJECTED
        assert order.reason == f"RMS:{order.order_id}:Market is closed."
        assert order.exchange_order_id == "0"


def test_an_after_market_order_waits_for_the_opening_and_then_trades(keeping):
    at(keeping, "2026-11-20 17:00")
    order = keeping.place(price="1410", after_market=True)
    assert (order.status, order.held, order.filled) == (Status.PENDING, True, 0)
    for when in ("2026-11-20 18:00", "2026-11-21 10:00", "2026-11-23 09:14:59"):
        at(keeping, when)
        keeping.exchange.tick()
        assert order.held
        assert keeping.exchange.orders_of(keeping.account()) == [order]
    at(keeping, "2026-11-23 09:15")
    keeping.exchange.tick()
    assert (order.status, order.held) == (Status.TRADED, False)
    assert order.reached == keeping.now
    assert keeping.exchange.orders_of(keeping.account()) == [order]


def test_an_after_market_order_that_rests_ends_with_its_trading_day(keeping):
    at(keeping, "2026-11-20 17:00")
    order = keeping.place(price="1300", after_market=True)
    at(keeping, "2026-11-23 10:00")
    keeping.exchange.tick()
    assert order.is_working
    at(keeping, "2026-11-24 00:01")
    keeping.exchange.tick()
    assert order.status is Status.EXPIRED


def test_an_after_market_order_in_hours_goes_straight_to_the_market(keeping):
    at(keeping, "2026-11-23 10:00")
    assert not keeping.place(price="1300", after_market=True).held


def test_a_held_order_can_be_changed_and_cancelled(keeping):
    at(keeping, "2026-11-20 17:00")
    order = keeping.place(price="1300", after_market=True)
    change = Change(order_type="LIMIT", validity="DAY", quantity=20)
    keeping.exchange.modify(keeping.account(), order.order_id, change)
    assert (order.quantity, order.held, order.reached) == (20, True, None)
    at(keeping, "2026-11-21 17:00")
    keeping.exchange.cancel(keeping.account(), order.order_id)
    assert (order.status, order.held) == (Status.CANCELLED, False)
    assert keeping.exchange.orders_of(keeping.account()) == [order]
    at(keeping, "2026-11-23 10:00")
    keeping.exchange.tick()
    assert order.status is Status.CANCELLED


def test_after_the_close_a_working_order_can_be_cancelled_but_not_changed(keeping):
    at(keeping, "2026-11-23 15:29")
    order = keeping.place(price="1300")
    at(keeping, "2026-11-23 15:31")
    change = Change(order_type="LIMIT", validity="DAY", quantity=20)
    with pytest.raises(OrderRefusedError, match="Market is closed"):
        keeping.exchange.modify(keeping.account(), order.order_id, change)
    keeping.exchange.cancel(keeping.account(), order.order_id)
    assert order.status is Status.CANCELLED


def test_nothing_fills_while_the_market_is_closed(keeping):
    at(keeping, "2026-11-23 15:29")
    order = keeping.place(price="1390")
    keeping.exchange.walk_on = True
    at(keeping, "2026-11-23 15:41")
    before = keeping.exchange.floor.prices()
    for _ in range(50):
        keeping.exchange.tick()
    assert keeping.exchange.floor.prices() == before
    assert order.filled == 0


def test_a_held_order_is_still_held_after_a_restart(tmp_path: Path):
    state = tmp_path / "state"
    first = Hall(state=state)
    first.exchange.hours.on = True
    at(first, "2026-11-20 17:00")
    order = first.place(price="1410", after_market=True)
    first.ledger.close()
    entries = list(journal.read(state))
    second = Hall(state=state)
    second.exchange.hours.on = True
    at(second, "2026-11-21 10:00")
    second.exchange.restore(iter(entries))
    again = second.ledger.orders[order.order_id]
    assert (again.status, again.held, again.filled) == (Status.PENDING, True, 0)
    at(second, "2026-11-23 09:15")
    second.exchange.tick()
    second.ledger.close()
    assert again.status is Status.TRADED


def test_hours_are_switched_by_the_control_api_and_forgotten_by_a_reset(server):
    assert server.sim("state")["hours"] is False
    said = server.sim("hours", {"on": True, "holidays": ["2026-11-24"]})
    assert said == {"on": True, "holidays": ["2026-11-24"]}
    assert server.sim("state")["hours"] is True
    server.sim("reset", {"walk": False})
    assert server.sim("state")["hours"] is False


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "on: true or false"),
        ({"on": True, "holidays": ["tomorrow"]}, "holidays: a list of days"),
        ({"on": True, "holidays": 7}, "holidays: a list of days"),
        ({"on": True, "open": "09:15"}, "open: unknown field"),
    ],
)
def test_bad_hours_are_named(server, body, text):
    reply = server.control("hours", body, "POST")
    assert reply.status_code == 400
    assert text in reply.json()["error"]


def test_an_exchange_started_with_hours_keeps_them_through_a_reset():
    server = Server("--hours", "--tick-ms", "20")
    try:
        server.sim("reset", {"walk": False})
        assert server.sim("state")["hours"] is True
        sunday = _seconds_to(datetime(2027, 1, 3, 12, tzinfo=IST))
        server.sim("clock", {"shift_seconds": sunday})
        rejected = server.settled(server.place())
        assert rejected["orderStatus"] == "REJECTED"
        held = server.place(afterMarketOrder=True, amoTime="OPEN")
        assert server.settled(held)["orderStatus"] == "PENDING"
        server.sim("clock", {"shift_seconds": sunday + 86_400})
        eventually(lambda: server.row(held)["exchangeTime"] != "0001-01-01 00:00:00")
    finally:
        server.kill()


def _seconds_to(moment: datetime) -> float:
    return (moment - datetime.now(IST)) / timedelta(seconds=1)
