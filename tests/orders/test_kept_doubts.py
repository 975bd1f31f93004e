"""What may go wrong between a broker that keeps the legs and the desk that counts them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
import requests
from django.db import connection

from apps.alerts.models import Alert
from apps.brokers.dhan.natives import id_to_cancel
from apps.brokers.dhan.reporting import DhanReporting
from apps.brokers.models import Verb, WireCall
from apps.brokers.port import BracketKind, BrokerState, Known, LegAddress, LegName, OrderReport
from apps.orders import brackets, changes, kept_legs, killing, services, trimming
from apps.orders.bracket_guard import patience, tend
from apps.orders.bracket_machine import Part
from apps.orders.ingest import apply_report
from apps.orders.models import Bracket, Break, Change, Order
from apps.orders.reconcile import reconcile
from apps.risk.models import Hold
from tests.orders import closing, test_killing
from tests.orders.bracketing import is_held, is_over, newest, one_pass, status_of, until
from tests.orders.closing import held
from tests.orders.test_kept_brackets import entered, leg_frame, place  # noqa: F401 - fixtures

# ruff: noqa: F811 - fixtures of the neighbour's are arguments here
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture(params=["classic", "portal"])
def only_in_the_list(request, exchange, monkeypatch):
    """The order book shows no legs; the other list does, under no ids of their own."""
    exchange.control("super", leg_ids="shared", details=request.param)
    real = DhanReporting.order_book

    def book(self):
        known = real(self)
        rows = [row for row in known.value if row.part not in kept_legs.EXITS]
        return Known(rows, known.as_of)

    monkeypatch.setattr(DhanReporting, "order_book", book)


@pytest.fixture
def filled_in_part(place, fill, market, exchange) -> Callable[[int], Bracket]:
    def make(units: int) -> Bracket:
        exchange.control("auto", on=False)
        bracket = place()
        fill(newest(bracket, Part.ENTRY), units, 1405)
        until(bracket, lambda: status_of(bracket, "STOP_LOSS") == "WORKING")
        return bracket

    return make


def all_of_it(entry: Order) -> OrderReport:
    return OrderReport(
        broker_order_id=entry.broker_order_id,
        state=BrokerState.FILLED,
        state_word="Traded",
        quantity=10,
        filled_quantity=10,
        leg=True,
        part=LegName.ENTRY,
    )


def test_legs_grow_where_the_list_alone_shows_them(only_in_the_list, filled_in_part, fill):
    bracket = filled_in_part(3)
    fill(newest(bracket, Part.ENTRY), 7, 1405)
    until(
        bracket,
        lambda: {newest(bracket, part).quantity for part in (Part.STOP_LOSS, Part.TARGET)} == {10},
    )
    for _ in range(3):
        one_pass(bracket)
    assert {order.kept for order in Order.objects.all()} == {"SUPER"}


def test_a_new_stop_is_asked_for_once_where_the_list_alone_shows_it(
    only_in_the_list,
    entered,
    trader,
):
    bracket = entered()
    brackets.change(bracket, trader, "closer", stop_price=Decimal(1385))
    until(bracket, lambda: newest(bracket, Part.STOP_LOSS).trigger_price == 1385)
    for _ in range(5):
        one_pass(bracket)
    assert [change.status for change in newest(bracket, Part.STOP_LOSS).modifications.all()] == [
        "APPLIED"
    ]


def test_a_cut_off_leg_of_the_list_alone_holds_nothing_back(
    only_in_the_list, filled_in_part, trader, account, exchange
):
    bracket = filled_in_part(4)
    services.cancel(newest(bracket, Part.ENTRY), trader, "no more")
    until(bracket, lambda: newest(bracket, Part.ENTRY).over and is_held(bracket)())
    until(bracket, lambda: not Hold.objects.filter(fills_known=False).exists())
    exchange.control("auto", on=True)
    closing.reached(account, closing.ask(account, bracket.instrument, trader))
    assert held(account) == 0


def test_books_are_read_without_the_list_of_super_orders(
    place,
    fill,
    market,
    account,
    exchange,
):
    exchange.control("auto", on=False)
    bracket = place()
    exchange.fault("http_500", "super_book", times=1000)
    entry = newest(bracket, Part.ENTRY)
    fill(entry, 10, 1405)
    until(bracket, lambda: newest(bracket, Part.ENTRY).filled_quantity == 10)
    until(bracket, is_held(bracket))
    assert Alert.objects.get(key=f"super-orders:{account.name}").acknowledged_at is None
    assert not Break.objects.filter(resolution="").exists()


def test_a_refused_change_leaves_legs_held_for_all_that_has_filled(filled_in_part, account, trader):
    bracket = filled_in_part(3)
    stop, target = newest(bracket, Part.STOP_LOSS), newest(bracket, Part.TARGET)
    asked = [
        services.modify(stop, trader, "closer", trigger_price=Decimal(1385)),
        services.modify(target, trader, "closer", price=Decimal(1440)),
    ]
    apply_report(account, all_of_it(newest(bracket, Part.ENTRY)), "feed")
    for change in asked:
        changes._finish(change, Change.REFUSED, "no")
    legs = Hold.objects.filter(group=bracket.name)
    assert [hold.quantity for hold in legs] == [10, 10]


def test_news_of_entry_and_leg_at_once_do_not_wait_for_each_other(
    filled_in_part, account, monkeypatch
):
    bracket = filled_in_part(3)
    entry, stop = newest(bracket, Part.ENTRY), newest(bracket, Part.STOP_LOSS)
    counted, errors = threading.Event(), []
    real = kept_legs._cover

    def cover(order: Order) -> None:
        counted.set()
        time.sleep(0.6)
        real(order)

    def hear(report: OrderReport) -> None:
        try:
            apply_report(account, report, "feed")
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must tell
            errors.append(repr(error))
        finally:
            connection.close()

    monkeypatch.setattr(kept_legs, "_cover", cover)
    news = leg_frame(
        entry,
        LegName.STOP_LOSS,
        stop.broker_order_id,
        state=BrokerState.PARTIALLY_FILLED,
        quantity=3,
        filled_quantity=1,
    )
    first = threading.Thread(target=hear, args=[all_of_it(entry)])
    second = threading.Thread(target=hear, args=[news])
    first.start()
    assert counted.wait(5)
    second.start()
    first.join()
    second.join()
    assert errors == []
    stop.refresh_from_db()
    assert stop.filled_quantity == 1
    assert {hold.quantity for hold in Hold.objects.filter(group=bracket.name)} == {10}


def test_a_stop_that_people_lower_stays_where_they_put_it(
    entered,
    market,
    trader,
    heard,
):
    bracket = entered(trailing_jump=Decimal(5))
    market(1411)
    until(bracket, lambda: _fresh(bracket).stop_price == 1390)
    heard(1411)
    brackets.change(bracket, trader, "room", stop_price=Decimal(1385))
    for _ in range(4):
        heard(1411)
        one_pass(bracket)
    until(bracket, lambda: newest(bracket, Part.STOP_LOSS).trigger_price == 1385)
    assert _fresh(bracket).stop_price == 1385
    market(1417)
    until(bracket, lambda: _fresh(bracket).stop_price == 1390)


def _fresh(bracket: Bracket) -> Bracket:
    bracket.refresh_from_db()
    return bracket


def test_a_stop_that_the_price_has_left_behind_is_not_waited_for(
    entered,
    heard,
    settings,
    exchange,
    account,
):
    settings.BRACKET_GAP_FOR, settings.BRACKET_BROKER_TIME = 0.3, 0.3
    bracket = entered()
    assert patience().gap_for == 0.3

    def is_left() -> bool:
        heard(1300)
        tend(bracket.pk)
        return _fresh(bracket).leaving_at is not None

    until(bracket, is_left)
    assert bracket.reason == "the price went past the stop's limit"
    until(bracket, is_over(bracket))
    assert held(account) == 0


def test_an_id_of_its_own_agrees_with_a_list_that_has_none(entered, account):
    bracket = entered()
    own = leg_frame(newest(bracket, Part.ENTRY), LegName.STOP_LOSS, "77")
    apply_report(account, own, "feed")
    for _ in range(4):
        reconcile(account)
    assert newest(bracket, Part.STOP_LOSS).broker_order_id == "77"
    assert list(Break.objects.filter(resolution="")) == []


@pytest.mark.parametrize("name", ["", "123", "123/TARGET"])
def test_a_leg_without_an_id_is_not_cancelled_by_its_entrys(name):
    target = LegAddress(kind=BracketKind.NATIVE, whole_id="123", leg=LegName.TARGET)
    with pytest.raises(ValueError, match="no id of its own"):
        id_to_cancel(name, target)


def test_a_super_order_that_never_left_asks_for_no_list(place, account):
    bracket = place(quantity=10**6)
    assert newest(bracket, Part.ENTRY).status == "DENIED"
    reconcile(account)
    assert not WireCall.objects.filter(verb=Verb.READ, what="super orders").exists()


@pytest.mark.parametrize(("with_positions", "left"), [(True, 0), (False, 10)], ids=str)
def test_the_kill_switch_takes_kept_legs_away(entered, account, trader, with_positions, left):
    bracket = entered()
    row = test_killing.kill(account, trader, with_positions=with_positions)
    test_killing.gone_through(row, "LOCKED", seconds=30)
    assert not Order.objects.alive().exists()
    assert held(account) == left
    tend(bracket.pk)
    assert not Order.objects.alive().exists()


@pytest.mark.parametrize(("sold", "left"), [(4, 6), (10, 0)], ids=str)
def test_what_people_sell_at_the_broker_is_not_left_twice(entered, exchange, account, sold, left):
    bracket = entered()
    answer = exchange.control(
        "hand",
        client_id=account.client_id,
        transactionType="SELL",
        exchangeSegment="NSE_EQ",
        securityId="2885",
        productType="INTRADAY",
        orderType="MARKET",
        quantity=sold,
        fill=True,
    )
    assert answer["orderStatus"] == "TRADED"

    def is_in_step() -> bool:
        trimming.trim_by_last_read(account)
        alive = Order.objects.alive().exclude(leg="ENTRY")
        return [order.open_quantity for order in alive] == ([left] * 2 if left else [])

    until(bracket, is_in_step, seconds=40)
    assert held(account) == left
    assert not Order.objects.alive().exclude(leg_of="").exists()  # nobody can shrink those


def test_a_leg_of_which_the_broker_tells_meanwhile_is_not_given_up(entered, account):
    stop = newest(entered(), Part.STOP_LOSS)
    assert stop.status == "OPEN"
    for _ in range(2):
        kept_legs._count_absence(stop.pk)
    stop.refresh_from_db()
    assert (stop.status, stop.absences) == ("OPEN", 0)


def test_the_kill_switch_proves_nothing_while_a_super_orders_stop_rests(
    only_in_the_list, market, account, trader, exchange
):
    """Made at the broker's own page, and its exits are in no order book."""
    headers = {"access-token": f"token-{account.client_id[-1]}"}
    asked = {
        "dhanClientId": account.client_id,
        "transactionType": "BUY",
        "exchangeSegment": "NSE_EQ",
        "productType": "INTRADAY",
        "orderType": "LIMIT",
        "securityId": "2885",
        "quantity": 10,
        "price": 1405,
        "targetPrice": 1430,
        "stopLossPrice": 1380,
        "trailingJump": 0,
    }
    made = requests.post(
        f"{exchange.rest_url}/super/orders", json=asked, headers=headers, timeout=5
    )
    assert made.status_code == 200, made.text
    order_id = made.json()["orderId"]
    row = test_killing.kill(account, trader, with_positions=False)
    deadline = time.monotonic() + 20
    while "at work at the broker" not in row.note:
        assert time.monotonic() < deadline, [str(note) for note in row.notes.all()]
        closing.one_pass(account)
        killing.advance(row.pk)
        row.refresh_from_db()
    assert f"{order_id}/STOP_LOSS" in row.note
    assert row.stage == "PROVING"
