"""The judge, held against rows and reports with every flaw that it must find."""

from __future__ import annotations

import time

import pytest
from django.db import connection

from apps.orders import services
from apps.orders.lifecycle import Happening, apply
from apps.orders.models import Order, Source
from apps.orders.reconcile import reconcile
from apps.orders.states import Event
from apps.risk.models import Hold
from tests.chaos.judge import Judge, Verdict
from tests.orders.telling import sent, settled, swept_until
from tests.orders.test_outside_orders import made_outside

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
ZEROS = {"doubled": 0, "lost": 0, "unproven": 0, "unknown": 0, "holds_leaked": 0}


@pytest.fixture
def placed(intent, trader, no_bells, account):
    """Orders asked for under a mark, at the exchange."""

    def make(mark="one", **different):
        wanted = intent(strategy=mark, **different)
        order = sent(services.place(wanted, trader, Source.SYSTEM, request_key=mark))
        settled(account)
        order.refresh_from_db()
        return order

    return make


@pytest.fixture
def judged(exchange, account):
    """The verdict on everything, with a report that the test may spoil."""

    def judge(answered=None, spoil=lambda accepted: None, asked=1):
        report = exchange.report()
        spoil(report["accepted"])
        return Judge(report, {account.client_id}).verdict(asked, answered or {})

    return judge


def counts(verdict, **wrong):
    found = {name: getattr(verdict, name) for name in ZEROS}
    assert found == ZEROS | wrong, verdict.notes
    return True


def test_what_is_right_is_clean(placed, judged, exchange, account):
    placed("one")
    order = placed("two", quantity=3)
    exchange.control("fill", orderId=order.broker_order_id)
    settled(account)
    verdict = judged({"one": "one", "two": "two"}, asked=2)
    assert (verdict.sendable, verdict.placed, verdict.accepted, verdict.known) == (2, 2, 2, 2)
    assert counts(verdict)
    assert verdict.clean
    assert verdict.line == (
        "asked=2 sendable=2 placed=2 accepted=2 known=2 kills=0 faults=0 "
        "doubled=0 lost=0 unproven=0 unknown=0 holds_leaked=0 "
        "exits=0 goals=0 crossed=0 breaks=0 external=0 unclosed=0 miscounted=0"
    )


def test_sent_twice_is_doubled(placed, judged):
    order = placed()

    def twice(accepted):
        accepted[order.correlation_id] *= 2

    assert counts(judged(spoil=twice), doubled=1)


def test_one_ask_that_became_two_orders_is_doubled(placed, judged, intent, trader):
    placed()
    services.place(intent(strategy="one", quantity=0), trader, Source.SYSTEM)
    assert judged().doubled == 1


def test_an_order_that_only_the_exchange_has_is_lost(placed, judged):
    placed()

    def another(accepted):
        (row,) = next(iter(accepted.values()))
        accepted["stranger"] = [row | {"orderId": "99"}]

    verdict = judged(spoil=another)
    assert counts(verdict, lost=1)
    assert (verdict.accepted, verdict.known) == (2, 1)


def test_an_order_that_only_we_have_is_lost(placed, judged):
    placed()
    assert judged(spoil=dict.clear).lost == 1


def test_an_order_under_another_name_is_lost(placed, judged):
    order = placed()

    def renamed(accepted):
        accepted[order.correlation_id][0]["orderId"] = "99"

    verdict = judged(spoil=renamed)
    assert (verdict.lost, verdict.known) == (1, 0)


def test_what_was_answered_for_and_is_nowhere_is_lost(placed, judged):
    placed()
    assert counts(judged({"one": "one", "two": "two"}), lost=1)


def test_a_status_other_than_the_exchanges_is_unknown(placed, judged):
    order = placed()

    def filled(accepted):
        accepted[order.correlation_id][0] |= {"orderStatus": "TRADED", "filledQty": 1}

    assert counts(judged(spoil=filled), unknown=1)


@pytest.mark.parametrize("field", [{"quantity": 2}, {"price": 1401.0}, {"filledQty": 1}])
def test_terms_or_fills_other_than_the_exchanges_are_unknown(placed, judged, field):
    order = placed()

    def changed(accepted):
        accepted[order.correlation_id][0] |= field

    assert judged(spoil=changed).unknown == 1


