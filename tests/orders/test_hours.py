"""Orders obey the calendar: at the review, at the send, for changes, by every way in."""

from __future__ import annotations

import datetime as dt
import io
import time
from decimal import Decimal
from functools import partial

import pytest
import requests
import time_machine
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers.calendar import market_for, traded_segments
from apps.brokers.dhan.mapping import place_arguments
from apps.brokers.models import CalendarYear, FundsReport, Holiday, SessionRule, WireCall
from apps.brokers.port import Intent, OrderType, Side, Validity
from apps.orders import cancels, changes, services
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source, trading_day
from apps.orders.reconcile import reconcile
from apps.orders.sweep import sweep
from apps.risk.models import Decision, Hold
from apps.signals.acting import act
from apps.signals.models import SignalSource
from apps.signals.sources import open_source
from tests.brokers.calendar_facts import ist, seed_rows
from tests.no_bypass.test_matrix import WAYS_IN
from tests.signals.conftest import Sender

pytestmark = pytest.mark.django_db(transaction=True)

# Days that lie ahead: the database takes no decision that expired by its own clock.
MONDAY, TUESDAY = "2031-06-02", "2031-06-03"
FRIDAY, SATURDAY = "2031-06-06", "2031-06-07"


@pytest.fixture
def person(desk_switch):
    return User.objects.create_user("carla", is_staff=True)


@pytest.fixture
def account(make_account, person, settings):
    """It trades at the simulated exchange, but by the exchange's hours.

    Only our clock travels here: the exchange's stays behind, and readiness must not mind.
    """
    settings.CLOCK_LIMIT = 1e12
    seed_rows(person, 2026, 2031)
    return make_account(calendar="exchange")


@pytest.fixture(autouse=True)
def derivatives_known(account, reliance):
    """The master has contracts, none of them on this share."""
    type(reliance).objects.create(
        segment="NSE_FNO",
        security_id="53001",
        symbol="NIFTY-FUT",
        kind="FUTIDX",
        lot_size=65,
        tick_size=Decimal("0.1"),
        underlying="NIFTY",
        expiry=dt.date(2032, 1, 1),
    )


@pytest.fixture
def place(intent, trader, no_bells):
    return lambda **different: services.place(intent(**different), trader, Source.ADMIN)


def on(text):
    return time_machine.travel(ist(text), tick=True)


def refusals(order):
    decision = Decision.objects.filter(correlation_id=order.correlation_id).first()
    return {row["rule"]: row["reason"] for row in decision.refusals}


# --- the review ---------------------------------------------------------------------------------


def test_in_hours_an_order_goes(place, exchange):
    with on(f"{MONDAY} 10:00"):
        order = place()
        assert order.status == "APPROVED", order.reason
        dispatch(order.pk)
    assert len(exchange.accepted(order.correlation_id)) == 1
    assert traded_segments(order.account) == ["NSE_EQ"]


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        (f"{MONDAY} 16:10", "outside its hours); opens Tue 03 Jun 2031 09:15 IST"),
        (f"{SATURDAY} 10:00", "Saturday); opens Mon 09 Jun 2031 09:15 IST"),
        (f"{MONDAY} 09:13", "in its pre-open (buffer); opens Mon 02 Jun 2031 09:15 IST"),
    ],
)
@pytest.mark.parametrize("intent_word", [Intent.ENTRY, Intent.EXIT])
def test_outside_hours_entries_and_exits_are_denied_with_the_next_opening(
    place, exchange, when, reason, intent_word
):
    with on(when):
        order = place(intent=intent_word, side=Side.SELL)
    assert order.status == "DENIED"
    assert reason in refusals(order)["market open"]
    assert not WireCall.objects.filter(verb="PLACE").exists()


def test_a_holiday_declared_yesterday_denies_today(place):
    Holiday.objects.create(
        segment="NSE_EQ", date=MONDAY, name="Election", source="declared the day before"
    )
    with on(f"{MONDAY} 10:00"):
        order = place()
    assert refusals(order)["market open"] == (
        "NSE_EQ is closed (holiday: Election); opens Tue 03 Jun 2031 09:15 IST"
    )


