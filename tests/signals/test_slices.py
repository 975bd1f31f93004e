"""A signal above the freeze quantity: one whole, placed by the workers, whoever dies."""

from __future__ import annotations

import pytest

from apps.orders import slices
from apps.orders.models import Order, Slicing
from apps.signals import acting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_bells")]


@pytest.fixture(autouse=True)
def frozen(reliance):
    reliance.freeze_quantity = 4
    reliance.save()


def test_acted_on_the_first_slice_is_sent_at_once_and_the_next_is_rung_for(
    trading, exchange, no_bells
):
    signal = trading.heard(quantity=10)
    acting.act(signal.pk)
    signal.refresh_from_db()
    whole = Slicing.objects.get()
    assert (signal.fate, signal.order) == ("ACTED", whole.slices.get())
    assert whole.slices.get().status == "SUBMITTED"
    assert (whole.request_key, whole.total) == (f"signal:{signal.pk}", 10)
    assert ("orders.slices", whole.pk) in no_bells
    slices.advance(whole.pk)
    assert [order.status for order in whole.slices.all()] == ["SUBMITTED"] * 3
    assert {order.actor for order in whole.slices.all()} == {f"signal {signal.source.name}"}
    assert exchange.report()["orders"] == 3


def test_acted_on_twice_it_is_one_whole(trading, exchange):
    signal = trading.heard(quantity=10)
    acting.act(signal.pk)
    acting.act(signal.pk, again=True)
    assert (Slicing.objects.count(), Order.objects.count()) == (1, 1)


def test_refused_as_a_whole_it_says_why(trading):
    signal = trading.heard(quantity=600)
    acting.act(signal.pk)
    signal.refresh_from_db()
    assert signal.fate == "REFUSED"
    assert "value limit: value ₹840,000.00" in signal.reason
    assert Slicing.objects.get().status == "REFUSED"


def test_too_many_slices_are_refused_before_anything_is_stored(trading):
    signal = trading.heard(quantity=4000)
    acting.act(signal.pk)
    signal.refresh_from_db()
    assert (signal.fate, signal.order) == ("REFUSED", None)
    assert "would take 1000 orders" in signal.reason
    assert not Slicing.objects.exists()
