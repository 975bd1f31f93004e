"""A position that is to be closed is closed, whatever becomes of its orders, and never beyond."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers.port import Intent, OrderType, Side
from apps.orders import flatten, goals, services
from apps.orders.models import Order
from apps.orders.services import BadOrder
from apps.risk.models import ExitGoal
from tests.orders.closing import ask, held, one_pass, passes_until, reached
from tests.orders.telling import sent, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture(autouse=True)
def quick_closing(settings):
    settings.FLATTEN_REPRICE_AFTER = 0.4
    settings.FLATTEN_LOUD_AFTER = 0.3
    settings.FLATTEN_RETRY_MOST = 0.5


@pytest.fixture
def market(exchange):
    """A market that trades what crosses it, at 1400."""
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    exchange.control("auto", on=True)
    return exchange


@pytest.fixture
def by_hand(market, account):
    """Trade at the broker's own page."""

    def trade(side: str, quantity: int) -> None:
        answer = market.control(
            "hand",
            client_id=account.client_id,
            transactionType=side,
            exchangeSegment="NSE_EQ",
            securityId="2885",
            productType="INTRADAY",
            orderType="MARKET",
            quantity=quantity,
            fill=True,
        )
        assert answer["orderStatus"] == "TRADED", answer

    return trade


@pytest.fixture
def bought(place, account, market):
    def buy(quantity: int = 10, side: Side = Side.BUY, **different) -> Order:
        price = Decimal(1405 if side is Side.BUY else 1395)
        entry = sent(place(quantity=quantity, side=side, price=price, **different))
        settled(account)
        entry.refresh_from_db()
        assert entry.status == "FILLED", entry.reason
        return entry

    return buy


def exits() -> list[Order]:
    return list(Order.objects.filter(source="FLATTEN").order_by("pk"))


@pytest.mark.parametrize("side", list(Side))
def test_a_position_is_closed_and_proved_by_two_reads(
    bought, market, account, reliance, trader, side
):
    bought(side=side)
    goal = reached(account, ask(account, reliance, trader))
    assert held(account) == 0
    assert [(order.intent, order.quantity, order.status) for order in exits()] == [
        ("EXIT", 10, "FILLED")
    ]
    assert len({proof["mark"] for proof in goal.proofs}) == 2
    assert "proved by reads" in goal.note


def test_asking_twice_closes_once(bought, market, account, reliance, trader):
    bought()
    first = ask(account, reliance, trader)
    assert ask(account, reliance, trader) == first
    reached(account, first)
    assert len(exits()) == 1


def test_a_position_that_is_none_is_proved_without_an_order(market, account, reliance, trader):
    reached(account, ask(account, reliance, trader))
    assert exits() == []


def test_a_reason_is_needed(account, reliance, trader):
    with pytest.raises(BadOrder) as refused:
        goals.open_goal(
            goals.Closing(account=account, instrument=reliance, product="X"), trader, " "
        )
    assert refused.value.field == "reason"


def test_resting_stops_and_entries_of_the_position_are_cancelled_before_it_is_closed(
    bought, place, market, account, reliance, trader
):
    bought()
    stop = sent(
        place(
            side=Side.SELL,
            quantity=10,
            order_type=OrderType.STOP_LIMIT,
            price=Decimal(1340),
            trigger_price=Decimal(1345),
            intent=Intent.EXIT,
        )
    )
    entry = sent(place(quantity=3, price=Decimal(1350)))
    settled(account)
    reached(account, ask(account, reliance, trader))
    for order in (stop, entry):
        order.refresh_from_db()
        assert order.status == "CANCELLED"
    assert held(account) == 0


def test_a_part_that_fills_while_its_stop_is_cancelled_is_not_exited_again(
    bought, place, market, account, reliance, trader
):
    bought()
    target = sent(place(side=Side.SELL, quantity=10, price=Decimal(1450), intent=Intent.EXIT))
    settled(account)
    market.control("fill", orderId=target.broker_order_id, quantity=4)
    reached(account, ask(account, reliance, trader))
    assert [order.quantity for order in exits()] == [6]
    assert held(account) == 0


