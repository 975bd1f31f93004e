"""The judge of positions, held against fills with every flaw that it must find."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.brokers.port import Intent, Side
from apps.orders import services
from apps.orders.models import Order, Source
from apps.orders.reconcile import reconcile
from apps.risk.models import ExitGoal, OwnedPosition
from tests.chaos.closing import Positions
from tests.orders.closing import ask, reached
from tests.orders.telling import sent, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def market(exchange):
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    exchange.control("auto", on=True)
    return exchange


@pytest.fixture
def traded(intent, trader, no_bells, account, market):
    """Trade so many units, in or out."""

    def trade(quantity: int, side: Side = Side.BUY, goes: Intent = Intent.ENTRY) -> Order:
        price = Decimal(1405 if side is Side.BUY else 1395)
        wanted = intent(quantity=quantity, side=side, price=price, intent=goes)
        order = sent(services.place(wanted, trader, Source.SYSTEM))
        settled(account)
        order.refresh_from_db()
        assert order.status == "FILLED", order.reason
        return order

    return trade


@pytest.fixture
def by_hand(market, account):
    def trade(side: str, quantity: int) -> None:
        market.control(
            "hand", client_id=account.client_id, transactionType=side, exchangeSegment="NSE_EQ",
            securityId="2885", productType="INTRADAY", orderType="MARKET", quantity=quantity,
            fill=True,
        )  # fmt: skip

    return trade


@pytest.fixture
def judged(exchange, account):
    def judge(spoil=lambda fills: None):
        report = exchange.report()
        spoil(report["fills"])
        return Positions(report, {account.client_id}).verdict()

    return judge


def test_what_is_right_is_clean(traded, judged, account, reliance, trader):
    traded(10)
    reached(account, ask(account, reliance, trader))
    found = judged()
    assert (found.exits, found.goals) == (1, 1)
    assert (found.crossed, found.breaks, found.unclosed, found.miscounted) == (0, 0, 0, 0)


def test_an_exit_that_filled_more_than_was_there_has_crossed(traded, judged):
    traded(10)
    traded(10, Side.SELL, Intent.EXIT)

    def smaller(fills):
        fills[0]["quantity"] = 9

    assert judged(smaller).crossed == 1


def test_what_was_sold_by_hand_after_the_decision_is_not_ours(traded, by_hand, judged, account):
    traded(10)
    by_hand("SELL", 4)
    reconcile(account)
    traded(6, Side.SELL, Intent.EXIT)
    assert judged().crossed == 0

    def one_more(fills, by_hand_at):
        """The exit filled one too many; the trade by hand was so many seconds from it."""
        fills[-1]["quantity"] = 7
        at = dt.datetime.fromisoformat(fills[-1]["at"]) + dt.timedelta(seconds=by_hand_at)
        fills[-2]["at"] = at.isoformat()

    assert judged(lambda fills: one_more(fills, by_hand_at=-60)).crossed == 1
    assert judged(lambda fills: one_more(fills, by_hand_at=1)).crossed == 0


def test_a_count_of_ours_that_differs_is_told(traded, judged):
    traded(10)
    OwnedPosition.objects.update(net=9)
    found = judged()
    assert found.miscounted == 1
    assert "the risk's count has 9, fills 10" in found.notes[0]


def test_a_hand_trade_without_a_row_is_told(by_hand, judged, account, reliance):
    by_hand("BUY", 3)
    assert judged().miscounted == 3  # the trade itself, and its units in both counts
    settled(account)
    found = judged()
    assert (found.external, found.miscounted) == (1, 0)


def test_a_goal_that_is_at_work_is_told(traded, judged, account, reliance, trader):
    traded(10)
    ask(account, reliance, trader)
    assert judged().unclosed == 1


def test_a_goal_called_reached_while_the_position_was_there_is_told(
    traded, judged, account, reliance, trader
):
    traded(10)
    goal = ask(account, reliance, trader)
    at = timezone.localtime().strftime("%H:%M:%S.%f")
    proofs = [{"mark": mark, "as_of": at, "net": 0} for mark in (1, 2)]
    ExitGoal.objects.filter(pk=goal.pk).update(
        state="REACHED", ended_at=timezone.now(), proofs=proofs
    )
    assert judged().unclosed == 1
