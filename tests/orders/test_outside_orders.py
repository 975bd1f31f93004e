"""Orders made outside the desk: rows of their own, never mistaken for ours, cancelled at most."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import requests
from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers.dhan.reporting import DhanReporting
from apps.brokers.journal import close_call, open_call
from apps.brokers.models import Verb, WireCall
from apps.brokers.port import (
    BrokerState,
    Intent,
    Known,
    OrderReport,
    OrderType,
    Product,
    Segment,
    Side,
)
from apps.orders import outside, services
from apps.orders.cancels import send_cancel
from apps.orders.ingest import FEED, apply_report
from apps.orders.models import BooksRun, Break, Order, Source, Unattributed, trading_day
from apps.orders.reconcile import reconcile
from apps.risk.models import Hold, OwnedPosition, StateChange, TradingState
from tests.orders.telling import report, sent
from tests.orders.test_endings import proved
from tests.orders.test_what_the_database_refuses import permit_of, written

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def made_outside(account: Any, exchange: Any, **different: Any) -> str:
    """An order placed at the broker without the desk; the broker's id."""
    body = {
        "dhanClientId": account.client_id,
        "transactionType": "BUY",
        "exchangeSegment": "NSE_EQ",
        "productType": "INTRADAY",
        "orderType": "LIMIT",
        "validity": "DAY",
        "securityId": "2885",
        "quantity": 3,
        "price": 1390.5,
    }
    token = f"token-{account.client_id[-1]}"
    answer = requests.post(
        f"{exchange.rest_url}/orders",
        json=body | different,
        headers={"access-token": token, "client-id": account.client_id},
        timeout=5,
    )
    assert answer.status_code == 200, answer.text
    time.sleep(0.1)
    return str(answer.json()["orderId"])


def outside_orders() -> list[Order]:
    return list(Order.objects.filter(source="EXTERNAL"))


def stranger(broker_order_id: str = "900", **different: Any) -> OrderReport:
    """A complete row of the order book that names no order of ours."""
    fields: dict[str, Any] = {
        "broker_order_id": broker_order_id,
        "state": BrokerState.WORKING,
        "state_word": "PENDING",
        "segment": Segment.NSE_EQ,
        "security_id": "2885",
        "side": Side.SELL,
        "product": Product.INTRADAY,
        "order_type": OrderType.LIMIT,
        "quantity": 2,
        "filled_quantity": 0,
        "price": Decimal(1500),
        "raw": {"orderId": broker_order_id},
    }
    return OrderReport(**(fields | different))


@pytest.fixture
def shows(monkeypatch):
    """Let the order book show these rows."""

    def let(*reports: OrderReport) -> None:
        book = list(reports)
        monkeypatch.setattr(DhanReporting, "order_book", lambda self: Known(book, timezone.now()))

    return let


def test_an_order_of_the_brokers_app_gets_a_row(account, exchange, reliance):
    began = timezone.now()
    broker_id = made_outside(account, exchange)
    reconcile(account)
    (order,) = outside_orders()
    assert (order.broker_order_id, order.status) == (broker_id, "OPEN")
    assert (order.owner, order.quantity, order.price) == ("external", 3, Decimal("1390.5"))
    assert order.trading_day == trading_day()
    assert abs(order.submitted_at - began) < dt.timedelta(seconds=5)
    events = [event.event for event in order.events.all()]
    assert events == ["ADOPT", "WORK"]
    hold = Hold.objects.get(correlation_id=order.correlation_id)
    assert (hold.quantity, hold.side, hold.released_at) == (3, "BUY", None)


def test_it_lives_on_by_the_brokers_facts(account, exchange, reliance):
    broker_id = made_outside(account, exchange)
    reconcile(account)
    exchange.control("fill", orderId=broker_id)
    reconcile(account)
    (order,) = outside_orders()
    assert (order.status, order.filled_quantity) == ("FILLED", 3)
    assert order.fills.count() == 1
    assert Hold.objects.get(correlation_id=order.correlation_id).released_at is not None


def test_people_are_told_once(account, exchange, reliance):
    made_outside(account, exchange)
    for _ in range(3):
        reconcile(account)
    (alert,) = Alert.objects.filter(key__startswith="outside:")
    assert alert.times == 1


@pytest.mark.parametrize("policy", ["ALERT", "HALT"])
def test_the_policy_says_whether_it_halts_the_account_once(
    make_account, settings, exchange, reliance, policy
):
    settings.RISK_ON_OUTSIDE_TRADE = policy
    account = make_account()
    made_outside(account, exchange)
    reconcile(account)
    state = TradingState.objects.get(account=account)
    assert state.switch == ("HALTED" if policy == "HALT" else "ACTIVE")
    reconcile(account)
    assert StateChange.objects.filter(scope=account.name).count() == (policy == "HALT")


