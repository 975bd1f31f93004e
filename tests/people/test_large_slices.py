"""A large order in slices: one approval for all of it, however it is cut."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine

from apps.brokers.port import OrderType
from apps.desk import timeline
from apps.orders import services, slices
from apps.orders.dispatch import dispatch
from apps.orders.models import Slicing, Source
from apps.orders.services import Actor, TooLate
from apps.orders.sweep import sweep
from apps.risk import approvals
from apps.risk.models import Approval, Hold, RiskPolicy
from tests.orders.telling import settled
from tests.people.conftest import approval_above, entered

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_bells")]


@pytest.fixture
def whole(account, intent, maker, reliance) -> Slicing:
    """Ten for ₹14,000, in slices of four (₹5,600), where ₹6,000 needs somebody else."""
    reliance.freeze_quantity = 4
    reliance.save()
    approval_above(account, 6000)
    parent = services.place(intent(quantity=10), maker, Source.ADMIN, cause="big").parent
    assert parent is not None
    return parent


def say(whole, person, answer=True):
    asked = Approval.objects.get(subject=whole.public_id, decision="")
    done = approvals.decide(asked.pk, person, "fine with me", approve=answer)
    sweep(direct=True)
    whole.refresh_from_db()
    return done


def place_all(whole):
    for order in whole.slices.filter(status="APPROVED"):
        dispatch(order.pk)
    slices.advance(whole.pk)
    whole.refresh_from_db()


def statuses(whole):
    return list(whole.slices.order_by("slice_number").values_list("status", flat=True))


def test_cut_below_the_limit_it_still_needs_somebody_else(whole, exchange):
    assert statuses(whole) == ["AWAITING_APPROVAL"]
    assert not Hold.objects.exists()
    slices.advance(whole.pk)
    sweep(direct=True)
    assert (whole.slices.count(), whole.status) == (1, "PLACING")
    assert exchange.report()["orders"] == 0
    facts = dict(approvals.kind_of(Approval.objects.get()).facts(Approval.objects.get()))
    assert facts["Whole"] == "BUY 10 in 3 orders"
    assert facts["Value"] == "₹14000, above ₹6000"


def test_approved_once_for_all_slices(whole, rita, exchange):
    assert say(whole, rita).result == "approved and on its way"
    place_all(whole)
    assert statuses(whole) == ["SUBMITTED"] * 3
    assert Approval.objects.count() == 1
    assert exchange.report()["orders"] == 3
    for order in whole.slices.all():
        assert [e for e in timeline.of(order) if e.kind == "Approval"]


def test_refused_by_the_second_person_nothing_is_placed(whole, rita):
    say(whole, rita, answer=False)
    assert whole.status == "REFUSED"
    assert "rita refused: fine with me" in whole.reason


def test_withdrawn_nothing_is_placed(whole, maker):
    slices.cancel(whole, maker, "changed my mind")
    assert statuses(whole) == ["CANCELLED"]
    assert Approval.objects.get().decision == "WITHDRAWN"


def test_nobody_decided_in_time_it_stops_and_resuming_asks_anew(whole, maker, rita):
    with time_machine.travel(Approval.objects.get().expires_at + timedelta(seconds=1)):
        sweep(direct=True)
        sweep(direct=True)
    whole.refresh_from_db()
    assert (whole.status, statuses(whole)) == ("STOPPED", ["LAPSED"])
    slices.resume(whole, maker, "ask again")
    slices.advance(whole.pk)
    assert statuses(whole) == ["LAPSED", "AWAITING_APPROVAL"]
    say(whole, rita)
    place_all(whole)
    assert statuses(whole) == ["LAPSED", *["SUBMITTED"] * 3]


def test_resumed_slices_need_no_second_yes(whole, maker, rita, account, exchange):
    say(whole, rita)
    place_all(whole)
    last = whole.slices.get(slice_number=3)
    settled(account)
    exchange.control("reject", orderId=last.broker_order_id, reason="RMS: no")
    settled(account)
    sweep(direct=True)
    slices.resume(whole, maker, "again")
    place_all(whole)
    assert statuses(whole)[3:] == ["SUBMITTED"]
    assert Approval.objects.count() == 1


def test_a_program_has_nobody_to_ask(account, intent, reliance):
    reliance.freeze_quantity = 4
    reliance.save()
    approval_above(account, 6000)
    first = services.place(intent(quantity=10), Actor(name="robot"), Source.SYSTEM)
    assert first.parent.status == "REFUSED"
    assert "nobody can be the second" in first.parent.reason


@pytest.fixture
def at_market(account, intent, maker, reliance, exchange):
    """The same at the market, whose slices are priced one after the other."""
    reliance.freeze_quantity = 4
    reliance.save()
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    policy = approval_above(account, 6000)
    assert policy.protection_percent == Decimal(1)
    wanted = intent(quantity=10, order_type=OrderType.MARKET, price=None)
    return services.place(wanted, maker, Source.ADMIN).parent


def reprice(exchange, price):
    """A price of which no older one is fresh enough."""
    from apps.brokers.models import Quote

    exchange.control("price", segment="NSE_EQ", securityId="2885", price=price)
    Quote.objects.all().delete()


def test_the_yes_covers_a_market_that_moves_a_little(at_market, rita, exchange):
    say(at_market, rita)
    first = at_market.slices.get()
    dispatch(first.pk)
    reprice(exchange, 1406)
    slices.advance(at_market.pk)
    assert statuses(at_market) == ["SUBMITTED"] * 3
    prices = set(at_market.slices.values_list("price", flat=True))
    assert len(prices) == 2


def test_a_market_that_moves_away_asks_again(at_market, rita, exchange, maker):
    say(at_market, rita)
    dispatch(at_market.slices.get().pk)
    reprice(exchange, 1450)
    slices.advance(at_market.pk)
    assert statuses(at_market) == ["SUBMITTED", "AWAITING_APPROVAL"]
    slices.advance(at_market.pk)
    assert at_market.slices.count() == 2
    with pytest.raises(TooLate):
        slices.resume(at_market, maker, "no")
    say(at_market, rita)
    place_all(at_market)
    assert statuses(at_market) == ["SUBMITTED"] * 3


def test_the_page_of_approvals_leads_to_the_slice_that_asks(whole, rita):
    page = entered(rita).get("/admin/approvals/").content.decode()
    assert f"/admin/live/order/{whole.slices.get().pk}/" in page
    assert "BUY 10 in 3 orders" in page


def test_without_a_limit_nobody_is_asked(account, intent, maker, reliance):
    reliance.freeze_quantity = 4
    reliance.save()
    assert RiskPolicy.in_force(account).approval_above_value is None
    assert services.place(intent(quantity=10), maker, Source.ADMIN).status == "APPROVED"
