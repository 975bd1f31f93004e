"""Entries above the limit: ask, approve by somebody else, review again, send."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from apps.brokers.port import Intent, Side
from apps.desk import timeline
from apps.orders import services
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source
from apps.orders.services import Actor, TooLate
from apps.orders.sweep import sweep
from apps.risk import approvals, switch
from apps.risk.models import Approval, Decision, Hold, Permit
from tests.people.conftest import approval_above, entered

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_bells")]


@pytest.fixture
def large(account, intent, maker):
    """An entry of ₹2,800 where ₹2,000 needs somebody else."""
    approval_above(account, 2000)
    return services.place(intent(quantity=2), maker, Source.ADMIN, cause="big day")


def approval_of(order):
    return Approval.objects.get(subject=order.correlation_id)


def say(order, person, answer=True):
    done = approvals.decide(approval_of(order).pk, person, "fine with me", approve=answer)
    order.refresh_from_db()
    return done


def test_it_waits_without_permit_or_hold_and_nothing_sends_it(large, exchange):
    assert large.status == "AWAITING_APPROVAL"
    assert "somebody else must approve" in large.reason
    assert not Permit.objects.exists()
    assert not Hold.objects.exists()
    dispatch(large.pk)
    sweep(direct=True)
    large.refresh_from_db()
    assert large.status == "AWAITING_APPROVAL"
    assert exchange.report()["orders"] == 0


def test_approved_it_is_reviewed_again_and_sent_once(large, rita, exchange):
    assert say(large, rita).result == "approved and on its way"
    assert large.status == "APPROVED"
    first, second = Decision.objects.order_by("id")
    assert (first.allowed, second.allowed) == (False, True)
    assert Permit.objects.get().decision == second
    assert Hold.objects.get().quantity == 2
    dispatch(large.pk)
    dispatch(large.pk)
    assert len(exchange.accepted(large.correlation_id)) == 1


def test_both_people_are_on_its_timeline(large, rita):
    say(large, rita)
    entries = [entry for entry in timeline.of(large) if entry.kind == "Approval"]
    assert [str(dict(entry.facts)["By"]) for entry in entries] == ["tara", "rita"]
    event = large.events.get(event="APPROVE")
    assert event.actor == "rita, asked by tara"


def test_the_limit_itself_needs_nobody(account, intent, maker):
    approval_above(account, 2800)
    assert services.place(intent(quantity=2), maker, Source.ADMIN).status == "APPROVED"


def test_what_risk_refuses_is_not_worth_asking(account, intent, maker):
    approval_above(account, 2000)
    order = services.place(intent(quantity=900), maker, Source.ADMIN)
    assert order.status == "DENIED"
    switch.halt(account.name, "x", "x")
    assert services.place(intent(quantity=2), maker, Source.ADMIN).status == "DENIED"
    assert not Approval.objects.exists()


def test_halted_since_it_was_asked_is_denied(large, rita, account):
    switch.halt(account.name, "news", "x")
    done = say(large, rita)
    assert done.result.startswith("denied")
    assert large.status == "DENIED"
    assert not Permit.objects.exists()


def test_a_limit_tightened_since_is_in_force(large, rita, account):
    policy = approval_above(account, 2000)
    fields = {f.name: getattr(policy, f.name) for f in policy._meta.fields if f.name != "id"}
    fields |= {"version": policy.version + 1, "max_order_value": Decimal(2500)}
    type(policy).objects.create(**fields)
    say(large, rita)
    assert large.status == "DENIED"


def test_refused_with_the_persons_reason(large, rita):
    say(large, rita, answer=False)
    assert (large.status, large.reason) == ("DENIED", "rita refused: fine with me")


def test_nobody_decides_their_own(large, tara, owner, account, intent):
    with pytest.raises(approvals.NotAllowed):
        say(large, tara)
    own = services.place(intent(quantity=2), Actor(name="otto", user=owner), Source.ADMIN)
    with pytest.raises(approvals.NotAllowed):
        say(own, owner)


def test_it_lapses_when_nobody_decides(large, rita):
    with time_machine.travel(timezone.now() + timedelta(minutes=10, seconds=1)):
        sweep()
    large.refresh_from_db()
    assert large.status == "LAPSED"
    with pytest.raises(approvals.NotOpen):
        say(large, rita)


def test_its_maker_takes_it_back(large, tara, rita):
    services.cancel(large, Actor(name="tara", user=tara), "changed my mind")
    large.refresh_from_db()
    assert large.status == "CANCELLED"
    assert approval_of(large).decision == "WITHDRAWN"
    with pytest.raises(approvals.NotOpen):
        say(large, rita)
    with pytest.raises(TooLate):
        services.cancel(large, Actor(name="tara", user=tara), "again")


def test_rights_lost_between_approval_and_execution(large, tara, rita):
    approvals.record(approval_of(large).pk, rita, "fine", approve=True)
    tara.groups.clear()
    approvals.carry_out(approval_of(large).pk)
    large.refresh_from_db()
    assert large.status == "DENIED"
    assert "tara may no longer" in large.reason
    assert not Permit.objects.exists()


def test_an_order_that_is_not_the_one_approved_is_denied(large, rita):
    approvals.record(approval_of(large).pk, rita, "fine", approve=True)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_order SET quantity = 3 WHERE id = %s", [large.pk])
    approvals.carry_out(approval_of(large).pk)
    large.refresh_from_db()
    assert large.status == "DENIED"


def test_a_program_alone_cannot_ask(account, intent, trader):
    approval_above(account, 2000)
    order = services.place(intent(quantity=2), trader, Source.COMMAND)
    assert order.status == "DENIED"
    assert "nobody can be the second" in order.reason


def test_an_exit_never_waits(account, intent, maker, exchange):
    entry = services.place(intent(quantity=2), maker, Source.ADMIN)
    dispatch(entry.pk)
    entry.refresh_from_db()
    exchange.control("fill", orderId=entry.broker_order_id)
    approval_above(account, 1)
    leave = intent(quantity=2, side=Side.SELL, intent=Intent.EXIT)
    assert services.place(leave, maker, Source.ADMIN).status == "APPROVED"


def test_new_terms_do_not_get_around_it(account, intent, maker, rita):
    approval_above(account, 2000)
    order = services.place(intent(quantity=1), maker, Source.ADMIN)
    dispatch(order.pk)
    order.refresh_from_db()
    larger = services.modify(order, maker, "more", quantity=2)
    assert larger.status == "DENIED"
    assert "second person" in larger.reason


def test_an_approval_covers_smaller_terms_and_no_larger_ones(large, rita, maker):
    say(large, rita)
    dispatch(large.pk)
    large.refresh_from_db()
    assert services.modify(large, maker, "x", price=Decimal(1401)).status == "DENIED"
    assert services.modify(large, maker, "x", quantity=3).status == "DENIED"
    assert services.modify(large, maker, "x", price=Decimal(1399)).status == "APPROVED"


def test_the_status_alone_opens_no_broker(large, exchange):
    """Even a row forced to APPROVED has no decision that allows it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_order SET status = 'APPROVED', decide_by = now() + interval '1 minute'"
            " WHERE id = %s",
            [large.pk],
        )
    dispatch(large.pk)
    assert exchange.report()["orders"] == 0


