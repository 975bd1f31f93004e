"""From a stored signal to one order: once, in time, through the gate, whoever dies on the way."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.alerts.models import Alert, Heartbeat
from apps.orders import guard
from apps.orders.models import Bracket, Order
from apps.risk.models import SwitchState, TradingState
from apps.risk.switch import halt
from apps.signals import acting, tasks
from apps.signals import sweep as sweeping
from apps.signals.acting import MOST_TRIES, act
from apps.signals.models import Signal, SignalSource
from apps.signals.sweep import sweep
from tests.orders.sweeping import sweep_and_send
from tests.orders.telling import swept_until
from tests.orders.test_crash_table import ROOT, environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def fate(signal: Signal) -> str:
    signal.refresh_from_db()
    return signal.fate


def ripe() -> None:
    """As if nobody had heard the bell."""
    Signal.objects.filter(fate="RECEIVED").update(next_try_at=timezone.now())


def sweep_until_settled(signal: Signal, seconds: float = 10) -> str:
    deadline = time.monotonic() + seconds
    while fate(signal) == "RECEIVED" and time.monotonic() < deadline:
        ripe()
        sweep(act=lambda waiting: act(waiting.pk, again=True))
        time.sleep(0.05)
    return signal.fate


def test_a_signal_becomes_one_order_at_the_exchange(trading, exchange):
    signal = trading.heard(reason="breakout")
    act(signal.pk)
    assert fate(signal) == "ACTED"
    order = signal.order
    assert (order.source, order.actor, order.strategy) == (
        "SIGNAL",
        "signal alpha-strategy",
        "momentum",
    )
    assert order.cause == f"signal {signal.pk}: breakout"
    assert order.request_key == f"signal:{signal.pk}"
    assert len(exchange.accepted(order.correlation_id)) == 1


BRACKET = {"stop_price": "1380", "target_price": "1430", "trailing_jump": "5"}


def test_a_signal_with_a_stop_becomes_one_bracket(trading, exchange):
    signal = trading.heard(reason="breakout", **BRACKET)
    act(signal.pk)
    act(signal.pk)
    assert fate(signal) == "ACTED"
    bracket = Bracket.objects.get()
    assert (bracket.stop_price, bracket.target_price, bracket.trailing_jump) == (1380, 1430, 5)
    assert (bracket.source, bracket.strategy) == ("SIGNAL", "momentum")
    assert signal.order.request_key == f"bracket:{bracket.pk}:ENTRY:1"
    sweep_and_send()
    assert len(exchange.accepted(signal.order.correlation_id)) == 1


def test_a_bracket_whose_fate_was_not_written_is_no_late_signal(trading, monkeypatch):
    def died(*_: Any) -> None:
        raise KeyboardInterrupt

    signal = trading.heard(**BRACKET)
    with monkeypatch.context() as patched:
        patched.setattr(acting, "_conclude", died)
        with pytest.raises(KeyboardInterrupt):
            act(signal.pk)
    with monkeypatch.context() as patched:
        patched.setattr(Signal, "older_than_its_life", lambda *_: True)
        act(signal.pk)
    assert (fate(signal), Order.objects.count()) == ("ACTED", 1)


def test_acting_twice_is_acting_once(trading, exchange):
    signal = trading.heard()
    act(signal.pk)
    act(signal.pk)
    assert Order.objects.count() == exchange.report()["orders"] == 1


def test_acting_in_many_threads_at_once_is_acting_once(trading, exchange):
    signal = trading.heard()
    gate = threading.Barrier(4)

    def work() -> None:
        gate.wait()
        tasks.act_on_signal(signal.pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Order.objects.count() == exchange.report()["orders"] == 1
    assert fate(signal) == "ACTED"


def test_a_repeat_of_the_message_from_two_threads_is_one_order(trading, exchange):
    gate = threading.Barrier(2)

    def work() -> None:
        gate.wait()
        act(trading.send(message_id="m1").json()["id"])
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Signal.objects.count() == Order.objects.count() == exchange.report()["orders"] == 1


def test_lots_are_the_contracts_lots(trading, option):
    signal = trading.heard(instrument="NSE_FNO:40001", quantity=None, lots="2", price="10.05")
    act(signal.pk)
    assert Order.objects.get().quantity == 150


REFUSED = {
    "unknown instrument": ({"instrument": "NSE_EQ:NOSUCH"}, "no tradable instrument"),
    "unknown segment": ({"instrument": "NASDAQ:RELIANCE"}, "no tradable instrument"),
    "too many units": ({"lots": 999_999_999, "quantity": None}, "quantity"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_an_order_is_refused_with_an_alert(case, trading):
    different, reason = REFUSED[case]
    signal = trading.heard(**different)
    act(signal.pk)
    assert fate(signal) == "REFUSED"
    assert reason in signal.reason
    assert reason in Alert.objects.get(key="signals:alpha-strategy:signal:REFUSED").text


def test_a_refusal_by_risk_is_kept_with_its_order(trading, account, exchange):
    halt(account.name, "test", "test")
    signal = trading.heard()
    act(signal.pk)
    assert fate(signal) == "REFUSED"
    assert "switch: the account is HALTED" in signal.reason
    assert signal.order.status == "DENIED"
    assert exchange.report()["orders"] == 0


def test_an_exit_that_is_refused_is_critical(trading):
    signal = trading.heard(intent="EXIT", side="SELL")
    act(signal.pk)
    assert fate(signal) == "REFUSED"
    assert Alert.objects.get(key__contains=":exit:").severity == "CRITICAL"


@pytest.mark.parametrize("sent_ago", [0, 90])
def test_an_entry_that_waited_too_long_expires_with_an_alert(trading, exchange, sent_ago):
    """Too old by the sender's time, or because nobody acted on it in time."""
    if not sent_ago:
        SignalSource.objects.update(entry_lifetime=1)
    signal = trading.heard(at=int(time.time()) - sent_ago)
    time.sleep(0 if sent_ago else 1.1)
    act(signal.pk)
    assert fate(signal) == "EXPIRED"
    assert "an entry lives" in signal.reason
    assert Alert.objects.filter(key="signals:alpha-strategy:signal:EXPIRED").exists()
    assert not Order.objects.exists()