@pytest.fixture
def doubtful(place, exchange) -> Order:
    """An order of ours that the broker has, though its answer was lost."""
    exchange.fault("drop_after_accept", "place", times=1)
    order = sent(place())
    assert order.status == "UNKNOWN"
    return order


def test_while_an_order_is_in_doubt_nothing_is_imported_and_afterwards_it_is(
    doubtful, account, exchange, no_bells
):
    made_outside(account, exchange)
    reconcile(account)
    doubtful.refresh_from_db()
    assert (outside_orders(), doubtful.status) == ([], "OPEN")
    account.refresh_from_db()
    assert account.reconcile_wanted
    time.sleep(0.4)
    reconcile(account)
    (order,) = outside_orders()
    assert order.quantity == 3
    account.refresh_from_db()
    assert not account.reconcile_wanted


def test_a_doubt_of_an_earlier_day_hides_no_order_of_today(
    doubtful, account, exchange, reliance, no_bells
):
    Order.objects.update(trading_day=trading_day() - dt.timedelta(days=1))
    exchange.reset()
    time.sleep(0.4)
    made_outside(account, exchange)
    reconcile(account)
    assert len(outside_orders()) == 1
    doubtful.refresh_from_db()
    assert doubtful.status == "UNKNOWN"


def test_a_doubt_of_an_after_market_order_lasts_until_its_session_is_long_over(
    doubtful, account, shows, reliance
):
    time.sleep(0.4)
    shows(stranger())
    for days, imported in ((1, 0), (11, 1)):
        day = trading_day() - dt.timedelta(days=days)
        Order.objects.filter(pk=doubtful.pk).update(after_market=True, trading_day=day)
        reconcile(account)
        assert len(outside_orders()) == imported


def test_while_strangers_wait_everything_else_is_compared(
    working, place, account, exchange, shows, reliance
):
    known = working(quantity=2)
    exchange.fault("drop_after_accept", "place", times=1)
    assert sent(place()).status == "UNKNOWN"
    told = report(known, BrokerState.FILLED, quantity=2, filled_quantity=2)
    shows(stranger(state=BrokerState.FILLED, filled_quantity=2), told)
    BooksRun.objects.update(agreed_at=None)
    for _ in range(3):
        reconcile(account)
        time.sleep(0.35)
    assert outside_orders() == []
    assert [row.kind for row in Break.objects.all()] == ["FILL_MISSING"]
    assert BooksRun.objects.get(account=account).agreed_at is None


def test_a_stranger_that_turns_out_to_be_ours_is_merged(doubtful, account, shows):
    shows(stranger("900", side=Side.BUY, quantity=1, price=Decimal(1400)))
    reconcile(account)
    assert Unattributed.objects.get().order is None
    apply_report(account, report(doubtful, broker_order_id="900"), FEED)
    time.sleep(0.4)
    reconcile(account)
    assert outside_orders() == []
    assert Unattributed.objects.get().order == doubtful
    assert Alert.objects.filter(key__startswith="outside:").count() == 0


def test_a_placement_without_an_outcome_is_a_doubt(order, account, shows):
    call = written(order, permit=permit_of("PLACE"))
    shows(stranger())
    reconcile(account)
    assert outside_orders() == []
    close_call(call, outcome="ACCEPTED", broker_order_id="77")
    reconcile(account)
    assert len(outside_orders()) == 1


@pytest.mark.parametrize("outcome", ["REFUSED", "UNKNOWN"])
def test_an_outcome_that_names_no_order_is_a_doubt_until_the_broker_has_settled(
    order, account, shows, outcome
):
    close_call(written(order, permit=permit_of("PLACE")), outcome=outcome)
    shows(stranger())
    reconcile(account)
    assert outside_orders() == []
    time.sleep(0.4)
    reconcile(account)
    assert len(outside_orders()) == 1


def test_a_frame_of_a_stranger_only_rings(account, exchange, reliance):
    apply_report(account, stranger(platform="W"), FEED)
    assert outside_orders() == []
    assert Unattributed.objects.get().platform == "W"


def test_where_it_was_placed_comes_from_the_feed(account, exchange, reliance, shows):
    apply_report(account, stranger(platform="W"), FEED)
    shows(stranger())
    reconcile(account)
    (order,) = outside_orders()
    assert order.actor == "W"
    assert Unattributed.objects.get().order == order


