"""What the rate budget makes of changes and exits, and the broker's limit of changes per order."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.brokers.budget import changes_used
from apps.brokers.models import CallOutcome, WireCall
from apps.brokers.port import Intent, Side
from apps.orders import changes, queue, services
from apps.orders.models import Change, Modification
from apps.orders.services import TooLate
from apps.risk.models import Decision, Permit
from tests.orders.telling import sent, settled

pytestmark = pytest.mark.django_db(transaction=True)
MOST = 25


@pytest.fixture
def held(working, account, exchange) -> None:
    """Two shares, bought, and seen by the desk."""
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    exchange.control("fill", orderId=working(quantity=2).broker_order_id)
    settled(account)


@pytest.fixture
def leaving(held, place):
    """An exit of one of them, approved."""
    order = place(side=Side.SELL, intent=Intent.EXIT, price=Decimal(1410))
    assert order.status == "APPROVED", order.reason
    return order


def spend(account, count: int) -> None:
    """Order calls of this very moment."""
    now = timezone.now()
    WireCall.objects.bulk_create(
        WireCall(account=account, verb="READ", what="x", budget="ORDER", send_by=now, boot_at=0)
        for _ in range(count)
    )


def changed(order, count: int, outcome: CallOutcome | str = CallOutcome.ACCEPTED) -> None:
    """So many changes in the journal, each with this outcome."""
    now = timezone.now()
    decision = Decision.objects.create(
        correlation_id=order.correlation_id,
        account=order.account,
        action="MODIFY",
        allowed=True,
        request={},
        inputs={},
        refusals=[],
        expires_at=now + dt.timedelta(seconds=30),
    )
    permits = [Permit(decision=decision, correlation_id=order.correlation_id) for _ in range(count)]
    Permit.objects.bulk_create(permits)
    WireCall.objects.bulk_create(
        WireCall(
            account=order.account,
            verb="MODIFY",
            what="modify order",
            budget="TEST",  # made at another time: none of them is of this moment
            correlation_id=order.correlation_id,
            permit=permit.pk,
            send_by=now,
            boot_at=0,
        )
        for permit in permits
    )
    if outcome:
        calls = WireCall.objects.filter(verb="MODIFY", outcome="")
        calls.update(outcome=outcome, answered_at=now)


def closer(order, trader) -> Modification:
    return services.modify(order, trader, "closer", price=Decimal(1399))


@pytest.mark.parametrize("before", [MOST - 2, MOST - 1])
def test_up_to_the_25th_change_leaves(working, account, trader, before):
    order = working()
    changed(order, before)
    change = closer(order, trader)
    changes.send_change(change.pk)
    settled(account)
    change.refresh_from_db()
    assert (change.status, changes_used(order.correlation_id)) == ("APPLIED", before + 1)


def test_the_26th_change_is_refused_before_anything_leaves(working, trader, exchange):
    order = working()
    changed(order, MOST)
    before = exchange.report()["requests"]
    with pytest.raises(TooLate, match=r"25 changes of an order.*cancel it and place a new one"):
        closer(order, trader)
    assert exchange.report()["requests"] == before
    assert not Modification.objects.exists()


def test_the_gate_looks_again_before_a_reviewed_change_leaves(working, trader, exchange):
    order = working()
    change = closer(order, trader)
    changed(order, MOST)
    before = exchange.report()["requests"]
    changes.send_change(change.pk)
    change.refresh_from_db()
    assert change.status == Change.LAPSED
    assert "the broker takes 25 changes" in change.reason
    assert exchange.report()["requests"] == before


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (CallOutcome.NOT_SENT, False),
        (CallOutcome.UNKNOWN, True),
        (CallOutcome.REFUSED, True),
        ("", True),
    ],
)
def test_a_change_counts_unless_it_provably_never_left(working, trader, outcome, counts):
    order = working()
    changed(order, MOST - 1)
    changed(order, 1, outcome)
    assert changes_used(order.correlation_id) == MOST - 1 + counts
    if counts:
        with pytest.raises(TooLate):
            closer(order, trader)
    else:
        assert closer(order, trader).status == Change.APPROVED


def test_should_the_desk_miscount_the_exchange_refuses_the_26th(
    working, account, trader, exchange, settings, monkeypatch
):
    settings.CHANGES_PER_ORDER = MOST + 1
    monkeypatch.setattr("apps.risk.gate.wait_needed", lambda *_: None)
    order = working()
    for number in range(MOST + 1):
        change = services.modify(order, trader, "on", price=Decimal(1399) - number)
        changes.send_change(change.pk)
        settled(account)
    change.refresh_from_db()
    assert change.status == Change.REFUSED
    assert "Maximum number of modifications" in change.reason


@pytest.mark.parametrize("exiting", [False, True])
def test_new_terms_of_an_order_wait_like_the_order_would(
    working, leaving, account, trader, exiting
):
    order = working(price=Decimal(1390))
    if exiting:
        order = sent(leaving)
        settled(account)
        order.refresh_from_db()
    change = services.modify(order, trader, "closer", price=Decimal(1405 if exiting else 1391))
    assert change.status == Change.APPROVED, change.reason
    spend(account, 5)
    changes.send_change(change.pk)
    assert WireCall.objects.filter(verb="MODIFY").exists() is exiting


def test_an_exit_that_waits_is_rung_for_when_its_slot_comes_free(leaving, account, monkeypatch):
    rung = []
    monkeypatch.setattr(queue, "_ring", lambda task, row, where, **when: rung.append((task, when)))
    spend(account, 10)
    sent(leaving)
    ((task, when),) = rung
    assert task == "orders.dispatch"
    assert 0 < when["countdown"] <= 1.2
    leaving.refresh_from_db()
    assert leaving.status == "APPROVED"
