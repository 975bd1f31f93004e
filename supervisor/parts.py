"""The parts of the house, in the order in which they start. Change the house here."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT

from supervisor.doors import listens
from supervisor.part import Part, Tier, store_part
from supervisor.postgres import Postgres
from supervisor.valkey import Valkey


@dataclass(frozen=True)
class Plan:
    """What a person may choose, and where things are."""

    host: str
    port: int
    exchange_port: int
    var: Path
    demo: bool
    postgres: Postgres | None  # None: the person named a server
    valkey: Valkey | None


def parts_of(plan: Plan) -> list[Part]:
    return [
        *_stores(plan),
        _exchange(plan),
        _step("migrate", "--noinput"),
        Part("worker", _worker("worker", threads=8, queues="entries")),
        Part("worker-exits", _worker("exits", threads=4, queues="exits")),
        Part("worker-house", _worker("house", threads=6, queues="reads,housekeeping")),
        _feed("beat", _celery("beat", "-s", str(plan.var / "celerybeat-schedule"))),
        _step("collectstatic", "--noinput"),
        _step("bootstrap_demo", shown=True),
        Part(
            "web",
            _module("daphne", "-b", plan.host, "-p", str(plan.port), "tradingops.asgi:application"),
        ),
        _feed("streams", _manage("stream_orders", "--all")),
        _feed("quotes", _manage("stream_quotes", "--all")),
        _feed("guard", _manage("guard")),
        _feed("alerts", _manage("deliver_alerts")),
        _feed("telegram", _manage("telegram")),
        *([_demo_trader(plan)] if plan.demo else []),
    ]


def _step(command: str, *words: str, shown: bool = False) -> Part:
    return Part(command, _manage(command, *words), once=True, shown=shown, patience=120)


def _stores(plan: Plan) -> list[Part]:
    """PostgreSQL wants SIGINT: SIGTERM would wait for every client to leave."""
    postgres = [store_part("postgres", plan.postgres, stop=SIGINT)] if plan.postgres else []
    valkey = [store_part("valkey", plan.valkey)] if plan.valkey else []
    return postgres + valkey


def _exchange(plan: Plan) -> Part:
    port = plan.exchange_port
    state = plan.var / "simexchange.journal"
    return Part(
        "simexchange",
        _module(
            "simexchange",
            *("--port", str(port), "--seed", "1", "--universe", "4000", "--state", str(state)),
        ),
        Tier.EXCHANGE,
        grace=1.0,
        ready=lambda: listens("127.0.0.1", port),
    )


def _feed(name: str, argv: tuple[str, ...]) -> Part:
    return Part(name, argv, Tier.FEED, grace=2.0)


def _demo_trader(plan: Plan) -> Part:
    """Its signals come by the front door, as anybody's."""
    return _feed("demo_trader", _manage("demo_trader", "--desk", f"http://127.0.0.1:{plan.port}"))


def _worker(name: str, threads: int, queues: str) -> tuple[str, ...]:
    return _celery(
        "worker",
        *("-P", "threads", "-c", str(threads), "-Q", queues, "-n", f"{name}@%h"),
        *("--without-gossip", "--without-mingle", "--prefetch-multiplier=1"),
    )


def _celery(*words: str) -> tuple[str, ...]:
    return _module("celery", "-A", "tradingops.celery", *words)


def _manage(*words: str) -> tuple[str, ...]:
    return (sys.executable, "manage.py", *words)


def _module(name: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *words)
