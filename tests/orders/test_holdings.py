"""Shares that were delivered on an earlier day: what of them may be sold, closed and counted."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import time_machine

from apps.alerts.models import Alert
from apps.brokers import holdings, reporting
from apps.brokers.dhan.reporting import DhanReporting
from apps.brokers.models import HoldingsReport
from apps.brokers.port import Holding, Intent, Known, OrderType, Product, Segment, Side
from apps.orders import killing, tasks
from apps.orders.goals import BadOrder
from apps.orders.models import Order
from apps.risk import footing
from apps.risk.models import Decision, ExitGoal, Footing, OwnedPosition
from tests.orders.closing import ask, one_pass, passes_until, reached
from tests.orders.delivering import ISIN, authority, in_the_depository, night
from tests.orders.telling import sent, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
KEY = ("NSE_EQ", "2885", "DELIVERY")


@pytest.fixture(autouse=True)
def quick_closing(settings):
    settings.FLATTEN_REPRICE_AFTER = 0.4
    settings.FLATTEN_RETRY_MOST = 0.5


@pytest.fixture
def market(exchange):
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    exchange.control("auto", on=True)
    return exchange


@pytest.fixture
def deal(place, account, market):
    """An order of DELIVERY that fills at once, or is denied."""

    def make(side: Side, quantity: int, intent: Intent = Intent.ENTRY, **different) -> Order:
        price = Decimal(1405 if side is Side.BUY else 1395)
        terms = {"side": side, "quantity": quantity, "price": price, "intent": intent}
        order = place(product=Product.DELIVERY, **(terms | different))
        if order.status == "APPROVED":
            sent(order)
            settled(account)
            order.refresh_from_db()
        return order

    return make


@pytest.fixture
def delivered(deal, account, market):
    """Bought yesterday by a strategy, and delivered over night."""

    def make(quantity: int = 100, **different) -> Order:
        order = deal(Side.BUY, quantity, **({"strategy": "slow"} | different))
        assert order.status == "FILLED", order.reason
        night(market, account, quantity)
        return order

    return make


def at_broker(account) -> int:
    """Units that the broker holds for the account, read now."""
    row = holdings.store_holdings(account).row("NSE_EQ", "2885")
    return row["total"] if row else 0


def net_today(account) -> int:
    return sum(row.net_quantity for row in reporting.reports_of(account).positions().value)


# --- what may be sold ---------------------------------------------------------------------------


def test_with_ddpi_a_strategy_leaves_on_a_later_day_what_it_bought(
    deal, delivered, account, market
):
    delivered()
    authority(market, account, ddpi=True)
    order = deal(Side.SELL, 100, Intent.EXIT, strategy="slow")
    assert order.status == "FILLED", order.reason
    assert at_broker(account) == 0
    assert OwnedPosition.objects.get(product="DELIVERY").net == 0


def test_a_person_leaves_what_was_held_before_the_desk(deal, account, market):
    in_the_depository(market, account, 40)
    authority(market, account, ddpi=True)
    passes_until(account, lambda: _read_and_confirmed(account, 40), each=0.4)
    order = deal(Side.SELL, 40, Intent.EXIT)
    assert order.status == "FILLED", order.reason


def _read_and_confirmed(account, units: int) -> bool:
    holdings.store_holdings(account)
    footing.read_positions(account)
    return Footing.objects.filter(product="DELIVERY", foreign=units).exists()


@pytest.mark.parametrize("why", [Intent.ENTRY, Intent.EXIT])
def test_without_authority_it_is_refused_and_says_what_to_do(deal, delivered, account, market, why):
    delivered()
    order = deal(Side.SELL, 30, why, strategy="slow")
    assert order.status == "DENIED"
    told = f"authorise 30 units of {ISIN} at the broker's eDIS page, or activate DDPI"
    assert told in order.reason
    assert not market.accepted(order.correlation_id)


@pytest.mark.parametrize("why", [Intent.ENTRY, Intent.EXIT])
def test_what_edis_has_approved_may_be_sold_once(deal, delivered, account, market, why):
    delivered()
    authority(market, account, approved=25)
    assert deal(Side.SELL, 25, why, strategy="slow").status == "FILLED"
    more = deal(Side.SELL, 1, why, strategy="slow")
    assert more.status == "DENIED"
    assert f"authorise 26 units of {ISIN}" in more.reason
    authority(market, account, approved=26)
    last = deal(Side.SELL, 1, why, strategy="slow")
    assert last.status == "FILLED", last.reason


def test_todays_own_buys_need_no_authority(deal, delivered, account, market):
    delivered()
    assert deal(Side.BUY, 20).status == "FILLED"
    assert deal(Side.SELL, 20).status == "FILLED"
    assert deal(Side.SELL, 1).status == "DENIED"


def test_sales_that_work_are_taken_off(place, deal, account, market):
    in_the_depository(market, account, 100)
    authority(market, account, ddpi=True)
    resting = {"side": Side.SELL, "product": Product.DELIVERY, "price": Decimal(1480)}
    sent(place(quantity=60, **resting))
    more = place(quantity=41, **resting)
    assert more.status == "DENIED"
    assert "41 is more than the 40 left of 100 available" in more.reason
    assert place(quantity=40, **resting).status == "APPROVED"


def test_the_sale_of_what_nobody_holds_is_refused(deal):
    assert "more than the 0 left" in deal(Side.SELL, 1).reason


def test_after_a_sale_the_rest_may_go_on_the_same_day(deal, delivered, account, market):
    delivered()
    authority(market, account, ddpi=True)
    assert deal(Side.SELL, 30, Intent.EXIT, strategy="slow").status == "FILLED"
    assert deal(Side.SELL, 71, Intent.EXIT, strategy="slow").status == "DENIED"
    assert deal(Side.SELL, 70, Intent.EXIT, strategy="slow").status == "FILLED"


@pytest.mark.parametrize("endpoint", ["holdings", "profile", "edis"])
def test_a_read_that_fails_stops_an_entry_and_no_exit(deal, delivered, account, market, endpoint):
    """The exit goes, and the broker decides: it has the authority that we could not read."""
    delivered()
    authority(market, account, ddpi=True)
    market.fault("http_500", endpoint)
    if endpoint == "edis":  # with DDPI nobody asks for it
        assert deal(Side.SELL, 10, strategy="slow").status == "FILLED"
    else:
        assert "not" in deal(Side.SELL, 10, strategy="slow").reason
    order = deal(Side.SELL, 10, Intent.EXIT, strategy="slow")
    assert order.status == "FILLED", order.reason


def test_the_decision_shows_what_it_saw(deal, delivered, account, market):
    delivered()
    authority(market, account, approved=25)
    deal(Side.SELL, 10, Intent.EXIT, strategy="slow")
    seen = Decision.objects.latest("id").inputs["delivery"]
    wanted = {"isin": ISIN, "available": 100, "approved": 25, "ddpi": False, "net": 0, "t1": 0}
    assert {name: seen[name] for name in wanted} == wanted


def test_a_failed_read_of_the_task_keeps_the_old_list(delivered, account, market):
    delivered()
    tasks.refresh_reports()
    kept = HoldingsReport.objects.get()
    assert kept.row("NSE_EQ", "2885")["available"] == 100
    HoldingsReport.objects.update(as_of=kept.as_of.replace(year=kept.as_of.year - 1))
    market.fault("http_500", "holdings")
    tasks.refresh_reports()
    assert HoldingsReport.objects.get().rows == kept.rows
    assert not HoldingsReport.objects.get().todays


@pytest.mark.parametrize(
    ("reads", "most"),
    [
        ([("00:05", 100), ("07:00", 70), ("09:30", 70)], 70),
        ([("07:59", 100), ("10:00", 70)], 70),
        ([("08:30", 100), ("08:55", 70), ("09:30", 70)], 70),
        ([("08:59", 100), ("09:20", 70)], 100),
        ([("10:00", 100), ("11:00", 70), ("12:00", 40)], 100),
    ],
)
def test_units_that_the_night_takes_out_are_not_there_today(account, monkeypatch, reads, most):
    """What was sold yesterday may leave the list long after midnight: it is no sale of today."""
    account.calendar = "exchange"
    for clock, units in reads:
        at = dt.datetime.fromisoformat(f"2026-03-03T{clock}+05:30")
        share = _share(units)
        monkeypatch.setattr(DhanReporting, "holdings", lambda _, at=at, one=share: Known([one], at))
        with time_machine.travel(at, tick=False):
            holdings.store_holdings(account)
    row = HoldingsReport.objects.get().row("NSE_EQ", "2885")
    assert (row["most"], row["most_available"], row["total"]) == (most, most, reads[-1][1])


def _share(units: int) -> Holding:
    return Holding(
        segment=Segment.NSE_EQ,
        security_id="2885",
        isin=ISIN,
        symbol="RELIANCE",
        total=units,
        available=units,
        t1=0,
        collateral=0,
        average=Decimal(1200),
    )


# --- what is closed -----------------------------------------------------------------------------


def test_a_persons_closing_sells_the_holding_too(
    deal, delivered, account, market, reliance, trader
):
    delivered()
    authority(market, account, ddpi=True)
    assert deal(Side.BUY, 5).status == "FILLED"
    reached(account, ask(account, reliance, trader, product="DELIVERY", holdings=True))
    assert at_broker(account) == 0
    assert net_today(account) == -100
    assert not Alert.objects.filter(key__contains="stopped").exists()


def test_a_closing_waits_while_the_holdings_are_not_known(
    delivered, account, market, reliance, trader
):
    delivered()
    authority(market, account, ddpi=True)
    market.fault("http_500", "holdings")
    goal = ask(account, reliance, trader, product="DELIVERY", holdings=True)
    one_pass(account)
    goal.refresh_from_db()
    assert goal.note == "the holdings of today are not known"
    market.heal()
    reached(account, goal)
    assert at_broker(account) == 0


def test_the_kill_switch_proves_flat_and_leaves_holdings_alone(
    deal, delivered, account, market, trader
):
    """Yesterday's are a holding: today's buys are closed, and a sale is not bought back."""
    delivered()
    authority(market, account, ddpi=True)
    assert deal(Side.BUY, 7).status == "FILLED"
    _killed(account, trader)
    assert at_broker(account) == 100
    assert net_today(account) == 0
    assert not Order.objects.filter(source="FLATTEN").exclude(quantity=7).exists()


def test_the_kill_switch_buys_no_sale_out_of_the_depository_back(
    deal, delivered, account, market, trader
):
    delivered()
    authority(market, account, ddpi=True)
    assert deal(Side.SELL, 30, Intent.EXIT, strategy="slow").status == "FILLED"
    _killed(account, trader)
    assert at_broker(account) == 70
    assert not ExitGoal.objects.exists()


def test_the_kill_switch_needs_no_holdings_read(delivered, account, market, trader):
    delivered()
    market.fault("http_500", "holdings")
    _killed(account, trader)


def test_a_position_list_that_lies_proves_nothing(deal, delivered, account, market, monkeypatch):
    delivered()
    assert deal(Side.BUY, 7).status == "FILLED"
    holdings.store_holdings(account)
    report = footing.read_positions(account)
    assert footing.agrees(account, report)
    report.rows = []
    assert not footing.agrees(account, report)


def _killed(account, trader) -> None:
    row = killing.kill(account.name, trader, "wrong", with_positions=True).accounts.get()

    def locked() -> bool:
        killing.advance(row.pk)
        row.refresh_from_db()
        return row.stage == "LOCKED"

    passes_until(account, locked)
    assert len(row.proofs) == 2


def test_a_holding_is_not_asked_for_while_todays_position_is_being_closed(
    deal, account, market, reliance, trader
):
    assert deal(Side.BUY, 7).status == "FILLED"
    ask(account, reliance, trader, product="DELIVERY")
    with pytest.raises(BadOrder, match="ask for the holding after that"):
        ask(account, reliance, trader, product="DELIVERY", holdings=True)


# --- what is counted ----------------------------------------------------------------------------


def test_while_holdings_are_not_known_delivered_shares_are_not_judged(delivered, account, market):
    delivered()
    market.fault("http_500", "holdings")
    for _ in range(3):
        one_pass(account)
        footing.read_positions(account)
    assert not Footing.objects.filter(product="DELIVERY").exclude(foreign=0).exists()
    assert footing.total(account, KEY) == 100


def test_a_delivered_share_is_explained_by_its_holding(delivered, account):
    delivered()
    holdings.store_holdings(account)
    report = footing.read_positions(account)
    assert footing.agrees(account, report)
    assert not Footing.objects.filter(product="DELIVERY", candidate__isnull=False).exists()


def test_a_stop_at_work_on_a_holding_survives_the_reads(place, delivered, account, market):
    delivered()
    authority(market, account, ddpi=True)
    stop = place(
        product=Product.DELIVERY,
        side=Side.SELL,
        quantity=100,
        order_type=OrderType.STOP_LIMIT,
        price=Decimal(1340),
        trigger_price=Decimal(1345),
        intent=Intent.EXIT,
        strategy="slow",
    )
    assert stop.status == "APPROVED", stop.reason
    sent(stop)
    settled(account)
    tasks.refresh_reports()
    one_pass(account)
    stop.refresh_from_db()
    assert stop.status == "OPEN", stop.reason


def test_a_sale_by_hand_at_the_broker_is_counted_once(deal, delivered, account, market):
    """It is in the positions and gone from the holdings; it was one sale all the same."""
    delivered()
    authority(market, account, ddpi=True)
    holdings.store_holdings(account)
    sold = market.control(
        "hand",
        client_id=account.client_id,
        transactionType="SELL",
        exchangeSegment="NSE_EQ",
        securityId="2885",
        productType="CNC",
        orderType="MARKET",
        quantity=30,
        fill=True,
    )
    assert sold["orderStatus"] == "TRADED"
    passes_until(account, lambda: footing.total(account, KEY) == 70)
    for _ in range(2):
        holdings.store_holdings(account)
        assert footing.agrees(account, footing.read_positions(account))
    assert deal(Side.SELL, 71, Intent.EXIT).status == "DENIED"
    assert deal(Side.SELL, 70, Intent.EXIT, strategy="slow").status == "FILLED"


def test_a_strategys_part_is_closed_and_the_rest_is_kept(
    delivered, account, market, reliance, trader
):
    delivered(60)
    in_the_depository(market, account, 100)
    authority(market, account, ddpi=True)
    passes_until(account, lambda: _read_and_confirmed(account, 40), each=0.4)
    asked = {"product": "DELIVERY", "owner": "strategy:slow", "holdings": True}
    reached(account, ask(account, reliance, trader, **asked))
    assert at_broker(account) == 40