def test_nothing_is_placed_while_an_order_of_the_position_is_unknown(
    bought, place, market, account, reliance, trader
):
    bought()
    market.fault("drop_after_accept", "place", times=1)
    market.fault("http_500", "book")
    market.fault("http_500", "by_correlation")
    lost = sent(place(side=Side.SELL, quantity=10, price=Decimal(1395), intent=Intent.EXIT))
    assert lost.status == "UNKNOWN"
    goal = ask(account, reliance, trader)
    for _ in range(12):
        one_pass(account)
    goal.refresh_from_db()
    assert exits() == []
    assert f"{lost.correlation_id} is UNKNOWN" in goal.note
    alert = Alert.objects.get(key=f"goal:{goal.pk}:waits")
    assert alert.severity == "CRITICAL"
    market.heal()
    reached(account, goal)
    lost.refresh_from_db()
    assert lost.status == "FILLED"
    assert exits() == []
    assert held(account) == 0
    alert.refresh_from_db()
    assert alert.acknowledged_at is not None


def test_an_exit_whose_answer_is_lost_is_not_sent_again(bought, market, account, reliance, trader):
    bought()
    market.fault("drop_after_accept", "place", times=1)
    reached(account, ask(account, reliance, trader))
    assert [order.status for order in exits()] == ["FILLED"]
    assert held(account) == 0


def test_a_rejected_exit_is_asked_for_again(bought, market, account, reliance, trader):
    bought()
    market.fault("reject_later", "place", times=2)
    reached(account, ask(account, reliance, trader))
    assert [order.status for order in exits()] == ["REJECTED", "REJECTED", "FILLED"]


def test_an_exit_that_rests_is_priced_anew_within_the_band(
    bought, market, account, reliance, trader
):
    bought()
    market.control("auto", on=False)
    goal = ask(account, reliance, trader)
    passes_until(account, lambda: bool(exits()) and exits()[0].modifications.count() >= 2)
    order = exits()[0]
    prices = [change.price for change in order.modifications.all()]
    assert Decimal(1386) > prices[0] > prices[1] >= Decimal(1120)  # 1 % below 1400, to 20 %
    assert order.price in {Decimal(1386), *prices}
    market.control("auto", on=True)
    market.control("price", segment="NSE_EQ", securityId="2885", price=1401)
    reached(account, goal)
    assert len(exits()) == 1


def test_an_exit_above_the_freeze_quantity_leaves_in_pieces(
    bought, market, account, reliance, trader
):
    bought(25)
    type(reliance).objects.update(freeze_quantity=10)
    reliance.refresh_from_db()
    reached(account, ask(account, reliance, trader))
    assert [order.quantity for order in exits()] == [10, 10, 5]
    assert held(account) == 0


def test_each_strategy_leaves_what_is_its_own(bought, market, account, reliance, trader):
    bought(7, strategy="breakout")
    bought(3, strategy="momentum")
    bought(2)
    reached(account, ask(account, reliance, trader))
    assert [(order.strategy, order.quantity) for order in exits()] == [
        ("breakout", 7),
        ("momentum", 3),
        ("", 2),
    ]


def test_a_goal_of_one_strategy_leaves_the_others_alone(bought, market, account, reliance, trader):
    bought(7, strategy="breakout")
    bought(3, strategy="momentum")
    reached(account, ask(account, reliance, trader, owner="strategy:momentum"))
    assert held(account) == 7


def test_closing_all_takes_the_place_of_closing_a_part(bought, account, reliance, trader):
    bought(7, strategy="breakout")
    part = ask(account, reliance, trader, owner="strategy:breakout")
    whole = ask(account, reliance, trader)
    part.refresh_from_db()
    assert part.state == "WITHDRAWN"
    assert ask(account, reliance, trader, owner="strategy:breakout") == whole


def test_a_goal_down_to_a_target_leaves_the_rest(bought, market, account, reliance, trader):
    bought(10)
    reached(account, ask(account, reliance, trader, target=4))
    assert held(account) == 4


def test_units_bought_by_hand_meanwhile_are_closed_too(
    bought, by_hand, market, account, reliance, trader
):
    bought(10)
    goal = ask(account, reliance, trader)
    one_pass(account)
    by_hand("BUY", 5)
    reached(account, goal)
    assert held(account) == 0


