"""The bells' other end for signals."""

from __future__ import annotations

from celery import shared_task

from apps.alerts.raising import sign_of_life
from apps.brokers.locks import turn_if_free
from apps.brokers.recording import recorded
from apps.signals import acting, sweep


@shared_task(name="signals.act")
@recorded
def act_on_signal(signal_id: int) -> None:
    """Turn one signal into an order and send it."""
    acting.act(signal_id)


@shared_task(name="signals.act_again")
@recorded
def act_on_signal_again(signal_id: int) -> None:
    """Another try at a signal whose bell was lost, or whose worker broke."""
    acting.act(signal_id, again=True)


@shared_task(name="signals.sweep")
@recorded
def sweep_signals() -> None:
    """One pass over signals that wait."""
    with turn_if_free("signals") as mine:
        if mine:
            sweep.sweep()
            sign_of_life(sweep.SWEEP)
