"""Every way to end, each proved by the query that the document names, and by no other."""

from __future__ import annotations

import time
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from apps.brokers.models import Instrument
from apps.orders import cancels, releasing, services
from apps.orders.endings import ENDINGS
from apps.orders.lifecycle import Happening, apply
from apps.orders.models import Order
from apps.orders.states import TERMINAL, TRANSITIONS, Event
from apps.people import roles
from apps.risk import approvals, switch
from tests.legacy.past import Past
from tests.legacy.past import order as past_order
from tests.orders.sweeping import sweep_and_send
from tests.orders.telling import sent, settled, swept_until
from tests.people.conftest import member

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def filled(working, exchange, account):
    order = working(quantity=3)
    exchange.control("fill", orderId=order.broker_order_id)
    settled(account)
    return order


@pytest.fixture
def cancelled(working, trader, account):
    order = working()
    services.cancel(order, trader, "enough")
    cancels.send_cancel(order.pk)
    settled(account)
    return order


@pytest.fixture
def withdrawn(order, trader):
    return services.cancel(order, trader, "never mind")


@pytest.fixture
def expired(working, exchange, account):
    order = working()
    exchange.control("expire", orderId=order.broker_order_id)
    settled(account)
    return order


@pytest.fixture
def refused(place):
    """The broker does not know the instrument, and says so in its answer."""
    stranger = Instrument.objects.create(
        segment="NSE_EQ", security_id="999999", symbol="GHOST", kind="EQUITY",
        lot_size=1, tick_size=Decimal("0.05"),
    )  # fmt: skip
    return sent(place(instrument=stranger))


@pytest.fixture
def rejected(place, exchange, account):
    exchange.fault("reject_later", "place", times=1)
    order = sent(place())
    assert order.status == "SUBMITTED"
    settled(account)
    return order


@pytest.fixture
def denied(place):
    return place(quantity=0)


@pytest.fixture
def stopped(order, account):
    switch.halt(account.name, "wrong prices", "risk")
    return sent(order)


@pytest.fixture
def lapsed(settings, place):
    settings.DECISION_LIFETIME = 0.05
    order = place()
    time.sleep(0.1)
    sweep_and_send()
    return order


@pytest.fixture
def absent(order, exchange):
    exchange.fault("drop_before_accept", "place", times=1)
    return swept_until(sent(order), "NEVER_ARRIVED")


@pytest.fixture
def released(order, exchange, settings):
    """In doubt while the books cannot be read, until two people end it."""
    settings.RELEASE_AFTER = settings.RELEASE_UNREAD_AFTER = 0
    exchange.fault("drop_before_accept", "place", times=1)
    exchange.fault("http_500", "book")
    lost = sent(order)
    tara, rita = member("tara", roles.TRADER), member("rita", roles.RISK)
    asked = releasing.ask(lost, tara, "not in the broker's statement")
    approvals.decide(asked.pk, rita, "seen it too", approve=True)
    return lost


@pytest.fixture
def imported(account, reliance, tmp_path):
    """An order that another system's file brought."""
    path = Past(tmp_path / "copy.sqlite3").orders(past_order("1")).done()
    leader = f"leader={account.name}"
    call_command("migrate_bo_schema", str(path), "--map", leader, stdout=StringIO())
    return Order.every.get()


WAYS = (
    "filled", "cancelled", "withdrawn", "expired", "refused", "rejected", "denied", "stopped",
    "lapsed", "absent", "released", "imported",
)  # fmt: skip


def proved(order: Order) -> list[int]:
    """The numbers of the queries that list the order."""
    found = []
    for number, ending in enumerate(ENDINGS):
        with connection.cursor() as cursor:
            cursor.execute(f"{ending.sql} AND o.correlation_id = %s", [order.correlation_id])
            if cursor.fetchall():
                found.append(number)
    return found


@pytest.mark.parametrize(("number", "way"), list(enumerate(WAYS)))
def test_each_way_to_end_is_proved_by_its_own_query(number, way, request):
    order = request.getfixturevalue(way)
    order.refresh_from_db()
    assert order.status == ENDINGS[number].status
    assert proved(order) == [number]


def test_a_working_order_is_in_no_query(working):
    assert proved(working()) == []


def test_an_end_without_the_brokers_message_is_not_proved(working):
    order = working()
    assert apply(order.pk, Happening(event=Event.CANCEL, origin="look", key="CANCEL|x"))
    assert Order.objects.get(pk=order.pk).status == "CANCELLED"
    assert proved(order) == []


def test_absence_without_the_books_it_speaks_of_is_not_proved(order, exchange):
    exchange.fault("drop_before_accept", "place", times=1)
    text = "never arrived: absent from a complete book of 0 orders begun at 10:00:00.000000"
    for event in (Event.NOTE, Event.PROVE_ABSENT):
        apply(sent(order).pk, Happening(event=event, origin="look", text=text))
    assert Order.objects.get(pk=order.pk).status == "NEVER_ARRIVED"
    assert proved(order) == []


def test_a_lapse_after_a_call_that_may_have_left_is_not_proved(order, exchange):
    exchange.fault("hang", "place", times=1, accept=True, seconds=2)
    unknown = sent(order)
    assert unknown.status == "UNKNOWN"
    with connection.cursor() as cursor:  # as no code of ours leaves it
        cursor.execute("UPDATE orders_order SET status = 'APPROVED', decide_by = now()")
    apply(order.pk, Happening(event=Event.LAPSE, origin="sweep", text="too late"))
    assert proved(order) == []


def test_every_step_to_an_end_has_an_ending():
    known = {(ending.status, event) for ending in ENDINGS for event in ending.events}
    ends = {(to, event) for (at, event), to in TRANSITIONS.items() if to in TERMINAL and at != to}
    assert ends == known
    assert len(ENDINGS) == len(WAYS) == 12
