"""A pytest plugin: real PostgreSQL and Valkey, up before Django reads its settings.

The controller of a run starts them; its parallel workers inherit the addresses. Servers that a
person uses are never touched: only addresses that carry the mark of throwaway servers are taken.
"""

from __future__ import annotations

import atexit
import os
import re

from supervisor.throwaway import MARK, Throwaway

TEST_SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "tradingops.settings",
    "SETTINGS_ARE_FOR_TESTS": "True",
    "LIVE_TRADING": "False",
    "SIMEXCHANGE_URL": "",
    "REQUIRE_SECOND_FACTOR": "False",
    # Both ask the broker before each entry; the tests that are about them write a policy.
    "RISK_CHECK_MARGIN": "False",
    "RISK_PRICE_BAND_PERCENT": "",
}


def start() -> None:
    services = Throwaway()
    services.start()
    atexit.register(services.stop)
    os.environ.update(services.env | TEST_SETTINGS)


def own_database_number(url: str, worker: str) -> str:
    """gw0 has number 1, gw1 number 2, and so on: parallel workers may empty their own."""
    number = int(worker.removeprefix("gw")) + 1
    return re.sub(r"db=\d+", f"db={number}", url)


if MARK not in os.environ:
    start()
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["REDIS_URL"] = own_database_number(os.environ["REDIS_URL"], worker)