@pytest.mark.parametrize("tells", ["feed", "book"])
def test_a_leg_of_a_super_order_is_kept_and_not_imported(account, exchange, shows, tells, reliance):
    if tells == "feed":
        apply_report(account, stranger(leg=True), FEED)
    shows(stranger(leg=tells == "book"))
    reconcile(account)
    assert outside_orders() == []
    assert Unattributed.objects.get().leg


def test_the_id_of_another_accounts_order_is_never_imported(
    order, account, make_account, shows, reliance
):
    other = make_account("beta", "1000000002")
    shows(stranger(correlation_id=order.correlation_id))
    reconcile(other)
    assert outside_orders() == []


@pytest.mark.parametrize("lacks", ["security_id", "side", "product", "order_type", "quantity"])
def test_half_a_row_is_no_order(account, exchange, shows, lacks, reliance):
    shows(stranger(**{lacks: None}))
    reconcile(account)
    assert outside_orders() == []
    assert Unattributed.objects.count() == 1


def test_it_can_be_cancelled_from_the_desk(account, exchange, reliance, trader, no_bells):
    made_outside(account, exchange)
    reconcile(account)
    (order,) = outside_orders()
    services.cancel(order, trader, "nobody knows it")
    send_cancel(order.pk)
    time.sleep(0.1)
    reconcile(account)
    order.refresh_from_db()
    assert order.status == "CANCELLED"
    assert WireCall.objects.get(correlation_id=order.correlation_id).verb == "CANCEL"


def test_it_cannot_be_changed(account, exchange, reliance, trader, no_bells):
    made_outside(account, exchange)
    reconcile(account)
    (order,) = outside_orders()
    assert not order.can_modify
    with pytest.raises(services.TooLate, match="made outside the desk"):
        services.modify(order, trader, "more", quantity=5)


@pytest.mark.parametrize("verb", [Verb.PLACE, Verb.MODIFY])
def test_the_database_sends_nothing_about_it_but_a_cancel(account, exchange, reliance, verb):
    made_outside(account, exchange)
    reconcile(account)
    (order,) = outside_orders()
    with pytest.raises(DatabaseError, match="made outside the desk"), transaction.atomic():
        open_call(
            account,
            verb,
            "order",
            budget="order",
            correlation_id=order.correlation_id,
            permit=uuid4(),
        )


@pytest.mark.parametrize("change", [{"source": "ADMIN"}, {"status": "APPROVED"}])
def test_the_database_keeps_it_what_it_is(account, exchange, reliance, change):
    made_outside(account, exchange)
    reconcile(account)
    (order,) = outside_orders()
    with pytest.raises(DatabaseError), transaction.atomic():
        Order.objects.filter(pk=order.pk).update(**change)


def test_an_exit_counts_what_was_made_outside(
    account, exchange, reliance, intent, trader, no_bells
):
    broker_id = made_outside(account, exchange, quantity=5)
    exchange.control("fill", orderId=broker_id)
    made_outside(account, exchange, transactionType="SELL", quantity=3, price=1500)
    reconcile(account)
    wanted = intent(side=Side.SELL, quantity=3, price=Decimal(1500), intent=Intent.EXIT)
    order = services.place(wanted, trader, Source.COMMAND)
    assert order.status == "DENIED"
    assert "2" in order.reason


ENDS = {
    BrokerState.FILLED: "FILLED",
    BrokerState.CANCELLED: "CANCELLED",
    BrokerState.EXPIRED: "EXPIRED",
    BrokerState.REJECTED: "REJECTED",
}


@pytest.mark.parametrize("worked_before", [True, False])
@pytest.mark.parametrize("state", ENDS)
def test_each_of_its_ends_is_proved_by_the_brokers_own_message(
    account, exchange, reliance, shows, state, worked_before
):
    if worked_before:
        shows(stranger())
        reconcile(account)
    filled = 2 if state is BrokerState.FILLED else 0
    raw = {"orderId": "900", "orderStatus": state.value}
    shows(stranger(state=state, state_word=state.value, filled_quantity=filled, raw=raw))
    reconcile(account)
    (order,) = outside_orders()
    assert order.status == ENDS[state]
    assert len(proved(order)) == 1
    assert Hold.objects.get(correlation_id=order.correlation_id).released_at is not None


def test_a_word_that_nobody_knows_imports_it_and_changes_nothing_else(
    account, exchange, reliance, shows
):
    shows(stranger(state=BrokerState.UNRECOGNISED, state_word="FROBNICATED"))
    reconcile(account)
    (order,) = outside_orders()
    assert order.status == "SUBMITTED"
    assert Alert.objects.filter(key="word:dhan:FROBNICATED").exists()