def test_a_share_with_derivatives_is_denied_in_the_closing_auction_another_is_not(
    place, reliance, intent
):
    with on(f"{MONDAY} 15:16"):
        assert place().status == "APPROVED"
        type(reliance).objects.create(
            segment="NSE_FNO",
            security_id="53002",
            symbol="RELIANCE-FUT",
            kind="FUTSTK",
            lot_size=500,
            tick_size=Decimal("0.1"),
            underlying="RELIANCE",
            expiry=dt.date(2031, 6, 24),
        )
        denied = place()
    assert "in its closing auction" in refusals(denied)["market open"]


def test_an_unknown_year_denies_entries_alerts_once_and_lets_exits_pass(place, account):
    CalendarYear.objects.filter(year=2031).update(confirmed_at=None, confirmed_by=None)
    with on(f"{MONDAY} 10:00"):
        for _ in range(3):
            assert "2031 are not confirmed" in refusals(place())["market open"]
        exit_order = place(intent=Intent.EXIT, side=Side.SELL)
    assert "market open" not in refusals(exit_order)
    alerts = Alert.objects.filter(key="calendar:NSE_EQ")
    assert [alert.severity for alert in alerts] == ["CRITICAL"]


def test_an_index_which_nobody_can_trade_is_no_gap_in_the_calendar(place, reliance):
    index = type(reliance).objects.create(
        segment="INDEX",
        security_id="13",
        symbol="NIFTY",
        kind="INDEX",
        lot_size=1,
        tick_size=Decimal("0.05"),
        closed="INDEX",
        tradable=False,
    )
    with on(f"{MONDAY} 10:00"):
        assert place(instrument=index).status == "DENIED"
    assert not Alert.objects.filter(key__startswith="calendar:").exists()


def test_an_account_that_is_always_open_asks_no_calendar(place, account, django_assert_num_queries):
    type(account).objects.update(calendar="always_open")
    account.refresh_from_db()
    with on(f"{SATURDAY} 03:00"):
        assert place(account=account).status == "APPROVED"
    with django_assert_num_queries(0):
        assert market_for(account, "NSE_EQ", "2885").takes_orders


# --- the last look ------------------------------------------------------------------------------


def test_an_order_approved_before_the_close_is_not_sent_after_it(place, exchange):
    with on(f"{MONDAY} 15:29:50"):
        order = place()
        assert order.status == "APPROVED"
        assert order.decide_by > ist(f"{MONDAY} 15:30")
    with time_machine.travel(ist(f"{MONDAY} 15:30:00"), tick=True):
        dispatch(order.pk)
    order.refresh_from_db()
    assert order.status == "DENIED"
    assert "NSE_EQ is closed" in order.reason
    assert Hold.objects.get().released_at is not None
    assert exchange.accepted(order.correlation_id) == []


def test_a_holiday_declared_after_the_review_stops_the_send(place, exchange):
    with on(f"{MONDAY} 10:00"):
        order = place()
        Holiday.objects.create(segment="NSE_EQ", date=MONDAY, name="x", source="y")
        dispatch(order.pk)
    order.refresh_from_db()
    assert (order.status, "holiday: x" in order.reason) == ("DENIED", True)
    assert exchange.accepted(order.correlation_id) == []


def test_not_one_byte_may_leave_after_the_close(place):
    with time_machine.travel(ist(f"{MONDAY} 15:29:59"), tick=False):
        order = place()
        dispatch(order.pk)
        call = WireCall.objects.get(verb="PLACE")
        assert call.send_by == ist(f"{MONDAY} 15:30:00")


# --- changes and cancels ------------------------------------------------------------------------


@pytest.fixture
def working(place, account):
    def make():
        with on(f"{MONDAY} 15:00"):
            order = place(quantity=5)
            dispatch(order.pk)
        order.refresh_from_db()
        assert order.status == "SUBMITTED"
        time.sleep(0.1)  # in transit the exchange takes no cancel
        Order.objects.filter(pk=order.pk).update(status="OPEN")
        order.refresh_from_db()
        return order

    return make


def test_new_terms_are_denied_outside_hours(working, trader):
    order = working()
    with on(f"{MONDAY} 15:31"):
        change = services.modify(order, trader, "more", quantity=6)
    assert change.status == "DENIED"
    assert "NSE_EQ is closed" in change.reason


