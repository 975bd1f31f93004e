"""Celery: the bells. Queues, the beat table, and the heartbeats of worker and beat."""

from __future__ import annotations

import os
import threading
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_ready, worker_shutting_down

from tradingops import bells

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingops.settings")

app = Celery("tradingops")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Celery would close a thread's connection after every task, and the next would connect, plan and
# prepare anew: several times what an order costs. One that broke is closed where that is noticed.
app.conf["CELERY_DB_REUSE_MAX"] = 2**62
bells.install()
app.autodiscover_tasks(["apps.brokers", "apps.orders", "apps.signals"])


@app.on_after_configure.connect
def schedule(sender: Celery, **_: object) -> None:
    """The beat table. A late run is dropped: the next one sees the same rows."""
    from django.conf import settings

    for task, every, queue in (
        ("orders.sweep", settings.SWEEP_EVERY, "housekeeping"),
        ("signals.sweep", settings.SWEEP_EVERY, "housekeeping"),
        ("orders.flatten_due", settings.FLATTEN_EVERY, "exits"),
        ("orders.kill_due", settings.FLATTEN_EVERY, "exits"),
        ("orders.reconcile_due", settings.RECONCILE_EVERY, "reads"),
        ("orders.reports", settings.REPORTS_EVERY, "reads"),
        ("orders.day_reports", 60.0, "housekeeping"),
        ("orders.forget", 3600.0, "housekeeping"),
        ("brokers.sessions", settings.SESSIONS_EVERY, "reads"),
        ("orders.instruments", settings.INSTRUMENTS_LOOK_EVERY, "housekeeping"),
        ("orders.watch_calendar", 60.0, "housekeeping"),
    ):
        sender.conf.beat_schedule[task] = {
            "task": task,
            "schedule": every,
            "options": {"queue": queue, "expires": max(every, 2)},
        }


@setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Leave logging as the settings made it."""


@worker_ready.connect
def worker_is_up(sender: Any, **_: object) -> None:  # noqa: ANN401 - celery's signal
    """Start the worker's heartbeat, named like the worker."""
    _start_heartbeat(f"worker:{sender.hostname.split('@')[0]}")


@worker_shutting_down.connect
def worker_goes_down(**_: object) -> None:
    """Stop the heartbeat at once, so that the desk shows it."""
    _stop.set()


@beat_init.connect
def beat_is_up(**_: object) -> None:
    """Start beat's heartbeat."""
    _start_heartbeat("beat")


_stop = threading.Event()


def _start_heartbeat(name: str) -> None:
    threading.Thread(target=_beat, args=[name], name="heartbeat", daemon=True).start()


def _beat(name: str) -> None:
    from django.conf import settings
    from django.db import Error, close_old_connections, connection

    from apps.alerts.raising import sign_of_life

    while True:
        try:
            sign_of_life(name)
        except Error:
            connection.close()
            close_old_connections()
        if _stop.wait(settings.HEARTBEAT_EVERY):
            return
