"""The database refuses what the code must never do, whoever asks it to."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError, InternalError, connection, transaction
from django.db.utils import ProgrammingError

from apps.brokers.journal import forget_old_reads, open_call
from apps.brokers.models import BrokerAccount, Verb, WireCall
from apps.orders import services
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source
from apps.risk.models import Decision, Permit

pytestmark = pytest.mark.django_db(transaction=True)
REFUSED = (IntegrityError, InternalError, ProgrammingError)


@pytest.fixture
def order(intent, trader, no_bells) -> Order:
    return services.place(intent(), trader, Source.COMMAND)


def write_place(order: Order, permit: uuid.UUID | None) -> WireCall:
    return open_call(
        order.account,
        Verb.PLACE,
        "place order",
        budget="ORDER",
        correlation_id=order.correlation_id,
        permit=permit,
    )


def test_a_placement_without_a_permit_is_refused(order):
    with pytest.raises(IntegrityError, match="placing_needs_a_permit"):
        write_place(order, None)


def test_an_invented_permit_is_refused(order):
    with pytest.raises(IntegrityError, match="wirecall_spends_a_permit_of_its_order"):
        write_place(order, uuid.uuid4())


def test_the_permit_of_another_order_is_refused(order, intent, trader):
    other = services.place(intent(quantity=2), trader, Source.COMMAND)
    permit = Permit.objects.get(correlation_id=other.correlation_id)
    with pytest.raises(IntegrityError, match="wirecall_spends_a_permit_of_its_order"):
        write_place(order, permit.pk)


def test_a_permit_is_spent_once(order):
    permit = Permit.objects.get(correlation_id=order.correlation_id)
    write_place(order, permit.pk)
    with pytest.raises(IntegrityError):
        write_place(order, permit.pk)


def test_a_second_placement_of_one_order_is_refused_even_with_a_fresh_permit(order, exchange):
    dispatch(order.pk)
    decision = Decision.objects.get(correlation_id=order.correlation_id)
    fresh = Permit.objects.create(decision=decision, correlation_id=order.correlation_id)
    with pytest.raises(IntegrityError, match="one_order_one_place"):
        write_place(order, fresh.pk)
    assert len(exchange.accepted(order.correlation_id)) == 1


def test_a_no_gives_no_permit(intent, trader, no_bells):
    denied = services.place(intent(quantity=0), trader, Source.COMMAND)
    decision = Decision.objects.get(correlation_id=denied.correlation_id)
    assert not decision.allowed
    with pytest.raises(REFUSED, match="no decision allows"):
        Permit.objects.create(decision=decision, correlation_id=denied.correlation_id)


def test_a_call_about_no_order_is_refused(order):
    with pytest.raises(REFUSED, match="is not of this account"):
        open_call(order.account, Verb.CANCEL, "cancel", budget="ORDER", correlation_id="f" * 20)


def test_an_account_that_has_spoken_keeps_its_identity(order, account):
    dispatch(order.pk)
    for column, value in (("rest_url", "https://api.dhan.co/v2"), ("client_id", "7")):
        with pytest.raises(REFUSED, match="identity is fixed"):
            BrokerAccount.objects.filter(pk=account.pk).update(**{column: value})


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize(
    "table", ["orders_orderevent", "risk_decision", "risk_permit", "risk_riskpolicy"]
)
def test_history_is_neither_changed_nor_deleted(order, table):
    with pytest.raises(REFUSED, match="history"):
        run(f"UPDATE {table} SET id = id")
    with pytest.raises(REFUSED, match="history"):
        run(f"DELETE FROM {table}")


def test_an_order_is_never_deleted(order):
    with pytest.raises(REFUSED, match="history"):
        run("DELETE FROM orders_order")


def test_a_completed_call_is_never_rewritten(order):
    dispatch(order.pk)
    with pytest.raises(REFUSED, match="complete"):
        run("UPDATE brokers_wirecall SET outcome = 'NOT_SENT' WHERE verb = 'PLACE'")
    with pytest.raises(REFUSED, match="never deleted"):
        run("DELETE FROM brokers_wirecall")


def test_an_open_call_keeps_what_was_said(order):
    permit = Permit.objects.get(correlation_id=order.correlation_id)
    call = write_place(order, permit.pk)
    with pytest.raises(REFUSED, match="cannot change"), transaction.atomic():
        WireCall.objects.filter(pk=call.pk).update(request={"quantity": 50})


def test_only_old_reads_are_forgotten(order):
    dispatch(order.pk)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE brokers_wirecall DISABLE TRIGGER USER")
        cursor.execute("UPDATE brokers_wirecall SET created_at = now() - interval '40 days'")
        cursor.execute("ALTER TABLE brokers_wirecall ENABLE TRIGGER USER")
    recent = open_call(order.account, Verb.READ, "order book", budget="READ")
    assert forget_old_reads() >= 1
    assert set(WireCall.objects.values_list("verb", flat=True)) == {"PLACE", "READ"}
    assert list(WireCall.objects.filter(verb="READ")) == [recent]
    with pytest.raises(REFUSED, match="never deleted"):
        run(f"DELETE FROM brokers_wirecall WHERE id = {recent.pk}")
