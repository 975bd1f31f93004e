"""Refuse an unsafe start: what these checks name could lose, double or expose an order."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution
from django.db import Error as DatabaseError
from django.db import connection

from apps.brokers.models import LOOPBACK, BrokerAccount
from apps.brokers.readiness import NoChecks, check_list
from apps.orders.models import BreakKind
from apps.risk.models import OutsideTrade
from apps.risk.verdict import NoRules, rules_in_force


@register
def database_is_postgresql(**_: object) -> Sequence[CheckMessage]:
    """Row locks, partial unique indexes and triggers are what the promise rests on."""
    if connection.vendor == "postgresql":
        return []
    return [Error("DATABASE_URL must name a PostgreSQL database.", id="desk.E001")]


@register
def channel_layer_is_shared(**_: object) -> Sequence[CheckMessage]:
    """An in-memory layer would leave every process alone with its news."""
    backend = settings.CHANNEL_LAYERS["default"]["BACKEND"]
    if "InMemory" not in backend or settings.SETTINGS_ARE_FOR_TESTS:
        return []
    return [Error("CHANNEL_LAYERS must not be in memory with several processes.", id="desk.E002")]


@register
def rules_are_in_force(**_: object) -> Sequence[CheckMessage]:
    """Without rules the gate refuses everything; say so at the start."""
    try:
        rules_in_force()
    except NoRules as error:
        return [Error(f"{error}; every order would be refused.", id="desk.E003")]
    return []


@register
def readiness_is_in_force(**_: object) -> Sequence[CheckMessage]:
    """Without readiness checks every entry is refused; say so at the start."""
    try:
        check_list()
    except NoChecks as error:
        return [Error(f"{error}; every entry would be refused.", id="desk.E005")]
    return []


@register
def words_about_the_books_are_known(**_: object) -> Sequence[CheckMessage]:
    """A misspelt word would quietly be the mildest one."""
    known = {
        "RISK_ON_OUTSIDE_TRADE": ({settings.RISK_ON_OUTSIDE_TRADE}, OutsideTrade.values),
        "BREAKS_THAT_STOP": (set(settings.BREAKS_THAT_STOP), BreakKind.values),
    }
    return [
        Error(f"{name} must be of {', '.join(words)}.", id="desk.E020")
        for name, (said, words) in known.items()
        if said - set(words)
    ]


@register
def secrets_are_private(**_: object) -> Sequence[CheckMessage]:
    """Whoever can read the environment file can read every stored token."""
    try:
        mode = settings.ENV_FILE.stat().st_mode
    except OSError:
        return []
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return []
    text = f"{settings.ENV_FILE} can be read by others than its owner: chmod 600 it."
    return [Caution(text, id="desk.W003")]


@register(Tags.database)
def no_debug_with_a_live_account(
    databases: Sequence[str] | None = None, **_: object
) -> Sequence[CheckMessage]:
    """Debug pages show settings and queries to whoever meets an error."""
    if not settings.DEBUG or not databases:
        return []
    try:
        live = [row.name for row in BrokerAccount.objects.all() if row.environment == "live"]
    except DatabaseError:
        return []
    if not live:
        return []
    return [Error(f"DEBUG is on and {', '.join(live)} is a live account.", id="desk.E004")]


@register(deploy=True)
def everybody_needs_a_second_factor(**_: object) -> Sequence[CheckMessage]:
    """A password alone must not move money; the demo switches this off for a first run."""
    if settings.REQUIRE_SECOND_FACTOR:
        return []
    return [Caution("REQUIRE_SECOND_FACTOR is off: passwords open the desk.", id="desk.W002")]


@register
def telegram_hears_no_token_in_clear(**_: object) -> Sequence[CheckMessage]:
    """A bot's token is in every address; only a server of one's own machine may hear it bare."""
    address = urlsplit(settings.TELEGRAM_API_URL)
    if address.scheme == "https" or address.hostname in LOOPBACK:
        return []
    return [Error("TELEGRAM_API_URL must start with https://.", id="desk.E006")]


@register
def redis_keeps_its_queue(**_: object) -> Sequence[CheckMessage]:
    """Without persistence a restart of Redis drops every bell (orders survive, slower)."""
    if settings.SETTINGS_ARE_FOR_TESTS:
        return []
    config = _redis_config()
    if config is None or config.get("appendonly") == "yes":
        return []
    return [Caution("Redis runs without an append-only file: set appendonly yes.", id="desk.W001")]


def _redis_config() -> dict[str, Any] | None:
    import redis

    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1) as client:
            return dict(client.config_get("appendonly"))
    except redis.RedisError:
        return None
