"""Brackets of ours from end to end: real rows, the real gate, orders at the simulated exchange."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers.port import OrderType, Side
from apps.orders import bracket_guard, brackets, services
from apps.orders.bracket_check import breaks_of
from apps.orders.bracket_machine import Part
from apps.orders.bracket_sight import orders_of
from apps.orders.ingest import apply_report
from apps.orders.models import Bracket, Order, Source
from apps.orders.services import Actor, BadOrder, TooLate
from apps.orders.trimming import trim
from apps.risk import footing
from tests.orders import closing, test_killing
from tests.orders.bracketing import is_held, is_over, newest, one_pass, status_of, until
from tests.orders.closing import held
from tests.orders.sweeping import sweep_and_send
from tests.orders.telling import CANCELLED, report

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("quick_times", "managed_here"),
]


@pytest.fixture
def place(wanted, trader, no_bells):
    def make(**different) -> Bracket:
        return brackets.place(wanted(**different), trader, Source.COMMAND, "test")

    return make


@pytest.fixture
def entered(place, market):
    """A bracket whose entry has filled, with target and stop at work."""

    def make(**different) -> Bracket:
        bracket = place(**different)
        until(bracket, is_held(bracket))
        return bracket

    return make


def test_legs_are_rows_from_the_moment_it_is_accepted(place):
    bracket = place()
    assert sorted(bracket.legs.values_list("leg", "status")) == [
        ("ENTRY", "SUBMITTED"),
        ("STOP_LOSS", "AWAITED"),
        ("TARGET", "AWAITED"),
    ]
    assert bracket.status == "ENTERING"


def test_an_entered_bracket_has_its_exits_at_work_in_one_group(entered):
    bracket = entered()
    stop, target = newest(bracket, Part.STOP_LOSS), newest(bracket, Part.TARGET)
    assert bracket.status == "HOLDING"
    assert (stop.order_type, stop.trigger_price, stop.intent) == ("STOP_LIMIT", 1380, "EXIT")
    assert stop.price < stop.trigger_price
    assert (target.order_type, target.price) == ("LIMIT", 1430)
    assert stop.group == target.group == bracket.name
    assert breaks_of(bracket) == []
    legs = bracket.legs.order_by("leg")
    assert [leg.leg_order_id for leg in legs] == [leg.order.broker_order_id for leg in legs]


@pytest.mark.parametrize(
    ("to", "filled", "gone"),
    [
        (1431, "TARGET", "STOP_LOSS"),
        (1379, "STOP_LOSS", "TARGET"),
    ],
)
def test_the_exit_that_fills_cancels_its_sibling(entered, market, account, to, filled, gone):
    bracket = entered()
    market(to)
    until(bracket, is_over(bracket))
    assert status_of(bracket, filled) == "FILLED"
    assert status_of(bracket, gone) == "CANCELLED"
    assert held(account) == 0
    assert breaks_of(bracket) == []


def test_a_sold_bracket_works_the_other_way_round(entered, market, account):
    bracket = entered(
        side=Side.SELL, price=Decimal(1395), stop_price=Decimal(1420), target_price=Decimal(1370)
    )
    assert held(account) == -10
    market(1421)
    until(bracket, is_over(bracket))
    assert (held(account), status_of(bracket, "STOP_LOSS")) == (0, "FILLED")


class TestParts:
    def test_an_entry_that_fills_in_parts_is_protected_for_what_it_holds(
        self, place, exchange, fill, account
    ):
        bracket = place()
        until(bracket, lambda: newest(bracket, Part.ENTRY).status == "OPEN")
        fill(newest(bracket, Part.ENTRY), 4, 1400)
        until(bracket, is_held(bracket))
        assert newest(bracket, Part.STOP_LOSS).quantity == 4
        fill(newest(bracket, Part.ENTRY), 6, 1400)
        until(
            bracket,
            lambda: (
                [newest(bracket, part).quantity for part in (Part.STOP_LOSS, Part.TARGET)]
                == [10, 10]
            ),
        )
        assert len(orders_of(bracket)[Part.STOP_LOSS]) == 1

    def test_a_partly_filled_target_shrinks_the_stop(self, place, exchange, fill, account):
        bracket = place()
        until(bracket, lambda: newest(bracket, Part.ENTRY).status == "OPEN")
        fill(newest(bracket, Part.ENTRY), 10, 1400)
        until(bracket, is_held(bracket))
        fill(newest(bracket, Part.TARGET), 3, 1430)
        until(bracket, lambda: newest(bracket, Part.STOP_LOSS).quantity == 7)
        assert breaks_of(bracket) == []
        fill(newest(bracket, Part.STOP_LOSS), 7, 1380)
        until(bracket, is_over(bracket))
        assert held(account) == 0

    def test_an_exit_cancels_what_is_left_of_the_entry(self, place, exchange, fill, account):
        bracket = place()
        until(bracket, lambda: newest(bracket, Part.ENTRY).status == "OPEN")
        fill(newest(bracket, Part.ENTRY), 4, 1400)
        until(bracket, is_held(bracket))
        fill(newest(bracket, Part.STOP_LOSS), 4, 1380)
        until(bracket, is_over(bracket))
        assert newest(bracket, Part.ENTRY).status == "CANCELLED"
        assert (held(account), status_of(bracket, "TARGET")) == (0, "CANCELLED")


class TestWhatGoesWrong:
    def test_a_denied_entry_ends_the_bracket(self, place, desk_switch):
        type(desk_switch).objects.filter(pk=desk_switch.pk).update(switch="HALTED")
        bracket = place()
        assert bracket.over
        assert {leg.status for leg in bracket.legs.all()} == {"REJECTED", "CANCELLED"}

    def test_a_cancelled_entry_ends_the_bracket(self, place, trader, exchange):
        bracket = place()
        until(bracket, lambda: newest(bracket, Part.ENTRY).status == "OPEN")
        services.cancel(newest(bracket, Part.ENTRY), trader, "no")
        until(bracket, is_over(bracket))
        assert not orders_of(bracket)[Part.STOP_LOSS]

    def test_a_rejected_stop_is_replaced(self, entered, exchange):
        bracket = entered()
        first = newest(bracket, Part.STOP_LOSS)
        exchange.control("reject", orderId=first.broker_order_id, reason="Blocked.")
        until(bracket, lambda: newest(bracket, Part.STOP_LOSS).pk != first.pk)
        until(bracket, is_held(bracket))
        assert not bracket.leaving_at
        assert breaks_of(bracket) == []

    def test_a_position_whose_stops_are_all_rejected_is_left(
        self, place, exchange, market, account, settings
    ):
        settings.BRACKET_PROTECT_WITHIN = 0
        bracket = place()
        sweep_and_send()
        exchange.fault("reject_later", "place", times=3)
        until(bracket, is_over(bracket), seconds=30)
        assert [order.status for order in orders_of(bracket)[Part.STOP_LOSS]] == ["REJECTED"] * 3
        assert newest(bracket, Part.OUT).status == "FILLED"
        assert held(account) == 0
        assert "failed 3 times" in bracket.reason
        assert Alert.objects.filter(key=f"{bracket.name}:left").exists()
        assert breaks_of(bracket) == []

    def test_both_exits_filled_is_flattened_and_told(
        self, entered, exchange, market, fill, account
    ):
        bracket = entered()
        fill(newest(bracket, Part.TARGET), 10, 1430)
        fill(newest(bracket, Part.STOP_LOSS), 10, 1380)
        assert held(account) == -10
        until(bracket, is_over(bracket))
        assert held(account) == 0
        assert newest(bracket, Part.BACK).filled_quantity == 10
        assert Alert.objects.filter(key=f"{bracket.name}:reverse").exists()

    def test_a_lost_reply_to_the_stop_is_waited_for_and_never_doubled(
        self, place, exchange, market, account
    ):
        bracket = place()
        sweep_and_send()
        exchange.fault("drop_after_accept", "place", times=1)
        until(bracket, lambda: bool(orders_of(bracket)[Part.STOP_LOSS]))
        assert newest(bracket, Part.STOP_LOSS).status == "UNKNOWN"
        one_pass(bracket, books=False)
        assert len(orders_of(bracket)[Part.STOP_LOSS]) == 1
        until(bracket, is_held(bracket))
        assert len(orders_of(bracket)[Part.STOP_LOSS]) == 1
        assert exchange.report()["doubled"] == []

    def test_a_stop_that_never_arrived_is_placed_anew(self, place, exchange, market):
        bracket = place()
        sweep_and_send()
        exchange.fault("drop_before_accept", "place", times=1)
        until(bracket, is_held(bracket), seconds=30)
        statuses = [order.status for order in orders_of(bracket)[Part.STOP_LOSS]]
        assert statuses == ["NEVER_ARRIVED", "OPEN"]

    def test_a_cancel_that_the_broker_refuses_is_asked_again(self, entered, exchange, market):
        bracket = entered()
        exchange.fault("refused", "cancel", times=2)
        market(1431)
        until(bracket, is_over(bracket), seconds=30)
        assert status_of(bracket, "STOP_LOSS") == "CANCELLED"

    def test_a_position_closed_by_hand_ends_the_bracket(self, entered, exchange, account):
        bracket = entered()
        exchange.control(
            "hand",
            client_id=account.client_id,
            transactionType="SELL",
            exchangeSegment="NSE_EQ",
            securityId="2885",
            productType="INTRADAY",
            orderType="MARKET",
            quantity=10,
            fill=True,
        )

        def over() -> bool:
            footing.read_positions(account)
            return is_over(bracket)()

        until(bracket, over, seconds=30)
        assert bracket.reason == "the position was closed elsewhere"
        assert held(account) == 0

    def test_a_price_past_the_stops_limit_leaves_at_the_market(
        self, entered, exchange, heard, account, settings
    ):
        settings.BRACKET_GAP_FOR = 0.1
        bracket = entered()
        heard("1300")
        until(bracket, is_over(bracket))
        assert held(account) == 0
        assert bracket.reason == "the price went past the stop's limit"

    def test_closing_all_of_the_position_takes_the_exits_out_of_the_way(
        self, entered, account, reliance, trader, market
    ):
        bracket = entered()
        goal = closing.ask(account, reliance, trader)
        until(bracket, lambda: closing.one_pass(account) or is_over(bracket)(), seconds=30)
        closing.reached(account, goal)
        assert held(account) == 0
        assert not orders_of(bracket)[Part.OUT]

    @pytest.mark.parametrize("with_positions", [True, False])
    def test_the_kill_switch_is_not_worked_against(
        self, entered, account, trader, market, settings, with_positions
    ):
        settings.FLATTEN_REPRICE_AFTER = 0.4
        bracket = entered()
        row = test_killing.kill(account, trader, with_positions=with_positions)
        test_killing.gone_through(row, "LOCKED", seconds=30)
        placed = Order.objects.count()
        for _ in range(3):
            one_pass(bracket)
        assert Order.objects.count() == placed
        assert not Order.objects.working().exists()
        assert (held(account), bracket.over) == ((0, True) if with_positions else (10, False))


class TestTwoOfOneShare:
    def test_leaving_one_leaves_the_other_protected(self, entered, trader, account):
        first, second = entered(), entered()
        brackets.leave(first, trader, "enough of this one")
        until(first, is_over(first))
        one_pass(second)
        assert held(account) == 10
        assert is_held(second)()
        assert newest(second, Part.STOP_LOSS).open_quantity == 10

    def test_when_the_position_of_one_is_sold_by_hand_one_stays_and_is_protected(
        self, entered, exchange, account
    ):
        both = [entered(), entered()]
        exchange.control(
            "hand",
            client_id=account.client_id,
            transactionType="SELL",
            exchangeSegment="NSE_EQ",
            securityId="2885",
            productType="INTRADAY",
            orderType="MARKET",
            quantity=10,
            fill=True,
        )

        def settled() -> bool:
            trim(account, footing.read_positions(account))
            for bracket in both:
                one_pass(bracket)
            return sorted(bracket.status for bracket in both) == ["HOLDING", "OVER"]

        until(both[0], settled, seconds=40)
        (stays,) = [bracket for bracket in both if not bracket.over]
        until(stays, is_held(stays))
        assert newest(stays, Part.STOP_LOSS).open_quantity == held(account) == 10
        assert not any(orders_of(bracket)[Part.OUT] for bracket in both)


class TestWhoDiedMeanwhile:
    def test_a_bracket_whose_entry_was_never_stored_is_given_up(self, wanted, trader, monkeypatch):
        def died(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(services, "place", died)
            with pytest.raises(KeyboardInterrupt):
                brackets.place(wanted(), trader, Source.COMMAND, "test")
        bracket = Bracket.objects.get()
        bracket_guard.tend(bracket.pk)
        bracket.refresh_from_db()
        assert not bracket.over
        Bracket.objects.update(created_at=timezone.now() - dt.timedelta(minutes=1))
        bracket_guard.tend(bracket.pk)
        bracket.refresh_from_db()
        assert (bracket.over, bracket.reason) == (True, "its entry was never placed")

    def test_the_same_key_is_the_same_bracket_and_goes_on_where_it_stopped(
        self, wanted, trader, no_bells, monkeypatch
    ):
        def died(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        asked = (wanted(), trader, Source.COMMAND, "test", "once")
        with monkeypatch.context() as patched:
            patched.setattr(services, "place", died)
            with pytest.raises(KeyboardInterrupt):
                brackets.place(*asked)
        first, second = brackets.place(*asked), brackets.place(*asked)
        assert first.pk == second.pk
        assert Order.objects.count() == 1

    def test_a_guardian_that_dies_after_any_step_is_made_up_for(self, entered, market, account):
        bracket = entered()
        Bracket.objects.update(exposed_since=None, looked_at=None, entered_at=None)
        bracket.legs.update(status="AWAITED", filled_quantity=0)
        market(1431)
        until(bracket, is_over(bracket))
        assert (held(account), status_of(bracket, "TARGET")) == (0, "FILLED")

    def test_late_news_of_an_order_that_was_over_wakes_the_bracket(
        self, place, exchange, market, account
    ):
        exchange.control("auto", on=False)
        bracket = place()
        until(bracket, lambda: newest(bracket, Part.ENTRY).status == "OPEN")
        entry = newest(bracket, Part.ENTRY)
        services.cancel(entry, Actor(name="Alice"), "no")
        exchange.control("fill", orderId=entry.broker_order_id, quantity=10, price=1400)
        apply_report(entry.account, report(entry, CANCELLED, filled_quantity=0), "socket")
        bracket_guard.tend(bracket.pk)
        assert is_over(bracket)()
        until(bracket, is_held(bracket), seconds=30)
        assert (bracket.status, bracket.finished_at) == ("HOLDING", None)


class TestTrailing:
    def test_the_stop_follows_in_whole_steps_and_never_back(self, entered, heard, exchange):
        exchange_price = Decimal(1400)
        bracket = entered(trailing_jump=Decimal(5), target_price=None)
        heard(exchange_price + Decimal("12.40"))
        until(bracket, lambda: newest(bracket, Part.STOP_LOSS).trigger_price == 1390)
        stop = newest(bracket, Part.STOP_LOSS)
        assert stop.price < stop.trigger_price
        heard(exchange_price + 2)
        for _ in range(3):
            one_pass(bracket)
        assert newest(bracket, Part.STOP_LOSS).trigger_price == 1390
        assert len(orders_of(bracket)[Part.STOP_LOSS]) == 1

    def test_a_stale_price_moves_nothing(self, entered, heard, settings):
        bracket = entered(trailing_jump=Decimal(5))
        settings.BRACKET_QUOTE_AGE = 0
        heard("1420")
        one_pass(bracket)
        assert bracket.stop_price == 1380


class TestPeople:
    def test_leaving_cancels_the_exits_and_sells_at_the_market(
        self, entered, trader, account, market
    ):
        bracket = entered()
        brackets.leave(bracket, trader, "lunch")
        until(bracket, is_over(bracket))
        assert held(account) == 0
        assert newest(bracket, Part.OUT).filled_quantity == 10
        with pytest.raises(TooLate):
            brackets.leave(bracket, trader, "again")

    def test_new_prices_reach_the_working_legs(self, entered, trader):
        bracket = entered()
        wanted = {"stop_price": Decimal(1385), "target_price": Decimal(1425)}
        brackets.change(bracket, trader, "closer", **wanted)
        until(
            bracket,
            lambda: (
                (newest(bracket, Part.STOP_LOSS).trigger_price == 1385)
                and newest(bracket, Part.TARGET).price == 1425
            ),
        )
        assert len(orders_of(bracket)[Part.STOP_LOSS]) == 1

    def test_a_dropped_target_leaves_the_stop(self, entered, trader):
        bracket = entered()
        brackets.drop_target(bracket, trader, "let it run")
        until(bracket, lambda: status_of(bracket, "TARGET") == "CANCELLED")
        one_pass(bracket)
        assert status_of(bracket, "STOP_LOSS") == "WORKING"
        assert breaks_of(bracket) == []

    @pytest.mark.parametrize(
        ("terms", "field"),
        [
            ({"stop_price": Decimal(1435)}, "stop_price"),
            ({"target_price": Decimal(1379)}, "target_price"),
            ({"stop_price": Decimal("1385.01")}, "stop_price"),
            ({}, "stop_price"),
        ],
        ids=range(4),
    )
    def test_a_change_that_makes_no_sense_is_refused(self, place, trader, terms, field):
        bracket = place(price=None, order_type=OrderType.MARKET)
        Bracket.objects.filter(pk=bracket.pk).update(status="HOLDING", finished_at=None)
        with pytest.raises(BadOrder) as refused:
            brackets.change(bracket, trader, "why", **terms)
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("different", "field", "says"),
    [
        ({"stop_price": None}, "stop_price", "a target needs a stop"),
        ({"stop_price": None, "target_price": None}, "stop_price", "a bracket needs one"),
        ({"stop_price": Decimal(1405)}, "stop_price", "below the entry"),
        ({"side": Side.SELL}, "stop_price", "above the entry"),
        ({"target_price": Decimal(1405)}, "target_price", "above the entry"),
        ({"stop_limit": Decimal(1381)}, "stop_limit", "at or below the stop's trigger"),
        ({"stop_price": Decimal("1380.02")}, "stop_price", "tick"),
        ({"trailing_jump": Decimal(0)}, "trailing_jump", "above 0"),
        ({"trailing_jump": Decimal("0.03")}, "trailing_jump", "tick"),
        ({"quantity": 0}, "quantity", "above 0"),
        ({"quantity": 5001}, "quantity", "freeze quantity 5000"),
        ({"target_price": Decimal(1600)}, "target_price", "band"),
        ({"price": None}, "price", "LIMIT entry needs a price"),
        ({"order_type": OrderType.STOP_LIMIT}, "order_type", "LIMIT or a MARKET"),
        ({"order_type": OrderType.MARKET}, "price", "has none"),
    ],
    ids=range(15),
)
def test_what_can_be_no_bracket_is_refused(wanted, reliance, trader, different, field, says):
    type(reliance).objects.filter(pk=reliance.pk).update(
        freeze_quantity=5000, lower_limit=1260, upper_limit=1540
    )
    reliance.refresh_from_db()
    with pytest.raises(BadOrder) as refused:
        brackets.place(wanted(**different), trader, Source.COMMAND)
    assert refused.value.field == field
    assert says in refused.value.text
    assert not Bracket.objects.exists()