def test_an_exit_is_acted_on_however_late_it_is(trading, exchange, account):
    entry = trading.heard(quantity=3)
    act(entry.pk)
    entry.refresh_from_db()
    time.sleep(0.1)
    exchange.control("fill", orderId=entry.order.broker_order_id)
    leaving = trading.heard(intent="EXIT", side="SELL", quantity=3, at=int(time.time()) - 280)
    act(leaving.pk)
    assert fate(leaving) == "ACTED"
    assert len(exchange.accepted(leaving.order.correlation_id)) == 1


def test_an_order_that_is_there_is_kept_although_the_signal_grew_old(trading):
    signal = trading.heard()
    acting._place(signal)
    SignalSource.objects.update(entry_lifetime=1)
    time.sleep(1.1)
    act(signal.pk)
    assert fate(signal) == "ACTED"


class TestTheSweep:
    def test_a_lost_bell_costs_a_second(self, trading, no_bells):
        signal = trading.heard()
        no_bells.clear()
        sweep()
        assert no_bells == []
        ripe()
        sweep()
        sweep()
        assert no_bells == [("signals.act_again", signal.pk)]

    def test_a_signal_that_settles_under_the_sweep_is_left_alone(self, trading, no_bells):
        signal = trading.heard()
        stale = acting.waiting().get(pk=signal.pk)
        act(signal.pk)
        sweeping._ring(stale)
        acting.park(stale)
        assert acting._open_signal(stale.pk) is None
        assert fate(signal) == "ACTED"

    def test_exits_are_rung_for_first(self, trading, no_bells):
        entry, leaving = trading.heard(), trading.heard(intent="EXIT", side="SELL")
        no_bells.clear()
        ripe()
        tasks.sweep_signals()
        assert [row for _, row in no_bells] == [leaving.pk, entry.pk]

    def test_a_poisoned_signal_ends_and_does_not_stop_the_others(
        self, trading, monkeypatch, exchange
    ):
        poison = trading.heard(intent="EXIT", side="SELL")
        good = trading.heard()

        def break_on_poison(signal: Signal) -> Any:
            if signal.pk == poison.pk:
                raise RuntimeError("poison")
            return place(signal)

        place = acting._place
        monkeypatch.setattr(acting, "_place", break_on_poison)
        for _ in range(MOST_TRIES + 1):
            ripe()
            sweep(act=lambda waiting: act(waiting.pk, again=True))
        assert (fate(good), fate(poison), poison.tries) == ("ACTED", "FAILED", MOST_TRIES)
        assert f"{MOST_TRIES} tries" in poison.reason
        assert Alert.objects.get(key__contains=":exit:FAILED").severity == "CRITICAL"
        assert exchange.report()["orders"] == 1

    def test_the_guard_acts_on_exits_and_leaves_entries(self, trading, exchange):
        entry, leaving = trading.heard(), trading.heard(intent="EXIT", side="SELL")
        ripe()
        guard.act()
        assert (fate(entry), fate(leaving)) == ("RECEIVED", "REFUSED")

    def test_a_missing_switch_refuses_and_does_not_break(self, trading, account):
        TradingState.objects.filter(account=account).delete()
        signal = trading.heard()
        act(signal.pk)
        assert fate(signal) == "REFUSED"
        assert SwitchState.ACTIVE not in signal.reason


class TestKilled:
    """The process dies by SIGKILL; another one picks the row up."""

    def kill_at(self, signal: Signal, place: str) -> None:
        command = [sys.executable, "-m", "tests.signals.victim", str(signal.pk), place]
        done = subprocess.run(command, env=environment(), cwd=ROOT, timeout=60, check=False)
        assert done.returncode == -9

    @pytest.mark.parametrize("place", ["before_place", "inside_place", "before_commit"])
    def test_the_signal_is_acted_on_once(self, place, trading, exchange):
        signal = trading.heard()
        self.kill_at(signal, place)
        assert fate(signal) == "RECEIVED"
        assert Order.objects.count() == 0
        assert sweep_until_settled(signal) == "ACTED"
        sweep_and_send()
        assert Order.objects.count() == 1
        assert len(exchange.accepted(signal.order.correlation_id)) == 1

    def test_killed_before_the_first_byte_it_is_proved_absent_and_not_sent_again(
        self, trading, exchange, quick_times
    ):
        signal = trading.heard()
        self.kill_at(signal, "before_sending")
        assert fate(signal) == "ACTED"
        act(signal.pk)
        swept_until(signal.order, "NEVER_ARRIVED")
        assert exchange.accepted(signal.order.correlation_id) == []

    def test_killed_before_anything_the_sweep_finds_it(self, trading, exchange):
        signal = trading.heard()
        assert sweep_until_settled(signal) == "ACTED"
        assert exchange.report()["orders"] == 1


def test_prices_arrive_as_they_were_written(trading):
    signal = trading.heard(price=1400.05)
    act(signal.pk)
    assert Order.objects.get().price == Decimal("1400.05")


def test_each_pass_of_the_sweep_is_a_sign_of_life(db):
    tasks.sweep_signals()
    assert Heartbeat.objects.filter(name=sweeping.SWEEP).exists()
