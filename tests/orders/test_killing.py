"""The kill switch halts, cancels, closes, proves, and stays locked until two people clear it."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from apps.alerts.models import Alert
from apps.brokers import reporting
from apps.brokers.models import PositionsReport, WireCall
from apps.brokers.port import Intent, OrderType, Side
from apps.orders import killing
from apps.orders.killing import CannotKill
from apps.orders.models import Order
from apps.people import roles
from apps.risk import approvals, resuming
from apps.risk.models import DESK, Approval, ExitGoal, KillAccount, KillRun, TradingState
from tests.orders.closing import held, one_pass
from tests.orders.telling import sent, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


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
def book(place, account, market) -> list[Order]:
    """Ten shares, with a stop, and an entry that rests."""
    entry = sent(place(quantity=10, price=Decimal(1405)))
    settled(account)
    entry.refresh_from_db()
    assert entry.status == "FILLED"
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
    resting = sent(place(quantity=3, price=Decimal(1350)))
    settled(account)
    return [stop, resting]


def gone_through(row: KillAccount, *stages: str, seconds: float = 12) -> KillAccount:
    deadline = time.monotonic() + seconds
    while row.stage not in stages:
        assert time.monotonic() < deadline, [str(note) for note in row.notes.all()]
        one_pass(row.account)
        killing.advance(row.pk)
        row.refresh_from_db()
        time.sleep(0.05)
    return row


def kill(account, trader, **different) -> KillAccount:
    wanted = {"with_positions": True} | different
    run = killing.kill(account.name, trader, "wrong prices", **wanted)
    return run.accounts.get()


def broker_switch(account) -> bool:
    return reporting.reports_of(account).kill_switch().value


def cleared(account) -> Approval:
    """Two people agree that it may trade again."""
    people = [User.objects.create_user(name, is_staff=True) for name in ("anna", "bob")]
    for person in people:
        roles.give(person, roles.RISK)
    asked = resuming.ask(account.name, people[0], "prices are right")
    approvals.decide(asked.pk, people[1], "seen", approve=True)
    asked.refresh_from_db()
    return asked


def test_everything_is_cancelled_closed_proved_and_locked(book, market, account, trader):
    row = gone_through(kill(account, trader), "LOCKED")
    assert [Order.objects.get(pk=order.pk).status for order in book] == ["CANCELLED"] * 2
    assert held(account) == 0
    assert broker_switch(account)
    assert row.broker_switch
    assert len({proof["mark"] for proof in row.proofs}) == 2
    assert TradingState.objects.get(account=account).switch == "HALTED"
    assert row.stopped_at <= row.proved_at <= row.locked_at


def test_without_closing_positions_stay_and_the_brokers_switch_is_not_asked(
    book, market, account, trader
):
    gone_through(kill(account, trader, with_positions=False), "LOCKED")
    assert held(account) == 10
    assert not broker_switch(account)
    assert not ExitGoal.objects.exists()


def test_closing_can_be_asked_for_afterwards(book, market, account, trader):
    first = gone_through(kill(account, trader, with_positions=False), "LOCKED")
    killing.kill(account.name, trader, "close it too", with_positions=True)
    first.refresh_from_db()
    gone_through(first, "LOCKED")
    assert held(account) == 0
    assert KillAccount.objects.count() == 1


def test_the_halt_stands_before_anything_else_is_done(account, place, trader):
    kill(account, trader)
    assert place().status == "DENIED"


def test_it_is_not_locked_while_an_order_is_unknown(book, place, market, account, trader):
    market.fault("drop_after_accept", "place", times=1)
    for endpoint in ("book", "by_correlation"):
        market.fault("http_500", endpoint)
    lost = sent(place(quantity=1, price=Decimal(1350)))
    assert lost.status == "UNKNOWN"
    row = kill(account, trader)
    for _ in range(15):
        one_pass(account)
        killing.advance(row.pk)
    row.refresh_from_db()
    assert row.stage == "STOPPING"
    market.heal()
    gone_through(row, "LOCKED")
    lost.refresh_from_db()
    assert lost.status == "CANCELLED"


def test_a_refusal_of_the_brokers_own_switch_is_told_and_the_account_is_locked(
    book, market, account, trader, monkeypatch
):
    row = kill(account, trader)
    gone_through(row, "SWITCHING")
    market.control(
        "hand",
        client_id=account.client_id,
        transactionType="BUY",
        exchangeSegment="NSE_EQ",
        securityId="2885",
        productType="INTRADAY",
        orderType="LIMIT",
        price=1300,
        quantity=1,
    )
    killing.advance(row.pk)
    row.refresh_from_db()
    assert row.stage == "LOCKED"
    assert not row.broker_switch
    assert Alert.objects.filter(key=f"kill:{account.name}:broker").exists()


@pytest.mark.parametrize("fault", ["drop_after_accept", "http_500"])
def test_a_lost_answer_of_the_brokers_own_switch_is_looked_up(book, market, account, trader, fault):
    market.fault(fault, "kill_switch", times=1)
    row = gone_through(kill(account, trader), "LOCKED")
    assert row.broker_switch
    assert broker_switch(account)


def test_a_broker_that_never_answers_about_its_own_switch_leaves_the_account_locked(
    book, market, account, trader
):
    market.fault("http_500", "kill_switch")
    market.fault("http_500", "kill_status")
    row = gone_through(kill(account, trader), "LOCKED")
    assert "it may be on" in row.note
    assert Alert.objects.filter(key=f"kill:{account.name}:broker").exists()
    assert WireCall.objects.filter(verb="CONTROL").count() == 5
    market.heal()
    cleared(account)
    gone_through(row, "CLEARED")
    assert not broker_switch(account)


def test_two_people_clear_it_and_the_brokers_own_switch_goes_back(book, account, trader):
    row = gone_through(kill(account, trader), "LOCKED")
    cleared(account)
    gone_through(row, "CLEARED")
    assert not broker_switch(account)
    assert TradingState.objects.get(account=account).switch == "ACTIVE"


def test_two_people_cannot_clear_it_before_it_has_done_its_work(book, account, trader):
    row = kill(account, trader)
    asked = cleared(account)
    assert "still at work" in asked.result
    assert TradingState.objects.get(account=account).switch == "HALTED"
    gone_through(row, "LOCKED")


def test_what_appears_while_it_is_locked_is_stopped_again(book, market, account, trader):
    row = gone_through(kill(account, trader, with_positions=True), "LOCKED")
    report = PositionsReport.objects.get()
    key = {"segment": "NSE_EQ", "security_id": "2885", "product": "INTRADAY"}
    report.rows = [key | {"net_quantity": 4}]
    report.save()
    row.not_before = None
    row.save()
    killing.advance(row.pk)
    row.refresh_from_db()
    assert row.stage == "STOPPING"
    assert Alert.objects.filter(key=f"kill:{account.name}:violation").exists()
    gone_through(row, "LOCKED")


def test_the_whole_desk_is_one_switch_and_every_account_a_row(book, account, make_account, trader):
    other = make_account("beta", "1000000002")
    run = killing.kill(DESK, trader, "storm", with_positions=True)
    assert TradingState.objects.get(scope=DESK).switch == "HALTED"
    rows = list(run.accounts.all())
    assert [row.account for row in rows] == [account, other]
    for row in rows:
        gone_through(row, "LOCKED")


def test_a_drill_stops_simulated_accounts_and_leaves_the_desk_alone(book, account, trader):
    run = killing.kill(DESK, trader, "drill", with_positions=True, drill=True)
    assert TradingState.objects.get(scope=DESK).switch == "ACTIVE"
    assert TradingState.objects.get(account=account).switch == "HALTED"
    gone_through(run.accounts.get(), "LOCKED")


def test_a_drill_on_a_live_account_is_refused(account, trader):
    type(account).objects.update(rest_url="https://api.broker.invalid/v2", calendar="exchange")
    with pytest.raises(CannotKill):
        killing.kill(account.name, trader, "drill", with_positions=True, drill=True)
    assert not KillRun.objects.exists()
    assert TradingState.objects.get(account=account).switch == "ACTIVE"


@pytest.mark.parametrize(("scope", "reason"), [("nobody", "why"), ("alpha", " ")])
def test_what_cannot_be_killed_is_said_and_nothing_is_halted(account, trader, scope, reason):
    with pytest.raises(CannotKill):
        killing.kill(scope, trader, reason, with_positions=False)
    assert TradingState.objects.get(account=account).switch == "ACTIVE"


def test_an_account_whose_books_cannot_be_read_is_late_and_told(
    book, market, account, trader, settings
):
    settings.FLATTEN_DEADLINE = 0.0
    market.fault("http_500", "positions")
    row = kill(account, trader)
    killing.advance(row.pk)
    row.refresh_from_db()
    assert "cannot be read" in row.note
    assert Alert.objects.get(key=f"kill:{account.name}:late").severity == "CRITICAL"
    market.heal()
    gone_through(row, "LOCKED")
    assert Alert.objects.get(key=f"kill:{account.name}:late").acknowledged_at is not None


def test_the_command_closes_and_waits_for_the_lock(book, account, capsys, monkeypatch):
    def pause(_: float) -> None:
        one_pass(account)
        killing.advance_due()

    monkeypatch.setattr("apps.orders.management.commands.halt.pause", pause)
    call_command("halt", account.name, "--flatten", "--wait", "--reason", "storm")
    said = capsys.readouterr().out
    assert "alpha" in said
    assert "Locked" in said
    assert held(account) == 0


def test_the_command_refuses_a_drill_without_closing(account):
    with pytest.raises(CommandError, match="--drill"):
        call_command("halt", account.name, "--drill", "--reason", "x")


def test_orders_of_a_person_are_cancelled_in_the_kill_switchs_name(book, account, trader):
    row = kill(account, trader)
    killing.advance(row.pk)
    stop = book[0]
    event = stop.events.filter(event="WANT_CANCEL").get()
    assert event.actor == f"kill switch #{row.run_id}"
