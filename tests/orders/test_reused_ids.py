"""An order keeps the contract it was placed in, whatever its security id names by now."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.brokers.finding import NotFound, find_instrument
from apps.brokers.journal import open_call
from apps.brokers.models import Instrument, Verb, WireCall
from apps.orders import services
from apps.orders.dispatch import dispatch
from apps.orders.models import Order
from apps.risk.models import Permit
from tests.orders.telling import settled

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reuse(reliance: Instrument) -> Any:
    """The broker gives the id to another share, as an import would write it."""

    def act() -> Instrument:
        with transaction.atomic():
            Instrument.objects.filter(pk=reliance.pk).update(
                retired_at=timezone.now(), closed="REUSED", tradable=False
            )
            return Instrument.objects.create(
                segment=reliance.segment,
                security_id=reliance.security_id,
                symbol="OTHER",
                kind="EQUITY",
                lot_size=1,
                tick_size=Decimal("0.05"),
            )

    return act


def test_an_order_still_points_at_what_it_was_placed_in(order: Order, reuse: Any) -> None:
    other = reuse()
    order = Order.objects.get(pk=order.pk)
    assert order.instrument.symbol == "RELIANCE"
    assert order.instrument_id != other.pk


def test_an_approved_order_is_not_sent_under_an_id_of_another(
    order: Order, reuse: Any, exchange: Any
) -> None:
    reuse()
    dispatch(order.pk)
    order.refresh_from_db()
    assert order.status == "DENIED"
    assert order.reason == "its security id names another contract by now"
    assert exchange.accepted(order.correlation_id) == []
    assert not WireCall.objects.filter(verb=Verb.PLACE).exists()


def test_the_database_writes_no_such_call_down(order: Order, reuse: Any) -> None:
    permit = Permit.objects.get(correlation_id=order.correlation_id)
    reuse()
    with pytest.raises(DatabaseError, match="names another contract"), transaction.atomic():
        open_call(
            order.account,
            Verb.PLACE,
            "place order",
            budget="ORDER",
            correlation_id=order.correlation_id,
            permit=permit.pk,
        )


def test_a_new_order_for_the_old_contract_is_denied(place: Any, reliance: Any, reuse: Any) -> None:
    reuse()
    order = place(instrument=Instrument.every.get(pk=reliance.pk))
    assert (order.status, "the instrument cannot be traded" in order.reason) == ("DENIED", True)


def test_an_order_for_the_new_one_is_reviewed_as_that(place: Any, reuse: Any) -> None:
    other = reuse()
    order = place(instrument=other)
    assert (order.status, order.instrument.symbol) == ("APPROVED", "OTHER")


def test_a_working_order_in_the_old_one_is_still_followed_and_not_changed(
    working: Any, reuse: Any, exchange: Any, account: Any, trader: Any
) -> None:
    order = working()
    reuse()
    change = services.modify(order, trader, "more", quantity=2)
    assert (change.status, "cannot be traded" in change.reason) == ("DENIED", True)
    exchange.control("fill", orderId=order.broker_order_id)
    settled(account)
    order.refresh_from_db()
    assert order.status == "FILLED"


def test_a_form_filled_in_before_names_the_old_one_and_is_refused(reuse: Any) -> None:
    reuse()
    with pytest.raises(NotFound, match="the id is OTHER's now"):
        find_instrument("NSE_EQ:2885:RELIANCE")
    assert find_instrument("NSE_EQ:2885:OTHER").symbol == "OTHER"


def test_price_limits_of_another_day_do_not_refuse(place: Any, reliance: Instrument) -> None:
    limits = {"lower_limit": 100, "upper_limit": 200}
    Instrument.objects.filter(pk=reliance.pk).update(**limits, limits_on=timezone.localdate())
    assert "above the day's upper limit" in place(price=Decimal(1400)).reason
    yesterday = timezone.localdate() - dt.timedelta(days=1)
    Instrument.objects.filter(pk=reliance.pk).update(limits_on=yesterday)
    assert place(price=Decimal(1400)).status == "APPROVED"