def test_a_run_that_is_killed_imports_it_once_the_next_time(
    account, exchange, reliance, monkeypatch
):
    made_outside(account, exchange)
    with monkeypatch.context() as patched:
        patched.setattr(outside.book, "hold_from_outside", _killed)
        with pytest.raises(KeyboardInterrupt):
            reconcile(account)
    assert outside_orders() == []
    reconcile(account)
    assert len(outside_orders()) == 1


def test_books_in_which_a_stranger_waits_do_not_agree_yet(order, account, shows, reliance):
    written(order, permit=permit_of("PLACE"))
    shows(stranger())
    reconcile(account)
    assert BooksRun.objects.get(account=account).agreed_at is None


def test_an_order_that_is_named_while_the_book_is_read_is_no_stranger(
    doubtful, account, shows, monkeypatch
):
    """Its answer came between the reading of our rows and that of the broker's."""
    asked = []

    def named_meanwhile(_):
        if asked:
            Order.objects.filter(pk=doubtful.pk).update(broker_order_id="900", status="SUBMITTED")
        asked.append(1)
        return outside.Stillness(quiet=True, certain=True)

    monkeypatch.setattr(outside, "stillness", named_meanwhile)
    shows(stranger("900", side=Side.BUY, quantity=1, price=Decimal(1400)))
    for _ in range(2):
        reconcile(account)
    doubtful.refresh_from_db()
    assert (len(asked) > 1, outside_orders(), doubtful.status) == (True, [], "OPEN")
    assert not Alert.objects.filter(key__startswith="row:").exists()
    assert not Alert.objects.filter(key__startswith="outside:").exists()


@pytest.fixture
def of_yesterday(account, exchange, reliance) -> Order:
    """Imported and filled on a day that is over; the broker still shows that day's book."""
    broker_id = made_outside(account, exchange)
    exchange.control("fill", orderId=broker_id)
    reconcile(account)
    (order,) = outside_orders()
    assert order.status == "FILLED"
    Order.objects.update(trading_day=trading_day() - dt.timedelta(days=1))
    return order


def told_by(order: Order, **different: Any) -> OrderReport:
    """The order as the book of its day ended; neither time is told."""
    told = stranger(
        order.broker_order_id,
        side=Side.BUY,
        state=BrokerState.FILLED,
        state_word="TRADED",
        quantity=3,
        filled_quantity=3,
        price=order.price,
    )
    return replace(told, **different)


def test_after_midnight_yesterdays_book_imports_and_counts_nothing_again(
    of_yesterday, account, shows
):
    last_night = timezone.now() - dt.timedelta(days=1)
    for told in ({}, {"placed_at": last_night}, {"placed_at": last_night, "reported_at": None}):
        shows(told_by(of_yesterday, **told))
        reconcile(account)
    assert outside_orders() == [of_yesterday]
    assert OwnedPosition.objects.get(owner="external").net == 3
    assert Alert.objects.get(key__startswith="outside:").times == 1
    assert not Break.objects.filter(kind="THEIRS_ONLY").exists()


@pytest.mark.parametrize("different", [{"side": Side.SELL}, {"placed_at": "now"}])
def test_an_id_that_the_broker_uses_again_on_another_day_names_another_order(
    of_yesterday, account, shows, different
):
    if "placed_at" in different:
        different = {"placed_at": timezone.now()}
    shows(told_by(of_yesterday, **different))
    reconcile(account)
    assert len(outside_orders()) == 2


@pytest.mark.parametrize(
    ("different", "imported"),
    [
        ({"state": BrokerState.FILLED, "filled_quantity": 2}, False),
        ({"state": BrokerState.CANCELLED}, False),
        ({"state": BrokerState.FILLED, "filled_quantity": 2, "reported_at": "now"}, True),
        ({}, True),
    ],
)
def test_what_ended_on_an_earlier_day_is_not_taken_in_today_and_what_works_is(
    account, exchange, reliance, shows, different, imported
):
    if "reported_at" in different:
        different = different | {"reported_at": timezone.now()}
    shows(stranger(placed_at=timezone.now() - dt.timedelta(days=1), **different))
    reconcile(account)
    assert len(outside_orders()) == imported


def test_a_book_begun_before_midnight_is_read_again(account, exchange, reliance, monkeypatch):
    before = timezone.now() - dt.timedelta(days=1)
    monkeypatch.setattr(DhanReporting, "order_book", lambda self: Known([stranger()], before))
    reconcile(account)
    assert (outside_orders(), Unattributed.objects.count()) == ([], 0)
    assert not BooksRun.objects.filter(agreed_at__isnull=False).exists()
    account.refresh_from_db()
    assert account.reconcile_wanted


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt
