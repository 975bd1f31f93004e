"""Brackets and the exchange's day: a closing auction takes their stops away."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.brokers.models import Instrument
from apps.brokers.port import Side
from apps.orders import brackets
from apps.orders.brackets import BracketIntent
from apps.orders.models import Source
from apps.orders.services import BadOrder
from tests.orders.bracketing import is_over, status_of, until
from tests.orders.closing import held
from tests.orders.test_hours import (  # noqa: F401 - fixtures of the hours
    MONDAY,
    account,
    derivatives_known,
    on,
    person,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def with_derivatives(reliance):
    """Contracts name the share, so its day ends in a closing auction, which keeps no stops."""
    future = Instrument.objects.get(segment="NSE_FNO")
    future.pk, future.security_id, future.underlying = None, "53002", reliance.symbol
    future.save(force_insert=True)


@pytest.fixture
def bracket_of(account, reliance, trader, no_bells):  # noqa: F811
    def place():
        wanted = BracketIntent(
            account=account,
            instrument=reliance,
            side=Side.BUY,
            quantity=10,
            price=Decimal(1405),
            stop_price=Decimal(1380),
        )
        return brackets.place(wanted, trader, Source.ADMIN)

    return place


@pytest.mark.usefixtures("with_derivatives")
def test_a_bracket_is_left_before_the_auction_takes_its_stop(
    bracket_of,
    account,  # noqa: F811
    exchange,
    quick_times,
):
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    exchange.control("auto", on=True)
    with on(f"{MONDAY} 15:05"):
        bracket = bracket_of()
        until(bracket, lambda: status_of(bracket, "STOP_LOSS") == "WORKING")
        assert bracket.leaving_at is None
    with on(f"{MONDAY} 15:08:30"):
        until(bracket, is_over(bracket))
    assert "cancels stops at 15:15" in bracket.reason
    assert held(account) == 0


@pytest.mark.usefixtures("with_derivatives")
@pytest.mark.parametrize("when", ["15:08:30", "15:22"])
def test_no_bracket_begins_when_its_stop_could_not_stay(bracket_of, when):
    with on(f"{MONDAY} {when}"), pytest.raises(BadOrder) as refused:
        bracket_of()
    assert "too late for a bracket" in refused.value.text


def test_a_share_without_derivatives_keeps_its_stop_until_the_close(bracket_of):
    with on(f"{MONDAY} 15:20"):
        assert bracket_of().pk