def test_the_pages_show_and_decide_it(large, tara, rita):
    page = entered(rita).get("/admin/approvals/").content.decode()
    assert "BUY 2 RELIANCE at 1400" in page
    assert "₹2800" in page
    assert "tara" in page
    yes = {"answer": "approve", "reason": "fine"}
    entered(rita).post(f"/admin/approvals/{approval_of(large).pk}/decide/", yes)
    large.refresh_from_db()
    assert large.status == "APPROVED"
    shown = entered(tara).get(f"/admin/live/order/{large.pk}/").content.decode()
    assert "A second person is asked" in shown


def test_placing_by_command_as_somebody(account, reliance, tara, viewer):
    approval_above(account, 2000)
    words = ["place_order", account.name, "--instrument", "RELIANCE", "--side", "BUY"]
    words += ["--quantity", "2", "--price", "1400"]
    with pytest.raises(CommandError, match="may not"):
        call_command(*words, "--as", "victor")
    assert not Order.objects.exists()
    call_command(*words, "--as", "tara")
    order = Order.objects.get()
    assert (order.status, order.user) == ("AWAITING_APPROVAL", tara)
    with pytest.raises(CommandError, match="may not"):
        call_command("cancel_order", order.correlation_id, "--as", "victor")
    call_command("cancel_order", order.correlation_id, "--as", "tara")
    order.refresh_from_db()
    assert order.status == "CANCELLED"