def test_an_order_in_doubt_is_unknown(placed, judged, exchange):
    exchange.fault("hang", "place", times=1, seconds=2)
    order = placed()
    assert order.status == "UNKNOWN"
    assert counts(judged(), unknown=1)


def test_an_end_without_proof_is_unproven(placed, judged):
    order = placed()
    apply(order.pk, Happening(event=Event.CANCEL, origin="desk", key="CANCEL|x"))

    def cancelled(accepted):
        accepted[order.correlation_id][0]["orderStatus"] = "CANCELLED"

    assert counts(judged(spoil=cancelled), unproven=1)


def test_a_proof_of_absence_that_the_exchange_contradicts_is_unproven(placed, judged, exchange):
    first = placed("first")
    exchange.fault("drop_before_accept", "place", times=1)
    order = swept_until(placed(), "NEVER_ARRIVED")

    def there_after_all(accepted):
        (row,) = accepted[first.correlation_id]
        accepted[order.correlation_id] = [row | {"orderId": "99"}]

    assert judged().unproven == 0
    assert judged(spoil=there_after_all).unproven == 1


def test_an_order_that_came_after_its_time_is_unproven(placed, judged, settings):
    order = placed()

    def late(accepted):
        accepted[order.correlation_id][0]["acceptedAt"] = "2126-01-01T00:00:00+05:30"

    assert counts(judged(spoil=late), unproven=1)


@pytest.mark.parametrize("columns", ["released_at = now()", "quantity = 2", "filled = 1"])
def test_a_hold_other_than_the_remainder_is_leaked(placed, judged, columns):
    order = placed()
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE risk_hold SET {columns} WHERE correlation_id = %s", [order.correlation_id]
        )
    assert counts(judged(), holds_leaked=1)


def test_a_hold_of_an_order_that_is_over_is_leaked(placed, judged, intent, trader):
    services.cancel(services.place(intent(), trader, Source.SYSTEM), trader, "no")
    placed()
    assert counts(judged())
    over = Order.objects.get(status="CANCELLED")
    Hold.objects.filter(correlation_id=over.correlation_id).update(released_at=None)
    assert counts(judged(), holds_leaked=1)


def test_what_lapsed_for_lack_of_budget_was_not_sendable(placed, intent, trader, settings, judged):
    placed()
    settings.DECISION_LIFETIME = 0.05
    order = services.place(intent(), trader, Source.SYSTEM)
    apply(order.pk, Happening(event=Event.NOTE, origin="gate", text="waiting for the rate budget"))
    time.sleep(0.1)
    apply(order.pk, Happening(event=Event.LAPSE, origin="sweep", text="too late"))
    other = services.place(intent(), trader, Source.SYSTEM)
    time.sleep(0.1)
    apply(other.pk, Happening(event=Event.LAPSE, origin="sweep", text="too late"))
    verdict = judged()
    assert (verdict.sendable, verdict.placed) == (2, 1)
    assert not verdict.clean  # half of what could be sent is too little


@pytest.mark.parametrize(
    ("sendable", "placed", "clean"), [(10, 9, True), (10, 8, False), (0, 0, False)]
)
def test_a_run_that_placed_too_little_proves_too_little(sendable, placed, clean):
    assert Verdict(sendable=sendable, placed=placed).clean is clean


@pytest.fixture
def by_hand(exchange, account, reliance):
    """An order made at the broker's own app, imported."""
    broker_id = made_outside(account, exchange)
    reconcile(account)
    return Order.objects.get(broker_order_id=broker_id)


def test_an_order_made_outside_is_known_by_the_brokers_name(by_hand, placed, judged):
    placed()
    verdict = judged()
    assert counts(verdict)
    assert (verdict.accepted, verdict.known) == (2, 2)


def test_an_order_made_outside_without_a_row_is_lost(exchange, account, reliance, placed, judged):
    placed()
    made_outside(account, exchange)
    assert counts(judged(), lost=1)


def test_a_leaked_hold_of_an_order_made_outside_is_found(by_hand, placed, judged):
    placed()
    Hold.objects.filter(correlation_id=by_hand.correlation_id).update(filled=1)
    assert counts(judged(), holds_leaked=1)