def test_units_sold_by_hand_meanwhile_are_not_sold_again(
    bought, by_hand, market, account, reliance, trader
):
    bought(10)
    market.control("auto", on=False)
    goal = ask(account, reliance, trader)
    passes_until(account, lambda: bool(exits()) and exits()[0].status == "OPEN")
    by_hand("SELL", 10)
    reached(account, goal)
    assert held(account) == 0
    assert [order.status for order in exits()] == ["CANCELLED"]


def test_a_position_that_turns_round_twice_stops_the_closing_and_calls_people(
    bought, by_hand, market, account, reliance, trader
):
    bought(10)
    market.control("auto", on=False)
    goal = ask(account, reliance, trader)
    flatten.flatten(account)
    by_hand("SELL", 20)
    flatten.flatten(account)
    by_hand("BUY", 20)
    flatten.flatten(account)
    goal.refresh_from_db()
    assert goal.state == "STOPPED"
    assert Alert.objects.get(key=f"goal:{goal.pk}:stopped").severity == "CRITICAL"
    before = len(exits())
    flatten.flatten(account)
    assert len(exits()) == before
    goals.go_on(goal, trader, "looked")
    market.control("auto", on=True)
    market.control("price", segment="NSE_EQ", securityId="2885", price=1401)
    reached(account, goal)


def test_a_read_that_fails_changes_nothing_and_is_said(bought, market, account, reliance, trader):
    bought()
    goal = ask(account, reliance, trader)
    market.fault("http_500", "positions")
    one_pass(account)
    goal.refresh_from_db()
    assert "cannot be read" in goal.note
    assert exits() == []
    market.heal()
    reached(account, goal)


def test_an_empty_list_that_contradicts_our_own_count_proves_nothing(
    bought, market, account, reliance, trader
):
    """Positions that vanish from one read are no proof that they are closed."""
    bought()
    goal = ask(account, reliance, trader)
    from apps.brokers.models import PositionsReport

    empty = PositionsReport(account=account, as_of=timezone.now(), mark=2**40, rows=[])
    flatten._safely(goal, empty)
    flatten._safely(goal, empty)
    goal.refresh_from_db()
    assert goal.state == "WORKING"
    assert goal.proofs == []
    reached(account, goal)
    assert held(account) == 0


def test_a_goal_that_is_withdrawn_places_nothing_more(bought, market, account, reliance, trader):
    bought()
    goal = ask(account, reliance, trader)
    goals.withdraw(goal, trader, "keep it after all")
    one_pass(account)
    assert exits() == []
    with pytest.raises(goals.NotOpen):
        goals.withdraw(goal, trader, "again")


def test_a_goal_that_is_late_is_told(bought, market, account, reliance, trader):
    bought()
    market.control("auto", on=False)
    goal = ask(account, reliance, trader)
    ExitGoal.objects.update(deadline_at=timezone.now() - dt.timedelta(seconds=1))
    one_pass(account)
    assert Alert.objects.get(key=f"goal:{goal.pk}:late").severity == "CRITICAL"


def test_a_pass_that_dies_before_the_order_is_stored_asks_again_and_once(
    bought, market, account, reliance, trader, monkeypatch
):
    bought()
    goal = ask(account, reliance, trader)
    with monkeypatch.context() as broken:
        broken.setattr(services, "place", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            flatten.flatten(account)
    reached(account, goal)
    assert len(exits()) == 1
    assert held(account) == 0


def test_a_larger_order_in_slices_brings_nothing_more_into_the_position(
    bought, place, market, account, reliance, trader
):
    bought(10)
    type(reliance).objects.update(freeze_quantity=10)
    reliance.refresh_from_db()
    whole = place(instrument=reliance, quantity=25, price=Decimal(1300)).parent
    reached(account, ask(account, reliance, trader))
    whole.refresh_from_db()
    assert whole.over
    assert not whole.slices.exclude(status__in=["CANCELLED", "DENIED", "LAPSED"]).exists()
    assert held(account) == 0