def test_new_terms_approved_before_the_close_are_not_sent_after_it(working, trader):
    order = working()
    with on(f"{MONDAY} 15:29:50"):
        change = services.modify(order, trader, "more", quantity=6)
        assert change.status == "APPROVED"
    with on(f"{MONDAY} 15:30:00"):
        changes.send_change(change.pk)
    change.refresh_from_db()
    assert change.status == "LAPSED"
    assert "NSE_EQ is closed" in change.reason
    assert not WireCall.objects.filter(verb="MODIFY").exists()


def test_a_cancel_is_always_allowed(working, trader, exchange):
    order = working()
    with on(f"{MONDAY} 20:00"):
        services.cancel(order, trader, "no")
        cancels.send_cancel(order.pk)
    assert WireCall.objects.filter(verb="CANCEL", outcome="ACCEPTED").count() == 1


# --- after-market orders, through the real SDK to an exchange that keeps hours ------------------


@pytest.fixture
def window(account):
    """An after-market window that an administrator has written into the calendar."""
    return SessionRule.objects.create(
        segment="NSE_EQ",
        phase="AFTER_MARKET",
        opens=dt.time(16),
        closes=dt.time(0),
        weekdays="1234567",
        valid_from=dt.date(2026, 1, 1),
        order_types=["LIMIT"],
        source="the broker's page",
    )


@pytest.fixture
def market_time(exchange):
    """Both clocks at one moment: ours, and that of the exchange, which keeps hours."""
    exchange.control("hours", on=True)
    exchange.control("auto", on=True)

    def travel(text):
        shift = (ist(text) - dt.datetime.now(dt.UTC)).total_seconds()
        exchange.control("clock", shift_seconds=shift)
        return on(text)

    return travel


def after_market(place, **more):
    return place(after_market=True, price=Decimal(1410), **more)


def test_without_a_window_in_the_calendar_it_is_denied(place):
    with on(f"{FRIDAY} 17:00"):
        order = after_market(place)
    assert "no window for after-market orders" in refusals(order)["market open"]


@pytest.mark.parametrize(
    ("when", "different", "reason"),
    [
        (f"{FRIDAY} 10:00", {}, "send the order without after-market"),
        (f"{FRIDAY} 15:45", {}, "no window"),
        (f"{FRIDAY} 17:00", {"validity": Validity.IOC}, "takes no LIMIT IOC"),
        (
            f"{FRIDAY} 17:00",
            {"order_type": OrderType.STOP_LIMIT, "trigger_price": Decimal(1409)},
            "takes no STOP_LIMIT",
        ),
    ],
)
def test_in_the_wrong_hour_or_of_the_wrong_kind_it_is_denied(
    place, window, when, different, reason
):
    with on(when):
        order = after_market(place, **different)
    assert reason in refusals(order)["market open"]


def test_it_is_taken_held_over_the_weekend_and_traded_at_the_opening(
    place, window, account, exchange, market_time
):
    with market_time(f"{FRIDAY} 17:00"):
        order = after_market(place)
        assert order.status == "APPROVED", order.reason
        assert order.trading_day == dt.date(2031, 6, 9)
        dispatch(order.pk)
        _settled(account, order, "OPEN")
        body = WireCall.objects.get(verb="PLACE").request
        assert body["after_market"] is True
    assert _at_the_exchange(exchange, order)["afterMarketOrder"] is True
    with market_time("2031-06-08 12:00"):  # Sunday: the day has rolled twice, the order waits
        sweep(direct=True)
        _settled(account, order, "OPEN")
        assert Hold.objects.get().released_at is None
    with market_time("2031-06-09 09:15:05"):
        _settled(account, order, "FILLED")
        assert trading_day() == order.trading_day
    assert Hold.objects.get().released_at is not None


def _settled(account, order, status, seconds=5):
    deadline = time.monotonic() + seconds
    while order.status != status and time.monotonic() < deadline:
        reconcile(account)
        order.refresh_from_db()
        time.sleep(0.05)
    assert order.status == status, order.reason


