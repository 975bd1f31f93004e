"""Every way in, in every state of the switches: what did the exchange receive?"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.brokers.models import FundsReport, WireCall
from apps.brokers.port import Intent, Side
from apps.orders import bracket_guard, brackets, changes, guard, services, tasks
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source
from apps.risk.models import DESK, RiskPolicy, SwitchState, TradingState
from apps.risk.switch import halt, tighten
from apps.signals.acting import act
from apps.signals.models import Signal, SignalSource
from apps.signals.sources import open_source
from apps.signals.sweep import sweep as sweep_signals
from tests.orders.sweeping import sweep_and_send
from tests.signals.conftest import Sender

pytestmark = pytest.mark.django_db(transaction=True)


def active(account: Any) -> None:
    return None


def reducing(account: Any) -> None:
    tighten(account.name, SwitchState.REDUCING, "test", "test")


def halted(account: Any) -> None:
    halt(account.name, "test", "test")


def desk_halted(account: Any) -> None:
    halt(DESK, "test", "test")


def row_missing(account: Any) -> None:
    TradingState.objects.filter(account=account).delete()


def desk_row_missing(account: Any) -> None:
    TradingState.objects.filter(scope=DESK).delete()


def policy_missing(account: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE risk_riskpolicy CASCADE")
    assert not RiskPolicy.objects.exists()


def disabled(account: Any) -> None:
    type(account).objects.filter(pk=account.pk).update(enabled=False)


def stale(account: Any) -> None:
    """Funds are old and cannot be read again, because the token is gone."""
    account.tokens.all().update(retired_at=timezone.now())
    FundsReport.objects.update_or_create(
        account=account,
        defaults={
            "as_of": timezone.now() - timedelta(hours=1),
            "available": 1,
            "utilised": 0,
            "opening": 1,
            "collateral": 0,
        },
    )


STATES: dict[str, Callable[[Any], None]] = {
    "active": active,
    "reducing": reducing,
    "halted": halted,
    "desk halted": desk_halted,
    "risk row missing": row_missing,
    "desk row missing": desk_row_missing,
    "policy missing": policy_missing,
    "account disabled": disabled,
    "stale data": stale,
}


def by_service(intent: Any, trader: Any) -> None:
    order = services.place(intent(), trader, Source.ADMIN)
    dispatch(order.pk)


def by_command(intent: Any, trader: Any) -> None:
    with contextlib.suppress(CommandError):
        call_command(
            "place_order",
            intent().account.name,
            instrument="RELIANCE",
            side="BUY",
            quantity="1",
            price="1400",
            stdout=io.StringIO(),
        )
    sweep_all()


def by_form(intent: Any, trader: Any) -> None:
    wanted = intent()
    User.objects.create_superuser("root", "", "pw")
    client = Client()
    client.force_login(User.objects.get(username="root"))
    data = {
        "account": wanted.account.pk,
        "instrument": "RELIANCE",
        "side": "BUY",
        "quantity": "1",
        "order_type": "LIMIT",
        "price": "1400",
        "product": "INTRADAY",
        "validity": "DAY",
        "intent": "ENTRY",
        "cause": "test",
        "reason": "test",
        "request_key": "a" * 32,
        "confirmed": "1",
        "step": "place",
    }
    client.post("/admin/place/", data)
    sweep_all()


def by_signal(intent: Any, trader: Any) -> None:
    sender = Sender(source := SignalSource(name="s", account=intent().account), open_source(source))
    act(sender.heard().pk)


def by_signal_sweep(intent: Any, trader: Any) -> None:
    sender = Sender(source := SignalSource(name="s", account=intent().account), open_source(source))
    sender.heard()
    Signal.objects.update(next_try_at=timezone.now())
    sweep_signals(act=lambda signal: act(signal.pk))


def by_bracket(intent: Any, trader: Any) -> None:
    entry = intent()
    wanted = brackets.BracketIntent(
        account=entry.account,
        instrument=entry.instrument,
        side=entry.side,
        quantity=entry.quantity,
        price=entry.price,
        stop_price=entry.price - 20,
        target_price=entry.price + 20,
    )
    bracket = brackets.place(wanted, trader, Source.ADMIN)
    sweep_all()
    bracket_guard.tend(bracket.pk)


def by_bracket_signal(intent: Any, trader: Any) -> None:
    sender = Sender(source := SignalSource(name="s", account=intent().account), open_source(source))
    act(sender.heard(stop_price="1380", target_price="1420").pk)
    sweep_all()


def sweep_all() -> None:
    for order in Order.objects.filter(status="APPROVED"):
        dispatch(order.pk)


WAYS_IN = {
    "service": by_service,
    "command": by_command,
    "form": by_form,
    "signal": by_signal,
    "signal sweep": by_signal_sweep,
    "bracket": by_bracket,
    "bracket by signal": by_bracket_signal,
}


def received(exchange: Any) -> int:
    return exchange.report()["orders"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("way", WAYS_IN)
def test_an_entry_reaches_the_exchange_only_when_all_is_active(
    way, state, account, intent, trader, exchange, no_bells
):
    STATES[state](account)
    WAYS_IN[way](intent, trader)
    assert received(exchange) == (1 if state == "active" else 0)
    if state != "active":
        assert not WireCall.objects.filter(verb="PLACE").exists()
        assert set(Order.objects.values_list("status", flat=True)) <= {"DENIED"}


SENDERS = {
    "dispatch": lambda order: dispatch(order.pk),
    "task": lambda order: tasks.dispatch_order(order.pk),
    "sweep": lambda order: sweep_and_send(),
    "guard": lambda order: guard.act(),
}
# Limits and ages are judged at the review; what is read again at the last moment is this:
LATE_STATES = {
    name: state for name, state in STATES.items() if name not in {"stale data", "policy missing"}
}


@pytest.mark.parametrize("state", LATE_STATES)
@pytest.mark.parametrize("sender", SENDERS)
def test_an_approved_entry_is_stopped_at_the_last_moment(
    sender, state, account, intent, trader, exchange, no_bells
):
    order = services.place(intent(), trader, Source.ADMIN)
    assert order.status == "APPROVED"
    Order.objects.filter(pk=order.pk).update(approved_at=timezone.now() - timedelta(seconds=5))
    STATES[state](account)
    SENDERS[sender](order)
    order.refresh_from_db()
    sends = state == "active" and sender != "guard"
    assert received(exchange) == (1 if sends else 0)
    if state != "active" and sender != "guard":
        assert order.status == "DENIED"


@pytest.mark.parametrize("sender", [name for name in SENDERS if name != "guard"])
def test_a_test_order_is_stopped_when_its_account_became_live(
    sender, account, intent, trader, exchange, no_bells, settings
):
    settings.LIVE_TRADING = True
    FundsReport.objects.create(
        account=account, as_of=timezone.now(), available=1, utilised=0, opening=1, collateral=0
    )
    order = services.place(intent(test=True), trader, Source.ADMIN)
    assert order.status == "APPROVED"
    Order.objects.update(approved_at=timezone.now() - timedelta(seconds=5))
    hour = timezone.now() + timedelta(hours=1)
    type(account).objects.update(
        rest_url="https://api.broker.invalid/v2", armed_until=hour, calendar="exchange"
    )
    SENDERS[sender](order)
    order.refresh_from_db()
    assert (order.status, "test order" in order.reason) == ("DENIED", True)
    assert not WireCall.objects.filter(verb="PLACE").exists()


@pytest.mark.parametrize("state", ["halted", "reducing", "desk halted"])
def test_an_exit_of_a_proven_position_goes_whatever_the_switch(
    state, account, intent, trader, exchange, no_bells
):
    entry = services.place(intent(quantity=3), trader, Source.ADMIN)
    dispatch(entry.pk)
    entry.refresh_from_db()
    time.sleep(0.1)
    exchange.control("fill", orderId=entry.broker_order_id)
    STATES[state](account)
    leaving = services.place(
        intent(side=Side.SELL, quantity=3, intent=Intent.EXIT), trader, Source.ADMIN
    )
    dispatch(leaving.pk)
    assert len(exchange.accepted(leaving.correlation_id)) == 1


def test_an_exit_without_a_position_is_an_entry_in_disguise_and_is_refused(
    account, intent, trader, exchange, no_bells
):
    halt(account.name, "test", "test")
    order = services.place(intent(side=Side.SELL, intent=Intent.EXIT), trader, Source.ADMIN)
    assert order.status == "DENIED"
    assert received(exchange) == 0


def test_a_change_is_stopped_by_a_halt(account, intent, trader, exchange, no_bells):
    order = services.place(intent(quantity=5), trader, Source.ADMIN)
    dispatch(order.pk)
    order.refresh_from_db()
    approved = services.modify(order, trader, "more", quantity=6)
    halt(account.name, "test", "test")
    changes.send_change(approved.pk)
    approved.refresh_from_db()
    assert approved.status == "LAPSED"
    denied = services.modify(order, trader, "more", quantity=7)
    assert denied.status == "DENIED"
    assert not WireCall.objects.filter(verb="MODIFY").exists()


@pytest.mark.parametrize("rules", [[], ["apps.risk.rules.Nonsense"], ["apps.risk.rules.Snapshot"]])
def test_an_empty_or_broken_list_of_rules_refuses_everything(
    rules, intent, trader, exchange, no_bells, settings
):
    settings.RISK_RULES = rules
    assert services.place(intent(), trader, Source.ADMIN).status == "DENIED"
