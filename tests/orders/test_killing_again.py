"""The kill switch pulled again while it is at work: nothing of the later use is lost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import User

from apps.alerts.models import Alert
from apps.brokers.models import AccessToken, BrokerAccount, WireCall
from apps.brokers.port import Refused
from apps.orders import kill_rows, kill_steps, killing
from apps.orders.models import Order
from apps.people import roles
from apps.risk import approvals, resuming, switch
from apps.risk.models import DESK, Approval, KillAccount, KillNote, KillRun, TradingState
from tests.orders.closing import ask, held, one_pass, passes_until
from tests.orders.telling import OnTheSide
from tests.orders.test_killing import (
    book,
    broker_switch,
    cleared,
    gone_through,
    kill,
    market,
    quick_closing,
)

__all__ = ["book", "market", "quick_closing"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


@pytest.fixture
def meanwhile(monkeypatch):
    """Let something happen once, just after this was done."""

    def meanwhile(where, name, happens) -> None:
        real, left = getattr(where, name), [happens]

        def and_then(*args, **named):
            result = real(*args, **named)
            if left:
                left.pop()()
            return result

        monkeypatch.setattr(where, name, and_then)

    return meanwhile


@pytest.fixture
def again(account, trader):
    """Pull it once more."""

    def again(*, with_positions: bool = True) -> KillRun:
        return killing.kill(account.name, trader, "again", with_positions=with_positions)

    return again


def asked_of_the_broker() -> list[bool]:
    calls = WireCall.objects.filter(verb="CONTROL").order_by("pk")
    return [call.request["on"] for call in calls]


def is_clearing(account, row: KillAccount) -> KillAccount:
    cleared(account)
    return gone_through(row, "CLEARING")


def test_while_it_is_cleared_the_account_is_stopped_anew(book, account, trader, again):
    row = is_clearing(account, gone_through(kill(account, trader), "LOCKED"))
    run = again()
    row.refresh_from_db()
    assert (row.stage, row.run, row.proofs, row.locked_at) == ("STOPPING", run, [], None)
    gone_through(row, "LOCKED")
    assert TradingState.objects.get(account=account).switch == "HALTED"
    assert broker_switch(account)


def test_a_pass_that_clears_it_meanwhile_does_not_undo_it(
    book, account, trader, again, meanwhile, place
):
    row = is_clearing(account, gone_through(kill(account, trader), "LOCKED"))
    entry = place(quantity=2, price=Decimal(1350))
    meanwhile(kill_steps, "_broker_lets_go", again)
    killing.advance(row.pk)
    row.refresh_from_db()
    assert row.stage == "STOPPING"
    gone_through(row, "LOCKED")
    entry.refresh_from_db()
    assert entry.over
    assert broker_switch(account)


@pytest.mark.parametrize("stage", ["PROVING", "SWITCHING"])
def test_a_pass_under_way_does_not_lock_positions_that_are_to_be_closed_now(
    book, account, trader, again, meanwhile, stage
):
    row = gone_through(kill(account, trader, with_positions=False), stage)
    done = {"PROVING": (kill_steps.footing, "read_positions"), "SWITCHING": (kill_rows, "keep")}
    meanwhile(*done[stage], again)
    killing.advance(row.pk)
    row.refresh_from_db()
    assert (row.stage, row.flatten, row.proofs) == ("STOPPING", True, [])
    gone_through(row, "LOCKED")
    assert held(account) == 0


def test_while_it_is_locked_and_flat_the_brokers_switch_stays_on(book, account, trader, again):
    row = gone_through(kill(account, trader), "LOCKED")
    run = again(with_positions=False)
    row.refresh_from_db()
    assert (row.stage, row.flatten) == ("STOPPING", True)  # closing was asked for, and still is
    gone_through(row, "LOCKED")
    assert row.run == run
    assert row.locked_at > run.started_at
    assert asked_of_the_broker() == [True, True]
    assert broker_switch(account)
    assert KillAccount.objects.count() == 1


def test_two_at_once_make_one_row(book, account, trader, again):
    both = [OnTheSide(again), OnTheSide(again)]
    runs = {one.over() for one in both}
    assert {type(run) for run in runs} == {KillRun}
    row = KillAccount.objects.get()
    assert row.run in runs
    assert KillNote.objects.filter(on=row, facts__run__in=[run.pk for run in runs]).count() == 2
    gone_through(row, "LOCKED")


def test_a_halt_while_it_is_cleared_stops_it_again(book, account, trader):
    row = is_clearing(account, gone_through(kill(account, trader), "LOCKED"))
    switch.halt(account.name, "a breach", "risk")
    killing.advance(row.pk)
    row.refresh_from_db()
    assert (row.stage, row.proofs) == ("STOPPING", [])
    gone_through(row, "LOCKED")
    assert broker_switch(account)


def test_a_resume_between_the_halt_and_the_rows_does_not_let_it_trade(
    book, account, trader, meanwhile
):
    """The account was halted before, and the second person says yes in just that moment."""
    switch.halt(account.name, "earlier", "somebody")
    meanwhile(killing, "_halt", lambda: cleared(account))
    row = kill(account, trader)
    assert TradingState.objects.get(account=account).switch == "HALTED"
    gone_through(row, "LOCKED")


def test_a_wish_to_resume_from_before_does_not_clear_it(book, account, trader):
    """Nobody has looked at what the kill switch was pulled for."""
    switch.halt(account.name, "earlier", "somebody")
    people = [User.objects.create_user(name, is_staff=True) for name in ("anna", "bob")]
    for person in people:
        roles.give(person, roles.RISK)
    asked = resuming.ask(account.name, people[0], "the earlier reason is gone")
    gone_through(kill(account, trader), "LOCKED")
    approvals.decide(asked.pk, people[1], "seen", approve=True)
    asked.refresh_from_db()
    assert "pulled since it was asked" in asked.result
    assert TradingState.objects.get(account=account).switch == "HALTED"


def test_the_halt_stands_when_its_rows_cannot_be_written(account, trader, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("no rows today")

    monkeypatch.setattr(killing, "_begin", broken)
    with pytest.raises(RuntimeError):
        kill(account, trader)
    assert TradingState.objects.get(account=account).switch == "HALTED"
    assert not KillRun.objects.exists()


def test_tries_to_turn_the_brokers_switch_off_do_not_count_as_tries_to_turn_it_on(
    book, market, account, trader, again
):
    row = is_clearing(account, gone_through(kill(account, trader), "LOCKED"))
    market.fault("http_500", "kill_switch")
    for _ in range(6):
        killing.advance(row.pk)
    row.refresh_from_db()
    assert (row.stage, row.tries) == ("CLEARING", 6)
    market.heal()
    again()
    gone_through(row, "LOCKED")
    assert row.note.endswith("the broker's own switch: on")


def test_a_no_to_a_switch_that_is_on_is_no_refusal(book, account, trader, monkeypatch):
    """The broker says that it is on already; its read says so too."""
    row = gone_through(kill(account, trader), "SWITCHING")
    real = kill_steps.gate.turn_broker_switch

    def refused(*args, **named):
        return type(told := real(*args, **named))(told.call, Refused("DH-905", "is on already"))

    monkeypatch.setattr(kill_steps.gate, "turn_broker_switch", refused)
    killing.advance(row.pk)
    row.refresh_from_db()
    assert (row.stage, row.broker_switch) == ("LOCKED", True)
    assert not Alert.objects.filter(key=f"kill:{account.name}:broker").exists()


def test_an_exit_of_a_goal_that_rests_is_waited_for_aloud(
    book, market, account, reliance, trader, settings
):
    """Cancelling leaves what closes alone, and is not done before that is."""
    market.control("auto", on=False)
    ask(account, reliance, trader)
    exits = Order.objects.filter(source="FLATTEN", status="OPEN")
    passes_until(account, exits.exists)
    settings.FLATTEN_LOUD_AFTER = 0.2
    row = kill(account, trader, with_positions=False)
    for _ in range(8):
        one_pass(account)
        killing.advance(row.pk)
    row.refresh_from_db()
    assert (row.stage, row.orders_left) == ("STOPPING", 1)
    assert Alert.objects.filter(key=f"kill:{account.name}:waits").exists()
    market.control("auto", on=True)
    market.control("price", segment="NSE_EQ", securityId="2885", price=1401)
    gone_through(row, "LOCKED")


def test_an_order_at_the_broker_that_has_no_row_here_is_waited_for_by_its_name(
    market, account, trader, settings
):
    """Its instrument is not known here, so nothing here can cancel it."""
    settings.FLATTEN_LOUD_AFTER = 0.0
    row = kill(account, trader)
    killing.advance(row.pk)
    made = market.control(
        "hand", client_id=account.client_id, transactionType="BUY", exchangeSegment="NSE_EQ",
        securityId="2885", productType="INTRADAY", orderType="LIMIT", price=1300, quantity=1,
    )  # fmt: skip
    for _ in range(2):
        killing.advance(row.pk)
    row.refresh_from_db()
    assert row.stage == "PROVING"
    assert made["orderId"] in row.note
    assert row.not_before is not None
    assert Alert.objects.filter(key=f"kill:{account.name}:waits").exists()
    market.control("hand/cancel", orderId=made["orderId"])
    gone_through(row, "LOCKED")


def of_the_desk_resumed() -> Approval:
    people = [User.objects.create_user(name, is_staff=True) for name in ("carl", "dora")]
    for person in people:
        roles.give(person, roles.RISK)
    asked = resuming.ask(DESK, people[0], "the storm is over")
    approvals.decide(asked.pk, people[1], "seen", approve=True)
    asked.refresh_from_db()
    return asked


@pytest.fixture
def stuck(market, account, make_account, trader) -> KillAccount:
    """The whole desk is stopped; one account without a token never gets there."""
    other = make_account("beta", "1000000002")
    AccessToken.objects.filter(account=other).delete()
    run = killing.kill(DESK, trader, "storm", with_positions=True)
    gone_through(run.accounts.get(account=account), "LOCKED")
    row = run.accounts.get(account=other)
    killing.advance(row.pk)
    row.refresh_from_db()
    assert row.stage == "STOPPING"
    return row


def test_an_account_that_is_not_stopped_yet_keeps_the_desk_halted(stuck):
    assert "still at work on beta" in of_the_desk_resumed().result
    assert TradingState.objects.get(scope=DESK).switch == "HALTED"


def test_an_account_that_is_disabled_does_not_and_is_halted_by_itself(stuck):
    BrokerAccount.objects.filter(name="beta").update(enabled=False)
    of_the_desk_resumed()
    switches = dict(TradingState.objects.values_list("scope", "switch"))
    assert switches == {DESK: "ACTIVE", "alpha": "ACTIVE", "beta": "HALTED"}
    stuck.refresh_from_db()
    assert stuck.stage == "STOPPING"
    assert "still at work on beta" in resuming.still_killing("beta")