def _at_the_exchange(exchange, order):
    state = requests.get(f"{exchange.url}/_sim/state", timeout=5).json()
    rows = [row for account in state["accounts"] for row in account["orders"]]
    return next(row for row in rows if row["correlationId"] == order.correlation_id)


def test_it_can_be_changed_and_cancelled_while_it_waits(
    place, window, account, exchange, market_time, trader
):
    with market_time(f"{FRIDAY} 17:00"):
        order = after_market(place, quantity=5)
        dispatch(order.pk)
        _settled(account, order, "OPEN")
        change = services.modify(order, trader, "more", quantity=6)
        assert change.status == "APPROVED", change.reason
        changes.send_change(change.pk)
        _settled(account, order, "OPEN")
    with market_time(f"{SATURDAY} 17:00"):
        services.cancel(order, trader, "no")
        cancels.send_cancel(order.pk)
        _settled(account, order, "CANCELLED")
    assert order.quantity == 6


def test_its_hold_counts_on_the_day_it_waits_for(place, window, account):
    with on(f"{FRIDAY} 17:00"):
        after_market(place)
    with on("2031-06-09 09:00"):
        FundsReport.objects.update_or_create(
            account=account,
            defaults={
                "as_of": timezone.now(),
                "available": 1,
                "utilised": 0,
                "opening": 1,
                "collateral": 0,
            },
        )
        morning = place(price=Decimal(1400))
    seen = Decision.objects.get(correlation_id=morning.correlation_id).inputs
    assert seen["open_orders"] == 1


def test_its_absence_from_a_book_proves_nothing(
    place, window, account, exchange, market_time, quick_times
):
    """A broker may keep what waits out of its books, so only a sight of it ends the doubt."""
    with market_time(f"{FRIDAY} 17:00"):
        order = after_market(place)
        exchange.fault("drop_before_accept", "place", times=1)
        dispatch(order.pk)
        order.refresh_from_db()
        assert order.status == "UNKNOWN"
    for second in (5, 10, 15, 20):
        with market_time(f"{FRIDAY} 17:00:{second:02d}"):
            Order.objects.update(next_look_at=None)
            sweep(direct=True)
    order.refresh_from_db()
    assert (order.status, order.absences) == ("UNKNOWN", 0)


@pytest.mark.parametrize("flag", [True, False])
def test_the_flag_reaches_the_broker_as_it_was_reviewed(flag, account, reliance):
    request = Order(
        account=account,
        instrument=reliance,
        side="BUY",
        quantity=1,
        order_type="LIMIT",
        price=Decimal(1),
        product="INTRADAY",
        after_market=flag,
    ).request()
    arguments = place_arguments(request)
    assert (arguments["after_market_order"], arguments["amo_time"]) == (flag, "OPEN")


def test_a_command_can_ask_for_after_market(window, account, reliance, no_bells):
    with on(f"{FRIDAY} 17:00"):
        call_command(
            "place_order",
            account.name,
            instrument="RELIANCE",
            side="BUY",
            quantity="1",
            price="1400",
            after_market=True,
            stdout=io.StringIO(),
        )
    order = Order.objects.get()
    assert (order.after_market, order.status) == (True, "APPROVED")


def test_a_signal_can_ask_for_after_market(window, account, reliance, no_bells):
    with on(f"{FRIDAY} 17:00"):
        source = SignalSource(name="s", account=account)
        sender = Sender(source, open_source(source))
        wrong = sender.send(after_market="perhaps")
        assert wrong.json()["fields"] == {"after_market": "must be true or false"}
        act(sender.heard(after_market="true").pk)
    order = Order.objects.get()
    assert order.after_market
    assert order.trading_day == dt.date(2031, 6, 9)


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize("open_market", [True, False])
def test_every_way_in_obeys_the_hours(
    way, open_market, account, intent, trader, exchange, no_bells
):
    with on(f"{MONDAY} 10:00" if open_market else f"{MONDAY} 16:10"):
        WAYS_IN[way](partial(intent), trader)
    assert exchange.report()["orders"] == (1 if open_market else 0)
    if not open_market:
        assert Order.objects.get().status == "DENIED"
        assert "NSE_EQ is closed" in Order.objects.get().reason
