"""Is everything alive that must be? Asked with its own short connections, answered in a second.

A part is alive when its last sign of life is young. A feed gives one only for valid news or an
answered ping, so an open but silent line does not count as alive.
"""

from __future__ import annotations

import datetime as dt
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import dataclass
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.brokers.conditions import FEED_STALE

WORKERS = ("worker", "exits", "house")
LOOPS = ("beat", "sweep", "signals", "alerts")  # both sweeps, and what delivers alerts
PATIENCE = 0.7  # seconds for a server to answer
CLOCK_SLACK = 5.0  # seconds a sign of life may lie in the future

_SIGNS = "SELECT name, at FROM alerts_heartbeat"
# Feeds of every enabled account; what hears commands, when some channel takes them.
_EXPECTED = """
    (SELECT 'feed:' || name FROM brokers_brokeraccount WHERE enabled
     UNION ALL
     SELECT 'quotes:' || name FROM brokers_brokeraccount WHERE enabled AND market_feed_url <> ''
     ORDER BY 1) UNION ALL
    SELECT 'telegram' WHERE EXISTS (SELECT 1 FROM alerts_channel WHERE enabled AND commands)
"""
_asking = ThreadPoolExecutor(max_workers=4, thread_name_prefix="health")


@dataclass(frozen=True)
class Part:
    """One thing that must be alive; ``age`` is the seconds since its last sign of life."""

    ok: bool
    age: float | None
    detail: str


@dataclass(frozen=True)
class Health:
    """All parts, in the order in which a person should look at them."""

    parts: dict[str, Part]

    @property
    def failing(self) -> list[str]:
        """The parts that are not alive."""
        return [name for name, part in self.parts.items() if not part.ok]

    def as_json(self) -> dict[str, Any]:
        """The answer for machines: no addresses, no credentials."""
        return {
            "status": "failing" if self.failing else "ok",
            "parts": {name: vars(part) for name, part in self.parts.items()},
            "failing": self.failing,
        }


def check() -> Health:
    """Look at every part. Never raises, and never waits for long."""
    signs, ping = _asking.submit(_read_signs), _asking.submit(_ping_redis)
    parts = {"database": _server(signs, "database"), "redis": _server(ping, "redis")}
    known = signs.result() if parts["database"].ok else None
    return Health(parts | _beats(known))


def _server(answer: Future[Any], name: str) -> Part:
    try:
        answer.result(PATIENCE)
    except TooSlow:
        return Part(False, None, f"the {name} did not answer within {PATIENCE} s")
    except (psycopg.Error, redis.RedisError, OSError) as error:
        return Part(False, None, f"the {name} cannot be used ({type(error).__name__})")
    return Part(True, 0.0, "answers")


def _read_signs() -> tuple[dict[str, dt.datetime], list[str]]:
    """All signs of life, and whose are expected, over a connection of our own."""
    wanted = settings.DATABASES["default"]
    address = {
        "dbname": connection.settings_dict["NAME"],
        "user": wanted.get("USER"),
        "password": wanted.get("PASSWORD"),
        "host": wanted.get("HOST"),
        "port": wanted.get("PORT"),
    }
    with psycopg.connect(
        **{name: value for name, value in address.items() if value},
        connect_timeout=2,
        options="-c statement_timeout=600",
        autocommit=True,
    ) as line:
        signs = {str(name): at for name, at in line.execute(_SIGNS).fetchall()}
        return signs, [str(row[0]) for row in line.execute(_EXPECTED).fetchall()]


def _ping_redis() -> bool:
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=0.5, retry=None
    ) as line:
        return bool(line.ping())


def _beats(known: tuple[dict[str, dt.datetime], list[str]] | None) -> dict[str, Part]:
    signs, expected = known or ({}, [])
    rows = {worker: (f"worker:{worker}", settings.HEARTBEAT_STALE) for worker in WORKERS}
    rows |= {name: (name, settings.HEARTBEAT_STALE) for name in LOOPS}
    rows |= {name: (name, FEED_STALE) for name in expected}
    if known is None:
        return {name: Part(False, None, "not known: the database is down") for name in rows}
    return {name: _beat(signs.get(row), limit) for name, (row, limit) in rows.items()}


def _beat(at: dt.datetime | None, limit: float) -> Part:
    if at is None:
        return Part(False, None, "no sign of life yet")
    age = round((timezone.now() - at).total_seconds(), 1)
    if age > limit:
        return Part(False, age, f"last sign of life {age:g} s ago; {limit:g} s are allowed")
    if age < -CLOCK_SLACK:
        return Part(False, age, f"its last sign of life lies {-age:g} s in the future")
    return Part(True, max(age, 0.0), "alive")
