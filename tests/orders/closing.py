"""Passes of the desk without workers, for what is to be closed."""

from __future__ import annotations

import time
from collections.abc import Callable

from apps.brokers import reporting
from apps.brokers.models import BrokerAccount
from apps.orders import flatten, goals, look
from apps.orders.goals import Closing
from apps.orders.reconcile import reconcile
from apps.orders.services import Actor
from apps.risk.models import ExitGoal
from tests.orders.sweeping import sweep_and_send

WHY = "the day is over"


def ask(account: BrokerAccount, instrument, actor: Actor, **different) -> ExitGoal:
    wanted = {"account": account, "instrument": instrument, "product": "INTRADAY"} | different
    return goals.open_goal(Closing(**wanted), actor, WHY)


def one_pass(account: BrokerAccount) -> None:
    """What beat and the workers do in a second."""
    sweep_and_send()
    reconcile(account)
    look.look(account)
    flatten.flatten(account)
    sweep_and_send()


def passes_until(
    account: BrokerAccount, done: Callable[[], bool], seconds: float = 20, each: float = 0.05
) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, [
            str(note) for goal in ExitGoal.objects.all() for note in goal.notes.all()
        ]
        one_pass(account)
        time.sleep(each)


def reached(account: BrokerAccount, goal: ExitGoal, seconds: float = 20) -> ExitGoal:
    def over() -> bool:
        goal.refresh_from_db()
        return goal.over

    passes_until(account, over, seconds)
    assert goal.state == "REACHED", goal.note
    return goal


def held(account: BrokerAccount) -> int:
    """Net units of the account at the broker, read now."""
    return sum(row.net_quantity for row in reporting.reports_of(account).positions().value)
