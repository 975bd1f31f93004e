"""Words and rows that no code of ours writes, refused by the database itself."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, InternalError, connection
from django.db.utils import ProgrammingError
from django.utils import timezone

from apps.brokers.models import BrokerAccount, WireCall
from apps.orders import services
from apps.orders.models import Modification, Order
from apps.risk.models import Decision, Hold, Permit
from tests.orders.telling import sent

pytestmark = pytest.mark.django_db(transaction=True)
REFUSED = (IntegrityError, InternalError, ProgrammingError)


def written(order: Order, **columns: Any) -> WireCall:
    now = timezone.now()
    fields = {
        "account": order.account,
        "verb": "PLACE",
        "what": "test",
        "budget": "ORDER",
        "correlation_id": order.correlation_id,
        "send_by": now,
        "boot_at": 0.0,
    }
    return WireCall.objects.create(**(fields | columns))


def permit_of(action: str) -> UUID:
    return Permit.objects.get(decision__action=action).pk


@pytest.fixture
def change(working, trader) -> Modification:
    return services.modify(working(quantity=5), trader, "more", quantity=7)


@pytest.mark.parametrize("outcome", ["NOT_SENT", "ACCEPTED", "REFUSED"])
def test_a_placement_is_not_written_down_when_it_is_over_already(order, outcome):
    with pytest.raises(REFUSED, match="before it leaves"):
        written(order, permit=permit_of("PLACE"), outcome=outcome)


def test_a_placement_is_not_written_down_after_it_left(order):
    with pytest.raises(REFUSED, match="before it leaves"):
        written(order, permit=permit_of("PLACE"), sent_at=timezone.now())


def test_the_permit_of_a_placement_allows_no_change(order):
    with pytest.raises(REFUSED, match="does not allow this"):
        written(order, verb="MODIFY", permit=permit_of("PLACE"))


def test_the_permit_of_a_change_allows_no_placement(change):
    with pytest.raises(REFUSED, match="does not allow this"):
        written(change.order, permit=permit_of("MODIFY"))
    assert written(change.order, verb="MODIFY", permit=permit_of("MODIFY")).pk


def test_the_permit_of_a_decision_that_expired_allows_nothing(order):
    decision = Decision.objects.create(
        correlation_id=order.correlation_id,
        account=order.account,
        action="PLACE",
        allowed=True,
        request={},
        inputs={},
        expires_at=timezone.now() - dt.timedelta(seconds=1),
    )
    permit = Permit.objects.create(decision=decision, correlation_id=order.correlation_id)
    with pytest.raises(REFUSED, match="does not allow this"):
        written(order, permit=permit.pk)


@pytest.mark.parametrize("verb", ["CANCEL", "PLACE"])
def test_the_order_of_another_account_is_refused(order, make_account, verb):
    other = make_account("beta", "1000000002")
    permit = permit_of("PLACE") if verb == "PLACE" else None
    with pytest.raises(REFUSED, match="is not of this account"):
        written(order, verb=verb, account=other, permit=permit)


@pytest.mark.parametrize("verb", ["place", "Place", "SLICE", ""])
def test_an_unknown_verb_is_refused(order, verb):
    with pytest.raises(IntegrityError, match="words_of_the_journal"):
        written(order, verb=verb, permit=permit_of("PLACE"))


@pytest.mark.parametrize("outcome", ["not_sent", "DONE", " "])
def test_an_unknown_outcome_is_refused(order, outcome):
    call = written(order, permit=permit_of("PLACE"))
    with pytest.raises(IntegrityError, match="words_of_the_journal"):
        WireCall.objects.filter(pk=call.pk).update(outcome=outcome)


@pytest.mark.parametrize("name", ["7", ""])
def test_the_brokers_name_of_an_order_never_changes(order, exchange, name):
    assert sent(order).broker_order_id
    with pytest.raises(REFUSED, match="keeps its names"):
        Order.objects.filter(pk=order.pk).update(broker_order_id=name)


def test_an_order_keeps_its_own_name_and_its_account(order, make_account):
    other = make_account("beta", "1000000002")
    for column, value in (("correlation_id", "f" * 20), ("account", other)):
        with pytest.raises(REFUSED, match="keeps its names"):
            Order.objects.filter(pk=order.pk).update(**{column: value})


def test_a_hold_is_never_deleted(order):
    with pytest.raises(REFUSED, match="history"):
        Hold.objects.all().delete()


def test_an_account_is_never_renamed_even_before_it_has_spoken(make_account):
    quiet = make_account("gamma", "1000000003")
    assert not quiet.wire_calls.exists()
    with pytest.raises(REFUSED, match="keeps its name"):
        BrokerAccount.objects.filter(pk=quiet.pk).update(name="delta")


def test_raw_sql_is_refused_alike(order, exchange):
    sent(order)
    for sql in (
        "UPDATE orders_order SET broker_order_id = '7'",
        "DELETE FROM risk_hold",
        "UPDATE brokers_brokeraccount SET name = 'delta'",
    ):
        with pytest.raises(REFUSED), connection.cursor() as cursor:
            cursor.execute(sql)
