"""Brackets as products of the broker's own, BO and CO, at the simulated exchange.

A cover order is what an instrument with its flag has for a stop alone. A super order comes first
where there is a target: what the broker makes of BO is seen here by leaving it no other choice.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.brokers import keeping
from apps.brokers.models import Verb, WireCall
from apps.brokers.port import BracketKind, Side
from apps.orders import bracket_guard, brackets
from apps.orders.bracket_check import breaks_of
from apps.orders.bracket_machine import Part
from apps.orders.brackets import BracketIntent
from apps.orders.models import Bracket, Break, Source
from apps.orders.reconcile import reconcile
from tests.orders.bracketing import is_held, is_over, newest, status_of, until
from tests.orders.closing import held
from tests.orders.sweeping import sweep_and_send

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def market(exchange):
    def price(rupees: float) -> None:
        exchange.control("price", segment="NSE_EQ", securityId="2885", price=rupees)

    exchange.control("super", native=True, leg_ids="own")
    price(1400)
    exchange.control("auto", on=True)
    return price


@pytest.fixture
def entered(account, reliance, trader, no_bells, market):
    def make(**different) -> Bracket:
        wanted = {
            "account": account,
            "instrument": reliance,
            "side": Side.BUY,
            "quantity": 10,
            "price": Decimal(1405),
            "stop_price": Decimal(1380),
        }
        bracket = brackets.place(
            BracketIntent(**(wanted | different)), trader, Source.COMMAND, "test"
        )
        sweep_and_send()
        bracket_guard.tend(bracket.pk)
        bracket.refresh_from_db()
        assert bracket.style == "NATIVE"
        until(bracket, is_held(bracket))
        return bracket

    return make


@pytest.fixture
def cover(entered, reliance):
    reliance.cover_orders = True
    reliance.save(update_fields=["cover_orders"])
    return entered()


@pytest.fixture
def with_target(entered, monkeypatch):
    monkeypatch.setattr(keeping, "kinds", lambda *_, **__: (BracketKind.NATIVE,))
    return entered(target_price=Decimal(1430))


def agrees(account) -> None:
    reconcile(account)
    assert list(Break.objects.filter(resolution="")) == []


def test_a_stop_alone_is_a_cover_order_where_the_instrument_allows_it(cover, account):
    stop = newest(cover, Part.STOP_LOSS)
    assert (stop.kept, stop.leg, stop.trigger_price, stop.quantity) == (
        "NATIVE",
        "STOP_LOSS",
        1380,
        10,
    )
    assert breaks_of(cover) == []
    agrees(account)


def test_the_stop_of_a_cover_order_ends_it(cover, market, account):
    market(1379)
    until(cover, is_over(cover))
    assert (status_of(cover, "STOP_LOSS"), held(account)) == ("FILLED", 0)
    agrees(account)


@pytest.mark.parametrize(
    ("to", "filled", "gone"), [(1431, "TARGET", "STOP_LOSS"), (1379, "STOP_LOSS", "TARGET")]
)
def test_the_broker_cancels_the_sibling(with_target, market, account, to, filled, gone):
    until(with_target, lambda: newest(with_target, Part.TARGET).price == 1430)
    until(with_target, lambda: newest(with_target, Part.STOP_LOSS).trigger_price == 1380)
    market(to)
    until(with_target, is_over(with_target))
    assert (status_of(with_target, filled), status_of(with_target, gone)) == ("FILLED", "CANCELLED")
    assert held(account) == 0
    agrees(account)


def test_legs_are_changed_and_left_by_their_own_ids(with_target, trader, account):
    brackets.change(with_target, trader, "closer", stop_price=Decimal(1385))
    until(with_target, lambda: newest(with_target, Part.STOP_LOSS).trigger_price == 1385)
    brackets.leave(with_target, trader, "enough")
    until(with_target, is_over(with_target))
    assert held(account) == 0
    assert WireCall.objects.filter(verb=Verb.CANCEL, outcome="ACCEPTED").exists()
    agrees(account)
